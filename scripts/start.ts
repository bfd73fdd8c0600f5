import { mkdir, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { parsePlanFile } from '#domain/plan-file.ts';
import { errorName, InvalidInput } from '#errors';
import { makeProgress, type Progress } from '#local/progress.ts';
import {
  combineReports,
  describeRun,
  type RunReport,
  readDrill,
  readReport,
  withDrill,
} from '#local/report.ts';
import { type SampleSource, startSampleSource } from '#local/sample-source.ts';
import { publishServices } from '#local/services-record.ts';
import { LOCAL, type Stack, startStack } from '#local/stack.ts';
import { writeLocalReport } from '#local/ui/local-state.ts';
import { urlSource } from '#local/url-source.ts';
import { build, buildCli } from './build.ts';
import { describeMissing, ensurePostgresClients } from './postgres-clients.ts';

const HELP = `Runs the backup workflow on this machine, against a real PostgreSQL, without an AWS account.

  npm start                                   a sample database
  npm start -- --url postgres://me@host/shop  your own (repeatable; password from PGPASSWORD,
                                              ~/.pgpass or the URL)
  npm start -- --config plan.yml              every source of a plan file

  --all-databases   with --url: every database of the server
  --no-drill        does not rehearse what was backed up
  --out DIR         where objects, logs and alerts go (default .holdfast)
  --json            one JSON document as the last line
  --keep            keeps services and servers running afterwards, for \`npx holdfast --local\`,
                    until Ctrl-C
  --help

Exit codes: 0 everything is verified and came back, 1 something is not or did not, 2 the command
cannot be understood.`;

interface Sources {
  readonly plans: SourcePlan[];
  readonly secrets: Record<string, { username: string; password: string }>;
  readonly sample: SampleSource | undefined;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string', multiple: true },
        'all-databases': { type: 'boolean', default: false },
        config: { type: 'string' },
        'no-drill': { type: 'boolean', default: false },
        out: { type: 'string', default: '.holdfast' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.url && values.config) throw new Error('--url and --config exclude each other');
    return values;
  } catch (error) {
    // parseArgs quotes what it did not expect; that could be a URL with a password in it.
    const message = error instanceof Error ? error.message.replace(/\S*:\/\/\S*/g, '…') : '';
    console.error(`${message}\n\n${HELP}`);
    return undefined;
  }
}
type Options = NonNullable<ReturnType<typeof readOptions>>;

async function readSources(options: Options, major: number): Promise<Sources> {
  if (options.url) {
    const sources = await Promise.all(
      options.url.map((url, index) =>
        urlSource(url, {
          index,
          allDatabases: options['all-databases'],
          environment: process.env,
        }),
      ),
    );
    return {
      plans: sources.map(({ plan }) => plan),
      secrets: Object.fromEntries(sources.map(({ plan, secret }) => [secretId(plan), secret])),
      sample: undefined,
    };
  }
  if (options.config) {
    const { sources } = parsePlanFile(await readFile(options.config, 'utf8'), options.config);
    return { plans: sources.map(localPlan), secrets: localSecrets(sources), sample: undefined };
  }
  const sample = await startSampleSource(major);
  return { plans: [sample.plan], secrets: { ...sample.secrets }, sample };
}

function secretId({ connection }: SourcePlan): string {
  return connection.auth.type === 'secret' ? connection.auth.secretId : '';
}

/** A plan written for AWS, as far as it goes here: no RDS is there to take snapshots of. */
function localPlan(plan: SourcePlan): SourcePlan {
  if (plan.connection.auth.type === 'iam') {
    throw new InvalidInput(`source ${plan.source} uses IAM authentication, which needs AWS`, {
      remedy: 'give it a secret, or back it up with --url',
    });
  }
  return { ...plan, engine: { type: 'postgres' }, kinds: ['logical'] };
}

/** Secrets of a plan file: PGUSER and PGPASSWORD, as no Secrets Manager is there to ask. */
function localSecrets(plans: readonly SourcePlan[]): Sources['secrets'] {
  const { PGUSER, PGPASSWORD } = process.env;
  return Object.fromEntries(
    plans.map((plan) => {
      const username = plan.connection.user ?? PGUSER ?? 'postgres';
      return [secretId(plan), { username, password: PGPASSWORD ?? '' }];
    }),
  );
}

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) return 2;
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const directory = resolve(options.out);
  const bundles = resolve(import.meta.dirname, '../dist');
  // With --json standard output carries the document alone.
  const progress = makeProgress(options.json ? process.stderr : process.stdout);
  await mkdir(directory, { recursive: true });

  progress.say('preparing the PostgreSQL clients');
  const clients = await ensurePostgresClients({ log: (line) => progress.say(`  ${line}`) });
  for (const line of describeMissing(clients.missing)) progress.say(`  ${line}`);
  if (clients.fellBackTo) progress.say(`  ${clients.fellBackTo}`);
  const newest = clients.majors.at(-1);
  if (newest === undefined) {
    console.error('No PostgreSQL client is at hand: see the lines above for what to install.');
    return 1;
  }
  await build({ out: bundles });
  if (options.keep) await buildCli({ out: bundles });

  if (!options.url && !options.config) {
    progress.say('starting PostgreSQL and filling the sample database');
  }
  const sources = await readSources(options, newest);
  try {
    const clientsDirectory = clients.directory;
    let exitCode = 1;
    await runAll({
      directory,
      bundles,
      clientsDirectory,
      sources,
      progress,
      drills: !options['no-drill'],
      async afterwards(stack, reports) {
        progress.stop();
        exitCode = finish(options, directory, reports);
        await finishWithReport(options, directory);
        if (options.keep) await keepRunning(stack, options, reports);
      },
    });
    return exitCode;
  } finally {
    progress.stop();
    await sources.sample?.stop();
  }
}

/** Until Ctrl-C or SIGTERM: the operator's command finds the services meanwhile. */
async function keepRunning(
  stack: Stack,
  options: Options,
  reports: readonly RunReport[],
): Promise<void> {
  const withdraw = await publishServices(stack, resolve(options.out));
  try {
    const print = options.json ? console.error : console.log;
    const local = options.out === '.holdfast' ? '--local' : `--local=${options.out}`;
    const [backup] = reports.flatMap(({ backups }) => backups);
    print(`\nThe services go on until Ctrl-C. In another terminal:`);
    print(`  npx holdfast list ${local}`);
    // A name that a shell would take apart is not printed into a command.
    if (backup && /^[\w.-]+$/.test(backup.database)) {
      print(`  npx holdfast show ${backup.source}/${backup.database}/latest ${local}`);
      print(`  npx holdfast restore ${backup.source}/${backup.database} ${local}`);
    }
    await new Promise<void>((resolve) => {
      process.once('SIGINT', () => resolve());
      process.once('SIGTERM', () => resolve());
    });
    print('\nending the services');
  } finally {
    await withdraw();
  }
}

/** Backs up one source after the other; a source that fails does not stop the next. */
async function runAll(setting: {
  directory: string;
  bundles: string;
  clientsDirectory: string;
  sources: Sources;
  progress: Progress;
  /** Whether what was backed up is rehearsed. */
  drills: boolean;
  /** While the services still run. */
  afterwards: (stack: Stack, reports: readonly RunReport[]) => Promise<void>;
}): Promise<void> {
  const { directory, bundles, clientsDirectory, sources, progress, afterwards } = setting;
  const stack = await startStack({
    directory,
    bundles,
    clientsDirectory,
    plans: sources.plans,
    secrets: sources.secrets,
    onExecutionEvent: (event) => progress.onExecutionEvent(event),
    onTaskLine: (line) => progress.onTaskLine(line),
  });
  const stop = () => void stack.close().then(() => process.exit(130));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    sources.sample?.register(stack.plane.rds);
    const reports: RunReport[] = [];
    for (const { source } of sources.plans) {
      progress.say(`backing up ${source}`);
      const before = stack.plane.sns.messages.length;
      const execution = await stack.backUp({ source });
      const report = await readReport(
        directory,
        source,
        execution,
        stack.plane.sns.messages.slice(before),
      );
      // What has no verified backup has already failed.
      const drilled = setting.drills && report.backups.length > 0;
      reports.push(drilled ? await drill(setting, stack, report) : report);
    }
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await afterwards(stack, reports);
  } finally {
    // Once more is ignored, as everything is being ended already; twice more kills.
    process.once('SIGINT', () => {});
    process.once('SIGTERM', () => {});
    await stack.close();
  }
}

/** The last line of a run. No run fails for its report. */
async function finishWithReport({ json }: Options, directory: string): Promise<void> {
  const print = json ? console.error : console.log;
  try {
    const file = await writeLocalReport(directory, LOCAL.bucket);
    print(`\nThe state of everything, for a browser: ${file}`);
  } catch (error) {
    print(`\nThe report could not be written: ${errorName(error)}`);
  }
}

/** Rehearses what the run has backed up. The report then fails with the drill. */
async function drill(
  { directory, progress }: { directory: string; progress: Progress },
  stack: Stack,
  report: RunReport,
): Promise<RunReport> {
  const { source } = report;
  progress.say(`rehearsing the restore of ${source}`);
  const before = stack.plane.sns.messages.length;
  const input = { source, kind: 'archive', backup: 'latest', reason: 'npm start' };
  const execution = await stack.drill(input);
  return withDrill(report, {
    drill: await readDrill(directory, source, execution),
    execution,
    messages: stack.plane.sns.messages.slice(before),
  });
}

function finish(options: Options, directory: string, reports: readonly RunReport[]): number {
  const document = combineReports(reports);
  const print = options.json ? console.error : console.log;
  for (const report of reports) print(`\n${describeRun(report).join('\n')}`);
  print(`\nObjects: ${directory}/s3   alerts: ${directory}/inbox   logs: ${directory}/logs, tasks`);
  const [backup] = document.backups;
  if (backup) {
    print(`Read one with any pg_restore:\n  pg_restore --list '${backup.archivePath}'`);
    print(`  pg_restore --dbname=EMPTY_DATABASE --jobs=2 '${backup.archivePath}'`);
  }
  if (options.json) console.log(JSON.stringify(document));
  return document.status === 'SUCCEEDED' ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${errorName(error)}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
