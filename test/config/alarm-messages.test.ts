import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { DrillTargets } from '#contracts/drill.ts';
import type { MetricName } from '#contracts/metrics.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { alarmStates } from '#domain/monitoring/evaluate-alarm.ts';
import { drillKey } from '#domain/names.ts';
import { ServiceUnavailable } from '#errors';
import { notify } from '#functions/notify.ts';
import { notifyDrill } from '#functions/notify-drill.ts';
import { makeArchiveDrill, makeDrill, makeDrillReport } from '#test/fakes/drills.ts';
import { type FakeDeps, makeDeps, makePlan, makePlans, makeResults, makeRun } from '#test/fakes.ts';
import { alarmLogicalId, alarms, deployedAlarms } from '../../resources/alarms.ts';

interface Alarm {
  readonly Properties: {
    readonly MetricName: string;
    readonly Dimensions: readonly { readonly Value: unknown }[];
    readonly AlarmActions?: readonly unknown[];
    readonly OKActions?: readonly unknown[];
  };
}

/** Tags of CloudFormation are read as their bare values: `!Ref DrillStateMachine`. */
const { Resources: deployment } = parse(
  readFileSync(resolve(import.meta.dirname, '../../resources/monitoring.yml'), 'utf8'),
  { merge: true, maxAliasCount: -1, logLevel: 'error' },
) as { Resources: Record<string, Alarm> };
const context = { stage: 'prod', state: 'ENABLED', actionsEnabled: true };
const AT = new Date('2026-11-20T10:00:00Z');

type Machine = 'BackupStateMachine' | 'DrillStateMachine';

/** What goes out when an execution of this machine ends as failed, after what was recorded. */
function messagesOf(deps: FakeDeps, plan: SourcePlan, machine: Machine) {
  const datapoints = deps.metrics.recorded.flatMap(({ values, ...of }) =>
    Object.entries(values).map(([metric, value]) => ({
      ...of,
      metric: metric as MetricName,
      value,
      time: AT,
    })),
  );
  const recorded = new Set(datapoints.map(({ metric }) => metric));
  const definitions = deployedAlarms([plan], context).filter(({ metric }) => recorded.has(metric));
  const red = alarmStates(definitions, datapoints, new Date(AT.getTime() + 1000))
    .filter(({ state }) => state === 'ALARM')
    .map(({ alarm }) => alarm);
  const resources = alarms([plan], context) as Record<string, Alarm>;
  const calling = (actions: 'AlarmActions' | 'OKActions') =>
    red
      .filter((alarm) => resources[alarmLogicalId(alarm)]?.Properties[actions] !== undefined)
      .map(({ kind }) => kind)
      .sort();
  const ofExecutions = Object.entries(deployment).filter(
    ([, { Properties }]) =>
      Properties.MetricName === 'ExecutionsFailed' &&
      Properties.Dimensions[0]?.Value === machine &&
      (Properties.AlarmActions ?? []).length > 0,
  );
  return {
    own: deps.alerts.sent.length,
    red: red.map(({ kind }) => kind).sort(),
    ofSources: calling('AlarmActions'),
    whenWellAgain: calling('OKActions'),
    ofExecutions: ofExecutions.map(([id]) => id),
  };
}

/** A drill that brought everything back, after two minutes and with data of eight hours ago. */
async function endDrill(deps: FakeDeps, targets: DrillTargets) {
  const drill = makeDrill({ targets });
  const reportKey = drillKey(drill, 'shop', 'report.json');
  deps.objects.seed(reportKey, makeDrillReport({ database: 'shop' }));
  const archive = makeArchiveDrill('shop');
  const backupId = archive.restore.backup?.backupId ?? '';
  return notifyDrill(
    {
      drill,
      executionArn: drill.executionArn,
      input: { source: 'orders' },
      server: null,
      archives: [archive],
      missing: [],
      results: [{ drilled: [{ database: 'shop', backupId, reportKey, failed: false }] }],
    },
    deps,
  );
}

/** A run that failed as a whole. */
function failRun(deps: FakeDeps) {
  const run = makeRun();
  const failure = { Error: 'InstanceNotFound', Cause: 'there is no such instance' };
  return notify({ executionArn: run.executionArn, input: {}, run, failure }, deps);
}

const MISSED = { rtoSeconds: 60, rpoSeconds: 60 };
const MET = { rtoSeconds: 3600, rpoSeconds: 86_400 };

describe('a person who gets the messages of', () => {
  it('a drill that failed and missed both targets, has its alert and the one of the execution', async () => {
    const deps = makeDeps();
    await endDrill(deps, MISSED);
    expect(messagesOf(deps, makePlan(), 'DrillStateMachine')).toEqual({
      own: 1,
      red: ['DrillFailed', 'RpoMissed', 'RtoMissed'],
      ofSources: [],
      whenWellAgain: [],
      ofExecutions: ['DrillFailedAlarm'],
    });
  });

  it('a drill that never got as far as a plan, has its alert and the one of the execution', async () => {
    const deps = makeDeps();
    const failure = { Error: 'BackupNotFound', Cause: 'there is none' };
    const executionArn = makeDrill().executionArn;
    await notifyDrill({ executionArn, input: { source: 'orders' }, failure, server: null }, deps);
    expect(messagesOf(deps, makePlan(), 'DrillStateMachine')).toEqual({
      own: 1,
      red: ['DrillFailed'],
      ofSources: [],
      whenWellAgain: [],
      ofExecutions: ['DrillFailedAlarm'],
    });
  });

  it('a backup that failed, has its alert and the one of the execution', async () => {
    const plan = makePlan();
    const deps = makeDeps({ plans: makePlans([plan]) });
    await failRun(deps);
    expect(messagesOf(deps, plan, 'BackupStateMachine')).toEqual({
      own: 1,
      red: ['BackupsFailed'],
      ofSources: [],
      whenWellAgain: [],
      ofExecutions: ['RunFailedAlarm'],
    });
  });

  it('a backup that failed, without an alert as the plan wants none, has the alarm of its source', async () => {
    const plan = makePlan({ alerts: { on: ['success'] } });
    const deps = makeDeps({ plans: makePlans([plan]) });
    await failRun(deps);
    expect(messagesOf(deps, plan, 'BackupStateMachine')).toEqual({
      own: 0,
      red: ['BackupsFailed'],
      ofSources: ['BackupsFailed'],
      whenWellAgain: ['BackupsFailed'],
      ofExecutions: ['RunFailedAlarm'],
    });
  });

  it('a backup that failed, is told that it is well again by an alert or by the alarm', async () => {
    for (const on of [['success', 'failure'], ['failure']] as const) {
      const plan = makePlan({ alerts: { on: [...on] } });
      const deps = makeDeps({ plans: makePlans([plan]) });
      await failRun(deps);
      const { whenWellAgain } = messagesOf(deps, plan, 'BackupStateMachine');
      deps.alerts.sent.length = 0;
      const run = makeRun();
      const event = { executionArn: run.executionArn, input: {}, run, results: makeResults() };
      await notify(event, deps);
      expect([on, deps.alerts.sent.length + whenWellAgain.length]).toEqual([on, 1]);
    }
  });

  it('a drill that passed, has its alert', async () => {
    const deps = makeDeps();
    await endDrill(deps, MET);
    expect(messagesOf(deps, makePlan(), 'DrillStateMachine')).toMatchObject({ own: 1, red: [] });
  });
});

describe('an alarm that calls nobody', () => {
  it('is of what has an alert with more in it: the name, the numbers and what to do', async () => {
    const deps = makeDeps({ plans: makePlans([makePlan()]) });
    await endDrill(deps, MISSED);
    await failRun(deps);
    const words = {
      DrillFailed: /drill of orders FAILED: DrillFailed[\s\S]*What to do next/,
      RtoMissed: /RTO [\s\S]* of [\s\S]*: MISSED/,
      RpoMissed: /RPO [\s\S]* of [\s\S]*: MISSED/,
      BackupsFailed: /backup of orders FAILED: InstanceNotFound[\s\S]*What to do next/,
    };
    const silent = deployedAlarms([makePlan()], context).filter(({ calls }) => calls.length === 0);
    expect(silent.map(({ kind }) => kind).sort()).toEqual(Object.keys(words).sort());
    const sent = deps.alerts.sent.map(({ text }) => text).join('\n');
    for (const [kind, pattern] of Object.entries(words)) expect(sent, kind).toMatch(pattern);
  });

  it('does not even turn red where that alert could not be sent: the execution fails instead', async () => {
    const deps = makeDeps({ plans: makePlans([makePlan()]) });
    deps.alerts.failure = new ServiceUnavailable('SNS is away');
    await expect(endDrill(deps, MISSED)).rejects.toThrow('SNS is away');
    await expect(failRun(deps)).rejects.toThrow('SNS is away');
    expect(deps.metrics.recorded).toEqual([]);
  });
});
