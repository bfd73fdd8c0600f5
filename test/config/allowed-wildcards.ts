/**
 * Every wildcard that an Allow statement of the stack may have, with its reason. A pattern is compared
 * with the resource as the template has it: `${AWS::…}` parts left out, the stage written `STAGE`.
 */
export interface AllowedWildcard {
  readonly resource: string;
  /** The only actions that may be allowed on it. */
  readonly actions: readonly string[];
  readonly reason: string;
}

const READ = ['s3:GetObject', 's3:GetObjectVersion'];
const RESTORES = [
  'rds:RestoreDBInstanceFromDBSnapshot',
  'rds:RestoreDBInstanceToPointInTime',
  'rds:RestoreDBClusterFromSnapshot',
  'rds:RestoreDBClusterToPointInTime',
];
const folder = (name: string, actions: readonly string[], reason: string): AllowedWildcard => ({
  resource: `BackupBucket/${name}`,
  actions,
  reason,
});

export const allowedWildcards: readonly AllowedWildcard[] = [
  // The bucket's folders: an object's key holds the source, the database and the backup's id.
  folder(
    'backups/*',
    [
      ...READ,
      's3:DeleteObject',
      's3:PutObjectTagging',
      's3:PutObjectVersionTagging',
      's3:AbortMultipartUpload',
      's3:RestoreObject',
    ],
    'the backups of every source',
  ),
  ...['archive.dump', 'toc.dump', 'globals.sql', 'manifest.json'].map((file) =>
    folder(`backups/*/${file}`, ['s3:PutObject'], 'what the dump task writes'),
  ),
  ...['verification.json', 'quarantine.json'].map((file) =>
    folder(`backups/*/${file}`, ['s3:PutObject'], 'what only the verification writes'),
  ),
  ...['manifest.json', 'verification.json', 'quarantine.json'].map((file) =>
    folder(`backups/*/${file}`, READ, 'records that the report is made of: never the data'),
  ),
  folder('drills/*/drill.json', READ, 'records that the report is made of'),
  folder('jobs/*', [...READ, 's3:PutObject', 's3:DeleteObject'], 'one job record a dump'),
  folder('runs/*', [...READ, 's3:PutObject'], "runs' locks, plans and summaries"),
  folder('drills/*', READ, 'records of drills'),
  folder('runs/*/extent.json', READ, 'how far the backups of a source reach'),
  folder('runs/*/report.html', ['s3:PutObject'], 'the report as a run left it'),
  folder('drills/*/report.html', ['s3:PutObject'], 'the report as a drill left it'),
  folder('alerts/*', [...READ, 's3:PutObject'], 'markers of alerts that must not repeat'),
  folder('restores/*', [...READ, 's3:PutObject'], 'orders, retrievals and reports of restores'),
  ...['order.json', 'report.json', 'clean-up.json', 'restore.json', 'server.json'].map((file) =>
    folder(`restores/*/${file}`, ['s3:PutObject'], 'what one step of a restore writes'),
  ),
  folder('drills/*', READ, 'orders, reports and records of drills'),
  ...['order.json', 'report.json', 'drill.json'].map((file) =>
    folder(`drills/*/${file}`, ['s3:PutObject'], 'what one step of a drill writes'),
  ),
  folder(
    'backups/*/drilled.json',
    ['s3:PutObject'],
    'the mark of a backup that a drill brought back',
  ),
  folder('progress/*.json', ['s3:PutObject'], 'how far a task is, of any execution'),
  folder('restores/waiting/*', ['s3:DeleteObject'], 'who waits for Glacier, until told'),
  folder('imports/*', [...READ, 's3:RestoreObject'], 'archives to restore, named by whoever asks'),
  folder('requests/*', READ, 'requests for a backup, named by whoever asks'),

  // Names that end in something made by AWS or by the run.
  {
    resource: 'scheduler:schedule/holdfast-STAGE/*',
    actions: ['scheduler:GetSchedule'],
    reason:
      'schedules of backups and of drills of each source, and sources are added without a deployment',
  },
  {
    resource: 'ssm:parameter/holdfast/STAGE/sources/*',
    actions: ['ssm:GetParameter', 'ssm:GetParametersByPath'],
    reason: 'one parameter a source, and sources are added without a deployment',
  },
  {
    resource: 'states:execution:holdfast-STAGE-backup:*',
    actions: ['states:DescribeExecution'],
    reason: 'executions of our one state machine',
  },
  {
    resource: 'states:execution:holdfast-STAGE-drill:*',
    actions: ['states:DescribeExecution'],
    reason: 'executions of drills, to know whose servers are left over',
  },
  {
    resource: 'ecs:task/Cluster/*',
    actions: ['ecs:TagResource'],
    reason: 'tasks of our cluster, and only while RunTask makes them (a condition)',
  },
  {
    resource: 'logs:log-group:/aws/lambda/holdfast-STAGE-VERB:*',
    actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    reason: "the streams of the function's own log group",
  },
  {
    resource: 'secretsmanager:secret:holdfast/STAGE/*',
    actions: ['secretsmanager:GetSecretValue'],
    reason: 'secrets that are ours by name, so that sources are added without a deployment',
  },
  {
    resource: 'secretsmanager:secret:holdfast-restore/STAGE/*',
    actions: ['secretsmanager:GetSecretValue'],
    reason: 'the same for the roles that restore',
  },
  {
    resource: 'secretsmanager:secret:NAME-??????',
    actions: ['secretsmanager:GetSecretValue'],
    reason: 'a secret by its name: Secrets Manager adds a hyphen and six characters',
  },
  {
    resource: 'rds-db:dbuser:*/NAME',
    actions: ['rds-db:connect'],
    reason: "the plan has the user and the host; the server's resource id is known to RDS only",
  },

  // Snapshots.
  ...['snapshot:holdfast-*', 'cluster-snapshot:holdfast-*'].map((name) => ({
    resource: `rds:${name}`,
    actions: [
      'rds:CreateDBSnapshot',
      'rds:CreateDBClusterSnapshot',
      'rds:AddTagsToResource',
      'rds:DeleteDBSnapshot',
      'rds:DeleteDBClusterSnapshot',
    ],
    reason: 'our own names; made with our tag and deleted with it only (conditions)',
  })),
  ...['db:*', 'cluster:*'].map((name) => ({
    resource: `rds:${name}`,
    actions: [
      'rds:CreateDBSnapshot',
      'rds:CreateDBClusterSnapshot',
      'rds:AddTagsToResource',
      'rds:DescribeDBSnapshots',
      'rds:DescribeDBClusterSnapshots',
      'rds:DescribeDBInstances',
      'rds:DescribeDBClusters',
      'rds:DescribeDBInstanceAutomatedBackups',
      'rds:DescribeDBClusterAutomatedBackups',
      ...RESTORES,
      'rds:CreateDBInstance',
      'rds:ModifyDBInstance',
      'rds:ModifyDBCluster',
      'rds:DeleteDBInstance',
      'rds:DeleteDBCluster',
    ],
    reason:
      'any server may become a source without a deployment; what is made and deleted has our tag (conditions)',
  })),
  ...['snapshot:*', 'cluster-snapshot:*'].map((name) => ({
    resource: `rds:${name}`,
    actions: [
      'rds:DescribeDBSnapshots',
      'rds:DescribeDBClusterSnapshots',
      ...RESTORES,
      'rds:AddTagsToResource',
    ],
    reason: 'RDS lists only for those who may describe all of them; any of them may be restored',
  })),
  ...['auto-backup:*', 'cluster-auto-backup:*'].map((name) => ({
    resource: `rds:${name}`,
    actions: [
      'rds:DescribeDBInstances',
      'rds:DescribeDBClusters',
      'rds:DescribeDBInstanceAutomatedBackups',
      'rds:DescribeDBClusterAutomatedBackups',
      ...RESTORES,
      'rds:AddTagsToResource',
    ],
    reason: 'backups of a server that is gone are known by an id that RDS made',
  })),
  ...['subgrp:*', 'pg:*', 'cluster-pg:*', 'og:*', 'secgrp:*'].map((name) => ({
    resource: `rds:${name}`,
    actions: [...RESTORES, 'rds:CreateDBInstance', 'rds:AddTagsToResource'],
    reason: 'a restored server uses the groups of its source, or those that the input names',
  })),

  // The password that RDS makes for the temporary server of a drill.
  {
    resource: 'secretsmanager:secret:rds!*',
    actions: ['secretsmanager:CreateSecret', 'secretsmanager:TagResource'],
    reason: 'RDS names it, and only RDS may do it in our name (a condition)',
  },
  ...['db', 'cluster'].map((kind) => ({
    resource: `secretsmanager:secret:rds!${kind}-*`,
    actions: ['secretsmanager:GetSecretValue'],
    reason: 'RDS names it; only of servers that are named as drills are (a condition)',
  })),
  {
    resource: 'kms:key/*',
    actions: ['kms:DescribeKey'],
    reason: 'the key of a server, or of the secret that RDS makes; only through AWS (a condition)',
  },
  {
    resource: 'kms:key/*',
    actions: ['kms:CreateGrant'],
    reason: 'a server may have any key; only grants to AWS for itself (a condition)',
  },

  // Calls for which IAM knows no resource.
  {
    resource: '*',
    actions: ['states:SendTaskSuccess', 'states:SendTaskFailure', 'states:SendTaskHeartbeat'],
    reason: 'IAM knows no resource for them; the task token is the proof',
  },
  {
    resource: '*',
    actions: [
      'xray:PutTraceSegments',
      'xray:PutTelemetryRecords',
      'xray:GetSamplingRules',
      'xray:GetSamplingTargets',
    ],
    reason: 'IAM knows no resource for them',
  },
  {
    resource: '*',
    actions: ['ecr:GetAuthorizationToken', 'rds:DescribeAccountAttributes'],
    reason: 'IAM knows no resource for them',
  },
  {
    resource: '*',
    actions: [
      'logs:CreateLogDelivery',
      'logs:GetLogDelivery',
      'logs:UpdateLogDelivery',
      'logs:DeleteLogDelivery',
      'logs:ListLogDeliveries',
      'logs:PutResourcePolicy',
      'logs:DescribeResourcePolicies',
      'logs:DescribeLogGroups',
    ],
    reason: 'log delivery of Step Functions, as its documentation prescribes',
  },
  {
    resource: '*',
    actions: [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ],
    reason: 'a function in a VPC; Lambda checks these on every resource',
  },
  {
    resource: '*',
    actions: ['kms:*'],
    reason: "a key policy's resource is its own key; the account decides by IAM policies",
  },
  {
    resource: '*',
    actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
    reason: "a key policy's resource is its own key; CloudWatch of this account only",
  },
];
