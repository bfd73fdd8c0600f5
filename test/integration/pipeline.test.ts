import { describe, expect, it } from 'vitest';
import { listBackups, listOpenUploads, usePipeline } from '#test/stack.ts';

describe('a backup run of a real server through the real state machine', () => {
  const pipeline = usePipeline({
    plan: { kinds: ['snapshot', 'logical'], databases: ['shop', 'audit'] },
  });

  it('takes the snapshot, verifies every database, and says so in one alert', async () => {
    const { execution, summary, alerts } = await pipeline().run({ reason: 'before release 4.2' });

    expect(execution.status).toBe('SUCCEEDED');
    expect(summary?.snapshot.status).toBe('available');
    expect(summary?.databases.map(({ status }) => status)).toEqual(['verified', 'verified']);
    expect(alerts.map(({ subject }) => subject)).toHaveLength(1);
    expect(alerts[0]?.attributes).toMatchObject({ status: 'SUCCEEDED', source: 'orders' });
  });

  it('leaves complete, verified backups and nothing else', async () => {
    const backups = await listBackups(pipeline());
    expect(backups.size).toBe(2);
    for (const files of backups.values()) {
      expect([...files].sort()).toEqual([
        'archive.dump',
        'globals.sql',
        'manifest.json',
        'toc.dump',
        'verification.json',
      ]);
    }
    expect(await listOpenUploads(pipeline())).toEqual([]);
  });

  it('counted the very rows that are in the server', async () => {
    const { stack, sample } = pipeline();
    for await (const { key } of stack.objects.list('backups/orders/shop/')) {
      if (!key.endsWith('verification.json')) continue;
      const record = await stack.objects.get(key);
      const { tables } = JSON.parse(String(record?.body)) as {
        tables: { schema: string; table: string; rows: number }[];
      };
      const counted = Object.fromEntries(tables.map((t) => [`${t.schema}.${t.table}`, t.rows]));
      expect(counted).toEqual(sample.databases.shop);
    }
    expect.hasAssertions();
  });

  it('starts from a request object as well', async () => {
    const { stack } = pipeline();
    const before = stack.plane.stepFunctions.executions().length;
    await stack.objects.put('requests/orders/release-4.2.json', '{"kinds":["logical"]}');
    await expect.poll(() => stack.plane.stepFunctions.executions().length).toBe(before + 1);
    const [started] = stack.plane.stepFunctions
      .executions()
      .filter(({ input }) => JSON.stringify(input).includes('release-4.2'));
    const ended = await stack.plane.stepFunctions.executionEnded(started?.executionArn ?? '');
    expect(ended.status).toBe('SUCCEEDED');
  });
});
