import { beforeEach, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import type { CleanUp, PlannedRestore, RestoreRecord } from '#contracts/restore.ts';
import { Connection } from '#contracts/source-plan.ts';
import { restoredDatabaseName, restoreKey } from '#domain/names.ts';
import { quoteIdentifier as q, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import { markAsRestored, markInProgress } from '#domain/restore/target-mark.ts';
import { recordBefore } from '#operations/restore/empty-database.ts';
import { draftName } from '#operations/restore/marked-database.ts';
import { sweepLeftovers } from '#operations/restore/sweep-leftovers.ts';
import { makeDeps, makePlannedRestore } from '#test/fakes.ts';
import { usePostgres, withClient } from '#test/postgres.ts';

/** The one that is about to begin. */
const OWN = '20261121T030000Z-k3v9qd';
/** The one before it. */
const OTHER = '20261120T030000Z-aaaaaa';

describe('a restore to a server on which an earlier one left something', () => {
  const postgres = usePostgres();
  const query = (sql: string, database = 'postgres') =>
    withClient(postgres.server, database, async (client) => (await client.query(sql)).rows);
  const names = async () => {
    const rows = await query('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1');
    return rows.map(({ datname }) => String(datname)).filter((name) => name !== 'postgres');
  };

  beforeEach(async () => {
    for (const name of await names()) await query(`DROP DATABASE ${q(name)} WITH (FORCE)`);
  });

  function prepare() {
    const { server } = postgres;
    const credentials = { username: server.user, password: server.password };
    const databases = makeDatabases({
      region: 'eu-west-1',
      caFile: '',
      secrets: { credentials: async () => credentials },
    });
    const connection = Connection.parse({
      host: server.host,
      port: server.port,
      auth: { type: 'secret', secretId: 'db' },
      tls: { mode: 'disable' },
    });
    const deps = makeDeps({ databases });
    return {
      deps,
      connection,
      sweep: (signal = new AbortController().signal) =>
        sweepLeftovers(deps, connection, restoreOf(OWN), signal),
    };
  }

  function restoreOf(restoreId: string, changes: Partial<PlannedRestore> = {}): PlannedRestore {
    const { target } = makePlannedRestore();
    const database = restoredDatabaseName('shop', restoreId);
    return makePlannedRestore({ restoreId, target: { ...target, database }, ...changes });
  }

  function recordOf(
    restore: PlannedRestore,
    status: CleanUp['status'] | null = 'failed',
  ): RestoreRecord {
    return {
      version: 1,
      status: status === null ? 'SUCCEEDED' : 'FAILED',
      error: 'TargetFull',
      cause: 'no room',
      endedAt: '2026-11-20T04:00:00.000Z',
      durationSeconds: 1,
      restore,
      report: null,
      cleanUp: status === null ? null : { status, detail: 'DatabaseUnreachable: no way there' },
    };
  }

  const make = async (name: string, comment: string | null = markInProgress(OTHER)) => {
    await query(`CREATE DATABASE ${q(name)}`);
    if (comment !== null) {
      await query(`COMMENT ON DATABASE ${q(name)} IS ${quoteLiteral(comment)}`);
    }
  };

  it('drops the database, or the draft of it, and the roles that the other made', async () => {
    const { deps, sweep } = prepare();
    const other = restoreOf(OTHER);
    deps.objects.seed(restoreKey(other, 'restore.json'), recordOf(other));
    await make(other.target.database);
    await query(
      `CREATE ROLE made; COMMENT ON ROLE made IS 'holdfast restore ${OTHER}: made this role'`,
    );
    expect(await sweep()).toEqual([
      `what the failed restore ${OTHER} had left in ${other.target.database} was taken back`,
    ]);
    expect(await names()).toEqual([]);
    expect(await query("SELECT FROM pg_roles WHERE rolname = 'made'")).toEqual([]);

    await make(draftName(OTHER), null);
    expect(await sweep()).toHaveLength(1);
    expect(await names()).toEqual([]);
    expect(await sweep()).toEqual([]);
  });

  it('empties a database that was there before', async () => {
    const { deps, connection, sweep } = prepare();
    const target = { ...restoreOf(OTHER).target, database: 'waiting', mode: 'existing' as const };
    const other = restoreOf(OTHER, { target });
    deps.objects.seed(restoreKey(other, 'restore.json'), recordOf(other));
    await make('waiting', null);
    const inside = await deps.databases.connect(connection, 'waiting');
    const before = await recordBefore(inside, 'its own');
    await inside.close();
    await query(`COMMENT ON DATABASE waiting IS ${quoteLiteral(markInProgress(OTHER, before))}`);
    await query('CREATE TABLE half (id int)', 'waiting');

    expect(await sweep()).toHaveLength(1);

    expect(await query("SELECT FROM pg_class WHERE relname = 'half'", 'waiting')).toEqual([]);
    const comment = "SELECT shobj_description(oid, 'pg_database') AS said FROM pg_database";
    expect(await query(`${comment} WHERE datname = 'waiting'`)).toEqual([{ said: 'its own' }]);
  });

  it('does not wait for ever for what somebody holds', async () => {
    const { deps, connection, sweep } = prepare();
    const target = { ...restoreOf(OTHER).target, database: 'waiting', mode: 'existing' as const };
    const other = restoreOf(OTHER, { target });
    deps.objects.seed(restoreKey(other, 'restore.json'), recordOf(other));
    await make('waiting', null);
    const inside = await deps.databases.connect(connection, 'waiting');
    const before = await recordBefore(inside, null);
    await inside.close();
    await query(`COMMENT ON DATABASE waiting IS ${quoteLiteral(markInProgress(OTHER, before))}`);
    await query('CREATE TABLE half (id int)', 'waiting');
    const said = await withClient(postgres.server, 'waiting', async (client) => {
      await client.query('BEGIN; LOCK TABLE half');
      return sweep(AbortSignal.timeout(1_000));
    });
    expect(said).toEqual([expect.stringMatching(/had left in waiting is still there: /)]);
    expect(await sweep()).toEqual([expect.stringMatching(/was taken back$/)]);
    expect(await query("SELECT FROM pg_class WHERE relname = 'half'", 'waiting')).toEqual([]);
  });

  it.each<[string, () => RestoreRecord | undefined]>([
    ['is still at work, as it has no record', () => undefined],
    ['succeeded', () => recordOf(restoreOf(OTHER), null)],
    ['was cleaned up after', () => recordOf(restoreOf(OTHER), 'dropped')],
    ['was to keep what there is', () => recordOf(restoreOf(OTHER, { keepOnFailure: true }))],
    [
      'went to another server',
      () => {
        const other = restoreOf(OTHER);
        return recordOf({ ...other, target: { ...other.target, source: 'billing' } });
      },
    ],
  ])('leaves alone what belongs to one that %s', async (_, recordOfOther) => {
    const { deps, sweep } = prepare();
    const record = recordOfOther();
    if (record) deps.objects.seed(restoreKey(restoreOf(OTHER), 'restore.json'), record);
    await make(restoreOf(OTHER).target.database);
    expect(await sweep()).toEqual([]);
    expect(await names()).toEqual([restoreOf(OTHER).target.database]);
  });

  it('leaves alone what is its own, restored to the end, or not of a restore', async () => {
    const { deps, sweep } = prepare();
    for (const restore of [restoreOf(OWN), restoreOf(OTHER)]) {
      deps.objects.seed(restoreKey(restore, 'restore.json'), recordOf(restore));
    }
    await make(restoreOf(OWN).target.database, markInProgress(OWN));
    await make('done', markAsRestored('orders/shop x', OTHER, undefined));
    await make('holdfast_restored_by_hand', null);
    const before = await names();
    expect(await sweep()).toEqual([]);
    expect(await names()).toEqual(before);
  });

  it('goes on when what is left cannot be read or removed, and says the latter', async () => {
    const { deps, sweep } = prepare();
    const other = restoreOf(OTHER);
    await make(other.target.database);
    deps.objects.seed(restoreKey(other, 'restore.json'), { version: 9 });
    expect(await sweep()).toEqual([]);
    expect(deps.log.entries.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ while: 'sweeping' }),
    );

    const target = { ...other.target, mode: 'existing' as const };
    deps.objects.seed(restoreKey(other, 'restore.json'), recordOf({ ...other, target }));
    expect(await sweep()).toEqual([
      expect.stringMatching(/had left in shop_\S+ is still there: .* its mark does not say/),
    ]);
    expect(await names()).toEqual([other.target.database]);
  });
});
