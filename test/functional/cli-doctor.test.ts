import { describe, expect, it } from 'vitest';
import { DoctorReport, type Finding } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { ROLE_QUERY } from '#domain/doctor/database-checks.ts';
import { DATABASES_QUERY, SERVER_QUERY } from '#domain/preflight.ts';
import { AccessDenied, AuthenticationFailed, DatabaseUnreachable } from '#errors';
import type { OperatorDeps } from '#runtime/operator-ports.ts';
import type { Databases } from '#runtime/ports.ts';
import { makeCliDeps, RECORD, runCommand } from '#test/cli.ts';
import {
  denied,
  known,
  makeBucketPosture,
  makePosture,
  makeServerPosture,
} from '#test/fakes/posture.ts';
import {
  backupIdAt,
  type FakeQuery,
  makeDatabases,
  makePlan,
  makePlans,
  seedBackup,
} from '#test/fakes.ts';

const record = {
  ...RECORD,
  deadLetterQueueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/holdfast-test-undelivered',
  scheduleGroup: 'holdfast-test',
};

/** A server with `shop`, of which the role may read everything. */
function answers(existing = ['shop']): Record<string, FakeQuery> {
  const query: FakeQuery = (text) => {
    if (text === SERVER_QUERY) {
      return [{ version: '17.5', versionNumber: 170_005, isReplica: false, role: 'backup' }];
    }
    if (text === DATABASES_QUERY) {
      return existing.map((name) => ({ name, quotedName: name, mayConnect: true, sizeBytes: '1' }));
    }
    return text === ROLE_QUERY ? [{ readsAll: true }] : [];
  };
  return Object.fromEntries(['postgres', ...existing].map((name) => [name, query]));
}

function failingDatabases(error: Error): Databases {
  return {
    connect: () => Promise.reject(error),
    clientEnvironment: () => Promise.reject(error),
  };
}

/** Everything is well: a backup and a snapshot of this night. */
function makeHealthy(overrides: Partial<OperatorDeps> = {}) {
  const deps = makeCliDeps({ databases: makeDatabases(answers()), ...overrides });
  deps.clock.set('2026-11-20T12:00:00Z');
  seedBackup(deps.objects, { backupId: backupIdAt('2026-11-20T02:00:05Z'), database: 'shop' });
  deps.snapshots.stored.set('holdfast-orders-1', {
    snapshotId: 'holdfast-orders-1',
    createdAt: new Date('2026-11-20T02:00:10Z'),
    status: 'available',
    source: 'orders',
  });
  return deps;
}

async function examine(deps: OperatorDeps, argv: readonly string[] = []) {
  const end = await runCommand(['doctor', '--json', ...argv], { deps, record });
  const report = DoctorReport.parse(end.document);
  const of = (check: Finding['check']) => report.findings.filter((it) => it.check === check);
  return { ...end, report, of };
}

describe('holdfast doctor', () => {
  it('ends with 0 where all is well, and says what it cannot know', async () => {
    const { exitCode, report } = await examine(makeHealthy());
    const notOk = report.findings.filter(({ severity }) => severity !== 'ok');
    expect(notOk.map(({ check }) => check)).toEqual(['private-subnets']);
    expect(report.counts).toMatchObject({ fail: 0, warn: 0, unknown: 1 });
    expect(report.counts.ok).toBeGreaterThan(25);
    expect(exitCode).toBe(0);
  });

  it('ends with 1 when a check fails, and shows what to do', async () => {
    const deps = makeHealthy({
      posture: makePosture({
        server: async () => known(makeServerPosture({ backupRetentionDays: 0 })),
      }),
    });
    const { exitCode, stdout } = await runCommand(['doctor', '--problems'], { deps, record });
    expect(exitCode).toBe(1);
    const lines = stdout.split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'server',
      '  fail     orders: automated backups are off',
      '           nothing can be restored to a point in time: what was written since the last backup is lost',
      '           → aws rds modify-db-instance --db-instance-identifier orders-prod --backup-retention-period 7 --apply-immediately --region eu-west-1',
    ]);
    expect(stdout).toMatch(/\n\n1 fail, 1 unknown, \d+ ok\n$/);
    expect(stdout).not.toContain('  ok ');
  });

  it('does not end with 1 for warnings', async () => {
    const posture = makePosture({ topic: async () => known({ confirmed: 1, pending: 1 }) });
    const { exitCode, report } = await examine(makeHealthy({ posture }));
    expect(report.counts).toMatchObject({ fail: 0, warn: 1 });
    expect(exitCode).toBe(0);
  });

  it('looks at one source, and knows no other', async () => {
    const plans = makePlans([makePlan(), makePlan({ source: 'billing' })]);
    const all = await examine(makeHealthy({ plans }));
    expect(new Set(all.report.findings.map(({ source }) => source))).toContain('billing');
    const one = await examine(makeHealthy({ plans }), ['orders']);
    expect(new Set(one.report.findings.map(({ source }) => source))).toEqual(
      new Set(['orders', null]),
    );
    const none = await runCommand(['doctor', 'nobody'], { deps: makeHealthy(), record });
    expect(none.exitCode).toBe(3);
    const odd = await runCommand(['doctor', 'no/name'], { deps: makeHealthy(), record });
    expect(odd.exitCode).toBe(2);
  });
});

describe('backups', () => {
  it('that are a day late fail, each database for itself', async () => {
    const deps = makeHealthy({ databases: makeDatabases(answers(['audit', 'shop'])) });
    deps.clock.set('2026-11-21T12:00:00Z');
    seedBackup(deps.objects, { backupId: backupIdAt('2026-11-21T02:00:05Z'), database: 'audit' });
    const { of, exitCode } = await examine(deps);
    expect(
      of('backup-age').map(({ severity, title }) => [severity, title.split(' began')[0]]),
    ).toEqual([
      ['fail', 'the last verified backup of shop'],
      ['ok', 'the last verified backup of audit'],
    ]);
    expect(of('snapshot-age')).toMatchObject([{ severity: 'fail' }]);
    expect(exitCode).toBe(1);
  });

  it('that are snapshots count when they are available', async () => {
    const deps = makeHealthy();
    const snapshot = deps.snapshots.stored.get('holdfast-orders-1');
    if (!snapshot) throw new Error('there is no snapshot');
    deps.snapshots.stored.set('holdfast-orders-1', { ...snapshot, status: 'failed' });
    const { of } = await examine(deps);
    expect(of('snapshot-age')).toMatchObject([{ severity: 'fail', title: 'there is no snapshot' }]);
  });

  it('of databases that the server no longer has are not missed', async () => {
    const deps = makeHealthy();
    seedBackup(deps.objects, { backupId: backupIdAt('2026-01-01T02:00:05Z'), database: 'dropped' });
    const { of } = await examine(deps);
    expect(of('backup-age')).toHaveLength(1);
  });

  it('are judged by what there is, and what the plan names, where the server cannot be asked', async () => {
    const plan = makePlan({ databases: ['shop', 'audit'] });
    const deps = makeHealthy({
      plans: makePlans([plan]),
      databases: failingDatabases(new DatabaseUnreachable('no way there')),
    });
    const { of } = await examine(deps);
    expect(of('backup-age').map(({ severity, title }) => [severity, title])).toEqual([
      ['fail', 'audit has no verified backup'],
      ['ok', 'the last verified backup of shop began 9 h ago'],
    ]);
    expect(of('connection')).toMatchObject([{ severity: 'unknown' }]);
  });

  it('that are quarantined are told', async () => {
    const deps = makeHealthy();
    seedBackup(
      deps.objects,
      { backupId: backupIdAt('2026-11-19T02:00:05Z'), database: 'shop' },
      'quarantined',
    );
    const { of } = await examine(deps);
    expect(of('quarantine')).toMatchObject([
      {
        severity: 'warn',
        remedy: `holdfast show orders/shop/${backupIdAt('2026-11-19T02:00:05Z')}`,
      },
    ]);
  });

  it('owe a schedule nothing in a deployment that has none', async () => {
    const deps = makeHealthy();
    deps.clock.set('2026-12-20T12:00:00Z');
    const end = await runCommand(['doctor', '--json'], { deps, record: RECORD, isLocal: true });
    const report = DoctorReport.parse(end.document);
    const of = (check: Finding['check']) => report.findings.filter((it) => it.check === check);
    expect(of('backup-age')).toMatchObject([{ severity: 'info' }]);
    for (const check of ['schedule', 'dead-letter-queue'] as const) {
      expect(of(check)).toMatchObject([
        { severity: 'unknown', why: 'not on this machine', remedy: null },
      ]);
    }
    expect(end.exitCode).toBe(0);
  });
});

describe('what is refused', () => {
  it('by IAM in every question of AWS is unknown, with the permission, and nothing crashes', async () => {
    const refuse = (action: string) => async () => denied(action);
    const posture = makePosture({
      server: refuse('rds:DescribeDBInstances'),
      maintenance: refuse('rds:DescribePendingMaintenanceActions'),
      snapshotQuotas: refuse('rds:DescribeAccountAttributes'),
      certificates: refuse('rds:DescribeCertificates'),
      engineLifecycles: refuse('rds:DescribeDBMajorEngineVersions'),
      bucket: async () => makeBucketPosture({ policy: denied('s3:GetBucketPolicy') }),
      schedule: refuse('scheduler:GetSchedule'),
      queuedMessages: refuse('sqs:GetQueueAttributes'),
      stateMachine: refuse('states:DescribeStateMachine'),
      topic: refuse('sns:ListSubscriptionsByTopic'),
    });
    const deps = makeHealthy({
      posture,
      databases: failingDatabases(new AccessDenied('AWS refused get secret')),
    });
    deps.snapshots.list = () => Promise.reject(new AccessDenied('AWS refused list'));
    deps.objects.list = () => {
      throw new AccessDenied('AWS refused list');
    };
    const { exitCode, report } = await examine(deps);
    expect(exitCode).toBe(0);
    const needed = report.findings.flatMap(({ severity, remedy }) =>
      severity === 'unknown' ? (/allow (\w+:\w+)/.exec(remedy ?? '')?.[1] ?? []) : [],
    );
    expect(new Set(needed)).toEqual(
      new Set([
        'rds:DescribeDBInstances',
        'rds:DescribeAccountAttributes',
        'rds:DescribeDBSnapshots',
        's3:GetBucketPolicy',
        's3:ListBucket',
        'scheduler:GetSchedule',
        'secretsmanager:GetSecretValue',
        'sns:ListSubscriptionsByTopic',
        'sqs:GetQueueAttributes',
        'states:DescribeStateMachine',
      ]),
    );
  });

  it('for the plans leaves the rest to be looked at', async () => {
    const deps = makeHealthy();
    deps.plans.list = () => Promise.reject(new AccessDenied('AWS refused list the plans'));
    const { of, exitCode } = await examine(deps);
    expect(of('plan')).toMatchObject([{ severity: 'unknown' }]);
    expect(of('plan')[0]?.remedy).toContain('ssm:GetParametersByPath');
    expect(of('bucket-versioning')).toHaveLength(1);
    expect(exitCode).toBe(0);
  });

  it('by the server because of the password fails, and no secret is told', async () => {
    const cause = new Error('password "hunter2" is wrong');
    const databases = failingDatabases(
      new AuthenticationFailed('the server rejects backup', { remedy: 'compare', cause }),
    );
    const { of, stdout, exitCode } = await examine(makeHealthy({ databases }));
    expect(of('connection')).toMatchObject([
      { severity: 'fail', why: 'the server rejects backup', remedy: 'compare' },
    ]);
    expect(stdout).not.toContain('hunter2');
    expect(exitCode).toBe(1);
  });

  it('with an error of nobody is told by its name alone', async () => {
    const databases = failingDatabases(new TypeError('password hunter2'));
    const { of, stdout } = await examine(makeHealthy({ databases }));
    expect(of('connection')).toMatchObject([{ severity: 'unknown', why: 'TypeError' }]);
    expect(stdout).not.toContain('hunter2');
  });
});

describe('a plan', () => {
  it('with a schedule that is none fails, and the rest is looked at', async () => {
    const schedule = { expression: 'cron(99 3 * * ? *)', timezone: 'UTC' };
    const plan: SourcePlan = { ...makePlan(), schedule };
    const { of, exitCode } = await examine(makeHealthy({ plans: makePlans([plan]) }));
    expect(of('plan')).toMatchObject([{ severity: 'fail', source: 'orders' }]);
    expect(of('plan')[0]?.why).toContain('99');
    expect(of('connection')).toMatchObject([{ severity: 'ok' }]);
    expect(exitCode).toBe(1);
  });

  it('that nobody wrote is nothing to be calm about', async () => {
    const { of, exitCode } = await examine(makeHealthy({ plans: makePlans([]) }));
    expect(of('plan')).toMatchObject([{ severity: 'fail', title: 'no source has a plan' }]);
    expect(exitCode).toBe(1);
  });

  it('of a plain server has no checks of RDS, and the support of the project', async () => {
    const { engine: _engine, ...rest } = makePlan();
    const plans = makePlans([{ ...rest, engine: { type: 'postgres' } }]);
    const { of, report } = await examine(makeHealthy({ plans }));
    expect(of('engine-support')).toMatchObject([{ severity: 'ok' }]);
    expect(of('engine-support')[0]?.title).toContain('2029-11-08');
    const checks = new Set(report.findings.map(({ check }) => check));
    for (const check of ['automated-backups', 'snapshot-age', 'snapshot-quota'] as const) {
      expect(checks).not.toContain(check);
    }
  });
});

describe('many sources', () => {
  it('ask what is of the account once, and no more than four servers at a time', async () => {
    const counts = { certificates: 0, lifecycles: 0, quotas: 0, servers: 0, most: 0 };
    const healthy = makePosture();
    const posture = makePosture({
      async certificates() {
        counts.certificates += 1;
        return healthy.certificates();
      },
      async engineLifecycles(engine) {
        counts.lifecycles += 1;
        return healthy.engineLifecycles(engine);
      },
      async snapshotQuotas() {
        counts.quotas += 1;
        return healthy.snapshotQuotas();
      },
      async server(kind, identifier) {
        counts.servers += 1;
        counts.most = Math.max(counts.most, counts.servers);
        await new Promise((resolve) => setTimeout(resolve, 5));
        counts.servers -= 1;
        return healthy.server(kind, identifier);
      },
    });
    const names = Array.from({ length: 10 }, (_, index) => `source${index}`);
    const plans = makePlans(names.map((source) => makePlan({ source })));
    const { of } = await examine(makeHealthy({ plans, posture }));
    expect(of('server').map(({ source }) => source)).toEqual(names);
    expect(counts).toMatchObject({ certificates: 1, lifecycles: 1, quotas: 1, most: 4 });
  });
});
