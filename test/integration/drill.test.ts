import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Drilled } from '#contracts/drill.ts';
import { type BackupRef, backupKey, parseBackupKey } from '#domain/names.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { LOCAL } from '#local/stack.ts';
import { KEEP_ALL, storedBytes } from '#test/failure-case.ts';
import { expectNoProcess, expectNoSecret } from '#test/pipeline-processes.ts';
import { withClient } from '#test/postgres.ts';
import { type DrillOutcome, usePipeline } from '#test/stack.ts';

/** Called while a drill goes on; tests put in what is to happen meanwhile. */
let onEvent: (event: ExecutionEvent) => void = () => {};
let onLine: (line: { taskArn: string; line: string }) => void = () => {};

const pipeline = usePipeline({
  scale: 0.001,
  plan: {
    databases: ['shop', 'small'],
    retention: { archives: KEEP_ALL.archives },
    drill: { choose: 'latest' },
  },
  stack: {
    waitScale: 0.01,
    onExecutionEvent: (event) => onEvent(event),
    onTaskLine: (line) => onLine(line),
  },
});
const backups = new Map<string, BackupRef>();

beforeAll(async () => {
  const { server } = pipeline();
  await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE small'));
  await withClient(server, 'small', (client) =>
    client.query(
      `CREATE TABLE orders (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
       INSERT INTO orders SELECT n FROM generate_series(1, 1000) AS n`,
    ),
  );
  const { execution } = await pipeline().run();
  if (execution.status !== 'SUCCEEDED') throw new Error(`no backup: ${execution.cause}`);
  for await (const { key } of pipeline().stack.objects.list('backups/')) {
    const ref = parseBackupKey(key);
    if (ref) backups.set(ref.database, ref);
  }
});

beforeEach(() => {
  onEvent = () => {};
  onLine = () => {};
});

const keyOf = (database: string, file: Parameters<typeof backupKey>[1]) => {
  const ref = backups.get(database);
  if (!ref) throw new Error(`no backup of ${database} was made`);
  return backupKey(ref, file);
};

async function readMark(database: string): Promise<Drilled | undefined> {
  const found = await pipeline().stack.objects.get(keyOf(database, 'drilled.json'));
  return found && Drilled.parse(JSON.parse(String(found.body)));
}

const drillDirectory = () => pipeline().stack.environment['HOLDFAST_DRILL_DIRECTORY'] ?? '';

/** Processes of drills' servers: PostgreSQL works in its data directory. */
async function serverProcesses(): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const places = await Promise.all(ids.map((id) => readlink(`/proc/${id}/cwd`).catch(() => '')));
  return ids.filter((_, index) => places[index]?.startsWith(drillDirectory()));
}

async function expectNoServer(): Promise<void> {
  await expectNoProcess(pipeline());
  await expect.poll(serverProcesses).toEqual([]);
}

/** Nothing runs any more, nothing of the drill's server is on the disk, and no secret in any file. */
async function expectNothingLeft(): Promise<void> {
  const { directory, server, sample } = pipeline();
  await expectNoServer();
  expect(await readdir(drillDirectory())).toEqual([]);
  await expectNoSecret(directory, [server.password, sample.backup.password]);
}

/** One alert, and it says what the record says. */
function expectAlert({ alerts, record }: DrillOutcome, status: 'PASSED' | 'FAILED'): void {
  const ofDrill = alerts.filter(({ attributes }) => attributes['event'] === 'drill');
  expect(ofDrill.map(({ attributes }) => attributes)).toMatchObject([
    { status, source: 'orders', error: record?.error ?? 'none' },
  ]);
}

const small = { database: 'small' };

describe('a drill through the real state machine, functions, task and servers', () => {
  it('brings every database back, says how long and how old, and marks the backups', async () => {
    const outcome = await pipeline().drill();
    const { execution, record } = outcome;
    expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(record).toMatchObject({ status: 'PASSED', error: null, server: null });
    expect(record?.databases.map(({ database }) => database).sort()).toEqual(['shop', 'small']);
    for (const { database, report, findings, status, rpoSeconds } of record?.databases ?? []) {
      expect(status, database).toBe('PASSED');
      expect(findings.filter(({ class: kind }) => kind !== 'environment')).toEqual([]);
      expect(report?.checks.amcheck.state).toBe('clean');
      expect(report?.rtoSeconds).toBeGreaterThan(0);
      expect(rpoSeconds).toBeGreaterThan(0);
      const mark = await readMark(database);
      expect(mark).toMatchObject({
        drillId: record?.drill.drillId,
        rtoSeconds: report?.rtoSeconds,
      });
    }
    expect(record?.databases.find(({ database }) => database === 'small')?.report?.rows).toBe(1000);
    expectAlert(outcome, 'PASSED');
    await expectNothingLeft();
  });

  it('fails by a smoke query that the plan has, and says which', async () => {
    pipeline().changePlan({
      drill: {
        smokeQueries: [
          {
            name: 'enough orders',
            query: 'SELECT count(*) FROM orders',
            expect: { atLeast: 5000 },
            database: 'small',
            timeoutSeconds: 60,
          },
        ],
      },
    });
    const outcome = await pipeline().drill(small);
    pipeline().changePlan({});
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'DrillFailed' });
    expect(outcome.record?.databases).toMatchObject([
      { status: 'FAILED', findings: [{ class: 'data', check: 'smoke-query' }] },
    ]);
    expectAlert(outcome, 'FAILED');
    await expectNothingLeft();
  });

  it('fails where a table was emptied before the backup, by the query that counts its rows', async () => {
    const { server } = pipeline();
    await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE emptied'));
    await withClient(server, 'emptied', (client) =>
      client.query(
        `CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) AS n; TRUNCATE orders`,
      ),
    );
    const query = { query: 'SELECT count(*) FROM orders', timeoutSeconds: 60 };
    pipeline().changePlan({
      databases: ['emptied'],
      drill: {
        choose: 'latest',
        smokeQueries: [{ name: 'enough orders', ...query, expect: { atLeast: 500 } }],
      },
    });
    const { execution } = await pipeline().run();
    const outcome = await pipeline().drill();
    pipeline().changePlan({});
    // Nothing of it is damaged: no other check can tell.
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'DrillFailed' });
    expect(outcome.record?.databases).toMatchObject([
      {
        database: 'emptied',
        status: 'FAILED',
        cause: 'enough orders: is 0, expected at least 500',
        findings: [{ class: 'data', check: 'smoke-query', subject: 'enough orders' }],
      },
    ]);
    expectAlert(outcome, 'FAILED');
    const marks = pipeline().stack.objects.list('backups/orders/emptied/');
    for await (const { key } of marks) expect(key).not.toContain('drilled.json');
    await expectNothingLeft();
  });

  it('waits for an archive in Glacier, and counts the wait', async () => {
    const { store } = pipeline().stack;
    const key = keyOf('small', 'archive.dump');
    store.setStorageClass(LOCAL.bucket, key, 'GLACIER');
    const times: number[] = [];
    onEvent = (event) => {
      if ('state' in event && event.state === 'Retrieve Archive') times.push(Date.now());
    };
    const outcome = await pipeline().drill(small);
    store.setStorageClass(LOCAL.bucket, key, 'STANDARD');
    expect(outcome.record).toMatchObject({ status: 'PASSED' });
    const [database] = outcome.record?.databases ?? [];
    const phases = new Map(database?.report?.phases.map(({ phase, seconds }) => [phase, seconds]));
    const waitedSeconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
    expect(waitedSeconds).toBeGreaterThan(0);
    expect(phases.get('retrieval')).toBeGreaterThanOrEqual(waitedSeconds - 0.1);
    expect(database?.report?.rtoSeconds).toBeGreaterThan(phases.get('retrieval') ?? 0);
    expect(outcome.alerts.map(({ attributes }) => attributes['event'])).toEqual([
      'retrieval',
      'drill',
    ]);
    await expectNothingLeft();
  });
});

describe('a drill that fails', () => {
  it('says that its task was killed, within seconds, and leaves no server', async () => {
    let killed: Promise<string[]> | undefined;
    onLine = ({ taskArn, line }) => {
      if (killed || !line.includes('restore phase begun')) return;
      killed = serverProcesses();
      void killed.then(() => pipeline().stack.plane.ecs.killTask(taskArn));
    };
    const before = await readMark('small');
    const outcome = await pipeline().drill(small);
    // Otherwise the search for them would find nothing whatever was left.
    expect((await killed)?.length).toBeGreaterThan(0);
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'TaskKilled' });
    expect(outcome.record?.databases).toMatchObject([
      { status: 'FAILED', error: 'TaskKilled', cause: expect.stringContaining('137') },
    ]);
    expectAlert(outcome, 'FAILED');
    expect(await readMark('small')).toEqual(before);
    await expectNoServer();
  });

  it('finds damage that came after the verification, and drills the other database all the same', async () => {
    const file = pipeline().stack.store.path(LOCAL.bucket, keyOf('small', 'archive.dump')) ?? '';
    const whole = await readFile(file);
    const damaged = Buffer.from(whole);
    await pipeline().stack.objects.delete(
      ['shop', 'small'].map((database) => keyOf(database, 'drilled.json')),
    );
    // In the middle of the rows, where nothing but their content tells.
    const at = Math.floor(damaged.length * 0.9);
    damaged.writeUInt8((damaged[at] ?? 0) ^ 0xff, at);
    await writeFile(file, damaged);
    const outcome = await pipeline().drill();
    await writeFile(file, whole);
    expect(storedBytes(pipeline(), keyOf('small', 'archive.dump'))).toEqual(whole);
    expect(outcome.execution.status).toBe('FAILED');
    const byName = new Map(outcome.record?.databases.map((it) => [it.database, it]));
    expect(byName.get('small')).toMatchObject({ status: 'FAILED' });
    expect(byName.get('shop')).toMatchObject({ status: 'PASSED' });
    expect(outcome.record?.cause).toContain('1 of 2 databases failed: small: ');
    expect((await readMark('shop'))?.drillId).toBe(outcome.record?.drill.drillId);
    expect(await readMark('small')).toBeUndefined();
    expectAlert(outcome, 'FAILED');
    await expectNothingLeft();
  });

  it('says that there is nothing to drill where no backup was ever verified', async () => {
    pipeline().changePlan({ databases: ['never'] });
    const outcome = await pipeline().drill();
    pipeline().changePlan({});
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'BackupNotFound' });
    expect(outcome.record?.databases).toMatchObject([
      { database: 'never', status: 'FAILED', cause: 'never has no backup at all', report: null },
    ]);
    expectAlert(outcome, 'FAILED');
  });

  it('leaves a record of one that could not be planned, for whoever looks later', async () => {
    const outcome = await pipeline().drill({ kind: 'snapshot' });
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'InvalidPlan' });
    expect(outcome.record).toMatchObject({
      status: 'FAILED',
      error: 'InvalidPlan',
      drill: { kind: 'snapshot', unplanned: true },
      databases: [],
    });
  });

  it('tells people even when the input cannot be understood', async () => {
    const outcome = await pipeline().drill({ databse: 'small' });
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'InvalidInput' });
    expect(outcome.record).toBeUndefined();
    expect(outcome.alerts.map(({ subject }) => subject)).toEqual([
      'Holdfast: drill of orders FAILED before it began: InvalidInput',
    ]);
  });

  // The last one: the backup is gone afterwards.
  it('says that the backup was deleted after the drill was planned', async () => {
    const { objects } = pipeline().stack;
    const files = ['verification.json', 'manifest.json', 'drilled.json'] as const;
    let deleted: Promise<void> | undefined;
    onEvent = (event) => {
      if (event.type !== 'StateExited' || event.state !== 'Plan Drill') return;
      deleted = objects.delete(files.map((file) => keyOf('small', file)));
    };
    const outcome = await pipeline().drill(small);
    await deleted;
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'ObjectMissing' });
    expect(outcome.record?.databases).toMatchObject([{ error: 'ObjectMissing' }]);
    expectAlert(outcome, 'FAILED');
    await expectNoServer();
  });
});
