import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import { ServerInspection } from '#contracts/restore-server.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { postgresMajors } from '#local/postgres-server.ts';
import { inspectRestoredServer } from '#operations/inspect-restored-server.ts';
import { makePlan } from '#test/fakes.ts';
import { type SharedPostgres, usePostgres, withClient } from '#test/postgres.ts';

const ROLE = { username: 'holdfast_backup', password: randomBytes(12).toString('hex') };

/** As the function does it: as the role that backs up, which is no superuser. */
function inspect(
  postgres: SharedPostgres,
  {
    plan = {},
    lookMilliseconds = 60_000,
  }: { plan?: Partial<SourcePlan>; lookMilliseconds?: number } = {},
): Promise<ServerInspection> {
  const { host, port } = postgres.server;
  const databases = makeDatabases({
    region: 'eu-west-1',
    caFile: '',
    secrets: { credentials: async () => ROLE },
  });
  return inspectRestoredServer(
    { databases },
    makePlan({
      connection: { auth: { type: 'secret', secretId: 'of the role' }, tls: { mode: 'disable' } },
      ...plan,
    } as Parameters<typeof makePlan>[0]),
    {
      identifier: 'orders-restored',
      arn: 'arn:aws:rds:eu-west-1:123456789012:db:orders-restored',
      status: 'available',
      rdsStatus: 'available',
      adopted: false,
      host,
      port,
      waitSeconds: 5,
    },
    { lookMilliseconds },
  );
}

const newest = postgresMajors.at(-1) ?? 18;
const oldest = postgresMajors[0] ?? 15;

describe.each([...new Set([newest, oldest])])(
  'a server of PostgreSQL %s that came back',
  (major) => {
    const postgres = usePostgres({ major });
    const asSuperuser = (database: string, ...statements: string[]) =>
      withClient(postgres.server, database, async (client) => {
        for (const statement of statements) await client.query(statement);
      });

    beforeAll(async () => {
      await asSuperuser(
        'postgres',
        `CREATE ROLE ${ROLE.username} LOGIN PASSWORD '${ROLE.password}' IN ROLE pg_read_all_data`,
        'CREATE DATABASE sound',
        'CREATE DATABASE odd',
        'CREATE DATABASE closed',
        'CREATE DATABASE "not Ours"',
        'ALTER DATABASE closed ALLOW_CONNECTIONS false',
        'REVOKE CONNECT ON DATABASE "not Ours" FROM public',
      );
      await asSuperuser(
        'sound',
        'CREATE TABLE fine (id serial PRIMARY KEY, v int CHECK (v > 0))',
        'INSERT INTO fine (v) VALUES (1), (2)',
        'CREATE PUBLICATION told FOR TABLE fine',
        `CREATE SUBSCRIPTION asleep CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p WITH (connect = false)`,
        'SELECT lo_create(0) FROM generate_series(1, 3)',
      );
      await asSuperuser(
        'odd',
        // Three times as many pages as the others have, so that it is the largest.
        'CREATE TABLE filler AS SELECT repeat(md5(n::text), 30) AS v FROM generate_series(1, 5000) AS n',
        'CREATE TABLE "Late" (id serial PRIMARY KEY, other int, v int)',
        `INSERT INTO "Late" (id, other, v) VALUES (7, 9, 1), (8, 9, 2)`,
        // Behind as well, but no index tells where the column ends: that would need the whole table.
        'CREATE SEQUENCE unindexed OWNED BY "Late".other',
        'ALTER TABLE "Late" ADD CONSTRAINT doubtful CHECK (v > 1) NOT VALID',
        'CREATE EXTENSION pg_trgm',
        `CREATE SUBSCRIPTION "from prod" CONNECTION 'host=127.0.0.1 port=1 dbname=x password=not-to-be-told'
         PUBLICATION p WITH (connect = false, slot_name = 'theirs')`,
        'ALTER SUBSCRIPTION "from prod" ENABLE',
      );
      await withClient(postgres.server, 'odd', async (client) => {
        await client.query(`INSERT INTO "Late" (id, v) VALUES (100, 2)`);
        // Two rows have the same value: it fails, and leaves the index behind.
        await client
          .query('CREATE UNIQUE INDEX CONCURRENTLY broken ON "Late" (v)')
          .catch(() => undefined);
      });
      await asSuperuser('postgres', `SELECT pg_create_physical_replication_slot('standby')`);
      // As an older server's files would have it.
      await asSuperuser(
        'odd',
        `UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'pg_trgm'`,
        `INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
         VALUES (99999, 'of_elsewhere', 10, 11, false, '2')`,
        `CREATE COLLATION public.aged (provider = icu, locale = 'und')`,
        `UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'aged'`,
      );
    });

    it('is looked into as far as its own catalogs tell, and each thing that is odd is a warning with its name', async () => {
      const inspection = await inspect(postgres, { plan: { databases: ['sound', 'lost'] } });
      expect(ServerInspection.parse(inspection)).toEqual(inspection);
      const checksOf = (name: string) =>
        inspection.databases.find(({ database }) => database === name)?.checks;
      expect(inspection.databases[0]?.database).toBe('odd');
      expect(checksOf('sound')).toEqual({
        invalidIndexes: 0,
        invalidConstraints: 0,
        sequences: { checked: 1, behind: 0 },
        extensions: 1,
        publications: 1,
        subscriptions: { total: 1, enabled: 0 },
        largeObjects: 3,
        collationMismatches: 0,
      });
      expect(checksOf('odd')).toEqual({
        invalidIndexes: 1,
        invalidConstraints: 1,
        sequences: { checked: 2, behind: 1 },
        extensions: 3,
        publications: 0,
        subscriptions: { total: 1, enabled: 1 },
        largeObjects: 0,
        collationMismatches: 1,
      });
      expect(checksOf('not Ours')).toBeUndefined();
      expect(inspection.replicationSlots).toEqual(['standby']);
      expect(inspection.extensions).toContainEqual({
        name: 'of_elsewhere',
        version: '2',
        available: null,
        databases: 1,
      });
      expect(inspection.extensions?.[0]).toMatchObject({ name: 'plpgsql', databases: 3 });
      expect(inspection.warnings).toEqual([
        'the plan backs up lost, which is not on the restored server',
        expect.stringMatching(
          /^odd: enabled subscriptions: "from prod"\. They may pull from production's publisher/,
        ),
        expect.stringMatching(/^the server has replication slots: standby \(physical\)\. /),
        expect.stringMatching(/^closed could not be looked into: it allows no connections$/),
        '"not Ours" could not be looked into: the role holdfast_backup may not connect to it',
        'odd: the server does not have the extensions of_elsewhere: what uses them fails',
        'odd: invalid indexes, which no query uses: public.broken; REINDEX them',
        expect.stringMatching(
          /^odd: collations of another version: public\.aged \(made with 0\.1, the server has [\d.]+\)\. Indexes/,
        ),
        'odd: sequences whose next values are taken: "public"."Late_id_seq" is behind public."Late".id',
        'odd: constraints that are not validated: doubtful on public."Late"',
        expect.stringMatching(
          /^odd: extensions of another version than the server's: pg_trgm 1\.0 \(the server has \d\.\d\); ALTER/,
        ),
      ]);
      expect(JSON.stringify(inspection)).not.toContain('not-to-be-told');
    });

    it('whose time is up says which databases it did not look into, and still has all of them', async () => {
      const inspection = await inspect(postgres, { lookMilliseconds: 1 });
      expect(inspection.databaseCount).toBe(4);
      expect(inspection.databases.every(({ checks }) => checks === undefined)).toBe(true);
      expect(inspection.warnings).toContain(
        'there was no time to look into odd, sound, postgres: that they are there is all that is known of them',
      );
    });
  },
);
