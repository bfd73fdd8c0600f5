import { restoreConnection, type SourcePlan } from '#contracts/source-plan.ts';

/**
 * Every role of the stack: one per function, per task and per service that acts for us. A statement says
 * what a role may do to which names; wildcards are listed with their reasons in
 * test/config/allowed-wildcards.ts, and test/config/template.test.ts holds the functions' own needs
 * against this table.
 */

/** A CloudFormation value: a string, or an intrinsic function such as `{ Ref: … }`. */
type Value = string | { readonly [intrinsic: string]: unknown };

export interface Statement {
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: Value | readonly Value[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, Value | readonly Value[]>>>>;
}

export interface RoleContext {
  readonly stage: string;
  readonly sources: readonly SourcePlan[];
  /** `deployment.secretArns` of the plan file. */
  readonly furtherSecrets: readonly string[];
  /** Whether Discover Databases runs in a VPC. */
  readonly inVpc: boolean;
}

const sub = (text: string): Value => ({ 'Fn::Sub': text });
const arnOf = (logicalId: string): Value => ({ 'Fn::GetAtt': [logicalId, 'Arn'] });
const allow = (
  Action: readonly string[],
  Resource: Statement['Resource'],
  Condition?: Statement['Condition'],
): Statement => ({ Effect: 'Allow', Action, Resource, ...(Condition ? { Condition } : {}) });

const arn = (service: string, resource: string): Value =>
  sub(`arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${resource}`);
const inBucket = (...patterns: string[]): Value[] =>
  patterns.map((pattern) => sub(`\${BackupBucket.Arn}/${pattern}`));

/** The sources' plans in Parameter Store. */
const readPlans = ({ stage }: RoleContext): Statement =>
  allow(
    ['ssm:GetParameter', 'ssm:GetParametersByPath'],
    [
      arn('ssm', `parameter/holdfast/${stage}/sources`),
      arn('ssm', `parameter/holdfast/${stage}/sources/*`),
    ],
  );

/**
 * Objects by prefix, with the key they need. Listing covers the bucket: without it S3 answers 403
 * where there is no object, and "not there" could not be told from "not allowed".
 */
function objects(access: {
  read?: string[];
  write?: string[];
  tag?: string[];
  remove?: string[];
}): Statement[] {
  const { read = [], write = [], tag = [], remove = [] } = access;
  const key = arnOf('DataKey');
  return [
    allow(['s3:ListBucket'], arnOf('BackupBucket')),
    ...(read.length > 0 ? [allow(['s3:GetObject', 's3:GetObjectVersion'], inBucket(...read))] : []),
    ...(write.length > 0 ? [allow(['s3:PutObject'], inBucket(...write))] : []),
    ...(tag.length > 0
      ? [allow(['s3:PutObjectTagging', 's3:PutObjectVersionTagging'], inBucket(...tag))]
      : []),
    ...(remove.length > 0 ? [allow(['s3:DeleteObject'], inBucket(...remove))] : []),
    allow(write.length > 0 ? ['kms:Decrypt', 'kms:GenerateDataKey'] : ['kms:Decrypt'], key),
  ];
}

const stateMachine = (stage: string) => `holdfast-${stage}-backup`;

const readExecutions = ({ stage }: RoleContext): Statement =>
  allow(['states:DescribeExecution'], arn('states', `execution:${stateMachine(stage)}:*`));

/** Whoever removes what a drill has left must know that the drill is over. */
const readDrillExecutions = ({ stage }: RoleContext): Statement =>
  allow(['states:DescribeExecution'], arn('states', `execution:holdfast-${stage}-drill:*`));

/** IAM knows no resource for these calls: the token is the proof of who may answer. */
const answerTasks = (...calls: ('Success' | 'Failure' | 'Heartbeat')[]): Statement =>
  allow(
    calls.map((call) => `states:SendTask${call}`),
    '*',
  );

const SNAPSHOTS = [arn('rds', 'snapshot:holdfast-*'), arn('rds', 'cluster-snapshot:holdfast-*')];

/** RDS answers a list only to those who may describe every snapshot of the server. */
const readSnapshots = allow(
  ['rds:DescribeDBSnapshots', 'rds:DescribeDBClusterSnapshots'],
  ['db:*', 'cluster:*', 'snapshot:*', 'cluster-snapshot:*'].map((name) => arn('rds', name)),
);

/** Of any server, as sources are added without a deployment; under our names and with our tag only. */
const createSnapshots = allow(
  ['rds:CreateDBSnapshot', 'rds:CreateDBClusterSnapshot', 'rds:AddTagsToResource'],
  [arn('rds', 'db:*'), arn('rds', 'cluster:*'), ...SNAPSHOTS],
  { StringEquals: { 'aws:RequestTag/holdfast:managed': 'true' } },
);

/** Only what carries our tag, whatever our code may think. */
const deleteSnapshots = allow(['rds:DeleteDBSnapshot', 'rds:DeleteDBClusterSnapshot'], SNAPSHOTS, {
  StringEquals: { 'aws:ResourceTag/holdfast:managed': 'true' },
});

const SERVERS = ['db:*', 'cluster:*'].map((name) => arn('rds', name));

/** RDS answers for a server that is not there only to those who may describe all of them. */
const describeServers = allow(
  [
    'rds:DescribeDBInstances',
    'rds:DescribeDBClusters',
    'rds:DescribeDBInstanceAutomatedBackups',
    'rds:DescribeDBClusterAutomatedBackups',
  ],
  [...SERVERS, arn('rds', 'auto-backup:*'), arn('rds', 'cluster-auto-backup:*')],
);

/** Not `aws:CalledVia`, which few services set, RDS not among them (IAM User Guide, "aws:CalledVia"). */
const VIA_AWS = { Bool: { 'aws:ViaAWSService': 'true' } };
const describeKeys = allow(['kms:DescribeKey'], arn('kms', 'key/*'), VIA_AWS);

/**
 * What a server is encrypted with, where that is a key of the customer's: RDS gives itself a grant in the name of
 * the caller. RDS User Guide, "AWS KMS key management".
 */
const encryptServers: Statement[] = [
  describeKeys,
  allow(['kms:CreateGrant'], arn('kms', 'key/*'), {
    Bool: { ...VIA_AWS.Bool, 'kms:GrantIsForAWSResource': 'true' },
  }),
];

/** A restored server is a new one with our tag; what it is made of may be anybody's. */
const restoreServers = allow(
  [
    'rds:RestoreDBInstanceFromDBSnapshot',
    'rds:RestoreDBInstanceToPointInTime',
    'rds:RestoreDBClusterFromSnapshot',
    'rds:RestoreDBClusterToPointInTime',
    'rds:AddTagsToResource',
  ],
  [
    ...SERVERS,
    ...['snapshot:*', 'cluster-snapshot:*', 'auto-backup:*', 'cluster-auto-backup:*'].map((name) =>
      arn('rds', name),
    ),
    ...['subgrp:*', 'pg:*', 'cluster-pg:*', 'og:*', 'secgrp:*'].map((name) => arn('rds', name)),
  ],
  { StringEquals: { 'aws:RequestTag/holdfast:managed': 'restore' } },
);

/** An Aurora cluster comes back without an instance. */
const addWriter = allow(
  ['rds:CreateDBInstance', 'rds:AddTagsToResource'],
  [...SERVERS, ...['subgrp:*', 'pg:*', 'og:*'].map((name) => arn('rds', name))],
  { StringEquals: { 'aws:RequestTag/holdfast:managed': 'restore' } },
);

/** Never a source, whatever our code may think. */
const deleteRestoredServers = allow(['rds:DeleteDBInstance', 'rds:DeleteDBCluster'], SERVERS, {
  StringEquals: { 'aws:ResourceTag/holdfast:managed': 'restore' },
});

/**
 * A drill's server gets a password of its own, which RDS makes and keeps for whoever asks it to: it creates the
 * secret in the name of the caller. RDS User Guide, "Permissions required for Secrets Manager integration".
 */
const ownLogins: Statement[] = [
  allow(['rds:ModifyDBInstance', 'rds:ModifyDBCluster'], SERVERS, {
    StringEquals: { 'aws:ResourceTag/holdfast:managed': 'restore' },
    Null: { 'aws:ResourceTag/holdfast:drill': 'false' },
  }),
  allow(
    ['secretsmanager:CreateSecret', 'secretsmanager:TagResource'],
    arn('secretsmanager', 'secret:rds!*'),
    VIA_AWS,
  ),
  describeKeys,
];

/** Of a drill's server alone: RDS tags the secret with the server that it opens. */
const readDrillLogins: Statement[] = [
  allow(['secretsmanager:GetSecretValue'], arn('secretsmanager', 'secret:rds!db-*'), {
    StringLike: {
      'secretsmanager:ResourceTag/aws:rds:primaryDBInstanceArn': arn('rds', 'db:*-drill-*'),
    },
  }),
  allow(['secretsmanager:GetSecretValue'], arn('secretsmanager', 'secret:rds!cluster-*'), {
    StringLike: {
      'secretsmanager:ResourceTag/aws:rds:primaryDBClusterArn': arn('rds', 'cluster:*-drill-*'),
    },
  }),
];

function runTask(kind: 'Dump' | 'Verify' | 'Restore' | 'Drill'): Statement[] {
  const cluster = { ArnEquals: { 'ecs:cluster': arnOf('Cluster') } };
  return [
    allow(['ecs:RunTask'], { Ref: `${kind}TaskDefinition` }, cluster),
    allow(['ecs:TagResource'], arn('ecs', `task/\${Cluster}/*`), {
      StringEquals: { 'ecs:CreateAction': 'RunTask' },
    }),
    allow(['iam:PassRole'], [arnOf(`${kind}TaskRole`), arnOf('TaskExecutionRole')], {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    }),
  ];
}

const alert: Statement[] = [
  allow(['sns:Publish'], { Ref: 'AlertTopic' }),
  allow(['kms:Decrypt', 'kms:GenerateDataKey'], arnOf('DataKey')),
];

/**
 * Passwords and IAM logins of the sources. Secrets under `holdfast/<stage>/` may be read without a new
 * deployment; those of the plan file by their name or ARN. The roles that restore may create databases: what
 * only backs up cannot read their secrets, which lie under `holdfast-restore/<stage>/` or are named in the plan.
 */
function connect(
  { stage, sources, furtherSecrets }: RoleContext,
  purpose: 'backup' | 'restore' = 'backup',
): Statement[] {
  const logins = sources.map((plan) =>
    purpose === 'restore' ? restoreConnection(plan) : plan.connection,
  );
  const named = logins.flatMap(({ auth }) => (auth.type === 'secret' ? [auth.secretId] : []));
  const secrets = new Set([...named, ...furtherSecrets]);
  const users = new Set(
    logins.flatMap(({ auth, user }) => (auth.type === 'iam' && user !== undefined ? [user] : [])),
  );
  const folders = purpose === 'restore' ? ['holdfast', 'holdfast-restore'] : ['holdfast'];
  return [
    allow(
      ['secretsmanager:GetSecretValue'],
      [
        ...folders.map((folder) => arn('secretsmanager', `secret:${folder}/${stage}/*`)),
        ...[...secrets].map(secretArn),
      ],
    ),
    ...(users.size > 0
      ? [
          allow(
            ['rds-db:connect'],
            [...users].map((user) => arn('rds-db', `dbuser:*/${user}`)),
          ),
        ]
      : []),
  ];
}

/** Secrets Manager ends every ARN with a hyphen and six characters of its own. */
function secretArn(secretId: string): Value {
  if (!secretId.startsWith('arn:')) return arn('secretsmanager', `secret:${secretId}-??????`);
  return /-\w{6}$/.test(secretId) ? secretId : `${secretId}-??????`;
}

/** What each function may do, besides writing its own log and traces. */
const functions: Record<string, (context: RoleContext) => Statement[]> = {
  'plan-backup': (context) => [
    readPlans(context),
    ...objects({ read: ['requests/*', 'runs/*'], write: ['runs/*'] }),
    readExecutions(context),
  ],
  'create-snapshot': (context) => [readPlans(context), createSnapshots, readSnapshots],
  'check-snapshot': (context) => [readPlans(context), readSnapshots],
  'discover-databases': (context) => [
    readPlans(context),
    ...connect(context),
    ...(context.inVpc ? [networkInterfaces] : []),
  ],
  'dump-database': (context) => [
    readPlans(context),
    ...objects({ read: ['jobs/*'], write: ['jobs/*'] }),
    ...runTask('Dump'),
  ],
  'verify-backup': () => [...verify, ...runTask('Verify'), ...undelivered],
  'handle-task-stopped': () => [
    ...objects({ read: ['jobs/*', 'backups/*', 'restores/*', 'drills/*'], remove: ['backups/*'] }),
    ...abortUploads,
    answerTasks('Failure'),
    ...undelivered,
  ],
  'apply-retention': (context) => [
    readPlans(context),
    ...objects({
      read: ['backups/*', 'jobs/*', 'drills/*/drill.json'],
      write: ['runs/*'],
      remove: ['backups/*', 'jobs/*'],
    }),
    readExecutions(context),
    readSnapshots,
    deleteSnapshots,
  ],
  notify: (context) => [
    readPlans(context),
    ...objects({ read: ['runs/*'], write: ['runs/*'] }),
    ...alert,
  ],
  'write-report': (context) => [
    readPlans(context),
    ...objects({
      // No archive: whoever can change what makes a page shall not read the data.
      read: [
        'backups/*/manifest.json',
        'backups/*/verification.json',
        'backups/*/quarantine.json',
        'runs/*',
        'drills/*/drill.json',
      ],
      write: ['reports/report.html', 'runs/*/report.html', 'drills/*/report.html'],
    }),
    // How a run ended that could not tell, and whether somebody has paused a schedule.
    readExecutions(context),
    readSchedules(context),
  ],
  'plan-restore': (context) => [readPlans(context), ...objects({ read: ARCHIVES })],
  'retrieve-archive': () => [
    ...objects({ read: [...ARCHIVES, 'restores/*'], write: ['restores/*'] }),
    allow(['s3:RestoreObject'], inBucket(...ARCHIVES)),
    answerTasks('Success'),
    ...alert,
  ],
  'restore-database': (context) => [
    readPlans(context),
    ...objects({ write: ['restores/*/order.json'] }),
    ...runTask('Restore'),
  ],
  'clean-up-restore': (context) => [
    readPlans(context),
    ...connect(context, 'restore'),
    ...(context.inVpc ? [networkInterfaces] : []),
  ],
  'notify-restore': () => [
    ...objects({ read: ['restores/*'], write: ['restores/*/restore.json'] }),
    ...alert,
  ],
  'plan-server-restore': (context) => [readPlans(context), describeServers, readSnapshots],
  'restore-server': () => [describeServers, restoreServers, ...encryptServers],
  'check-restored-server': () => [describeServers, addWriter, ...encryptServers],
  'inspect-restored-server': (context) => [
    readPlans(context),
    ...connect(context),
    ...(context.inVpc ? [networkInterfaces] : []),
  ],
  'clean-up-server': () => [describeServers, deleteRestoredServers],
  'notify-server-restore': () => [
    ...objects({ read: ['restores/*'], write: ['restores/*/server.json'] }),
    ...alert,
  ],
  'plan-drill': (context) => [
    readPlans(context),
    ...objects({ read: ['backups/*', 'drills/*', 'runs/*/extent.json'] }),
    describeServers,
    readSnapshots,
  ],
  'drill-database': (context) => [
    readPlans(context),
    ...objects({ read: ['backups/*'], write: ['drills/*/order.json'] }),
    ...runTask('Drill'),
  ],
  'drill-server': (context) => [
    readPlans(context),
    ...objects({ write: ['drills/*/order.json'] }),
    describeServers,
    ...ownLogins,
    ...runTask('Drill'),
  ],
  'notify-drill': () => [
    ...objects({
      read: ['backups/*', 'drills/*'],
      write: ['drills/*/drill.json', 'backups/*/drilled.json'],
    }),
    ...alert,
  ],
  'resume-restore': () => [...resumeRestores, ...undelivered],
  reconcile: (context) => [
    readPlans(context),
    ...objects({
      read: ['jobs/*', 'runs/*', 'alerts/*', 'drills/*'],
      write: ['alerts/*', 'drills/*/drill.json'],
    }),
    ...lookAround(context),
    describeServers,
    deleteRestoredServers,
    ...resumeRestores,
    ...abortUploads,
    readExecutions(context),
    readDrillExecutions(context),
    ...runTask('Verify'),
    ...alert,
    ...undelivered,
  ],
};

/** Verify Backup, as a function or as a task. Nobody else may write that a backup is verified. */
const verify: Statement[] = [
  ...objects({
    read: ['backups/*', 'jobs/*', 'alerts/*'],
    write: ['backups/*/verification.json', 'backups/*/quarantine.json', 'alerts/*'],
    tag: ['backups/*'],
  }),
  allow(['s3:ListBucketVersions'], arnOf('BackupBucket')),
  answerTasks('Success', 'Failure', 'Heartbeat'),
  ...alert,
];

/** Uploads whose task is gone. */
const abortUploads: Statement[] = [
  allow(['s3:ListBucketMultipartUploads'], arnOf('BackupBucket')),
  allow(['s3:AbortMultipartUpload'], inBucket('backups/*')),
];

const readSchedules = ({ stage }: RoleContext): Statement =>
  allow(['scheduler:GetSchedule'], arn('scheduler', `schedule/holdfast-${stage}/*`));

/** Whether schedules are enabled, and how far RDS's quotas are used; the latter is of no resource. */
const lookAround = (context: RoleContext): Statement[] => [
  readSchedules(context),
  allow(['rds:DescribeAccountAttributes'], '*'),
];

/** What may be restored: our backups, and archives that somebody put there for it. */
const ARCHIVES = ['backups/*', 'imports/*'];

/** How far a task is, for whoever looks on: nothing is decided by it. */
const PROGRESS = 'progress/*.json';

/** Who waits for an archive from Glacier is told, and then waits no more. */
const resumeRestores: Statement[] = [
  ...objects({ read: [...ARCHIVES, 'restores/*'], remove: ['restores/waiting/*'] }),
  answerTasks('Success', 'Failure', 'Heartbeat'),
];

/** Lambda hands over an event that failed three times with the function's own role. */
const undelivered: Statement[] = [allow(['sqs:SendMessage'], arnOf('DeadLetterQueue'))];

/** EC2 names no resource in the describing calls, and the interfaces do not exist yet. */
const networkInterfaces = allow(
  [
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ],
  '*',
);

const traces = allow(['xray:PutTraceSegments', 'xray:PutTelemetryRecords'], '*');

function role(service: string, statements: readonly Statement[]) {
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      },
      Policies: [
        {
          PolicyName: 'own-needs',
          PolicyDocument: { Version: '2012-10-17', Statement: statements },
        },
      ],
    },
  };
}

/**
 * `plan-backup` to `PlanBackup`: a function's or a source's part of logical ids, which have no hyphens. No two names
 * have the same: a hyphen before a digit is an X (`db-1` is DbX1, `db1` is Db1), and so a word's own X is doubled.
 */
export function logicalName(name: string): string {
  return name.replace(/(^|-)([a-z0-9])/g, (_, hyphen: string, first: string) => {
    if (first === 'x') return 'XX';
    return hyphen && /\d/.test(first) ? `X${first}` : first.toUpperCase();
  });
}

/** The roles by logical id: `PlanBackupRole` and so on. */
export function roles(context: RoleContext): Record<string, unknown> {
  const { stage } = context;
  const resources: Record<string, unknown> = {};
  for (const [verb, needs] of Object.entries(functions)) {
    const log = arn('logs', `log-group:/aws/lambda/holdfast-${stage}-${verb}:*`);
    resources[`${logicalName(verb)}Role`] = role('lambda.amazonaws.com', [
      allow(['logs:CreateLogStream', 'logs:PutLogEvents'], log),
      traces,
      ...needs(context),
    ]);
  }
  // It may add to a backup, and neither overwrite, delete nor declare it verified.
  resources['DumpTaskRole'] = role('ecs-tasks.amazonaws.com', [
    ...objects({
      read: ['jobs/*', 'backups/*'],
      write: [
        ...['archive.dump', 'toc.dump', 'globals.sql', 'manifest.json'].map(
          (file) => `backups/*/${file}`,
        ),
        PROGRESS,
      ],
      tag: ['backups/*'],
    }),
    allow(['s3:AbortMultipartUpload'], inBucket('backups/*')),
    ...connect(context),
    answerTasks('Failure', 'Heartbeat'),
  ]);
  // It reads backups and writes nothing but its own report, and what it took back.
  resources['RestoreTaskRole'] = role('ecs-tasks.amazonaws.com', [
    ...objects({
      read: [...ARCHIVES, 'restores/*'],
      write: ['restores/*/report.json', 'restores/*/clean-up.json', PROGRESS],
    }),
    ...connect(context, 'restore'),
    answerTasks('Success', 'Failure', 'Heartbeat'),
  ]);
  // It has a server of its own: no secret of a source, and of the bucket only what a drill reads.
  resources['DrillTaskRole'] = role('ecs-tasks.amazonaws.com', [
    ...objects({ read: ['backups/*', 'drills/*'], write: ['drills/*/report.json', PROGRESS] }),
    ...readDrillLogins,
    answerTasks('Success', 'Failure', 'Heartbeat'),
  ]);
  resources['VerifyTaskRole'] = role('ecs-tasks.amazonaws.com', verify);
  // What ECS itself needs to start a task: the image and the log.
  resources['TaskExecutionRole'] = role('ecs-tasks.amazonaws.com', [
    allow(['ecr:GetAuthorizationToken'], '*'),
    allow(
      ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
      arnOf('ImageRepository'),
    ),
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], arnOf('TaskLogGroup')),
  ]);
  resources['StateMachineRole'] = role('states.amazonaws.com', [
    allow(
      ['lambda:InvokeFunction'],
      [
        'plan-backup',
        'create-snapshot',
        'check-snapshot',
        'discover-databases',
        'dump-database',
        'apply-retention',
        'notify',
        'write-report',
        'plan-restore',
        'retrieve-archive',
        'restore-database',
        'clean-up-restore',
        'notify-restore',
        'plan-server-restore',
        'restore-server',
        'check-restored-server',
        'inspect-restored-server',
        'clean-up-server',
        'notify-server-restore',
        'plan-drill',
        'drill-database',
        'drill-server',
        'notify-drill',
      ].map((verb) => arnOf(`${logicalName(verb)}LambdaFunction`)),
    ),
    traces,
    allow(['xray:GetSamplingRules', 'xray:GetSamplingTargets'], '*'),
    // Step Functions delivers its log through these; none of them knows a resource.
    allow(
      [
        'logs:CreateLogDelivery',
        'logs:GetLogDelivery',
        'logs:UpdateLogDelivery',
        'logs:DeleteLogDelivery',
        'logs:ListLogDeliveries',
        'logs:PutResourcePolicy',
        'logs:DescribeResourcePolicies',
        'logs:DescribeLogGroups',
      ],
      '*',
    ),
  ]);
  resources['RequestRole'] = role('events.amazonaws.com', [
    allow(['states:StartExecution'], { Ref: 'BackupStateMachine' }),
  ]);
  resources['ScheduleRole'] = role('scheduler.amazonaws.com', [
    allow(['states:StartExecution'], [{ Ref: 'BackupStateMachine' }, { Ref: 'DrillStateMachine' }]),
    ...undelivered,
  ]);
  return resources;
}
