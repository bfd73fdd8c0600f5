import { afterEach, beforeAll, expect } from 'vitest';
import type { BackupRef } from '#domain/names.ts';
import type { PostgresServer } from '#local/postgres-server.ts';
import type { StackOptions } from '#local/stack.ts';
import { KEEP_ALL } from './failure-case.ts';
import { expectNoProcess, expectNoSecret, findPrograms, findTasks } from './pipeline-processes.ts';
import { withClient } from './postgres.ts';
import { contentsOf } from './restored-copy.ts';
import { listBackups, type Pipeline, type RestoreOutcome, usePipeline } from './stack.ts';

/**
 * Where a restore stands still while a test acts:
 * - `order`: it is planned, and its task is about to read what it is to do.
 * - `before the target exists`: it is about to read the table of contents.
 * - `before the target is marked`: the database is made and nothing says yet whose it is.
 * - `pre-data`, `data`, `post-data`: in the middle of the phase.
 * - `check`: all was looked at, the report is about to be written.
 * - `end`: the mark is taken off, nobody was told yet.
 */
export type Moment =
  | 'order'
  | 'before the target exists'
  | 'before the target is marked'
  | 'pre-data'
  | 'data'
  | 'post-data'
  | 'check'
  | 'end';

/** What a failed restore must have said, everywhere alike. */
export interface ExpectedFailure {
  readonly error: string;
  readonly cause: string | RegExp;
  /** Status of `cleanUp`; null: the restore was never planned, or nothing could have been made. */
  readonly left: 'dropped' | 'emptied' | 'nothing-left' | 'kept' | 'failed' | null;
}

/** A database with something of every phase in it, its backup, and the server and stack around it. */
export interface Desk {
  readonly pipeline: Pipeline;
  readonly backup: BackupRef;
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  /** Makes another backup of a database. */
  backUp(database?: string): Promise<BackupRef>;
  /** The databases and backups that there are now are what is to be left alone. */
  accept(): Promise<void>;
  /** Restores the backup of `desk`. */
  restore(input?: Record<string, unknown>): Promise<RestoreOutcome>;
  /** Starts a restore, acts where it stands still, and lets it go on; its end. */
  actAt(
    moment: Moment,
    act: (running: Promise<RestoreOutcome>) => Promise<unknown>,
    input?: Record<string, unknown>,
    /** Where it goes, when that is another one. */
    server?: PostgresServer,
  ): Promise<RestoreOutcome>;
  /** Sends a signal to the one task that runs. */
  signalTask(signal: NodeJS.Signals): Promise<void>;
  /** It succeeded, and the database is what was backed up; drops it. */
  expectWhole(outcome: RestoreOutcome): Promise<void>;
  /** Passwords that must not stand in any file. */
  readonly secrets: string[];
  databases(): Promise<string[]>;
}

const MAKE_DESK = `
  CREATE TABLE orders (id serial PRIMARY KEY, body text NOT NULL, total int NOT NULL);
  INSERT INTO orders (body, total)
    SELECT md5(n::text) || md5((n * 7)::text), n * 37 FROM generate_series(1, 3000) AS n;
  CREATE TABLE lines (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders, note text);
  INSERT INTO lines SELECT n, n, 'line ' || n FROM generate_series(1, 500) AS n;
  CREATE INDEX orders_total ON orders (total);
  CREATE VIEW large_orders AS SELECT id FROM orders WHERE total > 100;
  CREATE MATERIALIZED VIEW sums AS SELECT sum(total) AS total FROM orders;
  SELECT lo_from_bytea(4711, decode(repeat('c0ffee', 1000), 'hex'));
  GRANT SELECT ON LARGE OBJECT 4711 TO holdfast_backup;
  CREATE TABLE gated AS SELECT n FROM generate_series(1, 10) AS n;
  ALTER TABLE gated OWNER TO gate_early;
  GRANT SELECT ON gated TO gate_late`;

/**
 * Starts the pipeline with the database `desk` and one backup of it. After each test: nothing of a restore
 * is left, and neither the database nor any backup has changed. The plan is the first one again.
 */
export function useDesk(stack: Partial<StackOptions> = {}): Desk {
  const pipeline = usePipeline({
    scale: 0.001,
    plan: { databases: ['desk'], retention: { archives: KEEP_ALL.archives } },
    stack: { waitScale: 0.01, ...stack },
  });
  const secrets: string[] = [];
  let backup: BackupRef;
  let original: object;
  let remaining: object;
  let databasesBefore: string[];
  let backupsBefore: ReadonlyMap<string, ReadonlySet<string>>;

  const query: Desk['query'] = (sql, database = 'postgres') =>
    withClient(pipeline().server, database, async (client) => {
      const answer = await client.query<Record<string, unknown>>(sql);
      return answer.rows;
    });
  const databases = async () => {
    const rows = await query('SELECT datname FROM pg_database ORDER BY 1');
    return rows.map(({ datname }) => String(datname));
  };
  const backUp: Desk['backUp'] = async (database = 'desk') => {
    const known = new Set((await listBackups(pipeline())).keys());
    const { execution } = await pipeline().run({ databases: [database] });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    backupsBefore = await listBackups(pipeline());
    const backupId = [...backupsBefore.keys()].find((id) => !known.has(id)) ?? '';
    return { source: 'orders', database, backupId };
  };
  const restore: Desk['restore'] = (input = {}) =>
    pipeline().restore({ database: 'desk', backup: backup.backupId, ...input });

  beforeAll(async () => {
    const { server, sample } = pipeline();
    secrets.push(server.password, sample.backup.password);
    await query('CREATE ROLE gate_early; CREATE ROLE gate_late');
    await query('CREATE DATABASE desk');
    await query(MAKE_DESK, 'desk');
    backup = await backUp();
    original = await contentsOf(server, 'desk');
    // A role on which nothing depends can be on its way out: that is how two of the moments are made.
    await query('DROP TABLE gated', 'desk');
    remaining = await contentsOf(server, 'desk');
    databasesBefore = await databases();
  });

  afterEach(async () => {
    const { stack: running, server, directory } = pipeline();
    running.store.faults.clear();
    running.plane.faults.clear();
    pipeline().changePlan({});
    await expectNoProcess(pipeline());
    await expectNoSession(server);
    const strays = (await databases()).filter((name) => !databasesBefore.includes(name));
    // So that one failure is one.
    for (const name of strays) await query(`DROP DATABASE "${name}" WITH (FORCE)`);
    expect(strays).toEqual([]);
    expect(await contentsOf(server, 'desk')).toEqual(remaining);
    expect(await listBackups(pipeline())).toEqual(backupsBefore);
    await expectNoSecret(directory, secrets);
  });

  return {
    get pipeline() {
      return pipeline();
    },
    get backup() {
      return backup;
    },
    secrets,
    query,
    databases,
    backUp,
    async accept() {
      databasesBefore = await databases();
      backupsBefore = await listBackups(pipeline());
    },
    restore,
    async actAt(moment, act, input, server = pipeline().server) {
      const stop = await STOPS[moment]({ ...pipeline(), server });
      const outcome = restore(input);
      outcome.catch(() => undefined);
      try {
        await expect.poll(stop.isReached, { interval: 20 }).toBe(true);
        await act(outcome);
      } finally {
        await stop.release();
      }
      return outcome;
    },
    async signalTask(signal) {
      const [pid, ...others] = await findTasks(pipeline());
      expect(others).toEqual([]);
      process.kill(pid ?? 0, signal);
    },
    async expectWhole(outcome) {
      const { execution, record } = outcome;
      expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
      expect(record).toMatchObject({ status: 'SUCCEEDED', cleanUp: null });
      expect(record?.report?.checks.problems).toEqual([]);
      const database = record?.report?.database ?? '';
      expect(await contentsOf(pipeline().server, database)).toEqual(original);
      await query(`DROP DATABASE "${database}"`);
    },
  };
}

/** What the alert says of what is left. */
const LEFT_WORDS = {
  dropped: 'Nothing: the half-restored database was dropped.',
  emptied: 'Nothing: what the restore had put there was taken out again, from the ',
  'nothing-left': 'What is left Nothing.',
  kept: 'What is left Not removed: ',
  failed: 'Look yourself, it could not be cleaned up: ',
} as const;

/** One alert and no other, a record and an execution that say the same: what, why, and what is left. */
export function expectFailure(outcome: RestoreOutcome, expected: ExpectedFailure): void {
  const { execution, record, alerts } = outcome;
  const { error, cause, left } = expected;
  expect(execution).toMatchObject({ status: 'FAILED', error });
  expect(execution.cause).toMatch(cause);
  expect(alerts.map(({ attributes }) => attributes)).toMatchObject([
    { event: 'restore', status: 'FAILED', severity: 'error', error },
  ]);
  const text = alertText(outcome);
  expect(text).toContain(execution.name);
  expect(text).toMatch(cause);
  expect(text).toContain(left === null ? 'nothing was changed' : LEFT_WORDS[left]);
  // Nobody is sent to a database that is not there.
  expect(text).not.toContain('Point the application');
  expect(JSON.parse(alerts[0]?.message ?? '')).toMatchObject({ status: 'FAILED', error });
  expect(record?.cleanUp?.status ?? null).toBe(left);
  const { status, cause: recorded } = record ?? { status: 'FAILED', cause: execution.cause };
  expect({ status, recorded }).toEqual({ status: 'FAILED', recorded: execution.cause });
}

/** The e-mail of the only alert, its lines joined: a person's words. */
export function alertText({ alerts }: RestoreOutcome): string {
  return (alerts[0]?.byProtocol['email'] ?? '').replaceAll(/\s+/g, ' ');
}

/** No session of ours is in any database of the server; those of a task that was killed end soon. */
export async function expectNoSession(server: PostgresServer): Promise<void> {
  await expect.poll(() => sessionsOf(server), { interval: 50 }).toBe(0);
}

/** How many sessions of ours the server has; with `condition`, of those that fit it. */
function sessionsOf(server: PostgresServer, condition = 'true'): Promise<number> {
  return withClient(server, 'postgres', async (client) => {
    const { rowCount } = await client.query(
      `SELECT FROM pg_stat_activity WHERE application_name = 'holdfast' AND ${condition}`,
    );
    return rowCount ?? 0;
  });
}

interface Stop {
  readonly isReached: () => Promise<boolean>;
  readonly release: () => Promise<void>;
}

const STOPS: Readonly<Record<Moment, (place: Pipeline) => Promise<Stop>>> = {
  order: (place) => holdRequest(place, 'GetObject', /\/order\.json$/),
  'before the target exists': (place) => holdRequest(place, 'GetObject', /\/archive\.dump$/),
  // Comments can be read meanwhile, not written.
  'before the target is marked': (place) =>
    holdByLock(place, 'LOCK TABLE pg_catalog.pg_shdescription IN SHARE MODE'),
  'pre-data': (place) => holdByLock(place, 'DROP ROLE gate_early'),
  data: async (place) => {
    const { release } = await holdRequest(place, 'GetObject', /\/archive\.dump$/, {
      skip: 1,
      times: 1000,
    });
    return {
      release,
      isReached: async () =>
        (await findPrograms(place, 'pg_restore')).length > 0 &&
        (await sessionsOf(place.server)) > 0,
    };
  },
  'post-data': (place) => holdByLock(place, 'DROP ROLE gate_late'),
  check: (place) => holdRequest(place, 'PutObject', /\/report\.json$/),
  // What was found, and then what came of it.
  end: (place) => holdRequest(place, 'PutObject', /\/report\.json$/, { skip: 1 }),
};

/** Holds requests back after `skip` of them; reached when one waits. */
async function holdRequest(
  { stack }: Pipeline,
  operation: 'GetObject' | 'PutObject',
  key: RegExp,
  { skip = 0, times = 1 }: { skip?: number; times?: number } = {},
): Promise<Stop> {
  const { promise: until, resolve } = Promise.withResolvers<void>();
  const { faults } = stack.store;
  if (skip > 0) faults.failNext(operation, { key, times: skip });
  const held = faults.failNext(operation, { key, times, until });
  return {
    isReached: async () => held() > 0,
    release: async () => resolve(),
  };
}

/** Holds what needs the lock that a statement takes in a transaction, which is rolled back at last. */
async function holdByLock({ server }: Pipeline, sql: string): Promise<Stop> {
  const { promise: until, resolve } = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = withClient(server, 'postgres', async (client) => {
    try {
      await client.query(`BEGIN; ${sql}`);
      locked.resolve();
      await until;
      await client.query('ROLLBACK');
    } catch (error) {
      locked.reject(error);
    }
  });
  await locked.promise;
  return {
    isReached: async () => (await sessionsOf(server, "wait_event_type = 'Lock'")) > 0,
    release: async () => {
      resolve();
      await holding;
    },
  };
}
