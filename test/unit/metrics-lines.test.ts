import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { collectMetrics, readDatapoints, valuesOfLine } from '#local/metrics.ts';

const directory = mkdtempSync(join(tmpdir(), 'holdfast-metrics-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** As the metrics library writes it. */
function line(
  changes: { namespace?: string; dimensions?: string[]; members?: object } = {},
): string {
  const { namespace = 'Holdfast', dimensions = ['service', 'Stage', 'Source'], members } = changes;
  return JSON.stringify({
    _aws: {
      Timestamp: Date.parse('2026-11-20T03:00:00Z'),
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [dimensions],
          Metrics: [{ Name: 'Rows', Unit: 'Count' }],
        },
      ],
    },
    service: 'holdfast',
    Stage: 'local',
    Source: 'orders',
    Database: 'shop',
    Rows: 7,
    ...members,
  });
}

describe('a line of a log', () => {
  it('in the embedded format has its values, with the dimensions that it names', () => {
    const dimensions = { service: 'holdfast', Stage: 'local', Source: 'orders' };
    const value = { time: '2026-11-20T03:00:00.000Z', name: 'Rows', value: 7, dimensions };
    expect(valuesOfLine(line())).toEqual([value]);
    expect(valuesOfLine(line({ members: { Rows: [1, 2] } })).map((it) => it.value)).toEqual([1, 2]);
  });

  it.each([
    ['any other line', '{"level":"INFO","message":"invoked"}'],
    ['no JSON', 'a word about "_aws"'],
    ['half of one', line().slice(0, -3)],
    ['of another namespace', line({ namespace: 'AWS/Lambda' })],
    ['without the dimension that it names', line({ dimensions: ['service', 'Nothing'] })],
    ['whose value is none', line({ members: { Rows: 'seven' } })],
  ])('that is %s has none', (_, text) => {
    expect(valuesOfLine(text)).toEqual([]);
  });
});

describe('the file of metrics', () => {
  it('has what came in pieces, whole, and nothing that is not at its end yet', async () => {
    const file = join(directory, 'pieces.jsonl');
    const { write } = collectMetrics(file);
    const text = `${line()}\nsomething else\n${line({ members: { Rows: 8 } })}`;
    for (const character of text) write(character);
    expect((await readDatapoints(file)).map(({ value }) => value)).toEqual([7]);
    write('\n');
    expect((await readDatapoints(file)).map(({ value }) => value)).toEqual([7, 8]);
  });

  it('says whose a value is, and leaves out what no alarm would find', async () => {
    const file = join(directory, 'dimensions.jsonl');
    const { write } = collectMetrics(file);
    write(`${line({ dimensions: ['service', 'Stage', 'Source', 'Database'] })}\n`);
    write(`${line({ dimensions: ['service', 'Stage'] })}\n`);
    write(
      `${line({ dimensions: ['service', 'Stage', 'Source', 'Extra'], members: { Extra: 'x' } })}\n`,
    );
    expect(await readDatapoints(file)).toEqual([
      {
        time: new Date('2026-11-20T03:00:00Z'),
        source: 'orders',
        database: 'shop',
        metric: 'Rows',
        value: 7,
      },
    ]);
  });

  it('need not be there', async () => {
    expect(await readDatapoints(join(directory, 'none.jsonl'))).toEqual([]);
  });
});
