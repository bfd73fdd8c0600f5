import { describe, expect, it } from 'vitest';
import type { DatabaseDrill, DrillRecord } from '#contracts/drill.ts';
import { ageless, anyUncompared, timeless, timeWords } from '#domain/report/drill-outcome.ts';
import { makePastDrill } from '#test/fakes/drills.ts';

const PAST = makePastDrill();

/** The one database that all is well with, under another name and with what is changed. */
function of(database: string, changes: Partial<DatabaseDrill> = {}): DatabaseDrill {
  const [past] = PAST.databases;
  if (!past) throw new Error('the drill has no database');
  return { ...past, database, ...changes };
}

const rpo = (message: string) =>
  [{ class: 'target', check: 'rpo', subject: null, message, advice: 'a' }] as const;

const record = (databases: DatabaseDrill[], changes: Partial<DrillRecord> = {}): DrillRecord => ({
  ...PAST,
  databases,
  ...changes,
});

describe('why a drill has no age', () => {
  it('is told by a database that has none, not by one whose age is too high', () => {
    const old = of('shop', { findings: [...rpo('it is 30 h old')] });
    const gone = (name: string) => of(name, { rpoSeconds: null, findings: [...rpo('it is gone')] });
    const without = record([old, gone('audit'), gone('a b')], { rpoSeconds: null });
    expect(ageless(without)).toEqual({ word: 'missed', why: 'audit: it is gone (and 1 more)' });
    expect(ageless(record([gone('a b')], { rpoSeconds: null }))?.why).toBe('"a b": it is gone');
    expect(ageless(record([old], { rpoSeconds: null }))?.why).toBe('shop: it is 30 h old');
  });

  it('is nothing where there is an age, or where nobody looked', () => {
    const old = of('shop', { findings: [...rpo('it is 30 h old')] });
    expect(ageless(record([old], { rpoSeconds: 108_000 }))).toBeNull();
    expect(ageless(record([of('shop', { rpoSeconds: null })], { rpoSeconds: null }))).toBeNull();
    expect(ageless(record([], { rpoSeconds: null }))).toBeNull();
  });
});

describe('the time of a drill', () => {
  it('is until all databases were back, unless there is one or a server that has them all', () => {
    const two = [of('shop'), of('audit')];
    expect(timeWords(record(two))).toBe(
      'until all 2 databases were back; the slowest alone took 2 min 0 s',
    );
    expect(timeWords(record([of('shop')]))).toBeNull();
    expect(timeWords(record(two, { rtoSeconds: null }))).toBeNull();
    const origin = { kind: 'snapshot', snapshotId: 's', createdAt: PAST.endedAt } as never;
    expect(
      timeWords(record(two, { server: { identifier: 'i', origin, cleanUp: null } })),
    ).toBeNull();
  });

  it('is not asked for where it was measured', () => {
    const report = PAST.databases[0]?.report;
    if (!report) throw new Error('the drill has no report');
    const unknown = of('shop', { report: { ...report, rtoUnknown: 'no row came back' } });
    expect(timeless(record([unknown]))).toBeNull();
    expect(timeless(record([unknown], { rtoSeconds: null }))).toBe('shop: no row came back');
    expect(timeless(record([of('shop')], { rtoSeconds: null }))).toBeNull();
  });
});

it('says of how many databases the rows were not compared', () => {
  const report = PAST.databases[0]?.report;
  if (!report) throw new Error('the drill has no report');
  const uncompared = of('audit', { report: { ...report, rowsCompared: false } });
  const words = 'rows not compared: verified by structure only';
  expect(anyUncompared(record([uncompared]))).toBe(words);
  expect(anyUncompared(record([of('shop'), uncompared]))).toBe(`${words} (1 of 2 databases)`);
  expect(anyUncompared(PAST)).toBeNull();
});
