import { createHash } from 'node:crypto';

/**
 * Every name that Holdfast gives, built and parsed in one place: backup ids, object keys, snapshot
 * ids, execution names. Keys use only `[A-Za-z0-9/_.=-]`, so that a key in an S3 notification (which
 * is URL-encoded) and in an EventBridge event (which is not) read the same.
 */

/** Crockford's base 32 in lower case: no i, l, o, u, so that an id can be read over the phone. */
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz';

/** Format: `20261120T030000Z-k3v9qd`: the UTC second, then six base-32 characters. Sorts by time. */
const BACKUP_ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([0-9a-hjkmnp-tv-z]{6})$/;

/** Format: lower-case words joined by single hyphens, at most 40 characters (fits a snapshot id). */
export const SOURCE_NAME = /^(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** Step Functions: at most 80 characters; we use the subset that is safe in a key. */
const RUN_ID = /^[A-Za-z0-9_-]{1,80}$/;

/**
 * The id of one backup. The suffix is derived from `seed`, so the same seed and second give the same
 * id: a Lambda that is invoked twice for one task token makes one backup, not two.
 */
export function makeBackupId(time: Date, seed: string): string {
  const digest = createHash('sha256').update(seed).digest();
  let suffix = '';
  for (let i = 0; i < 6; i++) suffix += BASE32[(digest[i] ?? 0) & 31];
  return `${compactUtc(time)}-${suffix}`;
}

/** The UTC second in the id, or undefined when it is not a backup id. */
export function parseBackupId(id: string): { time: Date; suffix: string } | undefined {
  const match = BACKUP_ID.exec(id);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, suffix] = match;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time.getTime()) || compactUtc(time) !== id.slice(0, 16)) return undefined;
  return { time, suffix: suffix ?? '' };
}

/** `20261120T030000Z` */
function compactUtc(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/**
 * A database name as one segment of a key: `[A-Za-z0-9_-]` and inner dots stay, every other UTF-8 byte
 * becomes `=XX`. Injective; 63 bytes (PostgreSQL's limit) become at most 189 characters.
 */
export function encodeDatabaseName(name: string): string {
  let encoded = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_-]/.test(char) || (char === '.' && encoded !== '');
    encoded += plain ? char : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The database name of a key segment, or undefined when no name encodes to it. */
export function decodeDatabaseName(segment: string): string | undefined {
  if (!/^([A-Za-z0-9_.-]|=[0-9A-F]{2})+$/.test(segment)) return undefined;
  const bytes = segment.replace(/=([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const name = Buffer.from(bytes, 'latin1').toString('utf8');
  return encodeDatabaseName(name) === segment ? name : undefined;
}

/** What identifies one logical backup. */
export interface BackupRef {
  readonly source: string;
  readonly database: string;
  readonly backupId: string;
}

export const BACKUP_FILES = [
  'archive.dump',
  'toc.dump',
  'globals.sql',
  'manifest.json',
  'verification.json',
  'quarantine.json',
  'drilled.json',
] as const;
export type BackupFile = (typeof BACKUP_FILES)[number];

/** Format: `backups/<source>/<database>/<backupId>/<file>`. */
export function backupKey(ref: BackupRef, file: BackupFile): string {
  return `${backupPrefix(ref)}${file}`;
}

/** Format: `backups/<source>/<database>/<backupId>/`. */
export function backupPrefix({ source, database, backupId }: BackupRef): string {
  return `${databasePrefix(source, database)}${backupId}/`;
}

/** Format: `backups/<source>/<database>/`. */
export function databasePrefix(source: string, database: string): string {
  return `${sourcePrefix(source)}${encodeDatabaseName(database)}/`;
}

/** Format: `backups/<source>/`. */
export function sourcePrefix(source: string): string {
  return `backups/${source}/`;
}

/** The backup and the file that a key names, or undefined when the key is not one of ours. */
export function parseBackupKey(key: string): (BackupRef & { file: BackupFile }) | undefined {
  const parts = key.split('/');
  if (parts.length !== 5 || parts[0] !== 'backups') return undefined;
  const [, source = '', segment = '', backupId = '', file = ''] = parts;
  const database = decodeDatabaseName(segment);
  if (!SOURCE_NAME.test(source) || database === undefined) return undefined;
  if (!parseBackupId(backupId) || !isBackupFile(file)) return undefined;
  return { source, database, backupId, file };
}

function isBackupFile(file: string): file is BackupFile {
  return (BACKUP_FILES as readonly string[]).includes(file);
}

/** Format: `jobs/<source>/<database>/<backupId>.json`: what a dump task is to do, and its token. */
export function jobKey({ source, database, backupId }: BackupRef): string {
  return `jobs/${source}/${encodeDatabaseName(database)}/${backupId}.json`;
}

export function parseJobKey(key: string): BackupRef | undefined {
  const match = /^jobs\/([^/]+)\/([^/]+)\/([^/]+)\.json$/.exec(key);
  if (!match) return undefined;
  const [, source = '', segment = '', backupId = ''] = match;
  const database = decodeDatabaseName(segment);
  if (!SOURCE_NAME.test(source) || database === undefined || !parseBackupId(backupId)) {
    return undefined;
  }
  return { source, database, backupId };
}

/** Format: `runs/<source>/current.json`: the run that holds the source. */
export function runLockKey(source: string): string {
  return `runs/${source}/current.json`;
}

/** Format: `runs/<source>/<runId>/summary.json`. */
export function runSummaryKey(source: string, runId: string): string {
  if (!RUN_ID.test(runId)) throw new RangeError(`${JSON.stringify(runId)} is not a run id`);
  return `runs/${source}/${runId}/summary.json`;
}

/** Format: `runs/<source>/extent.json`: what there is to back up, and the last runs. */
export function sourceExtentKey(source: string): string {
  return `runs/${source}/extent.json`;
}

/** Format: `alerts/<source>/<subject>.json`: exists once an alert that must not repeat was sent. */
export function alertMarkerKey(source: string, subject: string): string {
  return `alerts/${source}/${encodeDatabaseName(subject)}.json`;
}

/** Format: `requests/<source>/<name>.json`: an object that asks for a backup of the source. */
export function parseRequestKey(key: string): { source: string; name: string } | undefined {
  const match = /^requests\/([^/]+)\/([A-Za-z0-9_.-]+)\.json$/.exec(key);
  const [, source = '', name = ''] = match ?? [];
  return SOURCE_NAME.test(source) ? { source, name } : undefined;
}

/**
 * The run id: the execution's own name, the last part of its ARN.
 * Format of the ARN: `arn:<partition>:states:<region>:<account>:execution:<machine>:<name>`.
 */
export function runIdOfExecution(executionArn: string): string {
  return executionArn.split(':')[7] ?? executionArn;
}

/** Format: `<source>-<UTC second>-<suffix>`, at most 80 characters (Step Functions' limit). */
export function makeExecutionName(source: string, time: Date, seed: string): string {
  return `${source}-${makeBackupId(time, seed)}`;
}

/**
 * Format: `holdfast-<source>-<backup id in lower case>`, at most 73 characters. RDS: letters, digits
 * and single hyphens, first a letter, not ending in a hyphen, stored in lower case; at most 255 for an
 * instance and 63 for a cluster, for which the plan limits the source's name to 30.
 */
export function makeSnapshotId(source: string, time: Date, seed: string): string {
  return `holdfast-${source}-${makeBackupId(time, seed).toLowerCase()}`;
}

export function parseSnapshotId(id: string): { source: string; backupId: string } | undefined {
  const match = /^holdfast-(.+)-(\d{8}t\d{6}z)-([0-9a-z]{6})$/.exec(id);
  const [, source = '', second = '', suffix = ''] = match ?? [];
  const backupId = `${second.toUpperCase()}-${suffix}`;
  return SOURCE_NAME.test(source) && parseBackupId(backupId) ? { source, backupId } : undefined;
}

/** Format: `runs/<source>/<runId>/retention.json`: what Apply Retention decided. */
export function retentionPlanKey(source: string, runId: string): string {
  return runSummaryKey(source, runId).replace(/summary\.json$/, 'retention.json');
}

/** Files of one restore. */
export const RESTORE_FILES = [
  'order.json',
  'retrieval.json',
  'report.json',
  'clean-up.json',
  'restore.json',
  'server.json',
] as const;
export type RestoreFile = (typeof RESTORE_FILES)[number];

/** What identifies one restore; its id has the format of a backup's. */
export interface RestoreRef {
  readonly source: string;
  readonly restoreId: string;
}

/** Format: `restores/<source>/<restoreId>/<file>`. */
export function restoreKey({ source, restoreId }: RestoreRef, file: RestoreFile): string {
  return `restores/${source}/${restoreId}/${file}`;
}

export function parseRestoreKey(key: string): (RestoreRef & { file: RestoreFile }) | undefined {
  const [root, source = '', restoreId = '', file = '', ...rest] = key.split('/');
  const known = RESTORE_FILES.find((it) => it === file);
  if (root !== 'restores' || rest.length > 0 || !known) return undefined;
  if (!SOURCE_NAME.test(source) || !parseBackupId(restoreId)) return undefined;
  return { source, restoreId, file: known };
}

/** Every restore that waits for an archive from Glacier; see {@link retrievalPointerKey}. */
export const RETRIEVAL_POINTERS = 'restores/waiting/';

/**
 * Format: `restores/waiting/<SHA-256 of the archive's key, hex>/`: the restores that wait for one archive,
 * whichever of its versions. A digest, as a key under `imports/` has no bound that would leave room.
 */
export function retrievalPointerPrefix(archiveKey: string): string {
  return `${RETRIEVAL_POINTERS}${createHash('sha256').update(archiveKey).digest('hex')}/`;
}

/**
 * Format: `restores/waiting/<SHA-256 of the archive's key, hex>/<source>/<restoreId>/<attempt>.json`. Each
 * attempt has its own, so that whoever removes an old one cannot take away the one that counts.
 */
export function retrievalPointerKey(
  archiveKey: string,
  { source, restoreId }: RestoreRef,
  taskToken: string,
): string {
  return `${retrievalPointerPrefix(archiveKey)}${source}/${restoreId}/${retrievalAttempt(taskToken)}.json`;
}

/** Format: the first 16 hexadecimal digits of the token's SHA-256. */
export function retrievalAttempt(taskToken: string): string {
  return createHash('sha256').update(taskToken).digest('hex').slice(0, 16);
}

/** Who waits. Not a record of a source that is called `waiting`: those have fewer parts. */
export function parseRetrievalPointerKey(
  key: string,
): (RestoreRef & { attempt: string }) | undefined {
  const match = /^restores\/waiting\/[0-9a-f]{64}\/([^/]+)\/([^/]+)\/([0-9a-f]{16})\.json$/.exec(
    key,
  );
  const [, source = '', restoreId = '', attempt = ''] = match ?? [];
  if (!SOURCE_NAME.test(source) || !parseBackupId(restoreId)) return undefined;
  return { source, restoreId, attempt };
}

/** What identifies one drill; its id has the format of a backup's. */
export interface DrillRef {
  readonly source: string;
  readonly drillId: string;
}

/** Of one database in a drill: what the task is to do, and what it found. */
export type DrillFile = 'order.json' | 'report.json';

/** Format: `drills/<source>/`. */
export function drillsPrefix(source: string): string {
  return `drills/${source}/`;
}

/** Format: `drills/<source>/<drillId>/drill.json`: what came of it. */
export function drillRecordKey({ source, drillId }: DrillRef): string {
  return `${drillsPrefix(source)}${drillId}/drill.json`;
}

/** Format: `drills/<source>/<drillId>/<database>/<file>`. */
export function drillKey({ source, drillId }: DrillRef, database: string, file: DrillFile): string {
  return `${drillsPrefix(source)}${drillId}/${encodeDatabaseName(database)}/${file}`;
}

export function parseDrillRecordKey(key: string): DrillRef | undefined {
  const match = /^drills\/([^/]+)\/([^/]+)\/drill\.json$/.exec(key);
  const [, source = '', drillId = ''] = match ?? [];
  return SOURCE_NAME.test(source) && parseBackupId(drillId) ? { source, drillId } : undefined;
}

export function parseDrillKey(
  key: string,
): (DrillRef & { database: string; file: DrillFile }) | undefined {
  const match = /^drills\/([^/]+)\/([^/]+)\/([^/]+)\/(order|report)\.json$/.exec(key);
  const [, source = '', drillId = '', segment = '', name = ''] = match ?? [];
  const database = decodeDatabaseName(segment);
  if (!SOURCE_NAME.test(source) || !parseBackupId(drillId) || database === undefined) {
    return undefined;
  }
  return { source, drillId, database, file: name === 'order' ? 'order.json' : 'report.json' };
}

/** PostgreSQL cuts identifiers after 63 bytes; ours must not be cut. */
const IDENTIFIER_BYTES = 63;

/** Format: `<database>_restored_<restoreId, lower case, _ for ->`, the name cut to 63 bytes in all. */
export function restoredDatabaseName(database: string, restoreId: string): string {
  return withSuffix(database, restoredSuffix(restoreId));
}

/** What the name of a database ends with that a restore makes beside its original. */
export function restoredSuffix(restoreId: string): string {
  return `_restored_${restoreId.toLowerCase().replace('-', '_')}`;
}

/** Format: `<database>_before_<UTC second>`: what `swap` calls the database that was there. */
export function replacedDatabaseName(database: string, time: Date): string {
  return withSuffix(database, `_before_${compactUtc(time).toLowerCase()}`);
}

function withSuffix(name: string, suffix: string): string {
  let cut = name;
  while (Buffer.byteLength(cut + suffix) > IDENTIFIER_BYTES) {
    cut = Array.from(cut).slice(0, -1).join('');
  }
  return cut + suffix;
}

/** RDS: at most 63 characters; two are left for the `-1` of an Aurora cluster's writer. */
const SERVER_NAME_CHARACTERS = 61;

/** Format: `<identifier>-restored-<UTC second, lower case>`, the identifier cut so that all fits. */
export function restoredServerName(identifier: string, time: Date): string {
  const suffix = `-restored-${compactUtc(time).toLowerCase()}`;
  const room = SERVER_NAME_CHARACTERS - suffix.length;
  // RDS takes no two hyphens in a row.
  return `${identifier.slice(0, room).replace(/-+$/, '')}${suffix}`;
}

/** Format: `<identifier>-drill-<UTC second, lower case>`, cut as that of a restored one. */
export function drillServerName(identifier: string, time: Date): string {
  const suffix = `-drill-${compactUtc(time).toLowerCase()}`;
  const room = SERVER_NAME_CHARACTERS - suffix.length;
  return `${identifier.slice(0, room).replace(/-+$/, '')}${suffix}`;
}

/** What {@link drillServerName} made. */
export function isDrillServerName(identifier: string): boolean {
  return /-drill-\d{8}t\d{6}z(-1)?$/.test(identifier);
}

/** Format: `<cluster identifier>-1`: the one instance of a restored Aurora cluster. */
export function restoredWriterName(clusterIdentifier: string): string {
  return `${clusterIdentifier}-1`;
}

/** Format: `progress/<source>/<runId>/`: how far the tasks of one execution are. */
export function taskProgressPrefix({ source, runId }: { source: string; runId: string }): string {
  if (!RUN_ID.test(runId)) throw new RangeError(`${JSON.stringify(runId)} is not a run id`);
  return `progress/${source}/${runId}/`;
}

/** Format: `progress/<source>/<runId>/<database>.json`. */
export function taskProgressKey(run: { source: string; runId: string }, database: string): string {
  return `${taskProgressPrefix(run)}${encodeDatabaseName(database)}.json`;
}

/** The report of all sources, as the last run or drill left it. */
export const REPORT_KEY = 'reports/report.html';

/**
 * Format: `report.html` beside `runs/<source>/<runId>/summary.json` or `drills/<source>/<drillId>/drill.json`;
 * undefined when the key is neither's.
 */
export function reportCopyKey(recordKey: string): string | undefined {
  const [, folder, source = '', id = ''] =
    /^(runs\/([^/]+)\/([^/]+)\/)summary\.json$/.exec(recordKey) ?? [];
  if (folder && SOURCE_NAME.test(source) && RUN_ID.test(id)) return `${folder}report.html`;
  return parseDrillRecordKey(recordKey) && recordKey.replace(/drill\.json$/, 'report.html');
}
