import type {
  ServerKind,
  ServerSettings,
  ServerSnapshot,
  ServerTarget,
  SourceServer,
} from '#contracts/restore-server.ts';
import { InvalidInput } from '#errors';
import { type Tags, tagValue } from '../snapshot-tags.ts';

/** The tags of a restored server. What does not carry the first three is never adopted or deleted. */
export const SERVER_TAG = {
  managed: 'holdfast:managed',
  source: 'holdfast:source',
  restore: 'holdfast:restore',
  reason: 'holdfast:reason',
  /** The execution of the drill that made it: when that is over, the server must be gone. */
  drill: 'holdfast:drill',
} as const;

/** `holdfast:managed` of a server; a snapshot of it is thereby none of our backups. */
const MANAGED = 'restore';

export function serverTags(restore: {
  readonly source: string;
  readonly restoreId: string;
  readonly reason: string | null;
  /** Of the drill that it is made for. */
  readonly executionArn?: string;
}): Tags {
  const reason = restore.reason === null ? '' : tagValue(restore.reason);
  return {
    [SERVER_TAG.managed]: MANAGED,
    [SERVER_TAG.source]: restore.source,
    [SERVER_TAG.restore]: restore.restoreId,
    ...(reason === '' ? {} : { [SERVER_TAG.reason]: reason }),
    ...(restore.executionArn === undefined ? {} : { [SERVER_TAG.drill]: restore.executionArn }),
  };
}

/** Whether a server with these tags was made by this very restore. */
export function isOfRestore(
  tags: Tags,
  { source, restoreId }: { readonly source: string; readonly restoreId: string },
): boolean {
  return (
    tags[SERVER_TAG.managed] === MANAGED &&
    tags[SERVER_TAG.source] === source &&
    tags[SERVER_TAG.restore] === restoreId
  );
}

/** The drill that made a server with these tags; undefined: none did. */
export function drillOf(
  tags: Tags,
): { source: string; restoreId: string; executionArn: string } | undefined {
  const { managed, source, restore, drill } = SERVER_TAG;
  const [owner, restoreId, executionArn] = [tags[source], tags[restore], tags[drill]];
  if (tags[managed] !== MANAGED || !owner || !restoreId || !executionArn) return undefined;
  return { source: owner, restoreId, executionArn };
}

/** RDS: so many tags a resource. */
const MAX_TAGS = 50;
/** RDS User Guide, "gp3 storage": PostgreSQL below 400 GiB has 3,000 IOPS, and takes no number, not even that. */
const GP3_THRESHOLD_GIB = 400;

export interface TakenOver {
  readonly settings: ServerSettings;
  readonly warnings: readonly string[];
}

/**
 * How the new server is set up: as the source, unless the input says otherwise; where the source is gone,
 * by the snapshot and the input. Never public and never protected unless asked for.
 * Throws InvalidInput, which names what must be given.
 */
export function takeOverSettings(request: {
  readonly kind: ServerKind;
  readonly identifier: string;
  readonly source: SourceServer | undefined;
  /** Undefined: a point in time. */
  readonly snapshot: ServerSnapshot | undefined;
  readonly target: ServerTarget;
  readonly ownTags: Tags;
}): TakenOver {
  const { kind, source, snapshot, target } = request;
  const isCluster = kind === 'cluster';
  if (!source) requireForGone(request);
  checkKey(request);
  const warnings: string[] = [];
  const base = source?.settings ?? settingsOfSnapshot(snapshot);
  // Parameter and option groups are of one major; the snapshot may be from before an upgrade.
  const groupsFit =
    !source || !snapshot || majorOf(source.engineVersion) === majorOf(snapshot.engineVersion);
  const group = (name: GroupName, given: string | undefined) => {
    if (given !== undefined) return given;
    if (groupsFit || base[name] === null) return base[name];
    if (!isDefaultGroup(base[name])) {
      warnings.push(
        `the ${GROUP_NAMES[name]} ${base[name]} was not taken over: the snapshot is of PostgreSQL ${majorOf(snapshot.engineVersion)}, the source is ${majorOf(source.engineVersion)} by now`,
      );
    }
    return null;
  };
  if (!source) warnings.push(...goneWarnings(request));
  const tags = joinTags(base.tags, target.tags ?? {}, request.ownTags, warnings);
  const settings: ServerSettings = {
    ...base,
    ...performance(base, snapshot?.sizeGiB ?? source?.allocatedGiB ?? null),
    instanceClass: target.instanceClass ?? base.instanceClass,
    subnetGroup: target.subnetGroup ?? base.subnetGroup,
    securityGroups: target.securityGroups ?? base.securityGroups,
    parameterGroup: group('parameterGroup', target.parameterGroup),
    clusterParameterGroup: isCluster
      ? group('clusterParameterGroup', target.clusterParameterGroup)
      : null,
    optionGroup: isCluster ? null : group('optionGroup', target.optionGroup),
    multiAz: isCluster ? false : (target.multiAz ?? base.multiAz),
    kmsKeyId: target.kmsKeyId ?? (snapshot ? snapshot.settings.kmsKeyId : base.kmsKeyId),
    publiclyAccessible: target.publiclyAccessible,
    deletionProtection: target.deletionProtection,
    tags,
  };
  return { settings, warnings };
}

type GroupName = 'parameterGroup' | 'clusterParameterGroup' | 'optionGroup';
const GROUP_NAMES: Readonly<Record<GroupName, string>> = {
  parameterGroup: 'parameter group',
  clusterParameterGroup: 'cluster parameter group',
  optionGroup: 'option group',
};

/** RDS's own groups carry the major in their names, and the new server gets those of its own. */
function isDefaultGroup(name: string): boolean {
  return /^default[.:]/.test(name);
}

function majorOf(engineVersion: string): string {
  return engineVersion.split('.')[0] ?? '';
}

function requireForGone(request: Parameters<typeof takeOverSettings>[0]): void {
  const { kind, identifier, target } = request;
  // An instance gets the class that the snapshot remembers; the other defaults would be another VPC's.
  const needed = [
    ...(kind === 'cluster' ? (['instanceClass'] as const) : []),
    'subnetGroup' as const,
    'securityGroups' as const,
  ];
  const missing = needed.filter((name) => target[name] === undefined);
  if (missing.length === 0) return;
  throw new InvalidInput(
    `the server ${identifier} is gone, so these cannot be taken from it: ${missing.map((name) => `target.${name}`).join(', ')}`,
    {
      remedy: `write "target":{${missing.map((name) => GONE_EXAMPLES[name]).join(',')}} with your own values`,
    },
  );
}

const GONE_EXAMPLES = {
  instanceClass: '"instanceClass":"db.r6g.large"',
  subnetGroup: '"subnetGroup":"my-subnets"',
  securityGroups: '"securityGroups":["sg-0123456789abcdef0"]',
} as const;

function goneWarnings({ kind, target }: Parameters<typeof takeOverSettings>[0]): string[] {
  const groups: (keyof ServerTarget)[] =
    kind === 'cluster' ? ['clusterParameterGroup', 'parameterGroup'] : ['parameterGroup'];
  return groups
    .filter((name) => target[name] === undefined)
    .map(
      (name) => `the source is gone and no target.${name} was given: RDS's default group is used`,
    );
}

/** RDS restores an instance under the key of its snapshot; Aurora takes another one. */
function checkKey({ kind, source, snapshot, target }: Parameters<typeof takeOverSettings>[0]) {
  const { kmsKeyId } = target;
  if (kmsKeyId === undefined || kind === 'cluster') return;
  const own = snapshot ? snapshot.settings.kmsKeyId : (source?.settings.kmsKeyId ?? null);
  if (own !== null && (own === kmsKeyId || own.endsWith(`/${kmsKeyId}`))) return;
  throw new InvalidInput(
    `RDS restores an instance under the key that it has${own === null ? '' : `, ${own}`}, and not under ${kmsKeyId}`,
    {
      remedy:
        'leave out target.kmsKeyId, or copy the snapshot under that key (aws rds copy-db-snapshot --kms-key-id) and restore the copy',
    },
  );
}

/** Iops and throughput only where RDS lets them be said. */
function performance(
  { storageType, iops, storageThroughput }: ServerSettings,
  sizeGiB: number | null,
): Pick<ServerSettings, 'iops' | 'storageThroughput'> {
  const isProvisioned = storageType === 'io1' || storageType === 'io2';
  const isLargeGp3 = storageType === 'gp3' && (sizeGiB ?? 0) >= GP3_THRESHOLD_GIB;
  return {
    iops: isProvisioned || isLargeGp3 ? iops : null,
    storageThroughput: isLargeGp3 ? storageThroughput : null,
  };
}

/** The user's own come before the source's where there is no room for all. */
function joinTags(inherited: Tags, given: Tags, own: Tags, warnings: string[]): Tags {
  const free = Object.entries(inherited).filter(
    ([key]) => !/^(aws|holdfast):/i.test(key) && !(key in given),
  );
  const room = Math.max(0, MAX_TAGS - Object.keys(given).length - Object.keys(own).length);
  if (free.length > room) {
    warnings.push(
      `${free.length - room} tags of the source were not taken over: RDS takes ${MAX_TAGS}`,
    );
  }
  return { ...Object.fromEntries(free.slice(0, room)), ...given, ...own };
}

function settingsOfSnapshot(snapshot: ServerSnapshot | undefined): ServerSettings {
  return {
    instanceClass: null,
    subnetGroup: null,
    securityGroups: [],
    parameterGroup: null,
    clusterParameterGroup: null,
    caCertificate: null,
    multiAz: false,
    autoMinorVersionUpgrade: true,
    logExports: [],
    networkType: null,
    copyTagsToSnapshot: true,
    serverless: null,
    publiclyAccessible: false,
    deletionProtection: false,
    tags: {},
    optionGroup: snapshot?.settings.optionGroup ?? null,
    storageType: snapshot?.settings.storageType ?? null,
    iops: snapshot?.settings.iops ?? null,
    storageThroughput: snapshot?.settings.storageThroughput ?? null,
    port: snapshot?.settings.port ?? null,
    iamAuthentication: snapshot?.settings.iamAuthentication ?? false,
    kmsKeyId: snapshot?.settings.kmsKeyId ?? null,
  };
}
