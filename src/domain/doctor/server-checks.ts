import type {
  Answer,
  CertificateAuthority,
  EngineLifecycle,
  Finding,
  InstancePosture,
  MaintenanceAction,
  ServerPosture,
  SnapshotQuotas,
} from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { displayText } from '../display-text.ts';
import { judgeRdsSupport, majorOf } from './engine-support.ts';
import {
  awsCommand,
  daysUntil,
  displayDay,
  type Examination,
  type Note,
  notesOn,
  noteUnanswered,
} from './finding.ts';

/** Long enough to notice on Monday what went wrong on the Friday before last. */
const BACKUP_RETENTION_DAYS = 7;
/** Every client needs the new CA first: one quarter to bring it to them. */
const CERTIFICATE_SOON_DAYS = 90;
/** A night of snapshots of all sources should still fit. */
const QUOTA_WARN_SHARE = 0.8;
/** "Using SSL/TLS to encrypt a connection to a DB instance": the default of new servers, valid for decades. */
const CURRENT_CA = 'rds-ca-rsa2048-g1';

export interface ServerAnswers {
  readonly server: Answer<ServerPosture | undefined>;
  /** Undefined: there was no server to ask for. */
  readonly maintenance: Answer<readonly MaintenanceAction[]> | undefined;
  readonly certificates: Answer<readonly CertificateAuthority[]>;
  readonly lifecycles: Answer<ReadonlyMap<number, EngineLifecycle>>;
}

/** The server of a source at RDS. */
export function judgeServer(
  examination: Examination,
  plan: Pick<SourcePlan, 'source' | 'connection'>,
  named: { readonly kind: 'instance' | 'cluster'; readonly identifier: string },
  answers: ServerAnswers,
): Finding[] {
  const note = notesOn(plan.source);
  const { kind, identifier } = named;
  if (!answers.server.known) {
    return [noteUnanswered(note, 'server', `${kind} ${identifier}`, answers.server, examination)];
  }
  const server = answers.server.fact;
  if (!server) {
    return [
      note('server', 'fail', `RDS knows no ${kind} ${identifier}`, {
        why: 'the plan names it: no snapshot can be taken, and its settings cannot be looked at',
        remedy: `correct engine.identifier of ${plan.source} in the plan file and deploy; ${listServers(examination, kind)} shows what there is`,
      }),
    ];
  }
  const about: About = { examination, note, server };
  return [
    note('server', 'ok', `${kind} ${identifier} is ${server.engine} ${server.engineVersion}`),
    automatedBackups(about),
    deletionProtection(about),
    storageEncryption(about),
    ...publicAccess(about),
    privateSubnets(about),
    ...engineSupport(about, answers),
    ...minorUpgrades(about),
    ...pendingMaintenance(about, answers.maintenance),
    ...certificateAuthorities(about, answers.certificates),
    ...iamAuthentication(about, plan),
  ];
}

interface About {
  readonly examination: Examination;
  readonly note: Note;
  readonly server: ServerPosture;
}

function listServers(examination: Examination, kind: 'instance' | 'cluster'): string {
  return awsCommand(examination, 'rds', `describe-db-${kind}s`);
}

/** A change of the server: `option` as modify-db-instance and modify-db-cluster both know it. */
function modify({ examination, server }: About, ...options: string[]): string {
  const { kind, identifier } = server;
  const which = [`modify-db-${kind}`, `--db-${kind}-identifier`, identifier];
  return awsCommand(examination, 'rds', ...which, ...options, '--apply-immediately');
}

/** A change of what only instances have, also of those of a cluster. */
function modifyInstance(
  { examination }: About,
  { identifier }: InstancePosture,
  ...options: string[]
): string {
  const which = ['modify-db-instance', '--db-instance-identifier', identifier];
  return awsCommand(examination, 'rds', ...which, ...options, '--apply-immediately');
}

function notTold(note: Note, check: Parameters<Note>[0], what: string): Finding {
  return note(check, 'unknown', `${what}: RDS does not say`);
}

function automatedBackups(about: About): Finding {
  const { note, server } = about;
  const days = server.backupRetentionDays;
  if (days === undefined) return notTold(note, 'automated-backups', 'automated backups');
  if (days >= BACKUP_RETENTION_DAYS) {
    return note('automated-backups', 'ok', `automated backups are kept for ${days} days`);
  }
  const remedy = modify(about, '--backup-retention-period', String(BACKUP_RETENTION_DAYS));
  if (days > 0) {
    const kept = `automated backups are kept for ${days} day${days === 1 ? '' : 's'} only`;
    const why = 'what is noticed later cannot be undone to the second';
    return note('automated-backups', 'warn', kept, { why, remedy });
  }
  return note('automated-backups', 'fail', 'automated backups are off', {
    why: 'nothing can be restored to a point in time: what was written since the last backup is lost',
    remedy,
  });
}

function deletionProtection(about: About): Finding {
  const { note, server } = about;
  if (server.deletionProtection === undefined) {
    return notTold(note, 'deletion-protection', 'deletion protection');
  }
  if (server.deletionProtection) {
    return note('deletion-protection', 'ok', 'deletion protection is on');
  }
  return note('deletion-protection', 'warn', 'deletion protection is off', {
    why: 'one call deletes the server, and its automated backups with it',
    remedy: modify(about, '--deletion-protection'),
  });
}

function storageEncryption({ examination, note, server }: About): Finding {
  if (server.storageEncrypted === undefined) {
    return notTold(note, 'storage-encryption', 'encryption of the storage');
  }
  if (server.storageEncrypted) return note('storage-encryption', 'ok', 'the storage is encrypted');
  const words =
    server.kind === 'instance'
      ? [
          'copy-db-snapshot',
          ...['--source-db-snapshot-identifier', 'SNAPSHOT'],
          ...['--target-db-snapshot-identifier', 'SNAPSHOT-encrypted'],
        ]
      : [
          'restore-db-cluster-from-snapshot',
          ...['--snapshot-identifier', 'SNAPSHOT', '--engine', server.engine],
          ...['--db-cluster-identifier', `${server.identifier}-encrypted`],
        ];
  const first = awsCommand(examination, 'rds', ...words, '--kms-key-id', 'alias/aws/rds');
  return note('storage-encryption', 'fail', 'the storage is not encrypted', {
    why: 'nor are its snapshots and replicas; RDS cannot encrypt it in place',
    remedy:
      server.kind === 'instance'
        ? `${first}, then holdfast restore-server with --snapshot SNAPSHOT-encrypted`
        : first,
  });
}

function publicAccess(about: About): Finding[] {
  const { note, server } = about;
  const open = server.instances.filter(({ publiclyAccessible }) => publiclyAccessible);
  const silent = server.instances.filter(
    ({ publiclyAccessible }) => publiclyAccessible === undefined,
  );
  if (open.length > 0) {
    return open.map((instance) =>
      note('public-access', 'fail', `${instance.identifier} has a public address`, {
        why: 'whoever passes its security groups reaches it from the internet',
        remedy: modifyInstance(about, instance, '--no-publicly-accessible'),
      }),
    );
  }
  return silent.length > 0 || server.instances.length === 0
    ? [notTold(note, 'public-access', 'public access')]
    : [note('public-access', 'ok', 'no public address')];
}

/** RDS names subnets, and does not say where their routes lead: that would take EC2. */
function privateSubnets({ examination, note, server }: About): Finding {
  const { subnets } = server;
  const filter = `Name=association.subnet-id,Values=${subnets.join(',')}`;
  const query = "RouteTables[].Routes[?starts_with(GatewayId, 'igw-')]";
  const words = ['describe-route-tables', '--filters', filter, '--query', query];
  return note('private-subnets', 'unknown', 'whether its subnets are private is not known', {
    why: 'RDS does not tell where the routes of a subnet lead',
    remedy:
      subnets.length === 0
        ? 'look at the subnet group of the server in the RDS console: no route table of its subnets should name an igw-…'
        : `${awsCommand(examination, 'ec2', ...words)} should answer with nothing but empty lists`,
  });
}

function engineSupport(
  { examination, note, server }: About,
  { lifecycles }: ServerAnswers,
): Finding[] {
  const words = [
    'describe-db-engine-versions',
    ...['--engine', server.engine, '--engine-version', server.engineVersion],
    ...['--query', 'DBEngineVersions[].ValidUpgradeTarget[].EngineVersion'],
  ];
  const judged = judgeRdsSupport(note, {
    major: majorOf(server.engineVersion),
    lifecycles,
    extendedSupport: server.extendedSupport,
    now: examination.now,
    remedy: `${awsCommand(examination, 'rds', ...words)} lists the targets of an upgrade; try it on a server from holdfast restore-server first`,
  });
  // A stand-in that knows no dates is no loss: the table has them.
  if (lifecycles.known || lifecycles.reason === 'not-served') return [judged];
  const what = "RDS's own dates of support";
  return [judged, noteUnanswered(note, 'engine-support', what, lifecycles, examination)];
}

function minorUpgrades(about: About): Finding[] {
  const { note, server } = about;
  const off = server.instances.filter(({ autoMinorUpgrade }) => autoMinorUpgrade === false);
  if (off.length > 0) {
    return off.map((instance) =>
      note('minor-upgrades', 'warn', `${instance.identifier} is not upgraded to minor versions`, {
        why: 'repairs of errors that lose data come with minor versions',
        remedy: modifyInstance(about, instance, '--auto-minor-version-upgrade'),
      }),
    );
  }
  const isTold = server.instances.some(({ autoMinorUpgrade }) => autoMinorUpgrade);
  return isTold
    ? [note('minor-upgrades', 'ok', 'minor versions are upgraded by RDS')]
    : [notTold(note, 'minor-upgrades', 'upgrades to minor versions')];
}

function pendingMaintenance(
  { examination, note }: About,
  answer: Answer<readonly MaintenanceAction[]> | undefined,
): Finding[] {
  if (!answer) return [];
  if (!answer.known) {
    const what = 'pending maintenance';
    return [noteUnanswered(note, 'pending-maintenance', what, answer, examination)];
  }
  if (answer.fact.length === 0) {
    return [note('pending-maintenance', 'ok', 'no maintenance is pending')];
  }
  return answer.fact.map(({ arn, action, description, forcedAt, plannedAt }) => {
    const when = forcedAt ?? plannedAt;
    const what = displayText(`${action} ${description && `(${description})`}`, 160);
    const words = [
      'apply-pending-maintenance-action',
      ...['--resource-identifier', arn, '--apply-action', action],
      ...['--opt-in-type', 'next-maintenance'],
    ];
    const remedy = awsCommand(examination, 'rds', ...words);
    return when
      ? note('pending-maintenance', 'warn', `maintenance comes on ${displayDay(when)}: ${what}`, {
          why: 'a backup that is running then fails; RDS decides when, unless you do',
          remedy,
        })
      : note('pending-maintenance', 'info', `maintenance is pending: ${what}`, { remedy });
  });
}

function certificateAuthorities(
  about: About,
  answer: Answer<readonly CertificateAuthority[]>,
): Finding[] {
  const { examination, note, server } = about;
  const named = server.instances.filter(({ caCertificate }) => caCertificate !== undefined);
  if (named.length === 0) return [notTold(note, 'ca-certificate', 'the CA of the server')];
  if (!answer.known) {
    const what = `when ${named[0]?.caCertificate} ends`;
    return [noteUnanswered(note, 'ca-certificate', what, answer, examination)];
  }
  return named.map((instance) => {
    const { identifier, caCertificate = '' } = instance;
    const ends = answer.fact.find((it) => it.identifier === caCertificate)?.ends;
    const remedy = `give every client the new CA bundle, then ${modifyInstance(about, instance, '--ca-certificate-identifier', CURRENT_CA)}`;
    if (!ends) {
      return note('ca-certificate', 'unknown', `when ${caCertificate} ends is not known`, {
        why: `RDS does not list the CA of ${identifier} in ${examination.region}`,
        remedy,
      });
    }
    const left = daysUntil(ends, examination.now);
    const until = `the CA ${caCertificate} of ${identifier}`;
    if (left > CERTIFICATE_SOON_DAYS) {
      return note('ca-certificate', 'ok', `${until} is valid until ${displayDay(ends)}`);
    }
    return left > 0
      ? note('ca-certificate', 'warn', `${until} ends on ${displayDay(ends)}`, {
          why: 'after that, nobody who verifies the server can connect, and backups neither',
          remedy,
        })
      : note('ca-certificate', 'fail', `${until} has ended on ${displayDay(ends)}`, {
          why: 'nobody who verifies the server can connect, and backups neither',
          remedy,
        });
  });
}

function iamAuthentication(
  about: About,
  { connection }: Pick<SourcePlan, 'connection'>,
): Finding[] {
  const { note, server } = about;
  if (connection.auth.type !== 'iam') return [];
  if (server.iamAuthentication === undefined) {
    return [notTold(note, 'iam-authentication', 'IAM authentication')];
  }
  if (server.iamAuthentication) {
    return [note('iam-authentication', 'ok', 'IAM authentication is on, as the plan wants it')];
  }
  return [
    note('iam-authentication', 'fail', 'the plan connects by IAM, which is off at the server', {
      why: 'no backup can connect',
      remedy: modify(about, '--enable-iam-database-authentication'),
    }),
  ];
}

/** Once for the account and the region; `kinds`: of the servers that snapshots are taken of. */
export function judgeSnapshotQuotas(
  examination: Examination,
  kinds: ReadonlySet<'instance' | 'cluster'>,
  answer: Answer<SnapshotQuotas>,
): Finding[] {
  const note = notesOn(null);
  if (!answer.known) {
    const what = 'the quota of manual snapshots';
    return [noteUnanswered(note, 'snapshot-quota', what, answer, examination)];
  }
  return [...kinds].map((kind) => {
    const quota = answer.fact[kind];
    const what = kind === 'instance' ? 'manual snapshots' : 'manual cluster snapshots';
    if (!quota) return notTold(note, 'snapshot-quota', `the quota of ${what}`);
    const { used, max } = quota;
    const title = `${used} of ${max} ${what} in ${examination.region} are taken`;
    const name =
      kind === 'instance' ? 'Manual DB instance snapshots' : 'Manual DB cluster snapshots';
    const remedy = `Service Quotas console, AWS services, Amazon RDS, "${name}": request an increase; or delete some: holdfast list --snapshots`;
    if (used >= max) {
      return note('snapshot-quota', 'fail', title, { why: 'the next one is refused', remedy });
    }
    return used >= max * QUOTA_WARN_SHARE
      ? note('snapshot-quota', 'warn', title, {
          why: 'at the quota the next one is refused',
          remedy,
        })
      : note('snapshot-quota', 'ok', title);
  });
}
