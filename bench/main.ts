import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bundle, build } from '../scripts/build.ts';
import { Arena, CONTENDERS, type Contender } from './contenders.ts';
import { DATA_SETS, type DataSet } from './data-sets.ts';
import { measureBundles } from './load-times.ts';
import type { Programs } from './programs.ts';
import { describeMachine, judge, type Results, type Run, render } from './report.ts';
import { measureRetention } from './retention-planning.ts';
import type { Sample } from './sample.ts';
import { openWorkbench } from './workbench.ts';

const HELP = `npm run bench -- [options]

  --size-gb N      table data (default 1)
  --data NAME      orders, sample, whose rows cost the server more and which has indexes and constraints,
                   or keys, which compress less (default: sample for restores, orders for the rest)
  --jobs N         of restores, ours and pg_restore's (default 2)
  --rounds N       measured rounds, after one that is not (default 5)
  --no-warm-up     without that one
  --only A,B       of: dump, script, directory, memory, verify, restore, table, bundles,
                   retention (default: all)
  --json FILE      also write every measurement there
  --profile DIR    also write CPU profiles of our tasks there (which then are slower)
  --strict         exit code 1 when a target is missed`;

/** In the order in which a round runs them; every second round goes the other way. */
const SUBJECTS: Readonly<Record<string, readonly Contender[]>> = {
  dump: ['limit', 'task'],
  script: ['script'],
  directory: ['directory'],
  memory: ['large-parts'],
  verify: ['decode', 'verify'],
  restore: ['pg-restore', 'restore'],
  table: ['pg-restore-table', 'restore-table'],
  bundles: [],
  retention: [],
};

/** A restore of one table and no index would say little of what restores of databases take. */
const RESTORES: ReadonlySet<Contender> = new Set(
  ['restore', 'table'].flatMap((it) => SUBJECTS[it] ?? []),
);
const dataFor = (contender: Contender): DataSet => (RESTORES.has(contender) ? 'sample' : 'orders');

const { values } = parseArgs({
  options: {
    'size-gb': { type: 'string', default: '1' },
    data: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    'no-warm-up': { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(SUBJECTS).join(',') },
    json: { type: 'string' },
    profile: { type: 'string' },
    strict: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const sizeGigabytes = positive('size-gb', values['size-gb']);
  const rounds = Math.ceil(positive('rounds', values.rounds));
  const warmUp = !values['no-warm-up'];
  const subjects = values.only.split(',');
  const unknown = subjects.filter((subject) => !(subject in SUBJECTS));
  if (unknown.length > 0) throw new Error(`--only knows no ${unknown.join(', ')}\n${HELP}`);
  const jobs = Math.ceil(positive('jobs', values.jobs));
  const data = DATA_SETS.find((name) => name === values.data);
  if (values.data !== undefined && !data)
    throw new Error(`--data knows no ${values.data}\n${HELP}`);
  if (process.platform !== 'linux') {
    throw new Error('the benchmark reads CPU and memory from /proc, which only Linux has');
  }
  const [load = 0] = loadavg();
  if (load > availableParallelism() / 2) {
    log(`the machine is busy (load ${load.toFixed(1)}): trust ratios more than seconds`);
  }

  const contenders = subjects.flatMap((subject) => SUBJECTS[subject] ?? []);
  const has = (subject: string) => subjects.includes(subject);
  // Not in dist/, where another build could replace them meanwhile.
  const out = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-bundles-'));
  process.once('exit', () => rmSync(out, { recursive: true }));
  const bundles = await build({ out });
  const programs: Programs = {
    dumpTask: fileOf(bundles, 'tasks/dump-database'),
    verifyTask: fileOf(bundles, 'tasks/verify-backup'),
    restoreTask: fileOf(bundles, 'tasks/restore-database'),
    nodeFlags: await imageNodeFlags(),
    profileDirectory: values.profile,
  };
  const runs: Run[] = [];
  for (const name of DATA_SETS) {
    const those = contenders.filter((contender) => (data ?? dataFor(contender)) === name);
    if (those.length === 0) continue;
    const options = { programs, rounds, warmUp, sizeGigabytes, jobs };
    runs.push(await compete({ contenders: those, data: name, ...options }));
  }
  const results: Results = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    rounds,
    jobs,
    runs,
    ...(has('bundles') ? { bundles: await measureBundles(bundles, { rounds, warmUp }) } : {}),
    ...(has('retention') ? { retentionSeconds: measureRetention(rounds) } : {}),
  };

  console.log(`\n${render(results)}`);
  const targets = judge(results);
  if (values.json) {
    await writeFile(values.json, `${JSON.stringify({ ...results, targets }, null, 1)}\n`);
  }
  if (values.strict && targets.some(({ met }) => !met)) process.exitCode = 1;
}

async function compete(options: {
  readonly contenders: readonly Contender[];
  readonly programs: Programs;
  readonly rounds: number;
  readonly warmUp: boolean;
  readonly data: DataSet;
  readonly sizeGigabytes: number;
  readonly jobs: number;
}): Promise<Run> {
  const { contenders, programs, rounds, warmUp, data, sizeGigabytes, jobs } = options;
  const bench = await openWorkbench({ data, sizeGigabytes, log });
  // Gigabytes would stay behind, and the server would go on.
  const leave = () => void bench.close().finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, leave);
  try {
    const arena = new Arena(bench, programs, jobs);
    const samples = new Map<Contender, Sample[]>(contenders.map((it) => [it, []]));
    for (let round = warmUp ? 0 : 1; round <= rounds; round++) {
      const order = round % 2 === 0 ? contenders : contenders.toReversed();
      for (const contender of order) {
        const sample = await arena.run(contender);
        const which = round === 0 ? 'warm-up' : `round ${round}`;
        log(`${which}: ${sample.wallSeconds.toFixed(2)} s  ${CONTENDERS[contender]}`);
        if (round > 0) samples.get(contender)?.push(sample);
      }
    }
    const { tableBytes, serverVersion: server, clientMajor } = bench;
    return {
      samples: Object.fromEntries(samples),
      data: { name: data, tableBytes, server, clientMajor },
    };
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, leave);
    await bench.close();
  }
}

function fileOf(bundles: readonly Bundle[], name: string): string {
  const bundle = bundles.find((it) => it.name === name);
  if (!bundle) throw new Error(`there is no bundle ${name}`);
  return bundle.path;
}

/** What comes after `node` in the image's entry point. */
async function imageNodeFlags(): Promise<string[]> {
  const dockerfile = await readFile(new URL('../tasks/Dockerfile', import.meta.url), 'utf8');
  const entryPoint = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1];
  const [program, ...flags] = JSON.parse(entryPoint ?? '[]') as string[];
  if (program !== 'node') throw new Error('the ENTRYPOINT of tasks/Dockerfile is not ["node", …]');
  return flags;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, not ${text}`);
  return value;
}

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}
