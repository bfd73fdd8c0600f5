import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  checkStateMachine,
  everyState,
  functionOf,
  type StateMachine,
} from '../../scripts/check-state-machine.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const machines = readdirSync(path.join(ROOT, 'statemachines')).filter((f) => f.endsWith('.json'));
const load = (file: string): StateMachine =>
  JSON.parse(readFileSync(path.join(ROOT, 'statemachines', file), 'utf8'));

describe('the state machines', () => {
  it.each(machines)('%s follows the language and our rules', (file) => {
    expect(checkStateMachine(load(file))).toEqual([]);
  });

  it.each(machines)('%s calls, in every Task, the function of the same verb', (file) => {
    for (const { name, state } of everyState(load(file))) {
      if (state.Type !== 'Task') continue;
      const verb = functionOf(state)?.replace(/FunctionArn$/, '') ?? 'nothing';
      expect(name.replaceAll(' ', ''), name).toMatch(new RegExp(`^${verb}`));
    }
  });
});

/** A machine without a fault; each case plants one. */
function makeMachine(work: object = {}, others: object = {}): StateMachine {
  const task = {
    Type: 'Task',
    Resource: `\${WorkFunctionArn}`,
    TimeoutSeconds: 60,
    Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: 'Notify' }],
  };
  return {
    StartAt: 'Work',
    States: {
      Work: { ...task, Next: 'Notify', ...work },
      Notify: {
        ...task,
        Resource: `\${NotifyFunctionArn}`,
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Failed' }],
        Next: 'Done',
      },
      Failed: { Type: 'Fail', Error: 'BackupIncomplete' },
      Done: { Type: 'Succeed' },
      ...others,
    },
  } as StateMachine;
}

const RETRY = {
  ErrorEquals: ['Throttled'],
  IntervalSeconds: 2,
  MaxAttempts: 3,
  BackoffRate: 2,
  MaxDelaySeconds: 60,
};
const wait = {
  Resource: `\${LambdaInvokeWaitForTaskToken}`,
  HeartbeatSeconds: 30,
  Parameters: {
    FunctionName: `\${WorkFunctionArn}`,
    Payload: { 'token.$': '$$.Task.Token' },
  },
};

describe('the check of state machines', () => {
  it('finds nothing in a sound machine, with retries and a token wait', () => {
    expect(checkStateMachine(makeMachine())).toEqual([]);
    expect(checkStateMachine(makeMachine({ Retry: [RETRY] }))).toEqual([]);
    expect(checkStateMachine(makeMachine(wait))).toEqual([]);
  });

  it.each([
    ['a state that does not exist', { Next: 'Nowhere' }, 'MISSING_TRANSITION_TARGET'],
    ['a broken path', { ResultPath: 'result' }, 'SCHEMA_VALIDATION_FAILED'],
    [
      'an integration spelt wrong',
      { Resource: `\${LamdaInvokeWaitForTaskToken}` },
      'is no integration we use',
    ],
    [
      'an integration of one partition only',
      { ...wait, Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken' },
      'is no integration we use',
    ],
    ['no timeout', { TimeoutSeconds: undefined }, 'needs a timeout'],
    ['a heartbeat as long as the timeout', { ...wait, HeartbeatSeconds: 60 }, 'never comes before'],
    [
      'a token wait that gives its token to nobody',
      { ...wait, Parameters: { FunctionName: `\${WorkFunctionArn}`, Payload: {} } },
      'gives to nobody',
    ],
    [
      'a token that nobody waits for',
      { ...wait, Resource: `\${WorkFunctionArn}`, HeartbeatSeconds: undefined },
      'does not wait for',
    ],
    ['a token wait without a heartbeat', { ...wait, HeartbeatSeconds: undefined }, 'heartbeat'],
    [
      'an error that does not exist',
      { Retry: [{ ...RETRY, ErrorEquals: ['Throtled'] }] },
      'Throtled is no error',
    ],
    [
      'a retry that cannot help',
      { Retry: [{ ...RETRY, ErrorEquals: ['InvalidPlan'] }] },
      'cannot help',
    ],
    [
      'a blanket retry',
      { Retry: [{ ...RETRY, ErrorEquals: ['States.ALL'] }] },
      'name the errors that pass',
    ],
    ['a retry without an interval', { Retry: [{ ErrorEquals: ['Throttled'] }] }, 'IntervalSeconds'],
    ['endless retries', { Retry: [{ ...RETRY, MaxAttempts: 1000 }] }, '1 to 20'],
    ['a retry rule that is never reached', { Retry: [RETRY, RETRY] }, 'two Retry rules'],
    [
      'a catch after States.ALL',
      {
        Catch: [
          { ErrorEquals: ['States.ALL'], Next: 'Notify' },
          { ErrorEquals: ['Throttled'], Next: 'Notify' },
        ],
      },
      'after States.ALL',
    ],
    ['a failure that nobody catches', { Catch: [] }, 'without an alert'],
    ['a way to the end past the alert', { Next: 'Done' }, 'can be reached without an alert'],
    [
      'a failure that goes past the alert',
      { Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Failed' }] },
      'can be reached without an alert',
    ],
  ])('finds %s', (_, work, expected) => {
    const machine = JSON.parse(JSON.stringify(makeMachine(work))) as StateMachine;
    expect(checkStateMachine(machine).join('\n')).toContain(expected);
  });

  it('finds a failure in a branch that neither the state nor its container catches', () => {
    const { Work, ...others } = makeMachine().States;
    const inner = { ...Work, Catch: [], End: true, Next: undefined };
    const machine = JSON.parse(
      JSON.stringify({
        StartAt: 'Both',
        States: {
          Both: {
            Type: 'Parallel',
            Branches: [{ StartAt: 'Inner', States: { Inner: inner } }],
            Next: 'Notify',
          },
          ...others,
        },
      }),
    ) as StateMachine;
    expect(checkStateMachine(machine)).toContain(
      'Inner: its failure is caught neither here nor by its container',
    );
  });
});
