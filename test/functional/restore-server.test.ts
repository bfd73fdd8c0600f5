import { describe, expect, it } from 'vitest';
import type { RestoredServerState, ServerInspection } from '#contracts/restore-server.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { AccessDenied, AuthenticationFailed } from '#errors';
import { checkRestoredServer } from '#functions/check-restored-server.ts';
import { cleanUpServer } from '#functions/clean-up-server.ts';
import { inspectRestoredServer } from '#functions/inspect-restored-server.ts';
import { notifyServerRestore } from '#functions/notify-server-restore.ts';
import { restoreServer } from '#functions/restore-server.ts';
import {
  type FakeDeps,
  type FakeQuery,
  makeDatabases,
  makeDeps,
  makePlan,
  makePlans,
  makeServerRestore,
} from '#test/fakes.ts';

const restore = makeServerRestore();
const { identifier } = restore.target;
const named = (name: string, text = '') =>
  expect.objectContaining({ name, message: expect.stringContaining(text) });
const failure = { Error: 'ServerRestoreFailed', Cause: 'it failed' };

function makeState(changes: Partial<RestoredServerState> = {}): RestoredServerState {
  return {
    identifier,
    arn: `arn:aws:rds:eu-west-1:123456789012:db:${identifier}`,
    status: 'available',
    rdsStatus: 'available',
    adopted: false,
    host: 'new.example.internal',
    port: 5433,
    waitSeconds: 5,
    ...changes,
  };
}

/** A server that was asked for at the start of the restore, and what RDS says of it now. */
async function makeRestored(changes: Parameters<typeof patch>[1] = {}, order = restore) {
  const deps = makeDeps();
  const server = await restoreServer({ restore: order }, deps);
  patch(deps, changes);
  return { deps, event: { restore: order, server } };
}

function patch(
  { servers }: Pick<FakeDeps, 'servers'>,
  changes: { status?: string; needsWriter?: boolean; endpoint?: { host: string; port: number } },
) {
  const found = servers.restored.get(identifier);
  if (!found) throw new Error('the server is not there');
  found.server = { ...found.server, ...changes };
}

const endpoint = { host: 'new.example.internal', port: 5433 };

describe('a server that is asked for', () => {
  it('is creating, and looked at soon', async () => {
    const { event } = await makeRestored();
    expect(event.server).toEqual({
      identifier,
      arn: expect.stringContaining(identifier),
      status: 'creating',
      rdsStatus: 'creating',
      adopted: false,
      host: null,
      port: null,
      waitSeconds: 5,
    });
  });

  it('twice is one server', async () => {
    const { deps } = await makeRestored();
    expect(await restoreServer({ restore }, deps)).toMatchObject({ adopted: true });
    expect(deps.servers.restored.size).toBe(1);
  });
});

describe('a server that is waited for', () => {
  it('is looked at more and more seldom', async () => {
    const { deps, event } = await makeRestored();
    deps.clock.advance(20 * 60_000);
    expect(await checkRestoredServer(event, deps)).toMatchObject({
      status: 'creating',
      waitSeconds: 120,
    });
  });

  it('is available once RDS says so and names its address', async () => {
    const { deps, event } = await makeRestored({ status: 'available' });
    expect(await checkRestoredServer(event, deps)).toMatchObject({ status: 'creating' });
    patch(deps, { endpoint });
    expect(await checkRestoredServer(event, deps)).toMatchObject({
      status: 'available',
      ...endpoint,
    });
  });

  it('stays adopted', async () => {
    const { deps, event } = await makeRestored({ status: 'available', endpoint });
    const server = { ...event.server, adopted: true };
    expect(await checkRestoredServer({ restore, server }, deps)).toMatchObject({ adopted: true });
  });

  it('is given up when its time is up, but not when it is done by then', async () => {
    const { deps, event } = await makeRestored();
    deps.clock.advance(86_399_000);
    expect(await checkRestoredServer(event, deps)).toMatchObject({ status: 'creating' });
    deps.clock.advance(1000);
    await expect(checkRestoredServer(event, deps)).rejects.toThrow(
      named('ServerRestoreTimeout', 'is creating after 1440 minutes'),
    );
    patch(deps, { status: 'available', endpoint });
    expect(await checkRestoredServer(event, deps)).toMatchObject({ status: 'available' });
  });

  it('has failed when RDS says so, when it is gone, and when another took its name', async () => {
    const { deps, event } = await makeRestored({ status: 'incompatible-network' });
    await expect(checkRestoredServer(event, deps)).rejects.toThrow(
      named('ServerRestoreFailed', 'as incompatible-network'),
    );
    const another = { ...event, restore: makeServerRestore({ restoreId: 'another' }) };
    await expect(checkRestoredServer(another, deps)).rejects.toThrow(
      named('ServerRestoreFailed', 'is gone'),
    );
    deps.servers.restored.clear();
    await expect(checkRestoredServer(event, deps)).rejects.toThrow(
      named('ServerRestoreFailed', 'is gone'),
    );
  });

  it('gets its writer when it is a cluster that can have one', async () => {
    const { deps, event } = await makeRestored({ status: 'without a writer', needsWriter: true });
    expect(await checkRestoredServer(event, deps)).toMatchObject({ status: 'creating' });
    expect(deps.servers.restored.get(identifier)?.server.needsWriter).toBe(false);
  });
});

describe('what a failed restore leaves', () => {
  const order = (cleanUp: 'always' | 'unfinished' | 'never', settings = {}) =>
    makeServerRestore({
      cleanUp,
      target: { settings: { ...restore.target.settings, ...settings } },
    });

  it.each([
    ['creating', order('unfinished'), 'deleting'],
    ['incompatible-restore', order('unfinished'), 'deleting'],
    ['available', order('unfinished'), 'kept'],
    ['available', order('always'), 'deleting'],
    ['creating', order('never'), 'kept'],
    ['creating', order('always', { deletionProtection: true }), 'kept'],
  ])('%s, under %j, is then: %s', async (status, asked, expected) => {
    const { deps } = await makeRestored({ status }, asked);
    expect(await cleanUpServer({ restore: asked, failure }, deps)).toMatchObject({
      status: expected,
      detail: expect.stringContaining(identifier),
    });
    expect(deps.servers.deleted).toEqual(expected === 'deleting' ? [identifier] : []);
  });

  it('is nothing where nothing was made, and where the server is of another restore', async () => {
    const deps = makeDeps();
    const event = { restore: order('always'), failure };
    expect(await cleanUpServer(event, deps)).toMatchObject({ status: 'nothing-left' });
    await deps.servers.restore(makeServerRestore({ restoreId: 'another' }));
    expect(await cleanUpServer(event, deps)).toMatchObject({ status: 'not-ours' });
    expect(deps.servers.deleted).toEqual([]);
  });
});

describe('a server that is inspected', () => {
  const row = (name: string, sizeBytes: string | null, mayConnect = true) => ({
    name,
    quotedName: name,
    mayConnect,
    sizeBytes,
  });
  const answer =
    (databases: readonly object[], isReplica = false): FakeQuery =>
    (text) => {
      if (text.includes('server_version_num')) {
        return [{ version: '17.4', versionNumber: 170_004, isReplica, role: 'backup' }];
      }
      if (text.includes('pg_database_size')) return [...databases] as Record<string, unknown>[];
      if (text.includes('"tables"')) return [{ tables: 7 }];
      // Of whatever else is looked at there is nothing.
      return [];
    };
  const nothing = {
    invalidIndexes: 0,
    invalidConstraints: 0,
    sequences: { checked: 0, behind: 0 },
    extensions: 0,
    publications: 0,
    subscriptions: { total: 0, enabled: 0 },
    largeObjects: 0,
    collationMismatches: 0,
  };
  const inspect = (
    databases: Parameters<typeof makeDatabases>[0],
    plan = makePlan({ connection: { port: 5432 } }),
  ) => {
    const deps = makeDeps({ databases: makeDatabases(databases), plans: makePlans([plan]) });
    return inspectRestoredServer({ restore, server: makeState() }, deps);
  };

  it('tells its databases, the largest first, and what of the plan is not there', async () => {
    const server = answer([
      row('postgres', '8000'),
      row('shop', '90000'),
      row('secret', null, false),
    ]);
    const plan = makePlan({ databases: ['shop', 'archive'] });
    expect(await inspect({ postgres: server, shop: server }, plan)).toEqual({
      server: { version: '17.4', versionNumber: 170_004, isReplica: false },
      databases: [
        { database: 'shop', sizeBytes: 90_000, tables: 7, checks: nothing },
        { database: 'postgres', sizeBytes: 8000, tables: 7, checks: nothing },
        { database: 'secret', sizeBytes: null, tables: null },
      ],
      extensions: [],
      replicationSlots: [],
      databaseCount: 3,
      totalBytes: 98_000,
      warnings: ['the plan backs up archive, which is not on the restored server'],
    });
  });

  it('is reached at its own address, with the login of the plan', async () => {
    const asked: object[] = [];
    const databases = makeDatabases({ postgres: answer([]) });
    const deps = makeDeps({
      databases: {
        ...databases,
        connect: (connection: Connection, database: string) => {
          asked.push(connection);
          return databases.connect(connection, database);
        },
      },
    });
    await inspectRestoredServer({ restore, server: makeState() }, deps);
    const { connection } = makePlan();
    expect(asked[0]).toEqual({ ...connection, host: 'new.example.internal', port: 5433 });
  });

  it('may have a database that does not open', async () => {
    const server = answer([row('broken', '10')]);
    const inspection = await inspect({ postgres: server });
    expect(inspection.databases).toEqual([{ database: 'broken', sizeBytes: 10, tables: null }]);
    expect(inspection.warnings).toEqual([
      expect.stringContaining('broken could not be looked into: DatabaseNotFound'),
    ]);
  });

  it('with thousands of databases fits into the payload', async () => {
    const many = Array.from({ length: 5000 }, (_, i) => row(`${'x'.repeat(57)}-${i}`, '1'));
    const listed = answer(many);
    const name = (i: number) => `${'é'.repeat(29)}${i}`;
    const names = (length: number) => Array.from({ length }, (_, i) => ({ name: name(i) }));
    // All that can be odd is odd two thousand times in each.
    const odd: FakeQuery = (text, values) => {
      if (text.includes('pg_available_extensions')) {
        return names(200).map((it) => ({ ...it, version: '1'.repeat(500), available: '2' }));
      }
      if (text.includes('pg_replication_slots')) {
        return names(2000).map((it) => ({ ...it, kind: 'logical' }));
      }
      if (text.includes('subenabled')) {
        return names(2000).map((it) => ({ identity: it.name, enabled: true }));
      }
      if (text.includes('collversion')) return names(2000).map((it) => ({ text: it.name }));
      if (/indisvalid AND|convalidated/.test(text)) return names(2000);
      return listed(text, values);
    };
    const answers = Object.fromEntries(many.map((it) => [it.name, odd]));
    const inspection = await inspect({ ...answers, postgres: odd });
    expect(inspection).toMatchObject({ databaseCount: 5000, totalBytes: 5000 });
    expect(inspection.warnings).toHaveLength(50);
    expect(inspection.warnings.at(-1)).toMatch(/^and \d+ more warnings, left out here$/);
    expect(inspection.databases.every(({ checks }) => checks?.invalidIndexes === 2000)).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(inspection))).toBeLessThan(150_000);
  });

  it('has failed while it is in recovery', async () => {
    await expect(inspect({ postgres: answer([], true) })).rejects.toThrow(
      named('ServerRestoreFailed', 'still in recovery'),
    );
  });

  it('that refuses the password says that it is the one of the time that was restored', async () => {
    const refuse = () => Promise.reject(new AuthenticationFailed('password rejected'));
    const deps = makeDeps({ databases: { ...makeDatabases({}), connect: refuse } });
    await expect(inspectRestoredServer({ restore, server: makeState() }, deps)).rejects.toThrow(
      named('AuthenticationFailed', 'passwords of the time that was restored'),
    );
  });
});

describe('the end of a server restore', () => {
  const base = { executionArn: restore.executionArn, input: { source: 'orders' } };
  const inspection: ServerInspection = {
    server: { version: '17.4', versionNumber: 170_004, isReplica: false },
    databases: [{ database: 'shop', sizeBytes: 90_000, tables: 7 }],
    databaseCount: 1,
    totalBytes: 90_000,
    warnings: [],
  };
  const key = `restores/orders/${restore.restoreId}/server.json`;

  it('that is good is told and recorded, with the address', async () => {
    const deps = makeDeps();
    deps.clock.advance(600_000);
    const outcome = await notifyServerRestore(
      { ...base, restore, server: makeState(), inspection },
      deps,
    );
    expect(outcome).toEqual({ status: 'SUCCEEDED', error: '', cause: '', summaryKey: key });
    expect(deps.objects.json(key)).toMatchObject({ status: 'SUCCEEDED', durationSeconds: 600 });
    expect(deps.alerts.sent).toMatchObject([
      {
        subject: `Holdfast: server of orders restored: ${identifier}`,
        attributes: { severity: 'info', stage: 'none', error: 'none' },
        json: { host: 'new.example.internal', port: 5433, databases: 1 },
      },
    ]);
    expect(deps.alerts.sent[0]?.text).toContain('Database shop: 90 kB, 7 tables');
    expect(deps.alerts.sent[0]?.text).toContain('deletion protection');
  });

  it('that was looked into over SQL is told with what was found', async () => {
    const deps = makeDeps();
    const checks = {
      invalidIndexes: 1,
      invalidConstraints: 0,
      sequences: { checked: 40, behind: 2 },
      extensions: 3,
      publications: 1,
      subscriptions: { total: 2, enabled: 1 },
      largeObjects: 1200,
      collationMismatches: 0,
    };
    const looked = {
      ...inspection,
      databases: inspection.databases.map((it) => ({ ...it, checks })),
      extensions: [{ name: 'postgis', version: '3.4', available: '3.4', databases: 1 }],
      replicationSlots: ['standby'],
    };
    await notifyServerRestore({ ...base, restore, server: makeState(), inspection: looked }, deps);
    expect(deps.alerts.sent[0]?.text).toContain(
      'Looked into 1 database: 1 indexes invalid, 0 constraints not validated, 2 of 40 sequences behind, 1,200 large objects, 1 publication, 1 of 2 subscriptions enabled, 1 replication slot',
    );
    expect(deps.objects.json(key)).toMatchObject({ inspection: looked });
  });

  it('that has warnings is told with them', async () => {
    const deps = makeDeps();
    const order = makeServerRestore({ warnings: ['of another\nserver'] });
    const event = { ...base, restore: order, server: makeState(), inspection };
    await notifyServerRestore(event, deps);
    expect(deps.alerts.sent[0]?.attributes['severity']).toBe('warning');
    expect(deps.alerts.sent[0]?.text).toContain('  of another server\n');
  });

  it('that is bad says why in plain words, what is left, and what to do', async () => {
    const deps = makeDeps();
    const lambda = (errorMessage: string) => JSON.stringify({ errorType: 'X', errorMessage });
    const outcome = await notifyServerRestore(
      {
        ...base,
        restore,
        failure: { Error: 'ServerRestoreFailed', Cause: lambda('RDS reports it as failed') },
        cleanUp: { status: 'failed', detail: `AccessDenied: ${lambda('not allowed')}` },
      },
      deps,
    );
    expect(outcome).toMatchObject({
      status: 'FAILED',
      error: 'ServerRestoreFailed',
      cause: 'RDS reports it as failed',
      summaryKey: key,
    });
    const text = deps.alerts.sent[0]?.text;
    expect(text).toContain('Something is left, for you to remove: AccessDenied: not allowed');
    expect(text).not.toContain('errorMessage');
    expect(deps.objects.json(key)).toMatchObject({
      cause: 'RDS reports it as failed',
      cleanUp: { detail: 'AccessDenied: not allowed' },
    });
  });

  it('before it was planned is told without a record', async () => {
    const deps = makeDeps();
    const outcome = await notifyServerRestore(
      { ...base, input: { source: 7 }, failure: { Error: 'InvalidInput', Cause: 'no source' } },
      deps,
    );
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'InvalidInput', summaryKey: null });
    expect(deps.alerts.sent[0]).toMatchObject({ attributes: { source: 'unknown', stage: 'run' } });
    expect(deps.objects.keys()).toEqual([]);
  });

  it('is told even where it cannot be recorded, and tried again where it cannot be told', async () => {
    const deps = makeDeps();
    const event = { ...base, restore, server: makeState(), inspection };
    deps.objects.fault = () => {
      throw new AccessDenied('no');
    };
    expect(await notifyServerRestore(event, deps)).toMatchObject({ summaryKey: null });
    expect(deps.alerts.sent).toHaveLength(1);
    deps.alerts.failure = new AccessDenied('no topic');
    await expect(notifyServerRestore(event, deps)).rejects.toThrow(named('AccessDenied'));
  });
});
