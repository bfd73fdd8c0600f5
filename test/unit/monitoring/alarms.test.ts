import { describe, expect, it } from 'vitest';
import { AlarmDefinition } from '#contracts/metrics.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { alarmsOf } from '#domain/monitoring/alarms.ts';
import { evaluateAlarm } from '#domain/monitoring/evaluate-alarm.ts';
import { longestGapSeconds } from '#domain/monitoring/freshness.ts';
import { makePlan } from '#test/fakes.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const kindsOf = (plan: SourcePlan) => alarmsOf(plan).map(({ kind }) => kind);
const alarm = (plan: SourcePlan, kind: AlarmDefinition['kind']) =>
  alarmsOf(plan).find((it) => it.kind === kind);
const daily = { expression: 'cron(0 3 * * ? *)', timezone: 'UTC' };

describe('the alarms of a source', () => {
  it('are all kinds there are, each as CloudWatch takes it', () => {
    const alarms = alarmsOf(makePlan());
    expect(alarms.map(({ kind }) => kind).sort()).toEqual(
      [...AlarmDefinition.shape.kind.options].sort(),
    );
    for (const it of alarms) {
      expect(AlarmDefinition.parse(it)).toEqual(it);
      expect(it.id).toBe(`${it.kind}-orders`);
      expect(it.description).toContain(`docs/operations.md#${it.kind.toLowerCase()}`);
      expect(it.description.length).toBeLessThanOrEqual(1024);
      // CloudWatch: a day in all; with periods of an hour or more, a week.
      const seconds = it.periodSeconds * it.evaluationPeriods;
      expect(seconds).toBeLessThanOrEqual(it.periodSeconds < HOUR ? DAY : 7 * DAY);
      expect(it.datapointsToAlarm).toBeLessThanOrEqual(it.evaluationPeriods);
    }
  });

  it('leave out what a source has no metric for', () => {
    const { schedule: _, ...unscheduled } = makePlan();
    const plan = { ...unscheduled, kinds: undefined, engine: { type: 'postgres' as const } };
    expect(kindsOf({ ...plan, drill: { ...plan.drill, schedule: 'none' } })).toEqual([
      'BackupsFailed',
      'SizeAnomaly',
      'DurationAnomaly',
      'DrillFailed',
      // Nothing says how old its backups may be.
      'RtoMissed',
    ]);
    const snapshots = kindsOf(makePlan({ kinds: ['snapshot'] }));
    expect(snapshots).toContain('SnapshotQuotaNear');
    expect(snapshots).not.toContain('SizeAnomaly');
    expect(snapshots).not.toContain('DurationAnomaly');
    // Drills are of archives by default, and there are none.
    expect(snapshots.filter((kind) => /^(Drill|Rto|Rpo)/.test(kind))).toEqual([]);
  });

  it('say nothing of sizes where the plan ignores them', () => {
    const plan = makePlan({ verification: { sizeAnomaly: { action: 'ignore' } } });
    expect(kindsOf(plan)).not.toContain('SizeAnomaly');
  });

  it('have the thresholds of the plan', () => {
    const plan = makePlan({
      verification: { sizeAnomaly: { ratio: 4 } },
      monitoring: {
        duration: { ratio: 5 },
        snapshotQuotaPercent: 60,
        freshnessHours: 0.5,
        drillAgeDays: 2,
      },
    });
    const thresholds = Object.fromEntries(alarmsOf(plan).map((it) => [it.kind, it.threshold]));
    expect(thresholds).toMatchObject({
      SizeAnomaly: 4,
      DurationAnomaly: 5,
      SnapshotQuotaNear: 60,
      BackupStale: 1800,
      DrillStale: 2 * DAY,
    });
  });
});

describe('an alarm calls somebody', () => {
  const silentIn = (state: 'ALARM' | 'OK', plan: SourcePlan) =>
    alarmsOf(plan)
      .filter(({ calls }) => !calls.includes(state))
      .map(({ kind }) => kind)
      .sort();
  const ofDrills = ['DrillFailed', 'RpoMissed', 'RtoMissed'];
  const wanting = (...on: ('success' | 'failure')[]) => makePlan({ alerts: { on } });

  it('unless what it tells of has sent an alert of its own', () => {
    const plan = wanting('success', 'failure');
    expect(silentIn('ALARM', plan)).toEqual(['BackupsFailed', ...ofDrills]);
    expect(silentIn('OK', plan)).toEqual(['BackupsFailed', ...ofDrills]);
  });

  it('of failed backups where the plan wants no alert of them, and when they are well again', () => {
    for (const plan of [wanting('success'), wanting()]) {
      expect(silentIn('ALARM', plan)).toEqual(ofDrills);
      expect(silentIn('OK', plan)).toEqual(ofDrills);
    }
  });

  it('of backups that are well again where no alert of a run that succeeded says so', () => {
    const plan = wanting('failure');
    expect(silentIn('ALARM', plan)).toEqual(['BackupsFailed', ...ofDrills]);
    expect(silentIn('OK', plan)).toEqual(ofDrills);
  });
});

describe('the alarm of schedules', () => {
  const textOf = (plan: SourcePlan) => alarm(plan, 'ScheduleDisabled')?.description;
  const byHand = (plan: SourcePlan): SourcePlan => ({
    ...plan,
    drill: { ...plan.drill, schedule: 'none' },
  });

  it('is of those that the plan wants, and says which', () => {
    const plan = makePlan();
    const { schedule: _, ...unscheduled } = plan;
    expect(textOf(plan)).toContain('its schedule of backups or that of drills is disabled');
    expect(textOf(byHand(plan))).toContain('its schedule of backups is disabled');
    expect(textOf(unscheduled)).toContain('its schedule of drills is disabled');
    expect(textOf(byHand(unscheduled))).toBeUndefined();
  });

  it('wants none of drills where nothing can be drilled', () => {
    expect(textOf(makePlan({ kinds: ['snapshot'] }))).toContain(
      'its schedule of backups is disabled',
    );
  });
});

describe('freshness', () => {
  it('is the longest time between two runs, and six hours', () => {
    const workdays = { expression: 'cron(0 3 ? * MON-FRI *)', timezone: 'UTC' };
    expect(alarm(makePlan({ schedule: daily }), 'BackupStale')?.threshold).toBe(30 * HOUR);
    expect(alarm(makePlan({ schedule: workdays }), 'BackupStale')?.threshold).toBe(78 * HOUR);
  });

  it('of drills is a month and a week by default', () => {
    expect(alarm(makePlan(), 'DrillStale')?.threshold).toBe(38 * DAY);
  });

  it('takes a dead heartbeat for a bad one', () => {
    for (const kind of ['BackupStale', 'DrillStale'] as const) {
      expect(alarm(makePlan(), kind)).toMatchObject({
        missingData: 'breaching',
        periodSeconds: HOUR,
      });
    }
  });

  it('is nobody’s promise without a schedule', () => {
    const { schedule: _, ...plan } = makePlan();
    expect(kindsOf(plan)).not.toContain('BackupStale');
    expect(kindsOf({ ...plan, monitoring: { ...plan.monitoring, freshnessHours: 1 } })).toContain(
      'BackupStale',
    );
  });
});

describe('the longest gap of a schedule', () => {
  it.each([
    ['rate(6 hours)', 'UTC', 6 * HOUR],
    ['rate(1 day)', 'UTC', DAY],
    ['cron(0/15 * * * ? *)', 'UTC', 900],
    ['cron(0 3 * * ? *)', 'UTC', DAY],
    // The night in which the clocks go back.
    ['cron(0 12 * * ? *)', 'Europe/Berlin', 25 * HOUR],
    // The night in which 02:30 does not exist.
    ['cron(30 2 * * ? *)', 'Europe/Berlin', 47 * HOUR],
    ['cron(0 3 ? * SUN *)', 'UTC', 7 * DAY],
    ['cron(0 5 1 * ? *)', 'UTC', 31 * DAY],
    ['cron(0 5 1 1 ? *)', 'UTC', 365 * DAY],
  ])('%s in %s', (expression, timezone, expected) => {
    expect(longestGapSeconds({ expression, timezone })).toBe(expected);
  });

  it('is not known of what is due once', () => {
    expect(
      longestGapSeconds({ expression: 'cron(0 5 1 1 ? 2030)', timezone: 'UTC' }),
    ).toBeUndefined();
    expect(
      longestGapSeconds({ expression: 'cron(0 5 1 1 ? 1999)', timezone: 'UTC' }),
    ).toBeUndefined();
  });
});

describe('each alarm', () => {
  const plan = makePlan({ monitoring: { freshnessHours: 30, drillAgeDays: 38 } });
  const noon = Date.parse('2026-11-20T12:00:00Z');
  const values: Record<AlarmDefinition['kind'], { bad: number; good: number }> = {
    BackupStale: { bad: 30 * HOUR + 1, good: 30 * HOUR },
    DrillStale: { bad: 38 * DAY + 1, good: 38 * DAY },
    DrillFailed: { bad: 1, good: 0 },
    SizeAnomaly: { bad: 2.01, good: 2 },
    DurationAnomaly: { bad: 3.01, good: 3 },
    RtoMissed: { bad: 1, good: 0 },
    RpoMissed: { bad: 1, good: 0 },
    BackupsFailed: { bad: 1, good: 0 },
    ScheduleDisabled: { bad: 0, good: 1 },
    SnapshotQuotaNear: { bad: 80, good: 79.9 },
  };

  it.each(alarmsOf(plan))(
    '$kind fires on the first value that is too bad, and recovers',
    (definition) => {
      const { bad, good } = values[definition.kind];
      const series = [good, good, bad, bad, good].map((value, hour) => ({
        time: new Date(noon + hour * HOUR * 1000),
        source: 'orders',
        metric: definition.metric,
        value,
      }));
      const stateAt = (hour: number) =>
        evaluateAlarm(definition, series, new Date(noon + hour * HOUR * 1000 + 1000)).state;
      expect([stateAt(1), stateAt(3), stateAt(4)]).toEqual(['OK', 'ALARM', 'OK']);
    },
  );

  const events = alarmsOf(plan).filter(({ missingData }) => missingData === 'ignore');
  const stateAfter = (definition: AlarmDefinition, secondsBetween: number) => {
    const { bad, good } = values[definition.kind];
    const series = [bad, good].map((value, index) => ({
      time: new Date(noon + index * secondsBetween * 1000),
      source: 'orders',
      metric: definition.metric,
      value,
    }));
    return evaluateAlarm(definition, series, new Date(noon + 20 * 60_000)).state;
  };

  it.each(events)('$kind recovers when it was repeated with success after 90 s', (definition) => {
    expect(stateAfter(definition, 90)).toBe('OK');
    expect(stateAfter(definition, 60)).toBe('OK');
  });

  it.each(events)('$kind has the worst of what ended within the same minute', (definition) => {
    expect(stateAfter(definition, 59)).toBe('ALARM');
  });

  it('is of what ends, but for those of the heartbeat', () => {
    expect(events).toHaveLength(6);
  });
});
