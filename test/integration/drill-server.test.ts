import { chmod } from 'node:fs/promises';
import { dirname } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LOCAL } from '#local/stack.ts';
import { type DrillOutcome, RESTORE_SECRET_ID, SECRET_ID, usePipeline } from '#test/stack.ts';

const LIMIT_MILLISECONDS = 240_000;
/** Called with each line of a task's log. */
let onLine: (line: { taskArn: string }) => void = () => {};

/** Of `orders`, whose one instance is `orders-db`. */
const pipeline = usePipeline({
  scale: 0.001,
  plan: {
    databases: ['shop'],
    kinds: ['snapshot'],
    drill: {
      kinds: ['snapshot', 'point-in-time'],
      server: { securityGroups: ['sg-0d111'] },
      smokeQueries: [
        {
          name: 'customers',
          database: 'shop',
          query: 'SELECT count(*) FROM crm.customers',
          expect: { atLeast: 1 },
          timeoutSeconds: 60,
        },
      ],
    },
  },
  stack: { waitScale: 0.01, onTaskLine: (line) => onLine(line) },
});
const rds = () => pipeline().stack.plane.rds;
const secrets = () => pipeline().stack.plane.secrets;

beforeAll(async () => {
  // Servers made of its snapshots do not run as root and still have to reach them.
  await chmod(dirname(pipeline().directory), 0o755);
  const { execution } = await pipeline().run();
  expectSucceeded(execution);
});

beforeEach(() => {
  onLine = () => {};
  pipeline().stack.plane.faults.clear();
});

function expectSucceeded(execution: unknown): void {
  expect(execution).toMatchObject({ status: 'SUCCEEDED' });
}

/** The secrets of the source were read by nobody since. */
function expectNoSourceSecret(askedBefore: number): void {
  const asked = secrets().asked.slice(askedBefore);
  expect(asked.filter((id) => id === SECRET_ID || id === RESTORE_SECRET_ID)).toEqual([]);
}

/** The temporary server is gone or going, and its password with it. */
async function expectNoServer(): Promise<void> {
  await expect.poll(() => rds().restores.identifiers()).toEqual([]);
}

function expectAlert({ alerts }: DrillOutcome, status: 'PASSED' | 'FAILED'): void {
  const ofDrill = alerts.filter(({ attributes }) => attributes['event'] === 'drill');
  expect(ofDrill.map(({ attributes }) => attributes['status'])).toEqual([status]);
}

describe('the drill of a server', { timeout: LIMIT_MILLISECONDS }, () => {
  it.each(['snapshot', 'point-in-time'] as const)(
    'restores a %s, checks every database over SQL with a password of its own, and deletes it',
    async (kind) => {
      const asked = secrets().asked.length;

      const outcome = await pipeline().drill({ kind });

      expectSucceeded(outcome.execution);
      const { record } = outcome;
      expect(record).toMatchObject({
        status: 'PASSED',
        drill: { kind },
        server: {
          identifier: expect.stringMatching(/^orders-db-drill-\d{8}t\d{6}z$/),
          cleanUp: { status: 'deleting' },
        },
      });
      const shop = record?.databases.find(({ database }) => database === 'shop');
      expect(shop).toMatchObject({
        status: 'PASSED',
        report: {
          checks: {
            amcheck: { state: 'clean' },
            smokeQueries: [{ name: 'customers', state: 'passed' }],
          },
        },
      });
      expect(shop?.report?.checks.amcheck.indexes).toBeGreaterThan(10);
      expect(record?.rtoSeconds).toBeGreaterThan(0);
      expectAlert(outcome, 'PASSED');
      expectNoSourceSecret(asked);
      expect(secrets().asked.slice(asked)).toContainEqual(
        expect.stringContaining(':secret:rds!db-'),
      );
      await expectNoServer();
    },
  );

  it('takes the kinds in turn', async () => {
    const before = await pipeline().drill({});
    const after = await pipeline().drill({});

    const kinds = new Set([before, after].map(({ record }) => record?.drill.kind));
    expect(kinds).toEqual(new Set(['point-in-time', 'snapshot']));
  });

  it('fails on a smoke query that is not met, and deletes the server all the same', async () => {
    pipeline().changePlan({
      drill: {
        smokeQueries: [
          { name: 'many', query: 'SELECT 1', expect: { atLeast: 2 }, timeoutSeconds: 60 },
        ],
      },
    });

    const outcome = await pipeline().drill({ kind: 'snapshot' });

    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'DrillFailed' });
    const shop = outcome.record?.databases.find(({ database }) => database === 'shop');
    expect(shop?.findings).toContainEqual(
      expect.objectContaining({ class: 'data', check: 'smoke-query', subject: 'many' }),
    );
    expectAlert(outcome, 'FAILED');
    await expectNoServer();
    pipeline().changePlan({ drill: { smokeQueries: [] } });
  });

  it('deletes the server when the task is killed', async () => {
    onLine = ({ taskArn }) => {
      onLine = () => {};
      pipeline().stack.plane.ecs.killTask(taskArn);
    };

    const outcome = await pipeline().drill({ kind: 'snapshot' });

    expect(outcome.execution).toMatchObject({ status: 'FAILED' });
    expect(outcome.record).toMatchObject({ status: 'FAILED', error: 'TaskKilled' });
    expectAlert(outcome, 'FAILED');
    await expectNoServer();
  });

  it('fails without security groups of its own, before anything is made', async () => {
    const { plan, stack } = pipeline();
    const without = { ...plan, drill: { ...plan.drill, server: {} } };
    stack.plane.ssm.putParameter(`${LOCAL.planPrefix}orders`, JSON.stringify(without));

    const outcome = await pipeline().drill({ kind: 'snapshot' });

    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'InvalidPlan' });
    expect(rds().restores.identifiers()).toEqual([]);
    pipeline().changePlan({});
  });

  it('leaves a server that RDS will not delete to the hourly sweep, which says so', async () => {
    const { faults } = pipeline().stack.plane;
    faults.failNext('rds.DeleteDBInstance', { error: 'AccessDenied', status: 403, times: 50 });

    const outcome = await pipeline().drill({ kind: 'snapshot' });

    expect(outcome.record?.server?.cleanUp).toMatchObject({ status: 'failed' });
    expect(rds().restores.identifiers()).toHaveLength(1);
    faults.clear();
    const before = pipeline().stack.plane.sns.messages.length;
    await pipeline().stack.functions.invoke('reconcile', {});
    const told = pipeline().stack.plane.sns.messages.slice(before);
    expect(told.map(({ attributes }) => attributes['event'])).toContain('drill-leftover');
    await expectNoServer();
  });
});
