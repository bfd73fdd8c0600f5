import { cpus, totalmem } from 'node:os';
import { CONTENDERS, type Contender, type Sample } from './contenders.ts';
import type { DataSet } from './data-sets.ts';
import type { BundleCost } from './load-times.ts';
import { ratioSpread, type Spread, spread } from './statistics.ts';

const MIB = 1024 * 1024;

export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly data?: {
    readonly name: DataSet;
    readonly tableBytes: number;
    readonly server: string;
    readonly clientMajor: number;
  };
  readonly samples: Partial<Record<Contender, Sample[]>>;
  readonly bundles?: readonly BundleCost[];
  readonly retentionSeconds?: Spread;
}

interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  readonly node: string;
}

export function describeMachine(): Machine {
  const [cpu] = cpus();
  return {
    cores: cpus().length,
    cpu: cpu?.model ?? '',
    memoryBytes: totalmem(),
    node: process.version,
  };
}

export interface Target {
  readonly what: string;
  readonly wanted: string;
  readonly measured: string;
  readonly met: boolean;
}

/** The targets of which something was measured. */
export function judge({ samples, retentionSeconds }: Results): Target[] {
  const { task, limit, script } = samples;
  const targets: Target[] = [];
  const add = (what: string, wanted: string, measured: string, met: boolean) =>
    targets.push({ what, wanted, measured, met });
  const wall = (of: readonly Sample[]) => of.map(({ wallSeconds }) => wallSeconds);

  if (task && limit) {
    const ratio = ratioSpread(wall(task), wall(limit));
    add('dump task, of the limit', '<= 1.25 x', times(ratio), ratio.median <= 1.25);
  }
  if (task && script) {
    const ratio = ratioSpread(wall(script), wall(task));
    add('dump task, faster than the script', '>= 3 x', times(ratio), ratio.median >= 3);
  }
  for (const contender of ['task', 'large-parts'] as const) {
    const dumps = samples[contender];
    if (!dumps) continue;
    const name = contender === 'task' ? 'dump task' : 'dump task, large parts';
    const peak = Math.max(...dumps.map(({ peakMemoryBytes }) => peakMemoryBytes)) / MIB;
    const memory = `${peak.toFixed(0)} MiB`;
    add(`${name}: memory, pg_dump included`, '<= 256 MiB', memory, peak <= 256);
    const disk = Math.max(...dumps.map(({ diskBytes }) => diskBytes));
    add(`${name}: bytes on disk`, '0', String(disk), disk === 0);
  }
  if (retentionSeconds) {
    const milliseconds = `${(retentionSeconds.median * 1000).toFixed(0)} ms`;
    add('retention plan of 10,000', '< 1 s', milliseconds, retentionSeconds.median < 1);
  }
  return targets;
}

export function render(results: Results): string {
  const { machine, data, rounds, samples, bundles } = results;
  const parts = [
    `${machine.cores} cores (${machine.cpu}), ${gigabytes(machine.memoryBytes)} memory, Node ${machine.node}`,
  ];
  if (data) {
    parts.push(
      `PostgreSQL ${data.server}, clients ${data.clientMajor}, ${gigabytes(data.tableBytes)} of table data (${data.name})`,
      `${rounds} rounds in turn after a warm-up; medians, with the smallest and the largest`,
    );
  }
  const measured = (Object.keys(CONTENDERS) as Contender[]).filter((it) => samples[it]);
  if (measured.length > 0) {
    const rows = measured.map((it) => sampleRow(it, samples[it] ?? [], samples));
    parts.push('', table([SAMPLE_COLUMNS, ...rows]), '', ...FOOTNOTES);
  }
  if (bundles) {
    const rows = bundles.map(({ name, sizeBytes, loadMilliseconds }) => [
      name,
      `${(sizeBytes / 1024).toFixed(0)} KiB`,
      `${loadMilliseconds.median.toFixed(0)} ms`,
    ]);
    parts.push('', table([['bundle', 'size', 'load'], ...rows]));
  }
  const targets = judge(results).map((it) => [
    it.met ? 'PASS' : 'MISS',
    it.what,
    it.wanted,
    it.measured,
  ]);
  if (targets.length > 0) parts.push('', table([['', 'target', 'wanted', 'measured'], ...targets]));
  return parts.join('\n');
}

const SAMPLE_COLUMNS = [
  '',
  'wall s',
  'x limit',
  'CPU s',
  'server s',
  'store s',
  'memory MiB',
  'disk MB',
  'archive MB',
];
const FOOTNOTES = [
  'CPU: user and system time of the programs that make the dump. Server: of PostgreSQL meanwhile.',
  'Store: of the local S3, which on AWS is another machine. Memory: peaks of all processes, added up.',
];

function sampleRow(
  contender: Contender,
  of: readonly Sample[],
  { limit, decode }: Results['samples'],
): string[] {
  const each = (key: Exclude<keyof Sample, 'processes'>) => of.map((sample) => sample[key]);
  const base = contender === 'verify' || contender === 'decode' ? decode : limit;
  const baseWall = base?.map(({ wallSeconds }) => wallSeconds);
  const wall = spread(each('wallSeconds'));
  return [
    CONTENDERS[contender],
    `${wall.median.toFixed(2)} (${wall.min.toFixed(2)}-${wall.max.toFixed(2)})`,
    baseWall ? times(ratioSpread(each('wallSeconds'), baseWall)) : '',
    spread(each('cpuSeconds')).median.toFixed(2),
    spread(each('serverCpuSeconds')).median.toFixed(2),
    spread(each('storeCpuSeconds')).median.toFixed(2),
    (Math.max(...each('peakMemoryBytes')) / MIB).toFixed(0),
    (Math.max(...each('diskBytes')) / 1e6).toFixed(0),
    (spread(each('archiveBytes')).median / 1e6).toFixed(0),
  ];
}

function times({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}-${max.toFixed(2)})`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Columns as wide as their widest cell; words to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return /^[\d<>=]/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
