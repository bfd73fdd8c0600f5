import { type Command, Option } from 'commander';
import { LeftOut, type RestoreInput, RestoreRecord, RetrievalTier } from '#contracts/restore.ts';
import { parseBackupReference, parseDatabaseReference } from '#domain/backup-reference.ts';
import { displayBytes, displayName } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { restoreKey, SOURCE_NAME } from '#domain/names.ts';
import { restoreAlert } from '#domain/restore/restore-alert.ts';
import { parseRestoreInput } from '#domain/restore/restore-input.ts';
import { parseTimeText } from '#domain/time-text.ts';
import { DeploymentNotFound, InvalidInput } from '#errors';
import { parseRecord } from '#operations/records.ts';
import { addExamples, type CliContext, collectList, collectValue, parseCount } from '../context.ts';
import { findBackup } from '../find-backup.ts';
import { runExecution } from '../run-execution.ts';

/** As commander gives them: one for each `--option` below. */
export interface RestoreOptions {
  readonly backup?: string;
  readonly before?: string;
  readonly archive?: string;
  readonly to?: string;
  readonly targetSource?: string;
  readonly existing?: boolean;
  readonly swap?: boolean;
  readonly table?: string[];
  readonly schema?: string[];
  readonly schemaOnly?: boolean;
  readonly dataOnly?: boolean;
  readonly without?: string[];
  readonly withDependencies?: boolean;
  readonly createRoles?: boolean;
  /** False: given as `--no-owner`. */
  readonly owner: boolean;
  readonly role?: string;
  readonly jobs?: number;
  readonly allowUnverified?: boolean;
  readonly keepOnFailure?: boolean;
  readonly tier?: string;
  readonly reason?: string;
  readonly yes?: boolean;
  readonly wait: boolean;
}

const UNVERIFIED_REMEDY =
  'choose a verified one, or give --allow-unverified and look closely at the result';

/** What the next steps of these errors call fields of the input. */
const REMEDIES: Readonly<Record<string, string>> = {
  DependencyMissing: '--with-dependencies',
  RolesMissing: '--create-roles, --no-owner or --role',
  BackupNotVerified: '--allow-unverified',
  TargetNotEmpty: '--to, with a name that is not taken',
};

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('restore')
    .description('restores a database, or a part of one, from a backup')
    .argument('<what>', 'source/database, or source/database/id')
    .option('--backup <id>', 'default: latest, the newest verified one')
    .option('--before <time>', 'the last one that began before it: 2026-11-20T12:00:00Z')
    .option('--archive <key>', 'instead of a backup: an archive of pg_dump under imports/')
    .option('--to <name>', 'the database to make, or with --existing the empty one to fill')
    .option('--target-source <source>', "on another source's server")
    .addOption(
      new Option('--existing', 'into the empty database that --to names').conflicts('swap'),
    )
    .option('--swap', 'after the checks, in place of the original, which stays under a dated name')
    .option('--table <pattern>', 'schema.table, * and ? allowed; repeatable', collectValue)
    .option('--schema <pattern>', 'all of a schema; repeatable', collectValue)
    .addOption(new Option('--schema-only', 'no rows').conflicts('dataOnly'))
    .option('--data-only', 'rows alone, into empty tables; with --existing')
    .option('--without <kinds>', LeftOut.options.join(', '), collectList)
    .option('--with-dependencies', 'also what the selected tables need')
    .option('--create-roles', 'makes missing roles, without passwords')
    .option('--no-owner', 'everything belongs to the restoring role')
    .option('--role <name>', 'everything belongs to this role')
    .option('--jobs <n>', "tables at the same time; default: the plan's", parseCount)
    .option('--allow-unverified', 'also a backup that nobody vouches for')
    .option('--keep-on-failure', 'leaves what there is for you to look at')
    .addOption(
      new Option('--tier <tier>', 'how fast, out of Glacier').choices(RetrievalTier.options),
    )
    .option('--reason <text>', 'for the alert and the record')
    .option('--yes', 'does not ask')
    .option('--no-wait', 'ends as soon as it is started')
    .action(restore);
  addExamples(command, [
    'holdfast restore orders/shop',
    'holdfast restore orders/shop --before 2026-11-20T12:00:00Z --to shop_noon',
    'holdfast restore orders/shop --table public.orders --table "audit.*" --with-dependencies',
    'holdfast restore orders/shop/20261120T030000Z-k3v9qd --swap',
    'holdfast restore orders --archive imports/shop.dump --to shop_imported --no-owner',
  ]);

  async function restore(what: string, options: RestoreOptions, self: Command): Promise<void> {
    const invocation = context.begin(self);
    const { out } = invocation;
    const { input: asked, sought } = readRequest(what, options);
    const { record, deps, isLocal } = await invocation.open();
    const stateMachineArn = record.stateMachines.restore;
    if (stateMachineArn === undefined) throw withoutRestores();
    let input = asked;
    // The server it goes to has to be known as well.
    await deps.plans.load(asked.target.source ?? asked.source);
    if (sought) {
      const { allowUnverified, backup, source } = asked;
      const chosen = await findBackup(deps, {
        source,
        ...sought,
        backup,
        allowUnverified,
        remedy: UNVERIFIED_REMEDY,
      });
      // Named by its id from here on: what was shown and confirmed is what is restored.
      input = { ...asked, database: chosen.database, backup: chosen.backupId };
      const age = relativeTime(chosen.time, deps.clock.now());
      out.note(
        `backup ${chosen.backupId}, ${chosen.state}: ${displayUtc(chosen.time)}, ${age}, ${displayBytes(chosen.sizeBytes)}`,
      );
    }
    if (input.target.mode === 'swap') {
      const original = displayName(input.target.database ?? input.database ?? '');
      const where = input.target.source ?? input.source;
      await invocation.confirm(
        `Put the restored database in place of ${original} on the server of ${where}, and end every session there?`,
        options.yes === true,
      );
    }
    await runExecution(deps, invocation, {
      isLocal,
      stateMachineArn,
      source: input.source,
      input,
      wait: options.wait,
      what: `restore of ${input.source}/${displayName(input.database ?? input.archive ?? '')}`,
      async readRecord({ restoreId }) {
        const key = restoreKey({ source: input.source, restoreId }, 'restore.json');
        const found = await deps.objects.get(key);
        return found && parseRecord(RestoreRecord, found.body, key);
      },
      where: input.archive === undefined ? 'restore' : 'import',
      remedies: REMEDIES,
      describe: (result) => restoreAlert(result, deps.objects.bucket).text,
    });
  }
}

function withoutRestores() {
  return new DeploymentNotFound('the deployment has no state machine for restores', {
    remedy: 'deploy the present version',
  });
}

interface RestoreRequest {
  readonly input: RestoreInput;
  /** What of the bucket is to be looked for; undefined for a foreign archive. */
  readonly sought:
    | {
        readonly database: string;
        readonly alternative: ReturnType<typeof parseBackupReference>['alternative'];
      }
    | undefined;
}

/** The input of the state machine that the command line asks for. Throws InvalidInput. */
export function readRequest(what: string, options: RestoreOptions): RestoreRequest {
  const named = readName(what, options);
  const { source, database, backup } = named;
  const { targetSource, to, table, schema, role, jobs, tier, reason, archive } = options;
  const mode = options.swap ? 'swap' : options.existing ? 'existing' : 'new';
  const input = parseRestoreInput({
    source,
    ...present({ database, archive, jobs, reason, retrievalTier: tier }),
    ...(archive === undefined ? { backup } : {}),
    target: { mode, ...present({ source: targetSource, database: to }) },
    selection: {
      ...present({
        tables: table,
        schemas: schema,
        only: options.schemaOnly ? 'schema' : options.dataOnly ? 'data' : undefined,
        without: options.without,
      }),
      withDependencies: options.withDependencies === true,
    },
    roles: {
      createMissing: options.createRoles === true,
      noOwner: !options.owner,
      ...present({ role }),
    },
    allowUnverified: options.allowUnverified === true,
    keepOnFailure: options.keepOnFailure === true,
  });
  if (archive !== undefined || database === undefined) return { input, sought: undefined };
  return { input, sought: { database, alternative: named.alternative } };
}

function readName(what: string, options: RestoreOptions) {
  const { archive, backup, before } = options;
  if (archive !== undefined) {
    if (backup !== undefined || before !== undefined) {
      throw new InvalidInput('--archive and a backup exclude each other');
    }
    // With an archive there need not be a database to name.
    const alone = SOURCE_NAME.test(what);
    const { source, database } = alone
      ? { source: what, database: undefined }
      : parseDatabaseReference(what);
    return { source, database, backup: undefined, alternative: undefined };
  }
  if (backup !== undefined && before !== undefined) {
    throw new InvalidInput('--backup and --before exclude each other');
  }
  const reference = parseBackupReference(what);
  const ways = [
    reference.backup === 'latest' ? undefined : reference.backup,
    backup,
    before === undefined ? undefined : { before: parseTimeText(before) },
  ].filter((way) => way !== undefined);
  if (ways.length > 1) throw new InvalidInput('the backup is named twice');
  return { ...reference, backup: ways[0] ?? 'latest' };
}

/** Without what is undefined. */
function present<Shape extends object>(shape: Shape): Partial<Shape> {
  return Object.fromEntries(
    Object.entries(shape).filter(([, value]) => value !== undefined),
  ) as Partial<Shape>;
}
