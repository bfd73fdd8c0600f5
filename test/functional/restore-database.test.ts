import { describe, expect, it } from 'vitest';
import { RestoreOrder } from '#contracts/restore.ts';
import { restoreKey } from '#domain/names.ts';
import { restoreDatabase } from '#functions/restore-database.ts';
import { makeDeps, makePlan, makePlannedRestore, makePlans } from '#test/fakes.ts';

const restore = makePlannedRestore();
const event = {
  restore,
  task: { heartbeatSeconds: 60, timeoutSeconds: 600 },
  taskToken: 'token-1',
};

describe('ordering a restore', () => {
  it('writes the order and launches the task with its key', async () => {
    const deps = makeDeps();
    await restoreDatabase(event, deps);
    const key = restoreKey(restore, 'order.json');
    expect(RestoreOrder.parse(deps.objects.json(key))).toMatchObject({
      restore,
      taskToken: 'token-1',
      heartbeatSeconds: 60,
      connection: makePlan().connection,
    });
    expect(deps.tasks.started).toMatchObject([{ kind: 'restore-database', orderKey: key }]);
  });

  it('connects as the role that restores, where the plan has one', async () => {
    const auth = { type: 'secret', secretId: 'holdfast/orders-admin' } as const;
    const plan = makePlan({ connection: { user: 'reader' }, restore: { auth } });
    const deps = makeDeps({ plans: makePlans([plan]) });
    await restoreDatabase(event, deps);
    const { connection } = RestoreOrder.parse(deps.objects.json(restoreKey(restore, 'order.json')));
    expect(connection.auth).toEqual(auth);
    expect(connection.user).toBeUndefined();
  });

  it('launches one task when Lambda repeats the invocation, and another for a new token', async () => {
    const deps = makeDeps();
    await restoreDatabase(event, deps);
    await restoreDatabase(event, deps);
    expect(deps.tasks.started).toHaveLength(1);
    await restoreDatabase({ ...event, taskToken: 'token-2' }, deps);
    expect(deps.tasks.started).toHaveLength(2);
    expect(deps.objects.json(restoreKey(restore, 'order.json'))).toMatchObject({
      taskToken: 'token-2',
    });
  });
});
