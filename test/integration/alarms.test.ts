import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AlarmDefinition } from '#contracts/metrics.ts';
import type { SmokeQuery, SourcePlan } from '#contracts/source-plan.ts';
import { alarmsOf } from '#domain/monitoring/alarms.ts';
import {
  type AlarmStateValue,
  alarmStates,
  type Datapoint,
} from '#domain/monitoring/evaluate-alarm.ts';
import { alertMarkerKey, drillRecordKey, makeBackupId, sourceExtentKey } from '#domain/names.ts';
import { readDatapoints } from '#local/metrics.ts';
import { METRICS_FILE } from '#local/stack.ts';
import { withClient } from '#test/postgres.ts';
import { usePipeline } from '#test/stack.ts';

/** Of one test: several runs, and waiting for a dump that waits. */
const LIMIT_MILLISECONDS = 240_000;
const HOUR_MILLISECONDS = 3_600_000;
/** Rates and the like that no run of a second comes near, unless it is made to. */
const SENSITIVE = {
  schedule: { expression: 'rate(1 day)', timezone: 'UTC' },
  verification: { sizeAnomaly: { ratio: 1.5, minimumBytes: 0, window: 1, warmUp: 1 } },
  monitoring: {
    freshnessHours: 1,
    drillAgeDays: 1,
    snapshotQuotaPercent: 80,
    duration: { ratio: 2.5, minimumSeconds: 0, window: 1, warmUp: 1 },
  },
} as const;

/** Scheduler and the one call to RDS that the local services do not have. */
const elsewhere = {
  scheduleState: 'ENABLED',
  drillScheduleState: 'ENABLED' as 'ENABLED' | 'DISABLED' | 'GONE',
  snapshotsUsed: 10,
  server: undefined as Server | undefined,
};
const environment: Record<string, string> = {};

beforeAll(async () => {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      if (request.url?.startsWith('/schedules/orders?groupName=holdfast-local')) {
        answerSchedule(response, 'orders', elsewhere.scheduleState);
      } else if (request.url?.startsWith('/schedules/orders.drill?groupName=holdfast-local')) {
        answerSchedule(response, 'orders.drill', elsewhere.drillScheduleState);
      } else if (body.includes('Action=DescribeAccountAttributes')) {
        response.setHeader('content-type', 'text/xml');
        response.end(quotaAnswer(elsewhere.snapshotsUsed));
      } else {
        void forward(request, body, response);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  elsewhere.server = server;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  Object.assign(environment, { AWS_ENDPOINT_URL_SCHEDULER: url, AWS_ENDPOINT_URL_RDS: url });
});
afterAll(() => {
  elsewhere.server?.closeAllConnections();
  elsewhere.server?.close();
});

// After the server is there, whose address is in the environment.
const pipeline = usePipeline({ plan: SENSITIVE, stack: { environment } });

/** To the local services, which have the rest. */
async function forward(request: IncomingMessage, body: string, response: ServerResponse) {
  const headers = Object.entries(request.headers).flatMap(([name, value]) =>
    /^(authorization|content-type|x-amz-)/.test(name) ? [[name, String(value)] as const] : [],
  );
  const url = `${pipeline().stack.plane.endpoint}${request.url}`;
  const answer = await fetch(url, { method: 'POST', body, headers: Object.fromEntries(headers) });
  response.statusCode = answer.status;
  response.setHeader('content-type', answer.headers.get('content-type') ?? 'text/xml');
  response.end(await answer.text());
}

function answerSchedule(response: ServerResponse, name: string, state: string) {
  response.setHeader('content-type', 'application/json');
  if (state === 'GONE') {
    response.statusCode = 404;
    response.setHeader('x-amzn-errortype', 'ResourceNotFoundException');
  }
  response.end(JSON.stringify(state === 'GONE' ? {} : { Name: name, State: state }));
}

function quotaAnswer(used: number): string {
  return `<DescribeAccountAttributesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">
    <DescribeAccountAttributesResult><AccountQuotas><AccountQuota>
      <AccountQuotaName>ManualSnapshots</AccountQuotaName><Used>${used}</Used><Max>100</Max>
    </AccountQuota></AccountQuotas></DescribeAccountAttributesResult>
    <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeAccountAttributesResponse>`;
}

/**
 * A day at the pace of a test: what the stack records while something is done is dated to an hour of it. Nothing but the
 * time of the values is made up.
 */
class Day {
  readonly #datapoints: Datapoint[] = [];
  readonly #began = Date.parse('2026-11-20T00:00:00Z');
  #seen = 0;

  static async begin(): Promise<Day> {
    const day = new Day();
    day.#seen = (await readAll()).length;
    return day;
  }

  /** Does it in the middle of the hour. */
  async during(hour: number, what: () => Promise<unknown>): Promise<readonly Datapoint[]> {
    await what();
    const all = await readAll();
    const time = new Date(this.#began + (hour + 0.5) * HOUR_MILLISECONDS);
    const fresh = all.slice(this.#seen).map((value) => ({ ...value, time }));
    this.#seen = all.length;
    this.#datapoints.push(...fresh);
    return fresh;
  }

  /** What the alarm of the plan as it is now would be when the hour is over. */
  after(hour: number, kind: AlarmDefinition['kind']): AlarmStateValue {
    const alarms = alarmsOf(pipeline().plan).filter((alarm) => alarm.kind === kind);
    const now = new Date(this.#began + (hour + 1) * HOUR_MILLISECONDS);
    const [found] = alarmStates(alarms, this.#datapoints, now);
    if (!found) throw new Error(`the plan makes no alarm ${kind}`);
    return found.state;
  }
}

const readAll = () => readDatapoints(join(pipeline().directory, METRICS_FILE));
const beat = () => pipeline().stack.functions.invoke('reconcile', {});
const run = () => pipeline().run({ kinds: ['logical'] });
const TARGETS = ['RtoMissed', 'RpoMissed'] as const;
const changeDrill = (drill: Partial<Pick<SourcePlan['drill'], 'targets' | 'smokeQueries'>>) =>
  pipeline().changePlan({ drill: { choose: 'latest', ...drill } });
const smokeQuery = (query: string): SmokeQuery => ({
  name: 'what must be there',
  database: 'shop',
  query,
  expect: { atLeast: 1 },
  timeoutSeconds: 120,
});
/** The whole way, to an end that the test is about. */
const drillTo = async (status: 'PASSED' | 'FAILED') => {
  const { execution, record } = await pipeline().drill();
  expect(record?.status, execution.cause).toBe(status);
};
const recordedValue = (datapoints: readonly Datapoint[], metric: Datapoint['metric']) =>
  datapoints.find((it) => it.metric === metric && it.database === undefined)?.value;

describe('the alarms, on what the stack records', { timeout: LIMIT_MILLISECONDS }, () => {
  it('BackupStale: fires when backups get old, and recovers with a new one', async () => {
    const day = await Day.begin();
    await day.during(0, run);
    await day.during(1, beat);
    const age = recordedValue(await day.during(2, beat), 'BackupAge') ?? Number.NaN;
    // The new backup below has so long until its age is recorded twice.
    const limit = { freshnessHours: (age + 12) / 3600 };
    pipeline().changePlan({ monitoring: limit });
    expect(day.after(2, 'BackupStale')).toBe('OK');
    await sleep(13_000);
    await day.during(3, beat);
    expect(day.after(3, 'BackupStale')).toBe('OK');
    await day.during(4, beat);
    expect(day.after(4, 'BackupStale')).toBe('ALARM');
    await day.during(5, run);
    await day.during(5, beat);
    pipeline().changePlan({ monitoring: limit });
    await day.during(6, beat);
    expect(day.after(6, 'BackupStale')).toBe('OK');
    pipeline().changePlan({});
  });

  it('BackupStale: fires when nothing measures any more, and not for one late heartbeat', async () => {
    const day = await Day.begin();
    await day.during(0, run);
    await day.during(0, beat);
    await day.during(1, beat);
    await day.during(3, beat);
    expect([1, 2, 3].map((hour) => day.after(hour, 'BackupStale'))).toEqual(['OK', 'OK', 'OK']);
    expect([4, 8].map((hour) => day.after(hour, 'BackupStale'))).toEqual(['OK', 'ALARM']);
    await day.during(9, beat);
    await day.during(10, beat);
    expect(day.after(10, 'BackupStale')).toBe('OK');
  });

  it('DrillStale: fires when the last drill that passed is old, and recovers with a new one', async () => {
    const day = await Day.begin();
    const drilled = async (daysAgo: number, status: 'PASSED' | 'FAILED') => {
      const ended = new Date(Date.now() - daysAgo * 24 * HOUR_MILLISECONDS);
      const key = drillRecordKey({
        source: 'orders',
        drillId: makeBackupId(ended, `drill-${daysAgo}`),
      });
      const record = { version: 1, status, endedAt: ended.toISOString() };
      await pipeline().stack.objects.put(key, JSON.stringify(record));
    };
    await drilled(3, 'PASSED');
    await drilled(1, 'FAILED');
    await day.during(0, beat);
    await day.during(1, beat);
    expect(day.after(1, 'DrillStale')).toBe('ALARM');
    await drilled(0, 'PASSED');
    await day.during(2, beat);
    expect(day.after(2, 'DrillStale')).toBe('OK');
  });

  it('DrillFailed: fires when a smoke query finds other data, stays, and recovers with a drill that passes', async () => {
    const day = await Day.begin();
    await day.during(0, run);
    changeDrill({ smokeQueries: [smokeQuery('SELECT count(*) FROM crm.customers WHERE false')] });
    const failed = await day.during(1, () => drillTo('FAILED'));
    expect(recordedValue(failed, 'DrillFailed')).toBe(1);
    expect([1, 5, 20].map((hour) => day.after(hour, 'DrillFailed'))).toEqual([
      'ALARM',
      'ALARM',
      'ALARM',
    ]);
    expect(TARGETS.map((kind) => day.after(1, kind))).toEqual(['OK', 'OK']);
    changeDrill({ smokeQueries: [smokeQuery('SELECT 1')] });
    await day.during(21, () => drillTo('PASSED'));
    expect(day.after(21, 'DrillFailed')).toBe('OK');
    pipeline().changePlan({});
  });

  it('RtoMissed and RpoMissed: fire for a drill of more than a minute and a backup that old, and recover', async () => {
    const targets = { rtoMinutes: 1, rpoMinutes: 1 };
    const stateOfTargets = (hour: number) => TARGETS.map((kind) => day.after(hour, kind));
    const day = await Day.begin();
    await day.during(0, run);
    changeDrill({ targets, smokeQueries: [smokeQuery('SELECT 1 FROM pg_sleep(61)')] });
    await day.during(1, () => drillTo('FAILED'));
    expect(stateOfTargets(1)).toEqual(['ALARM', 'OK']);
    changeDrill({ targets, smokeQueries: [] });
    await day.during(2, () => drillTo('FAILED'));
    expect(stateOfTargets(2)).toEqual(['OK', 'ALARM']);
    expect(day.after(2, 'DrillFailed')).toBe('ALARM');
    await day.during(3, run);
    await day.during(3, () => drillTo('PASSED'));
    expect(stateOfTargets(3)).toEqual(['OK', 'OK']);
    expect(day.after(3, 'DrillFailed')).toBe('OK');
    pipeline().changePlan({});
  });

  it('BackupsFailed: fires when a database has no backup, stays whatever works in part, and recovers with a whole run', async () => {
    const day = await Day.begin();
    pipeline().changePlan({ databases: ['shop', 'not_there'] });
    const recorded = await day.during(0, run);
    expect(recordedValue(recorded, 'FailedBackups')).toBeGreaterThan(0);
    expect([0, 5, 20].map((hour) => day.after(hour, 'BackupsFailed'))).toEqual([
      'ALARM',
      'ALARM',
      'ALARM',
    ]);
    const inPart = await day.during(21, async () => {
      const { summary } = await pipeline().run({ databases: ['shop'] });
      expect(summary?.status).toBe('SUCCEEDED');
    });
    expect(inPart.map(({ metric }) => metric)).not.toContain('FailedBackups');
    expect(day.after(21, 'BackupsFailed')).toBe('ALARM');
    pipeline().changePlan({});
    await day.during(22, run);
    expect(day.after(22, 'BackupsFailed')).toBe('OK');
  });

  it('SizeAnomaly: fires for a dump that shrank, and recovers when that is what it has', async () => {
    const day = await Day.begin();
    await day.during(0, run);
    await day.during(1, run);
    expect(day.after(1, 'SizeAnomaly')).toBe('OK');
    await withClient(pipeline().server, 'shop', async (client) => {
      const { rows } = await client.query<{ name: string }>(
        `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
      );
      await client.query(`TRUNCATE ${rows.map(({ name }) => name).join(', ')} CASCADE`);
    });
    const recorded = await day.during(2, run);
    expect(recordedValue(recorded, 'SizeRatio')).toBeGreaterThan(1.5);
    expect(day.after(2, 'SizeAnomaly')).toBe('ALARM');
    await day.during(3, run);
    expect(day.after(3, 'SizeAnomaly')).toBe('OK');
  });

  it('DurationAnomaly: fires for a dump that waited for a lock, and recovers', async () => {
    const day = await Day.begin();
    const usual = (await day.during(0, run)).find(
      ({ metric, database }) => metric === 'DumpDuration' && database === 'shop',
    );
    const waiting = async () =>
      withClient(pipeline().server, 'shop', async (client) => {
        const found = await client.query(
          "SELECT FROM pg_stat_activity WHERE datname = 'shop' AND wait_event_type = 'Lock'",
        );
        return found.rowCount;
      });
    await withClient(pipeline().server, 'shop', async (client) => {
      await client.query('BEGIN');
      await client.query('LOCK TABLE crm.customers IN ACCESS EXCLUSIVE MODE');
      const slow = day.during(1, run);
      await expect.poll(waiting).toBe(1);
      // Shorter dumps than one second are compared as if they had taken it.
      await sleep(2.6 * Math.max(1, usual?.value ?? Number.NaN) * 1000);
      await client.query('ROLLBACK');
      expect(recordedValue(await slow, 'DurationRatio')).toBeGreaterThan(2.5);
    });
    expect(day.after(1, 'DurationAnomaly')).toBe('ALARM');
    await day.during(2, run);
    expect(day.after(2, 'DurationAnomaly')).toBe('OK');
  });

  it('ScheduleDisabled: fires when somebody disabled the schedule, and recovers when it is enabled', async () => {
    const day = await Day.begin();
    await day.during(0, beat);
    expect(day.after(0, 'ScheduleDisabled')).toBe('OK');
    elsewhere.scheduleState = 'DISABLED';
    await day.during(1, beat);
    expect(day.after(1, 'ScheduleDisabled')).toBe('ALARM');
    elsewhere.scheduleState = 'ENABLED';
    await day.during(2, beat);
    expect(day.after(2, 'ScheduleDisabled')).toBe('OK');
  });

  it('SnapshotQuotaNear: fires near the quota, and recovers when snapshots are gone', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    const day = await Day.begin();
    await day.during(0, beat);
    expect(day.after(0, 'SnapshotQuotaNear')).toBe('OK');
    elsewhere.snapshotsUsed = 80;
    await day.during(1, beat);
    expect(day.after(1, 'SnapshotQuotaNear')).toBe('ALARM');
    elsewhere.snapshotsUsed = 79;
    await day.during(2, beat);
    expect(day.after(2, 'SnapshotQuotaNear')).toBe('OK');
    pipeline().changePlan({});
  });

  it('a restore is recorded with the time it took', async () => {
    const day = await Day.begin();
    const recorded = await day.during(0, () => pipeline().restore());
    expect(recordedValue(recorded, 'RestoreDuration')).toBeGreaterThan(0);
  });

  it('ScheduleDisabled: fires when the schedule of drills is disabled or deleted, and recovers', async () => {
    const day = await Day.begin();
    for (const [hour, state] of (['ENABLED', 'DISABLED', 'ENABLED', 'GONE'] as const).entries()) {
      elsewhere.drillScheduleState = state;
      await day.during(hour, beat);
    }
    elsewhere.drillScheduleState = 'ENABLED';
    await day.during(4, beat);
    expect([0, 1, 2, 3, 4].map((hour) => day.after(hour, 'ScheduleDisabled'))).toEqual([
      'OK',
      'ALARM',
      'OK',
      'ALARM',
      'OK',
    ]);
  });

  it('BackupStale: is still measured when records are broken that ages are reckoned from', async () => {
    const day = await Day.begin();
    await day.during(0, run);
    const { objects } = pipeline().stack;
    await objects.put(sourceExtentKey('orders'), '{');
    await objects.put(alertMarkerKey('orders', 'first-seen'), '{');
    const recorded = await day.during(0, beat);
    expect(recordedValue(recorded, 'BackupAge')).toBeLessThan(600);
    await day.during(1, beat);
    expect(day.after(1, 'BackupStale')).toBe('OK');
    const mended = await objects.get(alertMarkerKey('orders', 'first-seen'));
    expect(JSON.parse(mended?.body.toString() ?? '')).toHaveProperty('since');
    await day.during(2, run);
    const written = await objects.get(sourceExtentKey('orders'));
    expect(JSON.parse(written?.body.toString() ?? '')).toMatchObject({ source: 'orders' });
  });
});
