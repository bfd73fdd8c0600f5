import { cpus, totalmem } from 'node:os';
import type { RestorePhase } from '#contracts/restore.ts';
import { CONTENDERS, type Contender } from './contenders.ts';
import type { DataSet } from './data-sets.ts';
import type { BundleCost } from './load-times.ts';
import type { Sample } from './sample.ts';
import { ratioSpread, type Spread, spread } from './statistics.ts';

const MIB = 1024 * 1024;

export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly rounds: number;
  /** Of restores. */
  readonly jobs: number;
  /** One for each data set; a contender is in one of them. */
  readonly runs: readonly Run[];
  readonly bundles?: readonly BundleCost[];
  readonly retentionSeconds?: Spread;
}

export interface Run {
  readonly data: {
    readonly name: DataSet;
    readonly tableBytes: number;
    readonly server: string;
    readonly clientMajor: number;
  };
  readonly samples: Samples;
}

type Samples = Partial<Record<Contender, Sample[]>>;

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
export function judge({
  runs,
  retentionSeconds,
}: Pick<Results, 'runs' | 'retentionSeconds'>): Target[] {
  const samples: Samples = Object.assign({}, ...runs.map((run) => run.samples));
  const { task, limit, script, restore } = samples;
  const pgRestore = samples['pg-restore'];
  const tableRestore = samples['restore-table'];
  const targets: Target[] = [];
  const add = (what: string, wanted: string, measured: string, met: boolean) =>
    targets.push({ what, wanted, measured, met });

  if (task && limit) {
    const ratio = ratioSpread(task.map(wall), limit.map(wall));
    add('dump task, of the limit', '<= 1.25 x', times(ratio), ratio.median <= 1.25);
  }
  if (task && script) {
    const ratio = ratioSpread(script.map(wall), task.map(wall));
    add('dump task, faster than the script', '>= 3 x', times(ratio), ratio.median >= 3);
  }
  if (restore && pgRestore) {
    const ratio = ratioSpread(restore.map(bareWall), pgRestore.map(wall));
    add(
      'restore without its checks, of pg_restore',
      '<= 1.10 x',
      times(ratio),
      ratio.median <= 1.1,
    );
  }
  if (tableRestore) {
    const shares = tableRestore.map(({ restore: it }) =>
      it ? it.bytesRead / it.neededBytes : 1e9,
    );
    const most = Math.max(...shares);
    add('one table: bytes read, of those it needs', '<= 1.01 x', most.toFixed(4), most <= 1.01);
  }
  for (const [contender, name, children] of TASKS) {
    const of = samples[contender];
    if (!of) continue;
    const peak = Math.max(...of.map(({ peakMemoryBytes }) => peakMemoryBytes)) / MIB;
    const memory = `${peak.toFixed(0)} MiB`;
    add(`${name}: memory, ${children} included`, '<= 256 MiB', memory, peak <= 256);
    const disk = Math.max(...of.map(({ diskBytes }) => diskBytes));
    add(`${name}: bytes on disk`, '0', String(disk), disk === 0);
  }
  if (retentionSeconds) {
    const milliseconds = `${(retentionSeconds.median * 1000).toFixed(0)} ms`;
    add('retention plan of 10,000', '< 1 s', milliseconds, retentionSeconds.median < 1);
  }
  return targets;
}

/** Those that have to do with little memory and no disk. */
const TASKS: readonly (readonly [Contender, name: string, children: string])[] = [
  ['task', 'dump task', 'pg_dump'],
  ['large-parts', 'dump task, large parts', 'pg_dump'],
  ['restore', 'restore task', 'pg_restore'],
  ['restore-table', 'restore task, one table', 'pg_restore'],
];

const wall = ({ wallSeconds }: Sample) => wallSeconds;

/** pg_restore neither looks at what it made nor gathers statistics. */
function bareWall({ wallSeconds, restore }: Sample): number {
  const { analyze = 0, check = 0 } = restore?.phaseSeconds ?? {};
  return wallSeconds - analyze - check;
}

export function render(results: Results): string {
  const { machine, runs, rounds, jobs, bundles } = results;
  const parts = [
    `${machine.cores} cores (${machine.cpu}), ${gigabytes(machine.memoryBytes)} memory, Node ${machine.node}`,
  ];
  if (runs.length > 0) {
    parts.push(
      `${rounds} rounds in turn after a warm-up; medians, with the smallest and the largest`,
    );
  }
  for (const { data, samples } of runs) {
    parts.push(
      '',
      `PostgreSQL ${data.server}, clients ${data.clientMajor}, ${gigabytes(data.tableBytes)} of table data (${data.name})`,
    );
    const measured = (Object.keys(CONTENDERS) as Contender[]).filter((it) => samples[it]);
    const restores = measured.filter((it) => RESTORE_BASE[it]);
    const others = measured.filter((it) => !RESTORE_BASE[it]);
    if (others.length > 0) {
      const rows = others.map((it) => sampleRow(it, samples[it] ?? [], samples));
      parts.push('', table([SAMPLE_COLUMNS, ...rows]), '', ...FOOTNOTES);
    }
    if (restores.length > 0) {
      const rows = restores.map((it) => restoreRow(it, samples[it] ?? [], samples));
      parts.push('', table([RESTORE_COLUMNS, ...rows]), '', ...RESTORE_FOOTNOTES);
      parts.push(`Restores of everything: ${jobs} jobs.`, ...restores.flatMap(phasesOf(samples)));
    }
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
  'CPU: user and system time of the programs that do the work. Server: of PostgreSQL meanwhile.',
  'Store: of the local S3, which on AWS is another machine. Memory: peaks of all processes of a moment, added up.',
];

function sampleRow(
  contender: Contender,
  of: readonly Sample[],
  { limit, decode }: Samples,
): string[] {
  const each = (key: Exclude<keyof Sample, 'processes' | 'restore'>) =>
    of.map((sample) => sample[key]);
  const base = contender === 'verify' || contender === 'decode' ? decode : limit;
  return [
    CONTENDERS[contender],
    times(spread(of.map(wall))),
    base ? times(ratioSpread(of.map(wall), base.map(wall))) : '',
    spread(each('cpuSeconds')).median.toFixed(2),
    spread(each('serverCpuSeconds')).median.toFixed(2),
    spread(each('storeCpuSeconds')).median.toFixed(2),
    (Math.max(...each('peakMemoryBytes')) / MIB).toFixed(0),
    (Math.max(...each('diskBytes')) / 1e6).toFixed(0),
    (spread(each('archiveBytes')).median / 1e6).toFixed(0),
  ];
}

/** What each restore is held against. */
const RESTORE_BASE: Partial<Record<Contender, Contender>> = {
  'pg-restore': 'pg-restore',
  restore: 'pg-restore',
  'pg-restore-table': 'pg-restore-table',
  'restore-table': 'pg-restore-table',
};
const RESTORE_COLUMNS = [
  '',
  'wall s',
  'x pg_restore',
  'without checks s',
  'x pg_restore',
  'CPU s',
  'server s',
  'store s',
  'memory MiB',
  'disk MB',
  'read MB',
  'archive MB',
];
const RESTORE_FOOTNOTES = [
  'Without checks: without what pg_restore does not do, which is ANALYZE, counting rows, and looking at indexes, constraints',
  'and sequences. Read: of the archive, out of the store; the most of all rounds. pg_restore has the whole archive on a disk',
  'before it starts, and an empty database; our task makes the database.',
];

function restoreRow(contender: Contender, of: readonly Sample[], samples: Samples): string[] {
  const each = (key: Exclude<keyof Sample, 'processes' | 'restore'>) =>
    of.map((sample) => sample[key]);
  const base = samples[RESTORE_BASE[contender] ?? contender];
  const read = of.flatMap(({ restore }) => restore?.bytesRead ?? []);
  return [
    CONTENDERS[contender],
    times(spread(of.map(wall))),
    base ? times(ratioSpread(of.map(wall), base.map(wall))) : '',
    times(spread(of.map(bareWall))),
    base ? times(ratioSpread(of.map(bareWall), base.map(wall))) : '',
    spread(each('cpuSeconds')).median.toFixed(2),
    spread(each('serverCpuSeconds')).median.toFixed(2),
    spread(each('storeCpuSeconds')).median.toFixed(2),
    (Math.max(...each('peakMemoryBytes')) / MIB).toFixed(0),
    (Math.max(...each('diskBytes')) / 1e6).toFixed(0),
    read.length > 0 ? (Math.max(...read) / 1e6).toFixed(3) : '',
    (spread(each('archiveBytes')).median / 1e6).toFixed(0),
  ];
}

/** `our restore task, everything: prepare 0.12 s, pre-data 0.31 s, …`: medians. */
function phasesOf(samples: Samples): (contender: Contender) => string[] {
  return (contender) => {
    const figures = (samples[contender] ?? []).flatMap(({ restore }) => restore ?? []);
    const [first] = figures;
    if (!first) return [];
    const phases = (Object.keys(first.phaseSeconds) as RestorePhase[]).map((phase) => {
      const seconds = figures.map(({ phaseSeconds }) => phaseSeconds[phase] ?? 0);
      return `${phase} ${spread(seconds).median.toFixed(2)} s`;
    });
    return [`Phases of ${CONTENDERS[contender]}: ${phases.join(', ')}.`];
  };
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
