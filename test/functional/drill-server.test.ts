import { describe, expect, it } from 'vitest';
import type { Drill } from '#contracts/drill.ts';
import { DrillOrder } from '#contracts/drill.ts';
import type { PlannedServerRestore, RestoredServerName } from '#contracts/restore-server.ts';
import { AccessDenied } from '#errors';
import { drillServer } from '#functions/drill-server.ts';
import { planServerDrill } from '#operations/drill/plan-server-drill.ts';
import { sweepDrillServers } from '#operations/drill/sweep-drill-servers.ts';
import { makeDeps, makePlan, makePlans, makeServerSnapshot } from '#test/fakes.ts';

const plan = makePlan({
  drill: {
    kinds: ['snapshot'],
    server: { securityGroups: ['sg-0d111'], instanceClass: 'db.t4g.large' },
  },
});
const executionArn = 'arn:aws:states:eu-west-1:123456789012:execution:holdfast-test-drill:monthly';
const drill: Drill = {
  drillId: '20261120T030000Z-d0d0d0',
  source: 'orders',
  planVersion: 1,
  executionArn,
  startedAt: '2026-11-20T03:00:00.000Z',
  trigger: 'manual',
  reason: null,
  kind: 'snapshot',
  targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
  notes: [],
};
const named = (name: string, text = '') =>
  expect.objectContaining({ name, message: expect.stringContaining(text) });
const withPlan = () => makeDeps({ plans: makePlans([plan]) });

/** The server of the drill, made and available. */
async function restored(deps = withPlan()) {
  const server = await planServerDrill(deps, { plan, planVersion: 1, drill });
  const { arn, identifier } = await deps.servers.restore(server.restore);
  const event = {
    drill,
    server,
    restored: {
      identifier,
      arn,
      status: 'available' as const,
      rdsStatus: 'available',
      adopted: false,
      host: 'drill.example.internal',
      port: 5433,
      waitSeconds: 5,
    },
    taskToken: 'token-1',
  };
  return { deps, event };
}

const login = {
  user: 'master',
  secretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-1',
};

describe('the temporary server of a drill', () => {
  it('is in security groups of its own, public to nobody, and keeps nothing', async () => {
    const { restore, newestDataAt } = await planServerDrill(withPlan(), {
      plan,
      planVersion: 1,
      drill,
    });

    expect(restore.target.identifier).toBe('orders-prod-drill-20261120t030000z');
    expect(restore.target.settings).toMatchObject({
      securityGroups: ['sg-0d111'],
      instanceClass: 'db.t4g.large',
      subnetGroup: 'private',
      publiclyAccessible: false,
      deletionProtection: false,
      multiAz: false,
      copyTagsToSnapshot: false,
      iamAuthentication: false,
      logExports: [],
    });
    expect(restore.target.settings.tags).toMatchObject({
      'holdfast:restore': drill.drillId,
      'holdfast:drill': executionArn,
    });
    expect(restore.cleanUp).toBe('always');
    expect(newestDataAt).toBe(makeServerSnapshot().createdAt?.toISOString());
  });

  it('is of the latest restorable time for a point in time', async () => {
    const { restore, newestDataAt } = await planServerDrill(withPlan(), {
      plan,
      planVersion: 1,
      drill: { ...drill, kind: 'point-in-time' },
    });

    expect(restore.origin).toMatchObject({ type: 'point-in-time', time: null });
    expect(newestDataAt).toBe('2026-11-20T02:55:00.000Z');
  });

  it('is not made in the security groups of the original', async () => {
    const bare = makePlan({ drill: { kinds: ['snapshot'] } });

    await expect(
      planServerDrill(withPlan(), { plan: bare, planVersion: 1, drill }),
    ).rejects.toThrow(named('InvalidPlan', 'drill.server.securityGroups'));
  });

  it('does not take a name that somebody else has', async () => {
    const deps = withPlan();
    const first = await planServerDrill(deps, { plan, planVersion: 1, drill });
    const stranger: PlannedServerRestore = {
      ...first.restore,
      target: { ...first.restore.target, settings: { ...first.restore.target.settings, tags: {} } },
    };
    await deps.servers.restore(stranger);

    await expect(planServerDrill(deps, { plan, planVersion: 1, drill })).rejects.toThrow(
      named('TargetNotEmpty'),
    );
  });
});

describe('the checks of a restored server', () => {
  it('wait until it has a password of its own', async () => {
    const { deps, event } = await restored();

    await expect(drillServer(event, deps)).rejects.toThrow(named('InstanceNotAvailable'));
    expect(deps.tasks.started).toEqual([]);
  });

  it('are ordered with that password, and never with the one of the source', async () => {
    const { deps, event } = await restored();
    deps.servers.login = login;

    await drillServer(event, deps);

    const key = `drills/orders/${drill.drillId}/${event.restored.identifier}/order.json`;
    const text = (await deps.objects.get(key))?.body.toString() ?? '';
    const order = DrillOrder.parse(JSON.parse(text));
    expect(order).toMatchObject({
      taskToken: 'token-1',
      begunAt: drill.startedAt,
      subject: {
        type: 'server',
        connection: {
          host: 'drill.example.internal',
          port: 5433,
          user: 'master',
          auth: { type: 'secret', secretId: login.secretArn },
          tls: { mode: 'verify-full' },
        },
        databases: plan.databases,
        newestDataAt: event.server.newestDataAt,
      },
    });
    expect(text).not.toContain('holdfast/orders');
    expect(deps.tasks.started).toMatchObject([{ kind: 'drill', orderKey: key, source: 'orders' }]);
  });

  it('are not ordered for a server that is gone', async () => {
    const { deps, event } = await restored();
    deps.servers.restored.clear();

    await expect(drillServer(event, deps)).rejects.toThrow(named('InstanceNotFound'));
  });
});

describe('the sweep for servers that outlived their drill', () => {
  it('leaves a server alone while its drill runs', async () => {
    const { deps } = await restored();
    deps.workflow.executions.set(executionArn, 'RUNNING');

    expect(await sweepDrillServers(deps)).toEqual({ swept: 0 });
    expect(deps.servers.deleted).toEqual([]);
  });

  it.each(['ABORTED', 'FAILED', 'SUCCEEDED', undefined])(
    'deletes one whose drill is %s, and tells of it',
    async (status) => {
      const { deps, event } = await restored();
      if (status) deps.workflow.executions.set(executionArn, status);

      expect(await sweepDrillServers(deps)).toEqual({ swept: 1 });

      expect(deps.servers.deleted).toEqual([event.restored.identifier]);
      expect(deps.alerts.sent).toMatchObject([
        { attributes: { event: 'drill-leftover', error: 'DrillLeftover' } },
      ]);
      expect(await sweepDrillServers(deps)).toEqual({ swept: 0 });
      expect(deps.alerts.sent).toHaveLength(1);
    },
  );

  it('leaves a server of another stage to that one, whose drills it may not ask about', async () => {
    const { deps } = await restored();
    const workflow = {
      ...deps.workflow,
      executionStatus: () => Promise.reject(new AccessDenied('AWS refused describe execution')),
    };

    expect(await sweepDrillServers({ ...deps, workflow })).toEqual({ swept: 0 });
    expect(deps.servers.deleted).toEqual([]);
  });

  it('goes on with the others when one cannot be deleted, and then says so', async () => {
    const { deps, event } = await restored();
    const [tags] = [...deps.servers.restored.values()].map((it) => it.tags);
    const server = { ...event.restored, ours: true, needsWriter: false, endpoint: undefined };
    deps.servers.restored.set('stubborn', {
      server: { ...server, identifier: 'stubborn', status: 'creating' },
      tags: { ...tags },
    });
    const servers = {
      ...deps.servers,
      async deleteRestored(name: RestoredServerName) {
        if (name.target.identifier === 'stubborn') throw new Error('RDS is busy with it');
        return deps.servers.deleteRestored(name);
      },
    };

    await expect(sweepDrillServers({ ...deps, servers })).rejects.toThrow('RDS is busy with it');
    expect(deps.servers.deleted).toEqual([event.restored.identifier]);
  });
});
