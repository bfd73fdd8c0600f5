import { type Command, Option } from 'commander';
import { VerificationLevel } from '#contracts/verification.ts';
import type { InventoryBackup } from '#domain/backup-inventory.ts';
import { displayBytes, displayCount, displayName, displaySeconds } from '#domain/display-text.ts';
import { backupKey } from '#domain/names.ts';
import {
  BackupNotVerified,
  HoldfastError,
  InvalidEnvironment,
  InvalidInput,
  ObjectMissing,
  RetrievalNeeded,
} from '#errors';
import { launchForJob } from '#operations/launch-task.ts';
import { loadJob, loadManifest } from '#operations/records.ts';
import { verifyArchive } from '#operations/verify-archive.ts';
import type { OperatorDeps } from '#runtime/operator-ports.ts';
import type { Deps } from '#runtime/ports.ts';
import { needsRetrieval } from '../backup-details.ts';
import { addExamples, type CliContext, type Invocation } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { findShownBackup } from '../find-backup.ts';
import { safeLines } from '../output.ts';

interface VerifyOptions {
  readonly level: VerificationLevel;
  readonly remote?: boolean;
  readonly wait: boolean;
}

/** Between two looks for the verdict of the task. */
const LOOK_MILLISECONDS = 3_000;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('verify')
    .description('proves a backup again, here; writes nothing')
    .argument('<backup>', 'source/database/id, or source/database/latest')
    .addOption(
      new Option(
        '--level <level>',
        'structure: checksums, contents and offsets; full: every row too',
      )
        .choices(VerificationLevel.options)
        .default('full'),
    )
    .option(
      '--remote',
      'has the task on AWS settle a backup that has no verdict yet; it becomes verified or quarantined',
    )
    .option('--no-wait', 'with --remote: ends as soon as the task is started')
    .action(verify);
  addExamples(command, [
    'holdfast verify orders/shop/latest',
    'holdfast verify orders/shop/20261120T030000Z-k3v9qd --level structure',
    'holdfast verify orders/shop/20261120T030000Z-k3v9qd --remote',
  ]);

  async function verify(reference: string, options: VerifyOptions, self: Command): Promise<void> {
    const invocation = context.begin(self);
    const { deps } = await invocation.open();
    const backup = await findShownBackup(deps, reference);
    if (options.remote) await verifyRemotely(deps, backup, options, invocation);
    else await verifyHere(deps, backup, options.level, invocation);
  }
}

/** Reads the bucket from here, as the function does on AWS. */
async function verifyHere(
  deps: OperatorDeps,
  backup: InventoryBackup,
  level: VerificationLevel,
  { out, signal, end }: Invocation,
): Promise<void> {
  await requireClients(deps);
  const { source, database, backupId, state } = backup;
  const archive = await deps.objects.head(backupKey(backup, 'archive.dump'));
  if (archive && needsRetrieval(archive)) {
    throw new RetrievalNeeded(`${archive.key} lies in ${archive.storageClass} and cannot be read`);
  }
  const found = await loadManifest(deps.objects, backup);
  if (!found) throw new ObjectMissing(`there is no ${backupKey(backup, 'manifest.json')}`);
  const sizeBytes = found.manifest.objects.archive.sizeBytes;
  const reads = level === 'full' ? displayBytes(sizeBytes) : 'its table of contents and offsets';
  out.note(`reading ${reads} of ${source}/${displayName(database)}/${backupId}`);
  const began = deps.clock.now().getTime();
  const outcome = await verifyArchive(deps, found.manifest, level, signal).then(
    (tables) => ({ tables, error: undefined }),
    (error: unknown) => ({ tables: [], error }),
  );
  const { tables, error } = outcome;
  signal.throwIfAborted();
  const seconds = (deps.clock.now().getTime() - began) / 1000;
  // What says nothing about the backup, as a call that was throttled, is an error of the command.
  const isFinding = error instanceof HoldfastError && FINDINGS.has(error.name);
  if (error !== undefined && !isFinding) throw error;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const document = {
    source,
    database,
    backupId,
    state,
    level,
    intact: error === undefined,
    durationSeconds: seconds,
    archiveBytes: sizeBytes,
    tables: tables.map(({ schema, table, rows }) => ({ schema, table, rows })),
  };
  if (isFinding) {
    const problem = { name: error.name, message: error.message, remedy: REMEDY };
    out.result({ ...document, error: problem }, () => [
      out.colors.red(`DAMAGED, found in ${displaySeconds(seconds)}`),
      ...safeLines(`${error.name}: ${error.message}`),
      `The backup is still marked ${state}: ${REMEDY}`,
    ]);
    end(EXIT.failed);
    return;
  }
  out.result(document, () => [
    `${out.colors.green('intact')}, level ${level}: ${displayBytes(sizeBytes)} in ${displaySeconds(seconds)}`,
    ...(level === 'full'
      ? [`${displayCount(tables.length)} tables, ${displayCount(rows)} rows decoded`]
      : []),
    ...(state === 'verified'
      ? []
      : [`The backup is ${state}: this command changes nothing of that.`]),
  ]);
}

const REMEDY = 'do not restore from it; take a new backup and delete this one';

/** Errors that say something about the backup, and not about the way to it. */
const FINDINGS: ReadonlySet<string> = new Set([
  'ObjectMissing',
  'ObjectReplaced',
  'SizeMismatch',
  'ChecksumMismatch',
  'ContentsMismatch',
  'ArchiveCorrupt',
  'ArchiveUnsupported',
]);

async function requireClients({ clients }: Pick<Deps, 'clients'>): Promise<void> {
  const majors = await Promise.resolve()
    .then(() => clients.majors())
    .catch(() => []);
  if (majors.length > 0) return;
  throw new InvalidEnvironment('no pg_restore is at hand to read the archive with', {
    remedy:
      'build the clients with npm run clients in the checkout, or set HOLDFAST_POSTGRES_CLIENTS to a folder with 18/bin/pg_restore',
  });
}

/** The task writes the verdict; a backup that has one keeps it. */
async function verifyRemotely(
  deps: OperatorDeps,
  backup: InventoryBackup,
  { wait }: VerifyOptions,
  { out, signal, end }: Invocation,
): Promise<void> {
  const { source, database, backupId, state } = backup;
  if (state !== 'unverified') {
    throw new InvalidInput(`backup ${backupId} is ${state} already, and keeps that verdict`, {
      remedy: 'leave out --remote to read it again from here',
    });
  }
  const job = await loadJob(deps.objects, backup);
  if (!job) {
    throw new ObjectMissing(`the job record of backup ${backupId} is gone, which the task needs`, {
      remedy: 'leave out --remote to read it from here',
    });
  }
  const taskArn = await launchForJob(deps, 'verify-backup', job);
  const begun = { source, database, backupId, taskArn };
  if (!wait) {
    out.result({ ...begun, state }, () => [`started: task ${taskArn}`]);
    return;
  }
  out.note(`started: task ${taskArn}`);
  const verdict = await awaitVerdict(deps, backup, signal);
  out.result({ ...begun, state: verdict }, () => [`backup ${backupId} is ${verdict}`]);
  if (verdict !== 'verified') end(EXIT.failed);
}

async function awaitVerdict(
  { objects, clock }: Pick<Deps, 'objects' | 'clock'>,
  backup: InventoryBackup,
  signal: AbortSignal,
): Promise<'verified' | 'quarantined'> {
  for (;;) {
    if (await objects.head(backupKey(backup, 'quarantine.json'))) return 'quarantined';
    if (await objects.head(backupKey(backup, 'verification.json'))) return 'verified';
    if (!(await objects.head(backupKey(backup, 'manifest.json')))) {
      throw new BackupNotVerified(`backup ${backup.backupId} was deleted meanwhile`);
    }
    await clock.sleep(LOOK_MILLISECONDS, signal);
  }
}
