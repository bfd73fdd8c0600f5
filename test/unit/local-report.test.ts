import { describe, expect, it } from 'vitest';
import type { DrillRecord } from '#contracts/drill.ts';
import { describeRun } from '#local/report.ts';
import { makePastDrill } from '#test/fakes/drills.ts';
import { executionArnOf } from '#test/fakes.ts';

const PAST = makePastDrill();
const FACTS = PAST.databases[0]?.report ?? null;

/** What a person reads of the drill, after its indent. */
function told(changes: Partial<DrillRecord> = {}): string[] {
  return describeRun({
    status: 'SUCCEEDED',
    executionArn: executionArnOf('orders-1'),
    source: 'orders',
    snapshot: null,
    backups: [],
    failures: [],
    retention: null,
    notifications: [],
    drill: { ...PAST, ...changes },
    error: null,
  })
    .slice(1)
    .map((line) => line.trim());
}

const ofDatabase = (changes: Partial<DrillRecord['databases'][number]>) =>
  PAST.databases.map((it) => ({ ...it, ...changes }));

describe('what npm start says of the drill', () => {
  it('is its result, with the time and the age against their targets', () => {
    expect(told()).toEqual([
      'drill      PASSED: shop; RTO 2 min 0 s of 4 h 0 min, RPO 8 h 0 min of 24 h 0 min',
    ]);
  });

  it('says missed where nothing of a database can be brought back, with the words of the finding', () => {
    const message = 'nothing of it can be brought back';
    const rpo = { class: 'target', check: 'rpo', subject: null, message, advice: 'a' } as const;
    const [line, ...others] = told({
      status: 'FAILED',
      rpoSeconds: null,
      databases: ofDatabase({ status: 'FAILED', rpoSeconds: null, findings: [rpo] }),
    });
    expect(line).toMatch(/ FAILED: shop; .* RPO MISSED of 24 h 0 min$/);
    expect(others).toEqual([`RPO: shop: ${message}`, `target: shop: rpo: ${message}. a`]);
    const { targets: _, ...drill } = PAST.drill;
    const unjudged = { ...drill, targets: { rtoSeconds: null, rpoSeconds: null } };
    expect(told({ drill: unjudged })[0]).toMatch(
      /; RTO 2 min 0 s, no target, RPO 8 h 0 min, no target$/,
    );
  });

  it('says what it was not about, why there is no time, and which rows were not compared', () => {
    const part = told({ drill: { ...PAST.drill, part: true, notes: ['crm has no backup'] } });
    expect(part[0]).toContain('PASSED in part (of a part of the source): shop;');
    expect(part[1]).toBe('note: crm has no backup');
    if (!FACTS) throw new Error('the drill has no report');
    const report = {
      ...FACTS,
      tablesLeftOut: 1,
      rtoSeconds: null,
      rtoUnknown: 'no row came back',
      rowsCompared: false,
    } as const;
    const left = told({ rtoSeconds: null, databases: ofDatabase({ report }) });
    expect(left[0]).toMatch(/PASSED in part \(1 table left out\): shop; RTO not measured of 4 h/);
    expect(left.slice(1)).toEqual([
      'RTO: shop: no row came back',
      'data: rows not compared: verified by structure only',
    ]);
  });

  it('says of one that failed before it began why it did', () => {
    const lines = told({
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: 'drill.server is missing',
      databases: [],
      rtoSeconds: null,
      rpoSeconds: null,
      drill: { ...PAST.drill, unplanned: true },
    });
    expect(lines).toEqual([
      'drill      FAILED before it began: InvalidPlan: drill.server is missing',
    ]);
  });

  it('has what all databases missed together', () => {
    const rto = {
      class: 'target',
      check: 'rto',
      subject: null,
      message: 'm',
      advice: 'a',
    } as const;
    expect(told({ status: 'FAILED', findings: [rto] })).toContain(
      'target: all together: rto: m. a',
    );
  });
});
