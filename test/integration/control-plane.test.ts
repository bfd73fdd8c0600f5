import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RunTaskCommand,
  type RunTaskCommandInput,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import {
  AddTagsToResourceCommand,
  CreateDBClusterSnapshotCommand,
  CreateDBSnapshotCommand,
  DeleteDBSnapshotCommand,
  DescribeDBClusterSnapshotsCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeDBSnapshotsCommand,
  ListTagsForResourceCommand,
  paginateDescribeDBSnapshots,
  RDSClient,
  waitUntilDBSnapshotAvailable,
} from '@aws-sdk/client-rds';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { DescribeExecutionCommand, ListStateMachinesCommand, SFNClient } from '@aws-sdk/client-sfn';
import {
  CreateTopicCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import {
  GetParameterCommand,
  PutParameterCommand,
  paginateGetParametersByPath,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '#local/control-plane/control-plane.ts';
import type { BusEvent } from '#local/control-plane/event-bus.ts';

let directory: string;
let plane: ControlPlane;
let lines: string[];
let clients: { destroy(): void }[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-plane-'));
  lines = [];
  clients = [];
  plane = await startControlPlane({
    workDirectory: directory,
    taskEnvironment: () => ({ AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' }),
    spotNoticeSeconds: 0.3,
    onTaskLine: ({ line }) => lines.push(line),
  });
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await plane.close();
  await rm(directory, { recursive: true, force: true });
});

/** A real SDK client; one attempt, so that faults are seen as they are. */
function connect<Client extends { destroy(): void }>(
  ClientClass: new (config: object) => Client,
  config: object = {},
): Client {
  const client = new ClientClass({
    endpoint: plane.endpoint,
    region: 'eu-west-1',
    credentials: {
      accessKeyId: plane.environment['AWS_ACCESS_KEY_ID'],
      secretAccessKey: plane.environment['AWS_SECRET_ACCESS_KEY'],
    },
    maxAttempts: 1,
    ...config,
  });
  clients.push(client);
  return client;
}

describe('any service', () => {
  it('refuses credentials that are not the ones it gave out', async () => {
    const credentials = { accessKeyId: 'OTHER', secretAccessKey: 'x' };
    const sfn = connect(SFNClient, { credentials });
    await expect(sfn.send(new ListStateMachinesCommand())).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
    const rds = connect(RDSClient, { credentials });
    await expect(rds.send(new DescribeDBInstancesCommand())).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
  });

  it('refuses an operation that does not exist here', async () => {
    const subscribe = new SubscribeCommand({ TopicArn: 'arn:x', Protocol: 'email' });
    await expect(connect(SNSClient).send(subscribe)).rejects.toMatchObject({
      name: 'InvalidAction',
    });
  });

  it('fails the next calls as ordered, and then works again', async () => {
    const ssm = connect(SSMClient);
    plane.ssm.putParameter('/a', '1');
    plane.faults.failNext('ssm.GetParameter', {
      error: 'ThrottlingException',
      status: 400,
      times: 2,
    });
    const get = () => ssm.send(new GetParameterCommand({ Name: '/a' }));
    await expect(get()).rejects.toMatchObject({ name: 'ThrottlingException' });
    await expect(get()).rejects.toMatchObject({ name: 'ThrottlingException' });
    await expect(get()).resolves.toMatchObject({ Parameter: { Value: '1' } });
  });

  it("is reached in the end by the SDK's own retries after 5xx, in both protocols", async () => {
    plane.ssm.putParameter('/a', '1');
    plane.faults.failNext('ssm.GetParameter', { error: 'InternalServerError', status: 500 });
    plane.faults.failNext('rds.DescribeDBInstances', { error: 'InternalFailure', status: 503 });
    const ssm = connect(SSMClient, { maxAttempts: 3 });
    const rds = connect(RDSClient, { maxAttempts: 3 });
    await expect(ssm.send(new GetParameterCommand({ Name: '/a' }))).resolves.toMatchObject({
      $metadata: { attempts: 2 },
    });
    await expect(rds.send(new DescribeDBInstancesCommand())).resolves.toMatchObject({
      $metadata: { attempts: 2 },
    });
  });

  it('loses an answer after the work was done when the connection is cut behind it', async () => {
    plane.faults.failNext('ssm.PutParameter', { cut: 'after' });
    plane.faults.failNext('ssm.PutParameter', { cut: 'before' });
    const ssm = connect(SSMClient);
    const put = (Value: string) =>
      ssm.send(new PutParameterCommand({ Name: '/a', Value, Type: 'String', Overwrite: true }));
    await expect(put('1')).rejects.toThrow();
    await expect(put('2')).rejects.toThrow();
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name: '/a' }));
    expect(Parameter).toMatchObject({ Value: '1', Version: 1 });
  });

  it('waits as long as it is told to', async () => {
    plane.ssm.putParameter('/a', '1');
    plane.faults.failNext('ssm.GetParameter', { delayMilliseconds: 150 });
    const started = performance.now();
    await connect(SSMClient).send(new GetParameterCommand({ Name: '/a' }));
    expect(performance.now() - started).toBeGreaterThan(145);
  });

  it('shares nothing with a second control plane in the same process', async () => {
    const other = await startControlPlane({ workDirectory: join(directory, 'other') });
    try {
      plane.ssm.putParameter('/a', '1');
      const there = connect(SSMClient, { endpoint: other.endpoint });
      await expect(there.send(new GetParameterCommand({ Name: '/a' }))).rejects.toMatchObject({
        name: 'ParameterNotFound',
      });
    } finally {
      await other.close();
    }
  });
});

describe('Parameter Store', () => {
  it('keeps versions, and gives each or the newest', async () => {
    const ssm = connect(SSMClient);
    const put = (Value: string, Overwrite: boolean) =>
      ssm.send(new PutParameterCommand({ Name: '/s/a', Value, Type: 'String', Overwrite }));
    await put('one', false);
    await expect(put('two', false)).rejects.toMatchObject({ name: 'ParameterAlreadyExists' });
    expect(await put('two', true)).toMatchObject({ Version: 2 });
    const get = async (Name: string) =>
      (await ssm.send(new GetParameterCommand({ Name }))).Parameter;
    expect(await get('/s/a')).toMatchObject({ Value: 'two', Version: 2, Name: '/s/a' });
    expect(await get('/s/a:1')).toMatchObject({ Value: 'one', Version: 1, Selector: ':1' });
    expect((await get('/s/a'))?.LastModifiedDate).toBeInstanceOf(Date);
    await expect(get('/s/a:3')).rejects.toMatchObject({ name: 'ParameterVersionNotFound' });
  });

  it('lists a path in pages of ten, without what is further below unless asked', async () => {
    for (let i = 0; i < 12; i++) plane.ssm.putParameter(`/s/p${i}`, 'x');
    plane.ssm.putParameter('/s/deeper/p', 'x');
    plane.ssm.putParameter('/sibling', 'x');
    const names = async (Recursive: boolean) => {
      const found: (string | undefined)[] = [];
      const pages = paginateGetParametersByPath(
        { client: connect(SSMClient) },
        { Path: '/s', Recursive },
      );
      for await (const { Parameters = [] } of pages) {
        expect(Parameters.length).toBeLessThanOrEqual(10);
        found.push(...Parameters.map(({ Name }) => Name));
      }
      return found;
    };
    expect(await names(false)).toHaveLength(12);
    expect(await names(true)).toHaveLength(13);
  });

  it('refuses more than 4 KB in the standard tier', async () => {
    const input = { Name: '/a', Value: 'x'.repeat(4097), Type: 'String' } as const;
    await expect(connect(SSMClient).send(new PutParameterCommand(input))).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });
});

describe('Secrets Manager', () => {
  it('gives the current value, the one before it after a rotation, and nothing for a stranger', async () => {
    const manager = connect(SecretsManagerClient);
    const arn = plane.secrets.setSecret('shop', { username: 'u', password: 'first' });
    await manager.send(new PutSecretValueCommand({ SecretId: 'shop', SecretString: 'second' }));
    const get = (input: object) =>
      manager.send(new GetSecretValueCommand({ SecretId: 'shop', ...input }));
    expect(await get({ SecretId: arn })).toMatchObject({ SecretString: 'second', Name: 'shop' });
    const previous = await get({ VersionStage: 'AWSPREVIOUS' });
    expect(JSON.parse(previous.SecretString ?? '')).toEqual({ username: 'u', password: 'first' });
    await expect(get({ SecretId: 'gone' })).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });
});

describe('SNS', () => {
  it('puts a message into the inbox, as JSON for programs and as text for people', async () => {
    const sns = connect(SNSClient);
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'alerts' }));
    const message = { default: '{"status":"FAILED"}', email: 'It failed: größer & <less>' };
    await sns.send(
      new PublishCommand({
        TopicArn,
        Subject: 'Backup failed',
        Message: JSON.stringify(message),
        MessageStructure: 'json',
        MessageAttributes: { status: { DataType: 'String', StringValue: 'FAILED' } },
      }),
    );
    expect(plane.sns.messages).toEqual([
      expect.objectContaining({
        subject: 'Backup failed',
        message: message.default,
        byProtocol: message,
        attributes: { status: 'FAILED' },
      }),
    ]);
    const text = await readFile(join(directory, 'inbox', '0001.txt'), 'utf8');
    expect(text).toBe(`Subject: Backup failed\n\n${message.email}\n`);
    const stored: unknown = JSON.parse(
      await readFile(join(directory, 'inbox', '0001.json'), 'utf8'),
    );
    expect(stored).toEqual(plane.sns.messages[0]);
  });

  it.each([
    ['a subject of 100 characters', { Subject: 'x'.repeat(100) }],
    ['a subject that is not ASCII', { Subject: 'grün' }],
    ['a subject of two lines', { Subject: 'a\nb' }],
    ['a message over 256 KiB', { Message: 'x'.repeat(262_145) }],
    ['a structure without a default', { Message: '{"email":"x"}', MessageStructure: 'json' }],
    ['a structure that is not JSON', { Message: '{', MessageStructure: 'json' }],
  ])('refuses %s', async (_, input) => {
    const TopicArn = plane.sns.createTopic('alerts');
    const publish = new PublishCommand({ TopicArn, Message: 'm', ...input });
    await expect(connect(SNSClient).send(publish)).rejects.toMatchObject({
      name: 'InvalidParameterException',
    });
  });

  it('knows no topic that was not made', async () => {
    const publish = new PublishCommand({ TopicArn: 'arn:aws:sns:x:1:gone', Message: 'm' });
    await expect(connect(SNSClient).send(publish)).rejects.toMatchObject({
      name: 'NotFoundException',
    });
  });
});

describe('ECS', () => {
  /** Registers a task that runs this program text. */
  function define(text: string, more: object = {}) {
    return plane.ecs.registerTaskDefinition('work', {
      command: [process.execPath, '-e', text],
      ...more,
    });
  }

  async function runTask(input: Partial<RunTaskCommandInput> = {}) {
    const { tasks = [], failures } = await connect(ECSClient).send(
      new RunTaskCommand({ taskDefinition: 'work', ...input }),
    );
    return { taskArn: tasks[0]?.taskArn ?? '', task: tasks[0], failures };
  }

  /** The "stopped" event of a task, through a rule as it would be deployed. */
  function stopped(): Promise<BusEvent> {
    const { promise, resolve } = Promise.withResolvers<BusEvent>();
    plane.bus.addRule({
      name: 'stopped',
      pattern: {
        source: ['aws.ecs'],
        'detail-type': ['ECS Task State Change'],
        detail: { lastStatus: ['STOPPED'], clusterArn: [plane.ecs.clusterArn] },
      },
      target: async (event) => resolve(event),
    });
    return promise;
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error('it did not happen within a minute');
      await sleep(10);
    }
  }

  /** Says that it runs, then waits for signals; `onTerm` is what it does on SIGTERM. */
  const waits = (onTerm: string) =>
    `setInterval(() => {}, 1000); process.on('SIGTERM', () => { ${onTerm} }); console.log('ready');`;

  const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

  it('runs a task with the environment of its definition, its overrides and the endpoints, and no more', async () => {
    process.env['SECRET_OF_THE_PARENT'] = 'hidden';
    try {
      define('console.log(JSON.stringify(process.env))', { environment: { A: 'def', B: 'def' } });
      const event = stopped();
      const { taskArn, task } = await runTask({
        startedBy: 'backup-1',
        overrides: {
          containerOverrides: [{ name: 'holdfast', environment: [{ name: 'B', value: 'over' }] }],
        },
      });
      expect(task).toMatchObject({ lastStatus: 'PROVISIONING', startedBy: 'backup-1' });
      expect((await event).detail).toMatchObject({
        taskArn,
        lastStatus: 'STOPPED',
        stopCode: 'EssentialContainerExited',
        containers: [{ name: 'holdfast', exitCode: 0 }],
        overrides: {
          containerOverrides: [{ name: 'holdfast', environment: [{ name: 'B', value: 'over' }] }],
        },
      });
      const environment = JSON.parse(lines[0] ?? '') as Record<string, string>;
      expect(environment).toMatchObject({
        A: 'def',
        B: 'over',
        AWS_ENDPOINT_URL_SFN: plane.endpoint,
        AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
      });
      expect(environment['SECRET_OF_THE_PARENT']).toBeUndefined();
      const log = await readFile(plane.ecs.logFile(taskArn) ?? '', 'utf8');
      expect(log).toBe(`${lines[0]}\n`);
    } finally {
      delete process.env['SECRET_OF_THE_PARENT'];
    }
  });

  it('describes and lists tasks as they go', async () => {
    define(waits('process.exit(0)'));
    const { taskArn } = await runTask({ startedBy: 'me' });
    await until(() => lines.includes('ready'));
    const ecs = connect(ECSClient);
    const { tasks, failures } = await ecs.send(
      new DescribeTasksCommand({ cluster: plane.ecs.clusterArn, tasks: [taskArn, 'gone'] }),
    );
    expect(tasks).toMatchObject([{ taskArn, lastStatus: 'RUNNING', startedAt: expect.any(Date) }]);
    expect(failures).toMatchObject([{ reason: 'MISSING' }]);
    const list = async (startedBy: string) =>
      (await ecs.send(new ListTasksCommand({ startedBy }))).taskArns;
    expect(await list('me')).toEqual([taskArn]);
    expect(await list('you')).toEqual([]);
  });

  it('starts one task for two requests with one client token, and refuses another request with it', async () => {
    define('');
    const first = await runTask({ clientToken: 't', startedBy: 'a' });
    expect((await runTask({ clientToken: 't', startedBy: 'a' })).taskArn).toBe(first.taskArn);
    await expect(runTask({ clientToken: 't', startedBy: 'b' })).rejects.toMatchObject({
      name: 'ConflictException',
    });
    expect(plane.ecs.tasks()).toHaveLength(1);
  });

  it.each([
    ['3 when it ends with 3', 'process.exit(3)', 3],
    ['139 when it is killed by SIGSEGV', "process.kill(process.pid, 'SIGSEGV')", 139],
    ['143 when it ends by SIGTERM', "process.kill(process.pid, 'SIGTERM')", 143],
  ])('reports exit code %s', async (_, text, exitCode) => {
    define(text);
    const event = stopped();
    await runTask();
    expect((await event).detail).toMatchObject({ containers: [{ exitCode }] });
  });

  it('stops a task with SIGTERM, and with SIGKILL when it does not mind', async () => {
    define(waits("console.log('not yet')"), { stopTimeoutSeconds: 0.3 });
    const event = stopped();
    const { taskArn } = await runTask();
    await until(() => lines.includes('ready'));
    await connect(ECSClient).send(new StopTaskCommand({ task: taskArn, reason: 'by hand' }));
    expect((await event).detail).toMatchObject({
      stopCode: 'UserInitiated',
      stoppedReason: 'by hand',
      containers: [{ exitCode: 137 }],
    });
    expect(lines).toContain('not yet');
  });

  it('gives a Spot task its notice', async () => {
    define(waits('process.exit(143)'));
    const event = stopped();
    const { taskArn } = await runTask();
    await until(() => lines.includes('ready'));
    plane.ecs.interruptSpot(taskArn);
    expect((await event).detail).toMatchObject({
      stopCode: 'SpotInterruption',
      stoppedReason: 'Your Spot Task was interrupted.',
      containers: [{ exitCode: 143 }],
    });
  });

  it('kills a task and all that it started when memory is out', async () => {
    define(`const { pid } = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      console.log('child ' + pid); setInterval(() => {}, 1000);`);
    const event = stopped();
    const { taskArn } = await runTask();
    await until(() => lines.length > 0);
    const grandchild = Number(lines[0]?.split(' ')[1]);
    expect(isAlive(grandchild)).toBe(true);
    plane.ecs.killTask(taskArn);
    expect((await event).detail).toMatchObject({
      containers: [{ exitCode: 137, reason: expect.stringContaining('OutOfMemory') }],
    });
    await until(() => !isAlive(grandchild));
  });

  it('answers failures with HTTP 200 and starts nothing when there is no capacity', async () => {
    define('');
    plane.ecs.scriptNextTask({ placementFailure: 'Capacity is unavailable at this time' });
    const { task, failures } = await runTask();
    expect(task).toBeUndefined();
    expect(failures).toMatchObject([{ reason: 'Capacity is unavailable at this time' }]);
    expect((await runTask()).task).toBeDefined();
  });

  it.each([
    [
      'its image cannot be had',
      () => plane.ecs.scriptNextTask({ neverStarts: 'CannotPullContainerError: x' }),
      /^CannotPullContainerError/,
    ],
    [
      'its program does not exist',
      () => plane.ecs.registerTaskDefinition('work', { command: ['/no/such'] }),
      /^CannotStartContainerError: \/no\/such/,
    ],
  ])('reports a task that never started because %s', async (_, prepare, stoppedReason) => {
    define('');
    prepare();
    const event = stopped();
    await runTask();
    const { detail } = await event;
    expect(detail).toMatchObject({
      stopCode: 'TaskFailedToStart',
      stoppedReason: expect.stringMatching(stoppedReason),
    });
    expect(detail['containers']).toEqual([
      { name: 'holdfast', taskArn: expect.anything(), lastStatus: 'STOPPED' },
    ]);
  });

  it.each<[string, Partial<RunTaskCommandInput>, string]>([
    ['a definition that does not exist', { taskDefinition: 'gone' }, 'ClientException'],
    ['a cluster that does not exist', { cluster: 'gone' }, 'ClusterNotFoundException'],
    [
      'overrides of another container',
      { overrides: { containerOverrides: [{ name: 'sidecar' }] } },
      'InvalidParameterException',
    ],
    [
      'overrides of more than 8,192 characters',
      {
        overrides: {
          containerOverrides: [
            { name: 'holdfast', environment: [{ name: 'A', value: 'x'.repeat(8192) }] },
          ],
        },
      },
      'InvalidParameterException',
    ],
  ])('refuses %s', async (_, input, name) => {
    define('');
    await expect(runTask(input)).rejects.toMatchObject({ name });
  });

  it('ends every task when the control plane closes', async () => {
    define(waits("console.log('deaf')"));
    await runTask();
    await until(() => lines.includes('ready'));
    define('console.log(process.pid); setInterval(() => {}, 1000)');
    await runTask();
    await until(() => lines.some((line) => /^\d+$/.test(line)));
    const pid = Number(lines.find((line) => /^\d+$/.test(line)));
    const started = performance.now();
    await plane.close();
    expect(performance.now() - started).toBeLessThan(25_000);
    expect(isAlive(pid)).toBe(false);
    expect(plane.ecs.tasks()).toMatchObject([{ lastStatus: 'STOPPED' }, { lastStatus: 'STOPPED' }]);
  });
});

describe('RDS', () => {
  let copying: PromiseWithResolvers<void>;

  beforeEach(async () => {
    copying = Promise.withResolvers<void>();
    const data = join(directory, 'data');
    await mkdir(data);
    await writeFile(join(data, 'rows'), '42');
    const server = {
      engineVersion: '17.4',
      host: '127.0.0.1',
      port: 5432,
      copy: async ({ destination }: { destination: string }) => {
        await copying.promise;
        await cp(data, destination, { recursive: true });
      },
      deleteCopy: (destination: string) => rm(destination, { recursive: true }),
    };
    plane.rds.registerInstance({ ...server, identifier: 'shop' });
    plane.rds.registerCluster({ ...server, identifier: 'aurora' });
    plane.rds.registerInstance({ ...server, identifier: 'aurora-1', cluster: 'aurora' });
  });

  afterEach(() => copying.resolve());

  const create = (input: object = {}) =>
    connect(RDSClient).send(
      new CreateDBSnapshotCommand({
        DBInstanceIdentifier: 'shop',
        DBSnapshotIdentifier: 'one',
        Tags: [{ Key: 'holdfast:source', Value: 'shop & <co>' }],
        ...input,
      }),
    );

  it('makes a snapshot that is creating until the data are copied, and deletes the copy with it', async () => {
    const rds = connect(RDSClient);
    const { DBSnapshot } = await create();
    expect(DBSnapshot).toMatchObject({
      Status: 'creating',
      PercentProgress: 0,
      DBSnapshotArn: 'arn:aws:rds:eu-west-1:123456789012:snapshot:one',
      TagList: [{ Key: 'holdfast:source', Value: 'shop & <co>' }],
    });
    const remove = () => rds.send(new DeleteDBSnapshotCommand({ DBSnapshotIdentifier: 'one' }));
    await expect(remove()).rejects.toMatchObject({ name: 'InvalidDBSnapshotStateFault' });
    copying.resolve();
    await waitUntilDBSnapshotAvailable(
      { client: rds, maxWaitTime: 10, minDelay: 1, maxDelay: 1 },
      { DBSnapshotIdentifier: 'one' },
    );
    const { DBSnapshots } = await rds.send(new DescribeDBSnapshotsCommand({}));
    expect(DBSnapshots).toMatchObject([
      { Status: 'available', PercentProgress: 100, SnapshotCreateTime: expect.any(Date) },
    ]);
    const copy = plane.rds.snapshotDirectory('one') ?? '';
    expect(await readFile(join(copy, 'rows'), 'utf8')).toBe('42');
    await remove();
    expect(existsSync(copy)).toBe(false);
    const describeOne = new DescribeDBSnapshotsCommand({ DBSnapshotIdentifier: 'one' });
    await expect(rds.send(describeOne)).rejects.toMatchObject({ name: 'DBSnapshotNotFoundFault' });
  });

  it('reports a snapshot as failed when the copy failed', async () => {
    await create();
    copying.reject(new Error('disk full'));
    await plane.rds.close();
    const { DBSnapshots } = await connect(RDSClient).send(new DescribeDBSnapshotsCommand({}));
    expect(DBSnapshots).toMatchObject([{ Status: 'failed' }]);
  });

  it('snapshots Aurora clusters by their own calls and not by their instances', async () => {
    const rds = connect(RDSClient);
    await expect(create({ DBInstanceIdentifier: 'aurora-1' })).rejects.toMatchObject({
      name: 'InvalidParameterValue',
    });
    const wanted = { DBClusterIdentifier: 'aurora', DBClusterSnapshotIdentifier: 'two' };
    const made = () => rds.send(new CreateDBClusterSnapshotCommand(wanted));
    expect((await made()).DBClusterSnapshot).toMatchObject({ ...wanted, Status: 'creating' });
    await expect(made()).rejects.toMatchObject({ name: 'DBClusterSnapshotAlreadyExistsFault' });
    copying.resolve();
    await plane.rds.close();
    const { DBClusterSnapshots } = await rds.send(
      new DescribeDBClusterSnapshotsCommand({ DBClusterIdentifier: 'aurora' }),
    );
    expect(DBClusterSnapshots).toMatchObject([{ Status: 'available', PercentProgress: 100 }]);
    expect((await rds.send(new DescribeDBSnapshotsCommand({}))).DBSnapshots).toEqual([]);
  });

  it('describes the servers', async () => {
    const rds = connect(RDSClient);
    const instance = new DescribeDBInstancesCommand({ DBInstanceIdentifier: 'shop' });
    expect((await rds.send(instance)).DBInstances).toMatchObject([
      { DBInstanceStatus: 'available', EngineVersion: '17.4', Endpoint: { Port: 5432 } },
    ]);
    const { DBClusters } = await rds.send(new DescribeDBClustersCommand({}));
    expect(DBClusters).toMatchObject([
      { DBClusterIdentifier: 'aurora', DBClusterMembers: [{ DBInstanceIdentifier: 'aurora-1' }] },
    ]);
    await expect(
      rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: 'gone' })),
    ).rejects.toMatchObject({ name: 'DBInstanceNotFoundFault' });
  });

  it.each<[string, object, string, () => void]>([
    ['of the same name', { DBSnapshotIdentifier: 'old' }, 'DBSnapshotAlreadyExistsFault', () => 0],
    ['of a server that is gone', { DBInstanceIdentifier: 'x' }, 'DBInstanceNotFoundFault', () => 0],
    [
      'over the quota',
      {},
      'SnapshotQuotaExceededFault',
      () => {
        plane.rds.snapshotQuota = 1;
      },
    ],
    [
      'of a server that is stopped',
      {},
      'InvalidDBInstanceStateFault',
      () => plane.rds.setServerStatus('instance', 'shop', 'stopped'),
    ],
    ['of a bad name', { DBSnapshotIdentifier: 'a--b' }, 'InvalidParameterValue', () => 0],
  ])('refuses a snapshot %s', async (_, input, name, prepare) => {
    const old = { snapshotId: 'old', server: 'shop', createTime: new Date() };
    plane.rds.addSnapshot('instance', old);
    prepare();
    await expect(create(input)).rejects.toMatchObject({ name });
  });

  it('lists snapshots in pages and by filters, and refuses a filter that it does not know', async () => {
    for (let i = 0; i < 25; i++) {
      const snapshotId = `s${String(i).padStart(2, '0')}`;
      plane.rds.addSnapshot('instance', { snapshotId, server: 'shop', createTime: new Date() });
    }
    const client = connect(RDSClient);
    const sizes: number[] = [];
    for await (const { DBSnapshots = [] } of paginateDescribeDBSnapshots(
      { client, pageSize: 20 },
      { SnapshotType: 'manual' },
    )) {
      sizes.push(DBSnapshots.length);
    }
    expect(sizes).toEqual([20, 5]);
    const filtered = (Name: string) =>
      client.send(new DescribeDBSnapshotsCommand({ Filters: [{ Name, Values: ['s03'] }] }));
    expect((await filtered('db-snapshot-id')).DBSnapshots).toHaveLength(1);
    await expect(filtered('colour')).rejects.toMatchObject({ name: 'InvalidParameterValue' });
    const automated = new DescribeDBSnapshotsCommand({ SnapshotType: 'automated' });
    expect((await client.send(automated)).DBSnapshots).toEqual([]);
  });

  it('adds and lists tags', async () => {
    const rds = connect(RDSClient);
    const { DBSnapshot } = await create();
    const ResourceName = DBSnapshot?.DBSnapshotArn;
    const Tags = [{ Key: 'verified', Value: 'yes' }];
    await rds.send(new AddTagsToResourceCommand({ ResourceName, Tags }));
    const { TagList } = await rds.send(new ListTagsForResourceCommand({ ResourceName }));
    expect(TagList).toEqual([{ Key: 'holdfast:source', Value: 'shop & <co>' }, ...Tags]);
  });
});

describe('the event bus', () => {
  const event = (key: string) => ({
    source: 'aws.s3',
    'detail-type': 'Object Created',
    detail: { object: { key } },
  });
  const pattern = { source: ['aws.s3'] };

  /** Adds a rule that notes the keys it gets, and fails as often as told. */
  function listen({ failures = 0, retries = 2 } = {}) {
    const keys: unknown[] = [];
    plane.bus.addRule({
      name: 'listen',
      pattern,
      retries,
      retryDelayMilliseconds: 5,
      target: async ({ detail }) => {
        keys.push((detail as { object: { key: string } }).object.key);
        if (keys.length <= failures) throw new Error('not now');
      },
    });
    return keys;
  }

  it('delivers what matches, in the envelope of EventBridge', async () => {
    const received: BusEvent[] = [];
    const target = async (it: BusEvent) => received.push(it);
    plane.bus.addRule({ name: 'all', pattern, target });
    plane.bus.put(event('a'));
    plane.bus.put({ ...event('b'), source: 'aws.other' });
    await plane.bus.idle();
    expect(received).toMatchObject([
      { version: '0', account: '123456789012', region: 'eu-west-1', ...event('a') },
    ]);
    expect(received[0]?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  it('tries again after a failure, and gives up into the dead letters', async () => {
    const keys = listen({ failures: 1 });
    plane.bus.put(event('a'));
    await plane.bus.idle();
    expect(keys).toEqual(['a', 'a']);
    expect(plane.bus.deadLetters).toEqual([]);
    listen({ failures: 9, retries: 1 });
    plane.bus.put(event('b'));
    await plane.bus.idle();
    expect(plane.bus.deadLetters).toMatchObject([{ rule: 'listen', event: event('b') }]);
  });

  it('loses, doubles and delays events when it is told to, and only those that match', async () => {
    const keys = listen();
    const only = (key: string) => ({ pattern: { detail: { object: { key: [key] } } } });
    plane.bus.disturb({ ...only('lost'), drop: true });
    plane.bus.disturb({ ...only('twice'), duplicates: 1 });
    plane.bus.disturb({ ...only('late'), delayMilliseconds: 100 });
    for (const key of ['late', 'lost', 'twice', 'plain', 'lost']) plane.bus.put(event(key));
    await plane.bus.idle();
    expect(new Set(keys)).toEqual(new Set(['lost', 'plain', 'twice', 'late']));
    expect(keys.filter((key) => key === 'twice')).toHaveLength(2);
    expect(keys).toHaveLength(5);
    expect(keys.at(-1)).toBe('late');
  });
});

describe('Step Functions over the wire', () => {
  it('knows no execution that was not started', async () => {
    const executionArn = 'arn:aws:states:eu-west-1:123456789012:execution:m:gone';
    await expect(
      connect(SFNClient).send(new DescribeExecutionCommand({ executionArn })),
    ).rejects.toMatchObject({ name: 'ExecutionDoesNotExist' });
  });

  it('describes an execution with its times and its output as text', async () => {
    const stateMachineArn = plane.stepFunctions.registerStateMachine({
      name: 'm',
      definition: { StartAt: 'Done', States: { Done: { Type: 'Succeed' } } },
      handlers: {},
    });
    const executionArn = plane.stepFunctions.startExecution(stateMachineArn, { a: 1 }, 'first');
    await plane.stepFunctions.executionEnded(executionArn);
    const sfn = connect(SFNClient);
    expect(await sfn.send(new DescribeExecutionCommand({ executionArn }))).toMatchObject({
      name: 'first',
      stateMachineArn,
      status: 'SUCCEEDED',
      input: '{"a":1}',
      output: '{"a":1}',
      startDate: expect.any(Date),
      stopDate: expect.any(Date),
    });
    const { stateMachines } = await sfn.send(new ListStateMachinesCommand());
    expect(stateMachines).toMatchObject([{ name: 'm', stateMachineArn }]);
  });
});
