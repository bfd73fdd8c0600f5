import { expect, test } from 'vitest';
import { drillTargets } from '#domain/drill/drill-targets.ts';
import { alarmsOf } from '#domain/monitoring/alarms.ts';
import { makePlan } from '#test/fakes.ts';

const HOUR = 3600;
const every = (expression: string) => ({ schedule: { expression, timezone: 'UTC' } });
const rpoAlarms = (plan: Parameters<typeof alarmsOf>[0]) =>
  alarmsOf(plan).filter(({ kind }) => kind === 'RpoMissed');

test('The plan names both: so it is', () => {
  const targets = { rtoMinutes: 90, rpoMinutes: 15 };
  expect(drillTargets(makePlan({ ...every('rate(1 day)'), drill: { targets } }))).toEqual({
    rtoSeconds: 90 * 60,
    rpoSeconds: 15 * 60,
  });
});

test.each([
  ['hourly', 'rate(1 hour)', 24],
  ['daily', 'cron(0 2 * * ? *)', 24],
  ['every second day', 'rate(2 days)', 48 + 6],
  ['weekly', 'rate(7 days)', 7 * 24 + 6],
])('Backups are made %s: the RPO is what such a schedule can keep', (_, expression, hours) => {
  expect(drillTargets(makePlan(every(expression))).rpoSeconds).toBe(hours * HOUR);
});

test('The plan says how old backups may be: the RPO follows it', () => {
  const plan = makePlan({ ...every('rate(2 days)'), monitoring: { freshnessHours: 50 } });
  expect(drillTargets(plan).rpoSeconds).toBe(50 * HOUR);
});

test('Backups are started by hand: the RPO is not judged, and nothing can be alarmed about it', () => {
  const { schedule: _none, ...byHand } = makePlan();
  expect(drillTargets(byHand)).toEqual({ rtoSeconds: 4 * HOUR, rpoSeconds: null });
  expect(rpoAlarms(byHand)).toEqual([]);
  const scheduled = makePlan(every('rate(1 day)'));
  expect(rpoAlarms(scheduled)[0]?.description).toContain('the target of 1440 min');
});
