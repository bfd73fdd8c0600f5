import type { AlarmDefinition, MetricName } from '#contracts/metrics.ts';

/** One recorded value of one source. */
export interface Datapoint {
  readonly time: Date;
  readonly source: string;
  /** Undefined: of the source itself. Alarms see no other. */
  readonly database?: string | undefined;
  readonly metric: MetricName;
  readonly value: number;
}

/** CloudWatch's own words. */
export type AlarmStateValue = 'OK' | 'ALARM' | 'INSUFFICIENT_DATA';

export interface AlarmState {
  readonly alarm: AlarmDefinition;
  readonly state: AlarmStateValue;
  /** Since it is in this state, as far back as there are values; undefined: from the beginning. */
  readonly since: Date | undefined;
  /** Of the newest period that has one. */
  readonly value: number | undefined;
}

/** What happened to one period: its value was beyond the threshold or not; undefined: there was none. */
type Judgement = boolean | undefined;

/**
 * How many periods CloudWatch looks back beyond its evaluation periods to find real values. It does not say; its
 * documented examples look at five for an alarm of three.
 */
const FURTHER_PERIODS = 2;

/**
 * The state of every alarm at `now`, as CloudWatch would have it: evaluated at the end of each period since the first
 * value, as some ways of treating missing data keep the state of before.
 */
export function alarmStates(
  definitions: readonly AlarmDefinition[],
  datapoints: readonly Datapoint[],
  now: Date,
): AlarmState[] {
  return definitions.map((alarm) => evaluateAlarm(alarm, datapoints, now));
}

export function evaluateAlarm(
  alarm: AlarmDefinition,
  datapoints: readonly Datapoint[],
  now: Date,
): AlarmState {
  const series = datapoints.filter(
    ({ source, metric, database }) =>
      source === alarm.source && metric === alarm.metric && database === undefined,
  );
  return { alarm, ...evaluateRule(alarm, series, now) };
}

/** What an alarm makes of its metric, whosever metric that is. */
export type AlarmRule = Pick<
  AlarmDefinition,
  | 'statistic'
  | 'periodSeconds'
  | 'evaluationPeriods'
  | 'datapointsToAlarm'
  | 'threshold'
  | 'comparison'
  | 'missingData'
>;

/**
 * The values of one metric: they fall into whole periods since the epoch, and a period counts once it is over or has a value.
 * Source of the semantics: Amazon CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat
 * missing data"; the examples of the latter's tables are tests.
 */
export function evaluateRule(
  rule: AlarmRule,
  series: readonly Pick<Datapoint, 'time' | 'value'>[],
  now: Date,
): Omit<AlarmState, 'alarm'> {
  const periodMilliseconds = rule.periodSeconds * 1000;
  const periodOf = (time: Date) => Math.floor(time.getTime() / periodMilliseconds);
  const current = periodOf(now);
  const values = new Map<number, number[]>();
  for (const { time, value } of series) {
    if (time > now) continue;
    const period = periodOf(time);
    const known = values.get(period);
    if (known) known.push(value);
    else values.set(period, [value]);
  }
  const range = rule.evaluationPeriods + FURTHER_PERIODS;
  const known = [...values.keys()].sort((a, b) => a - b);
  // Where no value is in sight nothing changes any more: those periods are passed over.
  const eventful = new Set(
    known.flatMap((period) => Array.from({ length: range + 1 }, (_, later) => period + later)),
  );
  let state: AlarmStateValue = 'INSUFFICIENT_DATA';
  let since: Date | undefined;
  for (const period of [...eventful.add(current)].sort((a, b) => a - b)) {
    if (period > current) break;
    // The period that is still going on is no missing one.
    const last = period === current && !values.has(current) ? current - 1 : period;
    const judged = Array.from({ length: range }, (_, index): Judgement => {
      const found = values.get(last - range + 1 + index);
      return found && isBreaching(rule, statisticOf(rule.statistic, found));
    });
    const next = judge(judged, rule, state);
    if (next === state) continue;
    state = next;
    since = new Date(Math.min((period + 1) * periodMilliseconds, now.getTime()));
  }
  const newest = values.get(known.at(-1) ?? Number.NaN);
  return { state, since, value: newest && statisticOf(rule.statistic, newest) };
}

/**
 * The state after one evaluation.
 *
 * @param judged the evaluation range, oldest first: at least `evaluationPeriods` long
 * @param before the state until now
 */
export function judge(
  judged: readonly Judgement[],
  {
    evaluationPeriods,
    datapointsToAlarm,
    missingData,
  }: Pick<AlarmDefinition, 'evaluationPeriods' | 'datapointsToAlarm' | 'missingData'>,
  before: AlarmStateValue,
): AlarmStateValue {
  const real = judged.filter((it) => it !== undefined);
  const stateOf = (breaching: number): AlarmStateValue =>
    breaching >= datapointsToAlarm ? 'ALARM' : 'OK';
  const count = (values: readonly boolean[]) => values.filter(Boolean).length;
  // Enough real values: what is missing between them does not matter, however it is to be treated.
  if (real.length >= evaluationPeriods) return stateOf(count(real.slice(-evaluationPeriods)));
  const toFill = evaluationPeriods - real.length;
  if (missingData === 'breaching') return stateOf(count(real) + toFill);
  if (missingData === 'notBreaching') return stateOf(count(real));
  if (count(real) >= datapointsToAlarm) return 'ALARM';
  if (real.includes(false)) return 'OK';
  if (missingData === 'ignore') return before;
  if (real.length === 0) return 'INSUFFICIENT_DATA';
  // Fewer bad values than it wants, but the first of them is that many periods old, and nothing good came after.
  const age = judged.length - judged.indexOf(true);
  return age >= datapointsToAlarm ? 'ALARM' : before;
}

function statisticOf(statistic: AlarmDefinition['statistic'], values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  switch (statistic) {
    case 'Maximum':
      return Math.max(...values);
    case 'Minimum':
      return Math.min(...values);
    case 'Sum':
      return sum;
    case 'Average':
      return sum / values.length;
  }
}

function isBreaching({ comparison, threshold }: AlarmRule, value: number): boolean {
  switch (comparison) {
    case 'GreaterThanThreshold':
      return value > threshold;
    case 'GreaterThanOrEqualToThreshold':
      return value >= threshold;
    case 'LessThanThreshold':
      return value < threshold;
    case 'LessThanOrEqualToThreshold':
      return value <= threshold;
  }
}
