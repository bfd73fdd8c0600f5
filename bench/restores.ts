import { stat } from 'node:fs/promises';
import pg from 'pg';
import { RestoreOrder, RestoreReport, Selection } from '#contracts/restore.ts';
import { restoreConnection } from '#contracts/source-plan.ts';
import { Verification } from '#contracts/verification.ts';
import { backupKey, makeBackupId, restoredDatabaseName, restoreKey } from '#domain/names.ts';
import { loadManifest, parseRecord } from '#operations/records.ts';
import type { SmallTable } from './data-sets.ts';
import { type Command, measure } from './measure.ts';
import { type Programs, taskCommand } from './programs.ts';
import { type RestoreFigures, type Sample, takeSample } from './sample.ts';
import type { Order, Workbench } from './workbench.ts';

/** For pg_restore; each run has a new one. */
const COPY = 'bench_copy';

/** What all restores of a run read: a backup in the store, and the same archive as a plain file. */
interface Archive {
  readonly order: Order;
  readonly file: string;
  readonly sizeBytes: number;
  readonly rows: number;
  readonly rowsOfSmallTable: number;
  /** Of the small table's block, and of the table of contents. */
  readonly smallTableBytes: number;
}

/**
 * Restores into the server that the backup came from, side by side with the original. Each run finds the
 * database that it fills fresh (ours: not there yet), and it is dropped after its rows were counted.
 */
export class Restores {
  readonly #bench: Workbench;
  readonly #programs: Programs;
  /** Tables, and then indexes, at the same time. */
  readonly #jobs: number;
  #archive: Promise<Archive> | undefined;

  constructor(bench: Workbench, programs: Programs, jobs: number) {
    this.#bench = bench;
    this.#programs = programs;
    this.#jobs = jobs;
  }

  /** `pg_restore` from the local file, of everything or of the small table. */
  async byPgRestore(table?: SmallTable): Promise<Sample> {
    this.#archive ??= this.#makeArchive();
    const archive = await this.#archive;
    await this.#settle();
    await this.#query('postgres', `CREATE DATABASE ${COPY} TEMPLATE template0`);
    // pg_restore --table makes no schema.
    if (table && table.schema !== 'public') {
      await this.#query(COPY, `CREATE SCHEMA ${pg.escapeIdentifier(table.schema)}`);
    }
    const selection = table
      ? [`--schema=${table.schema}`, `--table=${table.table}`]
      : [`--jobs=${this.#jobs}`];
    const argv = [
      this.#bench.client('pg_restore'),
      '--no-password',
      '--exit-on-error',
      `--dbname=${COPY}`,
      ...selection,
      archive.file,
    ] as const;
    const restore: Command = { argv: [...argv], environment: this.#bench.restoreEnvironment };
    const sample = await takeSample(this.#bench, [{ pipe: [restore] }], async () => {
      await this.#requireRows(COPY, table ? archive.rowsOfSmallTable : archive.rows);
      return { archiveBytes: archive.sizeBytes };
    });
    await this.#query('postgres', `DROP DATABASE ${COPY}`);
    return sample;
  }

  /** Our task from the store, of everything or of the small table. */
  async byTask(table?: SmallTable): Promise<Sample> {
    this.#archive ??= this.#makeArchive();
    const archive = await this.#archive;
    const { order, key } = await this.#orderRestore(archive, table);
    const { database } = order.restore.target;
    await this.#settle();
    const environment = this.#bench.taskEnvironment(key);
    const task = this.#task('restoreTask', environment);
    const sample = await takeSample(this.#bench, [{ pipe: [task] }], async () => {
      await this.#requireRows(database, table ? archive.rowsOfSmallTable : archive.rows);
      const neededBytes = table ? archive.smallTableBytes : archive.sizeBytes;
      return {
        archiveBytes: archive.sizeBytes,
        restore: await this.#figures(order, neededBytes),
      };
    });
    await this.#query('postgres', `DROP DATABASE ${pg.escapeIdentifier(database)}`);
    return sample;
  }

  #task(
    name: 'dumpTask' | 'verifyTask' | 'restoreTask',
    environment: Readonly<Record<string, string>>,
  ): Command {
    return taskCommand(this.#programs, name, environment, this.#bench.taskDirectory);
  }

  async #figures({ restore }: RestoreOrder, neededBytes: number): Promise<RestoreFigures> {
    const key = restoreKey(restore, 'report.json');
    const record = await this.#bench.objects.get(key);
    if (!record) throw new Error('the restore task wrote no report');
    const { phases, bytesRead, checks, tolerated, checksum } = parseRecord(
      RestoreReport,
      record.body,
      key,
    );
    const whole = restore.selection.tables === undefined;
    if (checks.problems.length > 0 || tolerated.length > 0 || (whole && checksum !== 'matched')) {
      throw new Error(`the restore is not clean: ${JSON.stringify({ checks, tolerated })}`);
    }
    const phaseSeconds = Object.fromEntries(phases.map(({ phase, seconds }) => [phase, seconds]));
    return { phaseSeconds, bytesRead, neededBytes };
  }

  async #makeArchive(): Promise<Archive> {
    const { objects, smallTable } = this.#bench;
    const order = await this.#bench.orderBackup();
    for (const name of ['dumpTask', 'verifyTask'] as const) {
      await measure([{ pipe: [this.#task(name, order.environment)] }]);
    }
    const key = backupKey(order, 'verification.json');
    const proof = await objects.get(key);
    const found = await loadManifest(objects, order);
    if (!proof || !found) throw new Error('there is no verified backup to restore');
    const { tables } = parseRecord(Verification, proof.body, key);
    const { headBytes, blocks } = found.manifest.archive;
    const isSmall = (it: { schema?: string | undefined; table?: string | undefined }) =>
      it.schema === smallTable.schema && it.table === smallTable.table;
    const block = blocks.find(isSmall);
    if (!block) throw new Error(`the archive has no ${smallTable.table}`);
    const file = this.#bench.pathOf(backupKey(order, 'archive.dump'));
    return {
      order,
      file,
      sizeBytes: (await stat(file)).size,
      rows: tables.reduce((sum, { rows }) => sum + rows, 0),
      rowsOfSmallTable: tables.find(isSmall)?.rows ?? 0,
      smallTableBytes: headBytes + block.lengthBytes,
    };
  }

  async #orderRestore(
    { order: backup, sizeBytes }: Archive,
    table: SmallTable | undefined,
  ): Promise<{ order: RestoreOrder; key: string }> {
    const { plan, objects } = this.#bench;
    const { taskToken, executionArn } = await this.#bench.nextToken();
    const now = new Date();
    const restoreId = makeBackupId(now, taskToken);
    const order = RestoreOrder.parse({
      version: 1,
      restore: {
        restoreId,
        source: backup.source,
        executionArn,
        startedAt: now.toISOString(),
        reason: null,
        backup: { database: backup.database, backupId: backup.backupId },
        trust: 'verified',
        archive: { key: backupKey(backup, 'archive.dump'), sizeBytes },
        target: {
          source: plan.source,
          planVersion: 1,
          database: restoredDatabaseName(backup.database, restoreId),
          mode: 'new',
          swapWith: null,
        },
        selection: Selection.parse(
          table ? { tables: [`${table.schema}.${table.table}`], withDependencies: true } : {},
        ),
        roles: {},
        jobs: this.#jobs,
        keepOnFailure: false,
      },
      taskToken,
      createdAt: now.toISOString(),
      heartbeatSeconds: plan.restore.heartbeatSeconds,
      connection: restoreConnection(plan),
      task: plan.task,
    });
    const key = restoreKey(order.restore, 'order.json');
    await objects.put(key, JSON.stringify(order));
    return { order, key };
  }

  /** What the run before left to write would otherwise be written during the next. */
  async #settle(): Promise<void> {
    await this.#query('postgres', 'CHECKPOINT');
  }

  async #requireRows(database: string, expected: number): Promise<void> {
    const tables = await this.#query<{ name: string }>(
      database,
      `SELECT format('%I.%I', n.nspname, c.relname) AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)'`,
    );
    const counts = tables.map(({ name }) => `SELECT count(*) AS rows FROM ONLY ${name}`);
    const [row] = await this.#query<{ rows: string | null }>(
      database,
      `SELECT sum(rows)::text AS rows FROM (${counts.join(' UNION ALL ')}) t`,
    );
    if (Number(row?.rows ?? 0) !== expected || expected === 0) {
      throw new Error(`${row?.rows ?? 0} rows were restored, not ${expected}`);
    }
  }

  async #query<Row extends Record<string, unknown>>(database: string, sql: string): Promise<Row[]> {
    const client = new pg.Client({
      connectionString: this.#bench.server.url(database),
      statement_timeout: 600_000,
    });
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }
}
