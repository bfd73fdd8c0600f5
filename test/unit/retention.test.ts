import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RetentionRules } from '#contracts/source-plan.ts';
import {
  guardRetention,
  planRetention,
  type RetentionItem,
  type RetentionPlan,
} from '#domain/retention.ts';
import { periodsOf } from '#domain/retention-periods.ts';
import { RetentionGuard } from '#errors';

const noRules = { keepLast: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, minimumVerified: 1 };
const rulesOf = (rules: Partial<RetentionRules> = {}) =>
  RetentionRules.parse({ ...noRules, ...rules });

function item(time: string, changes: Partial<RetentionItem> = {}): RetentionItem {
  return {
    id: time,
    time: new Date(time),
    state: 'verified',
    sizeBytes: 100,
    running: false,
    ...changes,
  };
}

const now = new Date('2026-11-20T18:00:00Z');
const ids = (list: RetentionPlan['keep']) => list.map(({ id }) => id);
const reasonsById = ({ keep, delete: gone }: RetentionPlan) =>
  Object.fromEntries([...keep, ...gone].map(({ id, reasons }) => [id, reasons]));

describe('a retention plan', () => {
  it('keeps and deletes as the worked example in its documentation says', () => {
    const plan = planRetention({
      items: [
        item('2026-11-20T15:00:00Z'),
        item('2026-11-20T03:00:00Z'),
        item('2026-11-19T03:00:00Z'),
        item('2026-11-17T03:00:00Z'),
        item('2026-11-16T03:00:00Z'),
        item('2026-11-15T03:00:00Z'),
        item('2026-11-14T03:00:00Z'),
      ],
      rules: rulesOf({ keepLast: 2, daily: 3, weekly: 2 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toEqual({
      '2026-11-20T15:00:00Z': [
        'last 1 of 2',
        'daily 2026-11-20',
        'weekly 2026-W47',
        'minimum verified 1 of 1',
      ],
      '2026-11-20T03:00:00Z': ['last 2 of 2'],
      '2026-11-19T03:00:00Z': ['daily 2026-11-19'],
      '2026-11-17T03:00:00Z': ['daily 2026-11-17'],
      '2026-11-16T03:00:00Z': ['no rule keeps it'],
      '2026-11-15T03:00:00Z': ['weekly 2026-W46'],
      '2026-11-14T03:00:00Z': ['no rule keeps it'],
    });
    expect(ids(plan.delete)).toEqual(['2026-11-16T03:00:00Z', '2026-11-14T03:00:00Z']);
  });

  it('keeps the newest verified one that a drill has brought back, and no other for that', () => {
    const plan = planRetention({
      items: [
        item('2026-11-20T03:00:00Z'),
        item('2026-11-19T03:00:00Z', { state: 'quarantined', drilledAt: new Date('2026-11-20') }),
        item('2026-11-18T03:00:00Z', { drilledAt: new Date('2026-11-19') }),
        item('2026-11-17T03:00:00Z', { drilledAt: new Date('2026-11-18') }),
      ],
      rules: rulesOf({ unverifiedGraceHours: 1 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toMatchObject({
      '2026-11-20T03:00:00Z': ['minimum verified 1 of 1'],
      '2026-11-18T03:00:00Z': ['last drilled'],
      '2026-11-17T03:00:00Z': ['no rule keeps it'],
    });
    expect(ids(plan.delete)).toEqual(['2026-11-19T03:00:00Z', '2026-11-17T03:00:00Z']);
  });

  it('keeps the one that was drilled last, too, where that is an older one', () => {
    const plan = planRetention({
      items: [
        item('2026-11-20T03:00:00Z'),
        item('2026-11-18T03:00:00Z', { drilledAt: new Date('2026-11-18') }),
        item('2026-11-17T03:00:00Z', { drilledAt: new Date('2026-11-19') }),
        item('2026-11-16T03:00:00Z', { drilledAt: new Date('2026-11-17') }),
      ],
      rules: rulesOf({}),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toMatchObject({
      '2026-11-18T03:00:00Z': ['newest drilled'],
      '2026-11-17T03:00:00Z': ['last drilled'],
    });
    expect(ids(plan.delete)).toEqual(['2026-11-16T03:00:00Z']);
  });

  it('keeps the newest of each month and year that have one, however long ago', () => {
    const items = ['2021-03-01', '2021-03-31', '2023-07-04', '2023-12-31', '2026-01-01'].map(
      (day) => item(`${day}T12:00:00Z`),
    );
    const plan = planRetention({
      items,
      rules: rulesOf({ monthly: 3, yearly: 2 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toMatchObject({
      '2026-01-01T12:00:00Z': ['monthly 2026-01', 'yearly 2026', 'minimum verified 1 of 1'],
      '2023-12-31T12:00:00Z': ['monthly 2023-12', 'yearly 2023'],
      '2023-07-04T12:00:00Z': ['monthly 2023-07'],
    });
    expect(ids(plan.delete)).toEqual(['2021-03-31T12:00:00Z', '2021-03-01T12:00:00Z']);
  });

  it('counts only verified backups: a newer unverified one takes nobody’s place', () => {
    const plan = planRetention({
      items: [
        item('2026-11-20T15:00:00Z', { state: 'unverified' }),
        item('2026-11-20T09:00:00Z', { state: 'quarantined' }),
        item('2026-11-20T03:00:00Z'),
      ],
      rules: rulesOf({ keepLast: 1, daily: 1 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)['2026-11-20T03:00:00Z']).toEqual([
      'last 1 of 1',
      'daily 2026-11-20',
      'minimum verified 1 of 1',
    ]);
  });

  it('lets unverified and quarantined leftovers go after the grace, never while running', () => {
    const old = '2026-11-18T17:00:00Z';
    const plan = planRetention({
      items: [
        item('2026-11-18T19:00:00Z', { id: 'young', state: 'unverified' }),
        item(old, { id: 'unverified', state: 'unverified' }),
        item(old, { id: 'quarantined', state: 'quarantined' }),
        item(old, { id: 'running', state: 'unverified', running: true }),
      ],
      rules: rulesOf({ unverifiedGraceHours: 48 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toEqual({
      young: ['unverified, in the 48 hours of grace'],
      running: ['running'],
      unverified: ['unverified for 49 hours, grace is 48'],
      quarantined: ['quarantined for 49 hours, grace is 48'],
    });
    expect(ids(plan.delete).sort()).toEqual(['quarantined', 'unverified']);
  });

  it('keeps what is dated in the future, and does not count it', () => {
    const plan = planRetention({
      items: [item('2027-01-01T00:00:00Z'), item('2026-11-20T03:00:00Z')],
      rules: rulesOf({ keepLast: 1 }),
      timezone: 'UTC',
      now,
    });
    expect(reasonsById(plan)).toEqual({
      '2027-01-01T00:00:00Z': ['dated in the future'],
      '2026-11-20T03:00:00Z': ['last 1 of 1', 'minimum verified 1 of 1'],
    });
  });

  it('deletes nothing at all when it is withheld, and says why', () => {
    const items = [item('2026-11-20T03:00:00Z'), item('2020-01-01T00:00:00Z')];
    const plan = planRetention({
      items,
      rules: rulesOf(),
      timezone: 'UTC',
      now,
      withheld: 'its dump failed in this run',
    });
    expect(plan.delete).toEqual([]);
    expect(reasonsById(plan)['2020-01-01T00:00:00Z']).toEqual([
      'withheld: its dump failed in this run',
    ]);
  });

  it('counts days in the time zone of the plan, also when the clocks change', () => {
    // In Berlin all three are of 25 October, the day of 25 hours; in UTC the first is of the 24th.
    const items = ['2026-10-24T22:30:00Z', '2026-10-25T00:30:00Z', '2026-10-25T22:30:00Z'].map(
      (t) => item(t),
    );
    const rules = rulesOf({ daily: 7 });
    const berlin = planRetention({ items, rules, timezone: 'Europe/Berlin', now });
    expect(ids(berlin.keep)).toEqual(['2026-10-25T22:30:00Z']);
    const utc = planRetention({ items, rules, timezone: 'UTC', now });
    expect(ids(utc.keep)).toEqual(['2026-10-25T22:30:00Z', '2026-10-24T22:30:00Z']);
  });

  it('plans 10,000 backups in a busy time zone in a second or two', () => {
    const items = Array.from({ length: 10_000 }, (_, hour) =>
      item(new Date(now.getTime() - hour * 3_600_000).toISOString()),
    );
    const rules = RetentionRules.parse({});
    planRetention({ items: items.slice(0, 10), rules, timezone: 'America/New_York', now });
    const began = process.cpuUsage();
    const plan = planRetention({ items, rules, timezone: 'America/New_York', now });
    // Of the processor: others use it too.
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(2.5);
    expect(plan.keep.length).toBeGreaterThan(30);
  });
});

describe('calendar periods', () => {
  it.each([
    ['2026-01-01T12:00:00Z', '2026-W01'],
    ['2027-01-01T12:00:00Z', '2026-W53'],
    ['2024-12-30T12:00:00Z', '2025-W01'],
    ['2023-01-01T12:00:00Z', '2022-W52'],
    ['2026-11-15T23:59:59Z', '2026-W46'],
    ['2026-11-16T00:00:00Z', '2026-W47'],
  ])('%s lies in ISO week %s', (time, week) => {
    expect(periodsOf(new Date(time), 'UTC').weekly).toBe(week);
  });

  it('are those of the wall clock at the edge of a year', () => {
    const instant = new Date('2026-12-31T23:30:00Z');
    expect(periodsOf(instant, 'Asia/Tokyo')).toEqual({
      daily: '2027-01-01',
      weekly: '2026-W53',
      monthly: '2027-01',
      yearly: '2027',
    });
  });
});

describe('for any backups and any rules, a retention plan', () => {
  const anyItems = fc
    .uniqueArray(fc.integer({ min: -200, max: 20_000 }), { maxLength: 60 })
    .chain((hours) =>
      fc.tuple(
        ...hours.map((hour) =>
          fc.record({
            id: fc.constant(`id-${hour}`),
            time: fc.constant(new Date(now.getTime() - hour * 3_600_000)),
            state: fc.constantFrom('verified', 'verified', 'unverified', 'quarantined'),
            sizeBytes: fc.nat(),
            running: fc.boolean(),
          }),
        ),
      ),
    ) as fc.Arbitrary<RetentionItem[]>;
  const few = fc.integer({ min: 0, max: 8 });
  const anyRules = fc
    .record({
      keepLast: few,
      daily: few,
      weekly: few,
      monthly: few,
      yearly: few,
      minimumVerified: fc.integer({ min: 1, max: 8 }),
      unverifiedGraceHours: fc.integer({ min: 1, max: 300 }),
    })
    .map((rules) => RetentionRules.parse(rules));
  const anyZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Kiritimati');
  const property = (
    check: (
      plan: RetentionPlan,
      items: RetentionItem[],
      rules: RetentionRules,
      zone: string,
    ) => void,
  ) =>
    fc.assert(
      fc.property(anyItems, anyRules, anyZone, (items, rules, timezone) => {
        check(planRetention({ items, rules, timezone, now }), items, rules, timezone);
      }),
      { numRuns: 300 },
    );
  const newestFirst = (items: readonly RetentionItem[]) =>
    items.toSorted((a, b) => b.time.getTime() - a.time.getTime());
  const counting = (items: readonly RetentionItem[]) =>
    newestFirst(items.filter(({ state, time }) => state === 'verified' && time <= now));

  it('has each backup exactly once, with a reason', () => {
    property((plan, items) => {
      expect(ids([...plan.keep, ...plan.delete]).sort()).toEqual(items.map(({ id }) => id).sort());
      for (const { reasons } of [...plan.keep, ...plan.delete]) expect(reasons).not.toEqual([]);
    });
  });

  it('keeps the newest verified ones, the minimum and the last', () => {
    property((plan, items, rules) => {
      const must = counting(items).slice(0, Math.max(rules.minimumVerified, rules.keepLast));
      expect(ids(plan.keep)).toEqual(expect.arrayContaining(must.map(({ id }) => id)));
    });
  });

  it('keeps a backup for every one of the last days, weeks, months and years that have one', () => {
    property((plan, items, rules, timezone) => {
      const kept = new Set(ids(plan.keep));
      for (const rule of ['daily', 'weekly', 'monthly', 'yearly'] as const) {
        const newestOf = new Map<string, string>();
        for (const { id, time } of counting(items)) {
          const period = periodsOf(time, timezone)[rule];
          if (!newestOf.has(period)) newestOf.set(period, id);
        }
        for (const id of [...newestOf.values()].slice(0, rules[rule])) expect(kept).toContain(id);
      }
    });
  });

  it('never deletes what is running, in its grace or dated in the future', () => {
    property((plan, items, rules) => {
      const byId = new Map(items.map((each) => [each.id, each]));
      for (const { id } of plan.delete) {
        const { running, state, time } = byId.get(id) as RetentionItem;
        expect(running).toBe(false);
        expect(time.getTime()).toBeLessThanOrEqual(now.getTime());
        const ageHours = (now.getTime() - time.getTime()) / 3_600_000;
        expect(state === 'verified' || ageHours >= rules.unverifiedGraceHours).toBe(true);
      }
    });
  });

  it('deletes nothing more when it is planned again after it was carried out', () => {
    property((plan, items, rules, timezone) => {
      const left = items.filter(({ id }) => ids(plan.keep).includes(id));
      expect(planRetention({ items: left, rules, timezone, now }).delete).toEqual([]);
    });
  });

  it('does not depend on the order of the backups', () => {
    property((plan, items, rules, timezone) => {
      const turned = planRetention({ items: items.toReversed(), rules, timezone, now });
      expect(turned).toEqual(plan);
    });
  });

  it('decides about verified backups as if there were no others', () => {
    property((plan, items, rules, timezone) => {
      const alone = planRetention({
        items: items.filter(({ state }) => state === 'verified'),
        rules,
        timezone,
        now,
      });
      expect(plan.delete.filter(({ state }) => state === 'verified')).toEqual(alone.delete);
    });
  });

  it('keeps no less under rules that ask for more', () => {
    property((plan, items, rules, timezone) => {
      const generous = { ...rules, keepLast: rules.keepLast + 3, daily: rules.daily + 2 };
      const kept = ids(planRetention({ items, rules: generous, timezone, now }).keep);
      expect(kept).toEqual(expect.arrayContaining(ids(plan.keep)));
    });
  });
});

describe('the retention guard', () => {
  const planOf = (kept: number, going: number): RetentionPlan => {
    const decisions = Array.from({ length: kept + going }, (_, day) => ({
      ...item(new Date(now.getTime() - day * 86_400_000).toISOString()),
      reasons: ['a reason'],
    }));
    return { keep: decisions.slice(0, kept), delete: decisions.slice(kept) };
  };

  it('stops a plan that deletes more than the share, and names counts and remedy', () => {
    const rules = rulesOf({ maxDeleteShare: 0.5 });
    guardRetention(planOf(5, 5), rules, 'database shop');
    expect(() => guardRetention(planOf(5, 6), rules, 'database shop')).toThrow(RetentionGuard);
    expect(() => guardRetention(planOf(5, 6), rules, 'database shop')).toThrow(
      /database shop would delete 6 of 11 verified backups, 5 are allowed; .*maxDeleteShare/,
    );
  });

  it('lets one or two go whatever share they are, as on any day with few backups', () => {
    const rules = rulesOf({ maxDeleteShare: 0.1 });
    guardRetention(planOf(3, 2), rules, 'database shop');
    expect(() => guardRetention(planOf(3, 3), rules, 'database shop')).toThrow('3 of 6');
  });

  it('stops at the first under a share of 0', () => {
    expect(() => guardRetention(planOf(9, 1), rulesOf({ maxDeleteShare: 0 }), 'x')).toThrow(
      '1 of 10',
    );
  });

  it('does not count leftovers that were never verified', () => {
    const leftovers = Array.from({ length: 50 }, (_, i) => ({
      ...item('2026-01-01T00:00:00Z', { id: `u${i}`, state: 'unverified' as const }),
      reasons: ['old'],
    }));
    const plan = { keep: [], delete: leftovers };
    expect(() => guardRetention(plan, rulesOf(), 'database shop')).not.toThrow();
  });
});
