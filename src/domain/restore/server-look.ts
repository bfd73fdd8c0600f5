import type { ServerDatabaseChecks, ServerInspection } from '#contracts/restore-server.ts';
import { displayName, displayText } from '../display-text.ts';
import { displayList } from './entry-kinds.ts';

/** One extension in one database; `available`: the version that the server would make; null: it has none of it. */
export interface ExtensionLook extends Record<string, unknown> {
  readonly name: string;
  readonly version: string;
  readonly available: string | null;
}

/** What a database of a restored server says of itself. Names are quoted and qualified. */
export interface DatabaseLook {
  readonly database: string;
  readonly tables: number;
  readonly invalidIndexes: readonly string[];
  readonly invalidConstraints: readonly string[];
  readonly sequencesChecked: number;
  /** `sequence is behind table.column` */
  readonly sequencesBehind: readonly string[];
  /** Why not all sequences could be looked at, or null. */
  readonly sequencesUnread: string | null;
  readonly extensions: readonly ExtensionLook[];
  readonly publications: number;
  readonly subscriptions: readonly { readonly identity: string; readonly enabled: boolean }[];
  readonly largeObjects: number;
  /** `"x" (made with 2.31, the server has 2.36)` */
  readonly collations: readonly string[];
}

/** A replication slot of the server. */
export interface SlotLook extends Record<string, unknown> {
  readonly name: string;
  readonly kind: string;
}

export interface ServerLook {
  readonly slots: readonly SlotLook[];
  readonly looks: readonly DatabaseLook[];
  /** Databases that could not be looked into, with the reason. */
  readonly closed: readonly { readonly database: string; readonly reason: string }[];
  /** Databases for which there was no time. */
  readonly unlooked: readonly string[];
}

/** Of one warning: all of them are a part of the run's payload, which has at most 256 KiB. */
const WARNING_CHARACTERS = 500;
const LISTED_EXTENSIONS = 100;
const LISTED_SLOTS = 20;

/** Numbers alone: a hundred databases stand in the run's payload. */
export function checksOf(look: DatabaseLook): ServerDatabaseChecks {
  return {
    invalidIndexes: look.invalidIndexes.length,
    invalidConstraints: look.invalidConstraints.length,
    sequences: { checked: look.sequencesChecked, behind: look.sequencesBehind.length },
    extensions: look.extensions.length,
    publications: look.publications,
    subscriptions: {
      total: look.subscriptions.length,
      enabled: look.subscriptions.filter(({ enabled }) => enabled).length,
    },
    largeObjects: look.largeObjects,
    collationMismatches: look.collations.length,
  };
}

/** The extensions of all databases, each version once; the most used first. */
export function extensionsOf(
  looks: readonly DatabaseLook[],
): NonNullable<ServerInspection['extensions']> {
  const found = new Map<string, NonNullable<ServerInspection['extensions']>[number]>();
  for (const { name, version, available } of looks.flatMap(({ extensions }) => extensions)) {
    const key = JSON.stringify([name, version]);
    const before = found.get(key);
    found.set(key, { name, version, available, databases: (before?.databases ?? 0) + 1 });
  }
  return [...found.values()]
    .toSorted((a, b) => b.databases - a.databases)
    .slice(0, LISTED_EXTENSIONS)
    .map((it) => ({
      ...it,
      version: displayText(it.version, 40),
      available: it.available === null ? null : displayText(it.available, 40),
    }));
}

export function slotNames({ slots }: ServerLook): string[] {
  return slots.slice(0, LISTED_SLOTS).map(({ name }) => name);
}

/**
 * What whoever uses the new server should know, the most dangerous first. Nothing of it fails the restore: RDS
 * brings back a copy of all blocks, so that what is wrong was so at the source, at that time.
 */
export function serverWarnings({ slots, looks, closed, unlooked }: ServerLook): string[] {
  const each = (describe: (look: DatabaseLook, database: string) => string | undefined) =>
    looks.flatMap((look) => describe(look, displayName(look.database)) ?? []);
  const listed = (
    pick: (look: DatabaseLook) => readonly string[],
    describe: (list: string, database: string) => string,
  ) =>
    each((look, database) => {
      const found = pick(look);
      return found.length === 0 ? undefined : describe(displayList(found), database);
    });
  const warnings = [
    ...listed(
      ({ subscriptions }) =>
        subscriptions.flatMap(({ identity, enabled }) => (enabled ? [identity] : [])),
      (list, database) =>
        `${database}: enabled subscriptions: ${list}. They may pull from production's publisher, under the slot of the original, which then misses those changes: at once ALTER SUBSCRIPTION … DISABLE, then SET (slot_name = NONE) before it is dropped`,
    ),
    ...(slots.length === 0
      ? []
      : [
          `the server has replication slots: ${displayList(slots.map(({ name, kind }) => `${displayName(name)} (${kind})`))}. Subscribers of the original may pull from here, and a slot that nobody reads keeps WAL until the disk is full: drop what nobody needs with pg_drop_replication_slot`,
        ]),
    ...Array.from(
      Map.groupBy(closed, ({ reason }) => reason),
      ([reason, of]) =>
        `${displayList(of.map(({ database }) => displayName(database)))} could not be looked into: ${reason}`,
    ),
    ...(unlooked.length === 0
      ? []
      : [
          `there was no time to look into ${displayList(unlooked.map((name) => displayName(name)))}: that they are there is all that is known of them`,
        ]),
    ...listed(
      ({ extensions }) =>
        extensions.flatMap(({ name, available }) =>
          available === null ? [displayName(name)] : [],
        ),
      (list, database) =>
        `${database}: the server does not have the extensions ${list}: what uses them fails`,
    ),
    ...listed(
      ({ invalidIndexes }) => invalidIndexes,
      (list, database) =>
        `${database}: invalid indexes, which no query uses: ${list}; REINDEX them`,
    ),
    ...listed(
      ({ collations }) => collations,
      (list, database) =>
        `${database}: collations of another version: ${list}. Indexes on text may be in the wrong order: REINDEX, then ALTER COLLATION or DATABASE … REFRESH COLLATION VERSION`,
    ),
    ...listed(
      ({ sequencesBehind }) => sequencesBehind,
      (list, database) => `${database}: sequences whose next values are taken: ${list}`,
    ),
    ...listed(
      ({ invalidConstraints }) => invalidConstraints,
      (list, database) => `${database}: constraints that are not validated: ${list}`,
    ),
    ...listed(
      ({ extensions }) =>
        extensions.flatMap(({ name, version, available }) =>
          available === null || available === version
            ? []
            : [`${displayName(name)} ${version} (the server has ${available})`],
        ),
      (list, database) =>
        `${database}: extensions of another version than the server's: ${list}; ALTER EXTENSION … UPDATE`,
    ),
    ...each(({ sequencesUnread }, database) =>
      sequencesUnread === null
        ? undefined
        : `${database}: sequences could not be looked at: ${sequencesUnread}`,
    ),
  ];
  return warnings.map((warning) => displayText(warning, WARNING_CHARACTERS));
}
