import type { Command } from 'commander';
import type { Manifest } from '#contracts/manifest.ts';
import type { Verification } from '#contracts/verification.ts';
import { displayBytes, displayCount, displayName, displaySeconds } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { displayTable } from '#domain/restore/entry-kinds.ts';
import { ManifestInvalid } from '#errors';
import { loadManifest } from '#operations/records.ts';
import {
  type BackupDetails,
  describeStorage,
  drilledAt,
  readDetails,
  STATE_COLOR,
} from '../backup-details.ts';
import { addExamples, type CliContext } from '../context.ts';
import { findShownBackup } from '../find-backup.ts';
import { formatFacts, formatTable, type Output, safeLines } from '../output.ts';

interface ShowOptions {
  readonly all?: boolean;
}

interface ShownTable {
  readonly schema: string;
  readonly table: string;
  /** Compressed, as it lies in the archive. */
  readonly sizeBytes: number;
  /** Null: nobody has counted them. */
  readonly rows: number | null;
}

/** Tables shown, unless all are asked for. */
const LARGEST = 20;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('show')
    .description('one backup: manifest, verification, tables with sizes and rows')
    .argument('<backup>', 'source/database/id, or source/database/latest')
    .option('--all', `all tables, not the ${LARGEST} largest`)
    .action(show);
  addExamples(command, [
    'holdfast show orders/shop/latest',
    'holdfast show orders/shop/20261120T030000Z-k3v9qd --all',
    'holdfast show orders/shop --json',
  ]);

  async function show(reference: string, options: ShowOptions, self: Command): Promise<void> {
    const { out, open } = context.begin(self);
    const { deps } = await open();
    const backup = await findShownBackup(deps, reference);
    const details = await readDetails(deps, backup);
    const manifest = await loadManifest(deps.objects, backup).then(
      (found) => found?.manifest,
      (error: unknown) => {
        if (error instanceof ManifestInvalid) return error;
        throw error;
      },
    );
    const readable = manifest instanceof Error ? undefined : manifest;
    const tables = readable ? tablesOf(readable, details.verification) : [];
    const problem = manifest instanceof Error ? manifest.message : undefined;
    const now = deps.clock.now();
    const { source, database, backupId, time, state, sizeBytes } = backup;
    out.result(
      {
        source,
        database,
        backupId,
        time: time.toISOString(),
        ageSeconds: Math.floor((now.getTime() - time.getTime()) / 1000),
        state,
        sizeBytes,
        storageClass: details.archive?.storageClass ?? null,
        retrieval: details.archive?.retrieval ?? null,
        tables,
        manifest: readable ?? null,
        manifestProblem: problem ?? null,
        verification: details.verification ?? null,
        drilledAt: drilledAt(backup)?.toISOString() ?? null,
        quarantine: details.quarantine ?? null,
      },
      () => [
        ...factLines(details, readable, now, out),
        ...(problem === undefined ? [] : [`manifest unreadable: ${safeLines(problem).join(' ')}`]),
        ...warningLines(readable, details),
        ...tableLines(tables, options, out),
      ],
    );
  }
}

/** Largest first. */
function tablesOf(manifest: Manifest, verification: Verification | undefined): ShownTable[] {
  const rows = new Map(
    verification?.tables.map(({ schema, table, rows }) => [JSON.stringify([schema, table]), rows]),
  );
  return manifest.archive.blocks
    .flatMap(({ kind, schema = '', table = '', lengthBytes }) =>
      kind === 'table'
        ? {
            schema,
            table,
            sizeBytes: lengthBytes,
            rows: rows.get(JSON.stringify([schema, table])) ?? null,
          }
        : [],
    )
    .sort((a, b) => b.sizeBytes - a.sizeBytes);
}

function factLines(
  { backup, archive, verification, quarantine }: BackupDetails,
  manifest: Manifest | undefined,
  now: Date,
  out: Output,
): string[] {
  const { colors } = out;
  const { source, database, backupId, time, state, sizeBytes } = backup;
  const drilled = drilledAt(backup);
  const seconds = manifest
    ? (Date.parse(manifest.endedAt) - Date.parse(manifest.startedAt)) / 1000
    : 0;
  return formatFacts(
    [
      ['backup', `${source}/${displayName(database)}/${backupId}`],
      ['state', colors[STATE_COLOR[state]](state)],
      ['time', `${displayUtc(time)}, ${relativeTime(time, now)}`],
      [
        'verified',
        verification &&
          `${displayUtc(new Date(verification.verifiedAt))}, level ${verification.level}, in ${displaySeconds(verification.durationSeconds)}`,
      ],
      ['drilled', drilled && `${displayUtc(drilled)}, ${relativeTime(drilled, now)}`],
      [
        'quarantined',
        quarantine && safeLines(`${quarantine.error}: ${quarantine.cause}`).join(' '),
      ],
      [
        'size',
        manifest
          ? `${displayBytes(sizeBytes)} of a database of ${displayBytes(manifest.databaseSizeBytes)}`
          : displayBytes(sizeBytes),
      ],
      ['storage', describeStorage(archive)],
      [
        'server',
        manifest &&
          `PostgreSQL ${displayName(manifest.server.version)}${manifest.server.isReplica ? ', a replica' : ''}, encoding ${displayName(manifest.server.encoding)}`,
      ],
      ['LSN', manifest && (manifest.server.lsn ?? 'not told by the server')],
      [
        'dump',
        manifest &&
          `${safeLines(manifest.client.version).join(' ')}, ${manifest.options.compression.algorithm} level ${manifest.options.compression.level}, in ${displaySeconds(seconds)}`,
      ],
      ['run', manifest && safeLines(manifest.runId).join(' ')],
      ['made by', manifest && `${manifest.tool.name} ${displayName(manifest.tool.version)}`],
    ],
    colors,
  );
}

function warningLines(manifest: Manifest | undefined, { verification }: BackupDetails): string[] {
  const warnings = new Set([...(manifest?.warnings ?? []), ...(verification?.warnings ?? [])]);
  return [...warnings].map((warning) => `warning: ${safeLines(warning).join(' ')}`);
}

function tableLines(tables: readonly ShownTable[], { all }: ShowOptions, out: Output): string[] {
  if (tables.length === 0) return [];
  const shown = all ? tables : tables.slice(0, LARGEST);
  const lines = formatTable(
    [
      {
        title: 'TABLE',
        cell: ({ schema, table }) => displayTable(schema, table),
      },
      { title: 'IN ARCHIVE', align: 'right', cell: ({ sizeBytes }) => displayBytes(sizeBytes) },
      {
        title: 'ROWS',
        align: 'right',
        cell: ({ rows }) => (rows === null ? '-' : displayCount(rows)),
      },
    ],
    shown,
    out.colors,
  );
  const more = tables.length - shown.length;
  return ['', ...lines, ...(more > 0 ? [out.colors.dim(`${more} more: --all`)] : [])];
}
