import { createHash } from 'node:crypto';
import type { ArchiveDrill, DrillInput, DrillRecord } from '#contracts/drill.ts';
import type { DatabaseSelection, DrillRules } from '#contracts/source-plan.ts';
import { BackupNotFound } from '#errors';
import type { Inventory, InventoryBackup } from '../backup-inventory.ts';
import { selectDatabases } from '../database-selection.ts';
import { displayName } from '../display-text.ts';
import { chooseBackup } from '../restore/choose-backup.ts';

/** One archive that is to be rehearsed. */
export interface ChosenArchive {
  readonly backup: InventoryBackup;
  readonly chosenBy: ArchiveDrill['chosenBy'];
  /** Of the same database. */
  readonly newestVerified: InventoryBackup;
}

/** What a drill of archives rehearses. */
export interface DrillChoices {
  readonly archives: readonly ChosenArchive[];
  /** Databases that are to be rehearsed and have no verified backup, each with why. */
  readonly missing: readonly { readonly database: string; readonly reason: string }[];
  /** For whoever reads the record. */
  readonly notes: readonly string[];
  /** One database or one backup was asked for, and the source has more databases than that. */
  readonly isPart: boolean;
}

export interface DrillWish {
  readonly inventory: Inventory;
  /** Those of the source that can be read, newest first. */
  readonly past: readonly DrillRecord[];
  readonly input: Pick<DrillInput, 'source' | 'database' | 'backup'>;
  readonly rules: Pick<DrillRules, 'choose' | 'randomDays' | 'maxDatabases'>;
  /** Those that the last run found: what should have a backup and has none is not in the inventory. */
  readonly known?: readonly string[];
  /** The plan's: what is not backed up any more is not rehearsed either. */
  readonly selection: DatabaseSelection;
  readonly now: Date;
  /** The same seed makes the same choice: an invocation that Lambda repeats rehearses no other archive. */
  readonly seed: string;
}

/**
 * Which archive of which database. Verified ones alone: what is unverified or quarantined was never said to
 * be good. Where there are more databases than one drill takes, those come first that were rehearsed, or
 * tried, longest ago; those without a verified backup are missing in every drill until they have one.
 * Throws BackupNotFound, BackupNotVerified for a database or a backup that was asked for by name.
 */
export function chooseArchives(wish: DrillWish): DrillChoices {
  const { inventory, past, input, rules } = wish;
  const wanted = databasesOf(wish);
  const archives: ChosenArchive[] = [];
  const missing: { database: string; reason: string }[] = [];
  for (const database of wanted) {
    const backups = inventory.databases.get(database) ?? [];
    const newestVerified = backups.find(({ state }) => state === 'verified');
    if (newestVerified) archives.push({ ...choose(wish, database, backups), newestVerified });
    else missing.push({ database, reason: whyMissing(database, backups) });
  }
  if (archives.length + missing.length === 0) {
    throw new BackupNotFound(`${input.source} has no backup that could be rehearsed`);
  }
  const longestAgoFirst = archives
    .map((archive) => ({ archive, last: lastRehearsed(archive, inventory, past) }))
    .sort((a, b) => a.last - b.last || compare(a.archive.backup, b.archive.backup))
    .map(({ archive }) => archive);
  const later = longestAgoFirst
    .slice(rules.maxDatabases)
    .map(({ backup }) => displayName(backup.database));
  return {
    archives: longestAgoFirst.slice(0, rules.maxDatabases),
    missing,
    isPart: isAskedFor(input) && existingOf(wish).length > wanted.length,
    notes:
      later.length === 0
        ? []
        : [`drill.maxDatabases is ${rules.maxDatabases}: later drills rehearse ${listed(later)}`],
  };
}

function isAskedFor({ database, backup }: DrillWish['input']): boolean {
  return database !== undefined || isBackupId(backup);
}

function existingOf({ inventory, known = [] }: DrillWish): string[] {
  return [...new Set([...inventory.databases.keys(), ...known])];
}

function databasesOf(wish: DrillWish): readonly string[] {
  const { inventory, input, selection } = wish;
  const { database, backup } = input;
  const existing = existingOf(wish);
  if (database !== undefined) {
    // Of a name that is mistyped it says which one is meant.
    if (!inventory.databases.has(database)) chooseLatest(inventory, input.source, database);
    return [database];
  }
  if (isBackupId(backup)) {
    const holders = existing.filter((name) =>
      inventory.databases.get(name)?.some(({ backupId }) => backupId === backup),
    );
    if (holders.length === 0) throw new BackupNotFound(`${input.source} has no backup ${backup}`);
    return holders;
  }
  const { names, missing } = selectDatabases(selection, null, existing);
  return [...names, ...missing];
}

function isBackupId(backup: DrillInput['backup']): backup is string {
  return backup !== undefined && backup !== 'latest' && backup !== 'random';
}

function choose(
  { inventory, past, input, rules, now, seed }: DrillWish,
  database: string,
  backups: readonly InventoryBackup[],
): Pick<ChosenArchive, 'backup' | 'chosenBy'> {
  const { source, backup } = input;
  if (isBackupId(backup)) {
    const wanted = { source, database, backup, allowUnverified: false };
    return { backup: chooseBackup(inventory, wanted), chosenBy: 'named' };
  }
  const latest = chooseLatest(inventory, source, database);
  const wasDrilled = backups.some(({ files }) => files.has('drilled.json'));
  const coin = wasDrilled && fraction(`${seed}/${database}/choice`, 2) === 1 ? 'random' : 'latest';
  if (nextChoice(backup ?? rules.choose, past, database, coin) === 'latest') {
    return { backup: latest, chosenBy: 'latest' };
  }
  const since = now.getTime() - rules.randomDays * 86_400_000;
  const pool = backups.filter(
    ({ state, time }) => state === 'verified' && time.getTime() >= since && time <= now,
  );
  const random = pool[fraction(`${seed}/${database}`, pool.length)];
  return random
    ? { backup: random, chosenBy: 'random' }
    : // All are older than that: better the latest than none.
      { backup: latest, chosenBy: 'latest' };
}

function chooseLatest(inventory: Inventory, source: string, database: string): InventoryBackup {
  return chooseBackup(inventory, { source, database, backup: 'latest', allowUnverified: false });
}

/**
 * The one that the last drill of the database did not take; one of a backup by name does not count. Where that drill
 * is not among those that are looked at, of a source with hundreds of databases, `otherwise`.
 */
function nextChoice(
  choice: DrillRules['choose'],
  past: readonly DrillRecord[],
  database: string,
  otherwise: 'latest' | 'random',
): 'latest' | 'random' {
  if (choice !== 'alternate') return choice;
  for (const { databases } of past) {
    const last = databases.find((it) => it.database === database)?.chosenBy;
    if (last === 'latest') return 'random';
    if (last === 'random') return 'latest';
  }
  return otherwise;
}

/** A whole number below `count`, spread evenly over the seeds (48 bits against at most some thousands). */
function fraction(seed: string, count: number): number {
  return createHash('sha256').update(seed).digest().readUIntBE(0, 6) % Math.max(1, count);
}

/** Milliseconds; 0: never. Also what failed was tried, or a broken database would keep all others waiting. */
function lastRehearsed(
  { backup: { database } }: ChosenArchive,
  inventory: Inventory,
  past: readonly DrillRecord[],
): number {
  const marks = (inventory.databases.get(database) ?? []).map(
    ({ files }) => files.get('drilled.json')?.lastModified.getTime() ?? 0,
  );
  const tried = past
    .filter(({ databases }) => databases.some((it) => it.database === database))
    .map(({ drill }) => Date.parse(drill.startedAt));
  return Math.max(0, ...marks, ...tried);
}

function compare(a: InventoryBackup, b: InventoryBackup): number {
  return a.database < b.database ? -1 : 1;
}

function whyMissing(database: string, backups: readonly InventoryBackup[]): string {
  const what = displayName(database);
  if (backups.length === 0) return `${what} has no backup at all`;
  const quarantined = backups.filter(({ state }) => state === 'quarantined').length;
  const unverified = backups.length - quarantined;
  return `${what} has no verified backup: ${unverified} unverified, ${quarantined} quarantined`;
}

/** So many are named. */
const NAMED = 10;

function listed(names: readonly string[]): string {
  const more = names.length - NAMED;
  return `${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
