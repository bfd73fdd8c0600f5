import { type Command, Option } from 'commander';
import { SourceName } from '#contracts/source-plan.ts';
import { type InventoryBackup, takeInventory } from '#domain/backup-inventory.ts';
import { closest } from '#domain/closest.ts';
import { displayBytes, displayName, displayText } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { parseSnapshotId } from '#domain/names.ts';
import { serverOfPlan } from '#domain/restore/server-restore-input.ts';
import { BackupNotFound, InvalidInput } from '#errors';
import type { Deps } from '#runtime/ports.ts';
import {
  type BackupDetails,
  describeStorage,
  drilledAt,
  readAllDetails,
  STATE_COLOR,
} from '../backup-details.ts';
import { addExamples, type CliContext } from '../context.ts';
import { collect, sourceInventory } from '../find-backup.ts';
import { formatTable, type Output } from '../output.ts';

interface ListOptions {
  readonly snapshots?: boolean;
  readonly all?: boolean;
  readonly state?: InventoryBackup['state'];
}

/** Of each database, unless all are asked for. */
const NEWEST = 10;
/** So many databases are named when the wanted one is not there. */
const NAMED = 5;

/** A snapshot of RDS, ours or not. */
interface ListedSnapshot {
  readonly source: string;
  readonly snapshotId: string;
  readonly type: string;
  readonly ours: boolean;
  readonly status: string;
  readonly createdAt: Date | undefined;
  readonly sizeGiB: number | null;
}

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('list')
    .description('the backups that there are: age, size, state, verification level, storage class')
    .argument('[source]', 'default: every source')
    .argument('[database]', 'default: every database of the source')
    .option('--snapshots', 'RDS snapshots as well')
    .option('--all', `all of them, not the newest ${NEWEST} of each database`)
    .addOption(
      new Option('--state <state>', 'only those in this state').choices([
        'verified',
        'unverified',
        'quarantined',
      ]),
    )
    .action(list);
  addExamples(command, [
    'holdfast list',
    'holdfast list orders shop --all',
    'holdfast list --state quarantined',
    'holdfast list orders --snapshots --json',
  ]);

  async function list(
    source: string | undefined,
    database: string | undefined,
    options: ListOptions,
    self: Command,
  ): Promise<void> {
    const { out, open } = context.begin(self);
    if (source !== undefined && !SourceName.safeParse(source).success) {
      throw new InvalidInput(`${JSON.stringify(source)} is no name of a source`, {
        remedy: 'write holdfast list orders shop, with a blank between source and database',
      });
    }
    const { deps } = await open();
    const found = await findBackups(deps, source, database);
    const wanted = found.filter(({ state }) => (options.state ?? state) === state);
    const shown = options.all ? wanted : newestOfEach(wanted);
    const details = await readAllDetails(deps, shown);
    const snapshots = options.snapshots ? await findSnapshots(deps, source) : undefined;
    const now = deps.clock.now();
    out.result(
      {
        backups: details.map((it) => backupDocument(it, now)),
        omitted: wanted.length - shown.length,
        ...(snapshots ? { snapshots: snapshots.map((it) => snapshotDocument(it, now)) } : {}),
      },
      () => [
        ...backupLines(details, now, out),
        ...(wanted.length > shown.length
          ? [out.colors.dim(`${wanted.length - shown.length} older ones are not shown: --all`)]
          : []),
        ...(snapshots ? ['', ...snapshotLines(snapshots, now, out)] : []),
      ],
    );
  }
}

/** Newest first within each database. */
async function findBackups(
  deps: Pick<Deps, 'objects' | 'plans'>,
  source: string | undefined,
  database: string | undefined,
): Promise<InventoryBackup[]> {
  if (source === undefined) {
    const objects = await collect(deps.objects.list('backups/'));
    const sources = new Set(objects.map(({ key }) => key.split('/')[1] ?? ''));
    return [...sources]
      .sort()
      .flatMap((name) => [...takeInventory(name, objects).databases.values()].flat());
  }
  const { databases } = await sourceInventory(deps, source);
  if (database === undefined) return [...databases.values()].flat();
  const backups = databases.get(database);
  if (backups) return [...backups];
  const known = [...databases.keys()];
  const meant = closest(database, known);
  const some = known.slice(0, NAMED).map((name) => displayName(name));
  throw new BackupNotFound(`there is no backup of ${source}/${displayName(database)}`, {
    remedy: meant
      ? `did you mean ${displayName(meant)}?`
      : some.length > 0
        ? `there are backups of ${some.join(', ')}`
        : 'the source has no backup at all',
  });
}

function newestOfEach(backups: readonly InventoryBackup[]): InventoryBackup[] {
  const seen = new Map<string, number>();
  return backups.filter(({ source, database }) => {
    const key = `${source}/${database}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count <= NEWEST;
  });
}

function backupDocument({ backup, archive, verification }: BackupDetails, now: Date): object {
  const { source, database, backupId, time, state, sizeBytes } = backup;
  return {
    source,
    database,
    backupId,
    time: time.toISOString(),
    ageSeconds: Math.floor((now.getTime() - time.getTime()) / 1000),
    state,
    sizeBytes,
    level: verification?.level ?? null,
    verifiedAt: verification?.verifiedAt ?? null,
    drilledAt: drilledAt(backup)?.toISOString() ?? null,
    storageClass: archive?.storageClass ?? null,
    retrieval: archive?.retrieval ?? null,
  };
}

function backupLines(details: readonly BackupDetails[], now: Date, out: Output): string[] {
  if (details.length === 0) return ['There is no backup.'];
  return formatTable(
    [
      {
        title: 'DATABASE',
        cell: ({ backup }) => `${backup.source}/${displayName(backup.database)}`,
      },
      { title: 'BACKUP', cell: ({ backup }) => backup.backupId },
      { title: 'TIME', cell: ({ backup }) => displayUtc(backup.time) },
      { title: 'AGE', align: 'right', cell: ({ backup }) => relativeTime(backup.time, now) },
      { title: 'SIZE', align: 'right', cell: ({ backup }) => displayBytes(backup.sizeBytes) },
      {
        title: 'STATE',
        cell: ({ backup }) => backup.state,
        paint:
          ({ backup }) =>
          (colors) =>
            colors[STATE_COLOR[backup.state]],
      },
      { title: 'LEVEL', cell: ({ verification }) => verification?.level ?? '-' },
      { title: 'DRILLED', cell: ({ backup }) => drilledAgo(backup, now) },
      { title: 'STORAGE', cell: ({ archive }) => describeStorage(archive) },
    ],
    details,
    out.colors,
  );
}

function drilledAgo(backup: InventoryBackup, now: Date): string {
  const time = drilledAt(backup);
  return time ? relativeTime(time, now) : '-';
}

/** Of the sources in the plan that are at RDS: those of their servers, and ours of a server that is gone. */
async function findSnapshots(
  deps: Pick<Deps, 'plans' | 'servers'>,
  source: string | undefined,
): Promise<ListedSnapshot[]> {
  const plans =
    source === undefined ? await deps.plans.list() : [(await deps.plans.load(source)).plan];
  const found: ListedSnapshot[] = [];
  for (const plan of plans) {
    if (plan.engine.type === 'postgres') continue;
    const { kind, identifier } = serverOfPlan(plan);
    for (const snapshot of await deps.servers.listSnapshots(kind, identifier)) {
      const { snapshotId, type, status, createdAt, sizeGiB, serverIdentifier } = snapshot;
      const ours = parseSnapshotId(snapshotId)?.source === plan.source;
      if (!ours && serverIdentifier !== identifier) continue;
      found.push({ source: plan.source, snapshotId, type, ours, status, createdAt, sizeGiB });
    }
  }
  const time = ({ createdAt }: ListedSnapshot) => createdAt?.getTime() ?? Number.POSITIVE_INFINITY;
  return found.sort((a, b) =>
    a.source === b.source ? time(b) - time(a) : a.source < b.source ? -1 : 1,
  );
}

function snapshotDocument({ createdAt, ...snapshot }: ListedSnapshot, now: Date): object {
  return {
    ...snapshot,
    time: createdAt?.toISOString() ?? null,
    ageSeconds: createdAt ? Math.floor((now.getTime() - createdAt.getTime()) / 1000) : null,
  };
}

function snapshotLines(snapshots: readonly ListedSnapshot[], now: Date, out: Output): string[] {
  if (snapshots.length === 0) return ['There is no snapshot.'];
  return formatTable(
    [
      { title: 'SOURCE', cell: ({ source }) => source },
      { title: 'SNAPSHOT', cell: ({ snapshotId }) => displayText(snapshotId, 255) },
      { title: 'BY', cell: ({ ours, type }) => (ours ? 'holdfast' : type) },
      { title: 'TIME', cell: ({ createdAt }) => (createdAt ? displayUtc(createdAt) : '-') },
      {
        title: 'AGE',
        align: 'right',
        cell: ({ createdAt }) => (createdAt ? relativeTime(createdAt, now) : '-'),
      },
      {
        title: 'SIZE',
        align: 'right',
        cell: ({ sizeGiB }) => (sizeGiB === null ? '-' : `${sizeGiB} GiB`),
      },
      {
        title: 'STATUS',
        cell: ({ status }) => status,
        paint:
          ({ status }) =>
          (colors) =>
            status === 'available' ? colors.green : colors.yellow,
      },
    ],
    snapshots,
    out.colors,
  );
}
