import { describe, expect, it } from 'vitest';
import type { AlarmDefinition } from '#contracts/metrics.ts';
import {
  alarmStates,
  type Datapoint,
  evaluateAlarm,
  judge,
} from '#domain/monitoring/evaluate-alarm.ts';

const alarm: AlarmDefinition = {
  id: 'BackupStale-orders',
  kind: 'BackupStale',
  source: 'orders',
  metric: 'BackupAge',
  description: 'stale',
  statistic: 'Maximum',
  periodSeconds: 3600,
  evaluationPeriods: 2,
  datapointsToAlarm: 2,
  threshold: 100,
  comparison: 'GreaterThanThreshold',
  missingData: 'breaching',
  calls: ['ALARM', 'OK'],
};
const START = Date.parse('2026-11-20T00:00:00Z');
const at = (hour: number) => new Date(START + hour * 3_600_000);
/** Values on the half hour; undefined: none in that hour. */
const hourly = (...values: (number | undefined)[]): Datapoint[] =>
  values.flatMap((value, hour) =>
    value === undefined
      ? []
      : { time: at(hour + 0.5), source: 'orders', metric: 'BackupAge', value },
  );
const stateAt = (hour: number, definition: AlarmDefinition, datapoints: readonly Datapoint[]) =>
  evaluateAlarm(definition, datapoints, at(hour)).state;

describe('what CloudWatch documents of missing data', () => {
  const judged = (text: string) =>
    text.split(' ').map((mark) => (mark === '-' ? undefined : mark === 'X'));
  const KEPT = 'INSUFFICIENT_DATA';
  const table = [
    // Three of three.
    [3, '0 - X - X', 'OK', 'OK', 'OK', 'OK'],
    [3, '- - - - 0', 'OK', 'OK', 'OK', 'OK'],
    [3, '- - - - -', 'INSUFFICIENT_DATA', KEPT, 'ALARM', 'OK'],
    [3, '0 X X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [3, '- - X - -', 'ALARM', KEPT, 'ALARM', 'OK'],
    // Two of three.
    [2, '0 - X - X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [2, '0 0 X 0 X', 'ALARM', 'ALARM', 'ALARM', 'ALARM'],
    [2, '0 - X - -', 'OK', 'OK', 'ALARM', 'OK'],
    [2, '- - - - 0', 'OK', 'OK', 'ALARM', 'OK'],
    [2, '- - - X -', 'ALARM', KEPT, 'ALARM', 'OK'],
  ] as const;

  it.each(table)(
    '%i of 3 of %s',
    (datapointsToAlarm, text, missing, ignore, breaching, notBreaching) => {
      const state = (missingData: AlarmDefinition['missingData']) =>
        judge(judged(text), { evaluationPeriods: 3, datapointsToAlarm, missingData }, KEPT);
      expect({
        missing: state('missing'),
        ignore: state('ignore'),
        breaching: state('breaching'),
        notBreaching: state('notBreaching'),
      }).toEqual({ missing, ignore, breaching, notBreaching });
    },
  );

  it.each(['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const)('`ignore` keeps %s', (before) => {
    const settings = { evaluationPeriods: 1, datapointsToAlarm: 1, missingData: 'ignore' } as const;
    expect(judge([undefined, undefined, undefined], settings, before)).toBe(before);
  });

  it('a first bad value is too young for an alarm of three', () => {
    const settings = {
      evaluationPeriods: 3,
      datapointsToAlarm: 3,
      missingData: 'missing',
    } as const;
    expect(judge(judged('- - - - X'), settings, 'OK')).toBe('OK');
  });
});

describe('an alarm of silence', () => {
  it('wants two bad hours, and is well again after one good one', () => {
    const values = hourly(50, 150, 150, 50);
    expect([1, 2, 3, 4].map((hour) => stateAt(hour, alarm, values))).toEqual([
      'OK',
      'OK',
      'ALARM',
      'OK',
    ]);
  });

  it('does not mind one late heartbeat', () => {
    const values = hourly(50, 50, undefined, 50, 50);
    expect([2, 3, 4, 5].map((hour) => stateAt(hour, alarm, values))).toEqual([
      'OK',
      'OK',
      'OK',
      'OK',
    ]);
  });

  it('fires when the heartbeat is dead, and recovers with it', () => {
    const dead = hourly(50, 50);
    expect([2, 4, 5, 6, 30].map((hour) => stateAt(hour + 0.4, alarm, dead))).toEqual([
      'OK',
      'OK',
      'OK',
      'ALARM',
      'ALARM',
    ]);
    expect(evaluateAlarm(alarm, dead, at(30)).since).toEqual(at(6));
    const alive = [...dead, ...hourly(...Array.from({ length: 30 }, () => undefined), 50, 50)];
    expect(stateAt(32, alarm, alive)).toBe('OK');
  });

  it('fires where there never was a value', () => {
    expect(stateAt(5, alarm, [])).toBe('ALARM');
    expect(stateAt(5, { ...alarm, missingData: 'missing' }, [])).toBe('INSUFFICIENT_DATA');
  });
});

describe('an alarm of what happened', () => {
  const event: AlarmDefinition = {
    ...alarm,
    periodSeconds: 300,
    evaluationPeriods: 1,
    datapointsToAlarm: 1,
    missingData: 'ignore',
  };

  it('stays as it is until the next value, days later', () => {
    const values = hourly(150, ...Array.from({ length: 47 }, () => undefined), 50);
    expect([1, 24, 48, 49].map((hour) => stateAt(hour, event, values))).toEqual([
      'ALARM',
      'ALARM',
      'ALARM',
      'OK',
    ]);
    expect(evaluateAlarm(event, values, at(24))).toMatchObject({
      since: at(0.5 + 5 / 60),
      value: 150,
    });
  });

  it('keeps a state for longer than the evaluation looks at periods', () => {
    expect(stateAt(24 * 30, event, hourly(150))).toBe('ALARM');
  });

  it('sees a value at once, in the period that goes on', () => {
    expect(stateAt(0.51, event, hourly(150))).toBe('ALARM');
    expect(stateAt(0.49, event, hourly(150))).toBe('INSUFFICIENT_DATA');
  });

  it('sees only its own source and metric, and none of single databases', () => {
    const [value] = hourly(150);
    if (!value) throw new Error('there is no value');
    const others: Datapoint[] = [
      { ...value, source: 'billing' },
      { ...value, metric: 'DrillAge' },
      { ...value, database: 'shop' },
    ];
    expect(stateAt(1, event, others)).toBe('INSUFFICIENT_DATA');
  });
});

describe('a period with several values', () => {
  const values: Datapoint[] = [10, 20, 60].map((value, index) => ({
    time: at(0.1 + index / 10),
    source: 'orders',
    metric: 'BackupAge',
    value,
  }));

  it.each([
    ['Maximum', 60],
    ['Minimum', 10],
    ['Sum', 90],
    ['Average', 30],
  ] as const)('has its %s', (statistic, expected) => {
    const [state] = alarmStates([{ ...alarm, statistic }], values, at(1));
    expect(state?.value).toBe(expected);
  });

  it.each([
    ['GreaterThanThreshold', 'OK'],
    ['GreaterThanOrEqualToThreshold', 'ALARM'],
    ['LessThanThreshold', 'OK'],
    ['LessThanOrEqualToThreshold', 'ALARM'],
  ] as const)('that is the threshold: %s', (comparison, expected) => {
    const definition = {
      ...alarm,
      comparison,
      threshold: 60,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
    };
    expect(stateAt(1, definition, values)).toBe(expected);
  });
});
