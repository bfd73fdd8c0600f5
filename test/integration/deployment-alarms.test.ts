import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BusEvent, EventEntry } from '#local/control-plane/event-bus.ts';
import { allStates } from '#local/control-plane/scoped-definition.ts';
import { LOCAL, readDefinitions } from '#local/stack.ts';
import { AlarmHour, AwsMetrics, deploymentAlarms } from '#test/deployment-alarms.ts';
import { usePipeline } from '#test/stack.ts';

/** By the first word of its alarms: the state machine, and an input that fails. */
const MACHINES = [
  ['Run', 'backup', { source: 'orders', databases: ['not_there'] }],
  ['Restore', 'restore', { source: 'orders', database: 'not_there' }],
  ['ServerRestore', 'restore-server', { source: 'orders', backup: 'not there' }],
  ['Drill', 'drill', { source: 'orders', database: 'not_there' }],
] as const;
type Machine = (typeof MACHINES)[number][1];

const object = (detail: object) => ({ bucket: { name: LOCAL.bucket }, ...detail });
const s3 = (type: string, detail: object): EventEntry => ({
  source: 'aws.s3',
  'detail-type': type,
  detail: object(detail),
});
/**
 * By the first word of its alarms: a function behind an event, one that its rule lets through and that it cannot read, and
 * one that it can.
 */
const BEHIND_EVENTS = [
  [
    'VerifyBackup',
    'verify-backup',
    () => s3('Object Created', { object: { key: 'backups/a/manifest.json' } }),
    () => seen((event) => /manifest\.json$/.test(keyOf(event))),
  ],
  [
    'HandleTaskStopped',
    'handle-task-stopped',
    () => ({
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      detail: { lastStatus: 'STOPPED', clusterArn: pipeline().stack.plane.ecs.clusterArn },
    }),
    () => seen(({ source, detail }) => source === 'aws.ecs' && detail['lastStatus'] === 'STOPPED'),
  ],
  [
    'ResumeRestore',
    'resume-restore',
    () => s3('Object Restore Completed', {}),
    () => s3('Object Restore Completed', { object: { key: 'backups/a/archive.dump' } }),
  ],
] as const;

const metrics = new AwsMetrics();
const pipeline = usePipeline({ stack: metrics.stackOptions });
/** Takes the alerts, as SNS has them delivered. */
const subscriber = { status: 200, received: 0 };
const server = createServer((request, response) => {
  subscriber.received += 1;
  request.resume();
  response.writeHead(subscriber.status).end();
});

beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  metrics.subscriberUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  metrics.watch(pipeline().stack);
  // Its events are sent again below.
  await expectRun();
});
// A test that failed has mended nothing.
afterEach(() => {
  metrics.breakNothing();
  subscriber.status = 200;
  const { bus, faults } = pipeline().stack.plane;
  faults.clear();
  bus.deadLetters.length = 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const begin = () => AlarmHour.begin(metrics, pipeline().stack.plane);
const put = (event: EventEntry) => pipeline().stack.plane.bus.put(event);
const arnOf = (machine: Machine) => pipeline().stack.stateMachineArns[machine] ?? '';
const keyOf = ({ detail }: BusEvent) =>
  (detail['object'] as { key: string } | undefined)?.key ?? '';
const reconcile = () => pipeline().stack.functions.invoke('reconcile', {});

/** As the bus had it, from the run at the beginning. */
function seen(is: (event: BusEvent) => boolean): EventEntry {
  const found = pipeline().stack.plane.bus.history.find(is);
  if (!found) throw new Error('there was no such event');
  return found;
}

async function expectRun() {
  const { execution } = await pipeline().run();
  expect([execution.status, execution.cause]).toEqual(['SUCCEEDED', undefined]);
}

async function expectEnd(machine: Machine, input: unknown, status: string) {
  const { stepFunctions } = pipeline().stack.plane;
  const execution = await stepFunctions.executionEnded(
    stepFunctions.startExecution(arnOf(machine), input),
  );
  expect(execution.status, execution.cause).toBe(status);
}

/** Once somebody has looked at them. */
function deleteMessages(count: number) {
  const { deadLetters } = pipeline().stack.plane.bus;
  expect(deadLetters.splice(0)).toHaveLength(count);
}

/** What is counted in the minute 5 is in sight until the minute 24 begins to count; what is in the minute 10, for longer. */
async function expectRedUntilMended(
  { broken, mended }: { broken: () => unknown; mended: () => unknown },
  alarms: string[],
) {
  const hour = await begin();
  await hour.during(0, () => undefined);
  expect(hour.red(0)).toEqual([]);
  await hour.during(5, broken);
  expect([hour.red(5), hour.red(9)]).toEqual([alarms, alarms]);
  await hour.during(10, mended);
  expect(hour.red(24)).toEqual([]);
}

describe('the alarms of the deployment, on what breaks on a running stack', () => {
  it('are those of the tests below, and no others', () => {
    const ofMachines = MACHINES.flatMap(([word]) =>
      ['Failed', 'Aborted', 'Throttled', 'TimedOut'].map((end) => `${word}${end}Alarm`),
    );
    const ofFunctions = [...BEHIND_EVENTS.map(([word]) => word), 'Reconcile'].flatMap((word) => [
      `${word}ErrorsAlarm`,
      `${word}ThrottlesAlarm`,
    ]);
    const all = [...ofMachines, ...ofFunctions, 'UndeliveredAlarm', 'AlertNotDeliveredAlarm'];
    expect(
      deploymentAlarms()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(all.sort());
  });

  it.each(MACHINES)(
    '%sFailedAlarm: fires for an execution that fails, and recovers',
    async (word, machine, input) => {
      const broken = () => expectEnd(machine, input, 'FAILED');
      const works = { source: 'orders', ...(machine === 'restore' && { database: 'shop' }) };
      // A server takes a snapshot to restore it, and minutes.
      const mended = () =>
        machine === 'restore-server' ? undefined : expectEnd(machine, works, 'SUCCEEDED');
      await expectRedUntilMended({ broken, mended }, [`${word}FailedAlarm`]);
    },
  );

  it.each(MACHINES)(
    '%sAbortedAlarm: fires for an execution that somebody stopped, and recovers',
    async (word, machine, input) => {
      const first = machine === 'restore-server' ? 'plan-server-restore' : `plan-${machine}`;
      const { stepFunctions, endpoint } = pipeline().stack.plane;
      const credentials = {
        accessKeyId: pipeline().stack.environment['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: pipeline().stack.environment['AWS_SECRET_ACCESS_KEY'] ?? '',
      };
      const client = new SFNClient({ endpoint, region: 'eu-west-1', credentials });
      const broken = async () => {
        metrics.hanging.add(first);
        const executionArn = stepFunctions.startExecution(arnOf(machine), input);
        await client.send(new StopExecutionCommand({ executionArn }));
        const { status } = await stepFunctions.executionEnded(executionArn);
        expect(status).toBe('ABORTED');
      };
      const mended = () => metrics.breakNothing();
      await expectRedUntilMended({ broken, mended }, [`${word}AbortedAlarm`]);
    },
  );

  it.each(MACHINES)(
    '%sThrottledAlarm: fires for an execution beyond the quota of transitions, and recovers',
    async (word, machine, input) => {
      const broken = async () => {
        metrics.transitionsLeft = 2;
        await expectEnd(machine, input, 'FAILED');
      };
      const mended = () => metrics.breakNothing();
      const alarms = [`${word}FailedAlarm`, `${word}ThrottledAlarm`];
      await expectRedUntilMended({ broken, mended }, alarms);
    },
  );

  it.each(BEHIND_EVENTS)(
    '%sErrorsAlarm: fires for an event that it cannot read, which becomes a dead letter, and recovers',
    async (word, _name, unreadable, readable) => {
      const broken = () => put(unreadable());
      const mended = () => {
        deleteMessages(1);
        put(readable());
      };
      const alarms = ['UndeliveredAlarm', `${word}ErrorsAlarm`].sort();
      await expectRedUntilMended({ broken, mended }, alarms);
    },
  );

  it.each(BEHIND_EVENTS)(
    '%sThrottlesAlarm: fires when there is no room at first, with no dead letter, and recovers',
    async (word, name, _unreadable, readable) => {
      const broken = () => {
        metrics.throttled.set(name, 1);
        put(readable());
      };
      const mended = () => put(readable());
      await expectRedUntilMended({ broken, mended }, [`${word}ThrottlesAlarm`]);
    },
  );

  it('ReconcileErrorsAlarm: fires when it cannot read the plans, and recovers', async () => {
    const { faults } = pipeline().stack.plane;
    const broken = async () => {
      const fault = { error: 'InternalServerError', status: 500, times: 50 };
      faults.failNext('ssm.GetParametersByPath', fault);
      await expect(reconcile()).rejects.toThrow();
    };
    const mended = async () => {
      faults.clear();
      await reconcile();
    };
    await expectRedUntilMended({ broken, mended }, ['ReconcileErrorsAlarm']);
  });

  it('ReconcileThrottlesAlarm: fires when there is no room for it, and recovers', async () => {
    const broken = async () => {
      metrics.throttled.set('reconcile', 1);
      await expect(reconcile()).rejects.toThrow('Rate Exceeded.');
    };
    const mended = reconcile;
    await expectRedUntilMended({ broken, mended }, ['ReconcileThrottlesAlarm']);
  });

  it('UndeliveredAlarm: fires when no function takes the event of a backup, stays, and recovers once it is sent again', async () => {
    const { bus } = pipeline().stack.plane;
    const hour = await begin();
    let run: Promise<void> | undefined;
    await hour.during(5, async () => {
      // As often as the rule tries.
      metrics.throttled.set('verify-backup', 3);
      run = expectRun();
      await expect.poll(() => bus.deadLetters).toHaveLength(1);
    });
    expect(hour.red(5)).toEqual(['UndeliveredAlarm', 'VerifyBackupThrottlesAlarm']);
    for (const minute of [15, 25]) await hour.during(minute, () => undefined);
    expect(hour.red(25)).toEqual(['UndeliveredAlarm']);
    await hour.during(30, async () => {
      const [letter] = bus.deadLetters;
      put(letter?.event ?? seen(() => false));
      deleteMessages(1);
      await run;
    });
    expect(hour.red(30)).toEqual([]);
  });

  it('AlertNotDeliveredAlarm: fires when the subscriber refuses an alert, and recovers with one that it takes', async () => {
    const [, machine, input] = MACHINES[0];
    const before = subscriber.received;
    const hour = await begin();
    subscriber.status = 503;
    await hour.during(5, () => expectEnd(machine, input, 'FAILED'));
    expect(hour.red(5)).toEqual(['AlertNotDeliveredAlarm', 'RunFailedAlarm']);
    subscriber.status = 200;
    await hour.during(10, () => expectEnd(machine, input, 'FAILED'));
    expect(hour.red(24)).toEqual(['RunFailedAlarm']);
    expect(hour.red(30)).toEqual([]);
    expect(subscriber.received - before).toBe(2);
  });

  // Last, as nothing can be executed any more after it.
  it.each(MACHINES)(
    '%sTimedOutAlarm: fires for an execution that no function answers, and recovers',
    async (word, machine, input) => {
      const definition = (await readDefinitions()).get(machine);
      if (!definition) throw new Error(`there is no state machine ${machine}`);
      const tasks = allStates(definition).filter(([, { Type }]) => Type === 'Task');
      pipeline().stack.plane.stepFunctions.registerStateMachine({
        name: `holdfast-local-${machine}`,
        definition: { ...definition, TimeoutSeconds: 1 },
        handlers: Object.fromEntries(tasks.map(([name]) => [name, () => new Promise(() => {})])),
      });
      const broken = () => expectEnd(machine, input, 'TIMED_OUT');
      await expectRedUntilMended({ broken, mended: () => undefined }, [`${word}TimedOutAlarm`]);
    },
  );
});
