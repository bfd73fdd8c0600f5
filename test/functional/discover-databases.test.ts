import { describe, expect, it } from 'vitest';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { Discovery } from '#contracts/workflow.ts';
import { DATABASES_QUERY, PREFLIGHT_QUERIES, SERVER_QUERY } from '#domain/preflight.ts';
import { markAsRestored } from '#domain/restore/target-mark.ts';
import { AuthenticationFailed, ConnectionLost } from '#errors';
import { discoverDatabases } from '#functions/discover-databases.ts';
import type { Changes } from '#test/fakes.ts';
import {
  type FakeQuery,
  makeClients,
  makeDatabases,
  makeDeps,
  makePlan,
  makePlans,
  makeRun,
} from '#test/fakes.ts';

const VERSION = 170_011;
const fact = (name: string, sizeBytes: string | null, mayConnect = true) => ({
  name,
  quotedName: name,
  mayConnect,
  sizeBytes,
  comment: null as string | null,
});

interface Server {
  databases?: ReturnType<typeof fact>[];
  /** Of each database by topic; all that is not named is as it should be. */
  findings?: Record<string, Partial<Record<keyof typeof PREFLIGHT_QUERIES, string[]>>>;
  versionNumber?: number;
  plan?: Changes<SourcePlan>;
}

/** A server that answers exactly the queries of the preflight. */
function makeServer({
  databases = [fact('shop', '2000'), fact('app', '9000'), fact('postgres', '100')],
  findings = {},
  versionNumber = VERSION,
  plan = {},
}: Server = {}) {
  const answerOf =
    (database: string): FakeQuery =>
    (text) => {
      if (text === SERVER_QUERY) {
        return [{ version: '17.11', versionNumber, isReplica: false, role: 'reader' }];
      }
      if (text === DATABASES_QUERY) return databases;
      const topics = Object.entries(PREFLIGHT_QUERIES);
      const topic = topics.find(([, query]) => query(versionNumber) === text)?.[0];
      if (!topic) return undefined;
      const names = findings[database]?.[topic as keyof typeof PREFLIGHT_QUERIES] ?? [];
      return names.map((name) => ({ name, total: names.length }));
    };
  const all = ['postgres', ...databases.map(({ name }) => name)];
  return makeDeps({
    databases: makeDatabases(Object.fromEntries(all.map((name) => [name, answerOf(name)]))),
    plans: makePlans([makePlan(plan)]),
  });
}

describe('the databases of a server', () => {
  it('are all discovered, the largest first, without problems', async () => {
    const discovery = await discoverDatabases({ run: makeRun() }, makeServer());
    expect(Discovery.parse(discovery)).toEqual({
      server: { version: '17.11', versionNumber: VERSION, isReplica: false },
      databases: [
        { database: 'app', sizeBytes: 9000, problem: null },
        { database: 'shop', sizeBytes: 2000, problem: null },
        { database: 'postgres', sizeBytes: 100, problem: null },
      ],
      warnings: [],
    });
  });

  it('are those of the plan, or those asked for', async () => {
    const plan = { databases: { include: ['*'], exclude: ['postgres', 'app'] } };
    const planned = await discoverDatabases({ run: makeRun() }, makeServer({ plan }));
    expect(planned.databases.map(({ database }) => database)).toEqual(['shop']);
    const run = makeRun({ databases: ['app'] });
    const asked = await discoverDatabases({ run }, makeServer({ plan }));
    expect(asked.databases.map(({ database }) => database)).toEqual(['app']);
  });

  it('that a restore put beside the original are told of, and not dumped', async () => {
    const name = 'shop_restored_20261120t030000z_k3v9qd';
    const comment = markAsRestored('orders/shop x', '20261120T030000Z-k3v9qd', undefined);
    const databases = [fact('shop', '1'), { ...fact(name, '1'), comment }];
    const found = await discoverDatabases({ run: makeRun() }, makeServer({ databases }));
    expect(found.databases.map(({ database }) => database)).toEqual(['shop']);
    expect(found.warnings).toEqual([
      expect.stringMatching(
        `^${name} is a copy that a restore made, and is not backed up: drop it`,
      ),
    ]);
  });

  it('that do not exist fail alone, and patterns that match nothing are told', async () => {
    const run = makeRun({ databases: ['shop', 'shpo', 'x*'] });
    const { databases, warnings } = await discoverDatabases({ run }, makeServer());
    expect(databases).toEqual([
      { database: 'shop', sizeBytes: 2000, problem: null },
      {
        database: 'shpo',
        sizeBytes: 0,
        problem: {
          error: 'DatabaseNotFound',
          cause: expect.stringContaining('shpo does not exist'),
        },
      },
    ]);
    expect(warnings).toEqual(['the pattern x* matches no database']);
  });

  it('with something unreadable have a problem, the others have none', async () => {
    const findings = { app: { tables: ['app.secret'], unlogged: ['app.cache'] } };
    const { databases, warnings } = await discoverDatabases(
      { run: makeRun() },
      makeServer({ findings }),
    );
    expect(databases[0]?.problem).toMatchObject({
      error: 'InsufficientPrivilege',
      cause: expect.stringContaining('app.secret'),
    });
    expect(databases.slice(1).every(({ problem }) => problem === null)).toBe(true);
    expect(warnings).toEqual([expect.stringMatching(/^app: .* unlogged tables .*app\.cache$/)]);
  });

  it('that the role may not connect to have a problem with the grant that solves it', async () => {
    const deps = makeServer({ databases: [fact('shop', '1'), fact('hr', null, false)] });
    const { databases, warnings } = await discoverDatabases({ run: makeRun() }, deps);
    expect(databases[1]).toMatchObject({
      database: 'hr',
      sizeBytes: 0,
      problem: { cause: expect.stringContaining('GRANT CONNECT ON DATABASE hr TO reader;') },
    });
    expect(warnings).toEqual(['hr: the server does not tell its size']);
  });

  it('that cannot be looked into do not keep the others from being dumped', async () => {
    const server = makeServer();
    const databases: typeof server.databases = {
      ...server.databases,
      async connect(connection, database) {
        if (database === 'app') throw new ConnectionLost('the server closed the connection');
        return server.databases.connect(connection, database);
      },
    };
    const found = await discoverDatabases({ run: makeRun() }, { ...server, databases });
    expect(found.databases.map(({ problem }) => problem?.error)).toEqual([
      'ConnectionLost',
      undefined,
      undefined,
    ]);
  });

  it('in their hundreds, all with problems, still fit into the payload of a state', async () => {
    const many = Array.from({ length: 300 }, (_, n) => fact(`tenant_${n}`, '1'));
    const unreadable = { tables: Array.from({ length: 10 }, (_, n) => `${'t'.repeat(60)}.t${n}`) };
    const findings = Object.fromEntries(many.map(({ name }) => [name, unreadable]));
    const discovery = await discoverDatabases(
      { run: makeRun() },
      makeServer({ databases: many, findings }),
    );
    expect(JSON.stringify(discovery).length).toBeLessThan(110_000);
    expect(discovery.databases[0]?.problem?.cause).toMatch(/^the role reader may not read .*…$/);
  });
});

describe('a server that cannot be dumped at all', () => {
  it('because no database is selected is NoDatabases', async () => {
    const run = makeRun({ databases: ['x*'] });
    await expect(discoverDatabases({ run }, makeServer())).rejects.toThrow(
      expect.objectContaining({
        name: 'NoDatabases',
        message: expect.stringContaining('the server has: shop, app, postgres'),
      }),
    );
  });

  it('because it is too new is ClientTooOld', async () => {
    const deps = { ...makeServer({ versionNumber: 190_000 }), clients: makeClients([16, 17, 18]) };
    await expect(discoverDatabases({ run: makeRun() }, deps)).rejects.toThrow(
      expect.objectContaining({ name: 'ClientTooOld' }),
    );
  });

  it('because it rejects the role fails as that', async () => {
    const server = makeServer();
    const connect = async () => {
      throw new AuthenticationFailed('password authentication failed');
    };
    const deps = { ...server, databases: { ...server.databases, connect } };
    await expect(discoverDatabases({ run: makeRun() }, deps)).rejects.toThrow(
      expect.objectContaining({ name: 'AuthenticationFailed' }),
    );
  });
});
