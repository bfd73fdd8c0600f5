import { describe, expect, it } from 'vitest';
import { restoreKey } from '#domain/names.ts';
import { withClient } from '#test/postgres.ts';
import { usePipeline } from '#test/stack.ts';

const pipeline = usePipeline();

const rowsOf = (database: string, sql: string) =>
  withClient(pipeline().server, database, async (client) => (await client.query(sql)).rows);

describe('restoring through the real state machine, function and task', () => {
  it('makes the database again beside the original, checks it and says so', async () => {
    await pipeline().run();
    const { execution, record, alerts } = await pipeline().restore();
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(record).toMatchObject({
      status: 'SUCCEEDED',
      report: { checksum: 'matched', checks: { problems: [] }, tolerated: [] },
    });
    const database = record?.report?.database ?? '';
    const count = 'SELECT count(*)::int AS n FROM web.page_views';
    expect(await rowsOf(database, count)).toEqual(await rowsOf('shop', count));
    expect(alerts.map(({ attributes }) => attributes['status'])).toEqual(['SUCCEEDED']);
    expect(
      await pipeline().stack.objects.head(
        restoreKey(record?.restore ?? { source: '', restoreId: '' }, 'report.json'),
      ),
    ).toBeDefined();
  }, 120_000);
});
