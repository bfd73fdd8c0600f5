import type { DataBlock } from '../archive/block-index.ts';
import type { Section, Toc, TocEntry } from '../archive/toc.ts';

/**
 * In what order the entries of an archive are restored. Source: `RestoreArchive`, `_tocEntryRequired`,
 * `_tocEntryRestorePass` and `identify_locking_dependencies` in PostgreSQL's `pg_backup_archiver.c`.
 */
export interface EntryOrder {
  /** One by one. */
  readonly preData: readonly TocEntry[];
  /** Statements that the data need: large objects exist before they get their bytes. */
  readonly beforeData: readonly TocEntry[];
  /** Entries with a data block. */
  readonly data: readonly TocEntry[];
  /** Statements about data: values of sequences, privileges of large objects, statistics of tables. */
  readonly afterData: readonly TocEntry[];
  /**
   * Indexes, constraints and whatever follows, in passes: a pass begins when the one before has ended.
   * Row-level security is switched on after all constraints: where it is forced, a foreign key cannot look at the
   * rows for anybody but a superuser. Privileges come after all that is made, so that a revoked one is in nobody's way; materialized views
   * after the privileges, as they are filled by their owners; event triggers last, so that none fires.
   */
  readonly postData: readonly (readonly TocEntry[])[];
}

/** What a restore does not make inside of a database: they are about the reading, or about the whole. */
const NOT_RESTORED = new Set([
  'ENCODING',
  'STDSTRINGS',
  'SEARCHPATH',
  'DATABASE',
  'DATABASE PROPERTIES',
  '<Init>',
]);
/** Their COMMENT, ACL and SECURITY LABEL have tags that begin with this. */
const OF_DATABASE = 'DATABASE ';
const DEPENDENTS = new Set(['ACL', 'COMMENT', 'SECURITY LABEL']);

export interface OrderOptions {
  /** Only rows, large objects and values of sequences: what stands in tables that exist already. */
  readonly dataOnly?: boolean;
}

/** The entries with these dump ids in the order of their restore. */
export function restoreOrder(
  toc: Pick<Toc, 'entries'>,
  ids: ReadonlySet<number>,
  { dataOnly = false }: OrderOptions = {},
): EntryOrder {
  const order = {
    preData: [] as TocEntry[],
    beforeData: [] as TocEntry[],
    data: [] as TocEntry[],
    afterData: [] as TocEntry[],
  };
  const main: TocEntry[] = [];
  const rowSecurity: TocEntry[] = [];
  const privileges: TocEntry[] = [];
  const afterPrivileges: TocEntry[] = [];
  const eventTriggers: TocEntry[] = [];
  let section: Section = 'pre-data';
  for (const entry of toc.entries) {
    // Comments, privileges and labels are in no section: they belong to the one they stand in.
    if (entry.section !== 'none') section = entry.section;
    if (!ids.has(entry.dumpId) || !isRestored(entry)) continue;
    if (entry.hasData) order.data.push(entry);
    else if (entry.desc === 'BLOB' || entry.desc === 'BLOB METADATA') order.beforeData.push(entry);
    else if (isAboutData(entry)) order.afterData.push(entry);
    else if (dataOnly) continue;
    else if (isOfEventTrigger(entry)) eventTriggers.push(entry);
    else if (entry.desc === 'ROW SECURITY') rowSecurity.push(entry);
    else if (isPrivilege(entry)) privileges.push(entry);
    else if (entry.desc === 'MATERIALIZED VIEW DATA') afterPrivileges.push(entry);
    else if (entry.desc === 'STATISTICS DATA') {
      (section === 'post-data' ? afterPrivileges : order.afterData).push(entry);
    } else if (section === 'pre-data') order.preData.push(entry);
    else main.push(entry);
  }
  const postData = [main, rowSecurity, privileges, afterPrivileges, eventTriggers];
  return { ...order, postData: postData.filter((pass) => pass.length > 0) };
}

function isRestored({ desc, tag }: TocEntry): boolean {
  return !NOT_RESTORED.has(desc) && !(DEPENDENTS.has(desc) && tag.startsWith(OF_DATABASE));
}

/** Without a data block and part of a data-only restore nevertheless. */
function isAboutData({ desc, tag }: TocEntry): boolean {
  if (desc === 'SEQUENCE SET') return true;
  return DEPENDENTS.has(desc) && tag.startsWith('LARGE OBJECT');
}

function isPrivilege({ desc }: TocEntry): boolean {
  return desc === 'ACL' || desc === 'ACL LANGUAGE' || desc === 'DEFAULT ACL';
}

function isOfEventTrigger({ desc, tag }: TocEntry): boolean {
  if (desc === 'EVENT TRIGGER') return true;
  return (desc === 'COMMENT' || desc === 'SECURITY LABEL') && tag.startsWith('EVENT TRIGGER ');
}

/** What two statements can want at the same time, one of them for itself alone. */
const LOCKED = new Set(['TABLE', 'FOREIGN TABLE', 'MATERIALIZED VIEW']);

/** What the schedule knows of an entry. */
interface Planned {
  readonly entry: TocEntry;
  /** Place in the pass. */
  readonly place: number;
  /** Bytes of the largest table it belongs to. */
  readonly weightBytes: number;
  readonly tables: ReadonlySet<number>;
  readonly locks: ReadonlySet<number>;
  /** Entries that wait for this one. */
  readonly dependents: Planned[];
  undone: number;
}

/**
 * Hands out the entries of a pass to several sessions. None comes before those it depends on, directly or
 * through entries that are not restored; no two run at a time of which one locks a table that the other
 * needs (an index does not lock its table, nearly everything else does); of what can run, that which
 * belongs to the largest table comes first.
 */
export class EntrySchedule {
  /** By their place, those that were not handed out. */
  readonly #waiting: Map<number, Planned>;
  /** Those of the waiting that depend on nothing any more: largest first. */
  readonly #ready: Planned[] = [];
  readonly #running = new Map<TocEntry, Planned>();

  /** `blocks` tell how large a table is. */
  constructor(
    toc: Pick<Toc, 'entries'>,
    pass: readonly TocEntry[],
    blocks: readonly Pick<DataBlock, 'dumpId' | 'lengthBytes'>[] = [],
  ) {
    const byId = new Map(toc.entries.map((entry) => [entry.dumpId, entry]));
    const inPass = new Set(pass.map(({ dumpId }) => dumpId));
    const isTable = (id: number) => LOCKED.has(byId.get(id)?.desc ?? '');
    // A dependency on a table's rows is one on the table, as far as locks go.
    const tableOf = (id: number) => {
      const entry = byId.get(id);
      return entry?.desc === 'TABLE DATA' ? (entry.dependencies.find(isTable) ?? id) : id;
    };
    const bytesOf = new Map(
      blocks.map(({ dumpId, lengthBytes }) => [tableOf(dumpId), lengthBytes]),
    );
    const none: ReadonlySet<number> = new Set();
    const planned = pass.map((entry, place): Planned => {
      const tables = new Set(entry.dependencies.map(tableOf).filter(isTable));
      return {
        entry,
        place,
        weightBytes: Math.max(0, ...[...tables].map((id) => bytesOf.get(id) ?? 0)),
        tables,
        locks: entry.desc === 'INDEX' ? none : tables,
        dependents: [],
        undone: 0,
      };
    });
    const plannedById = new Map(planned.map((it) => [it.entry.dumpId, it]));
    const needs = new Needs(byId, inPass);
    for (const it of planned) {
      const needed = needs.of(it.entry);
      it.undone = needed.size;
      for (const id of needed) plannedById.get(id)?.dependents.push(it);
    }
    this.#waiting = new Map(planned.map((it) => [it.place, it]));
    for (const it of planned) if (it.undone === 0) this.#ready.push(it);
    this.#ready.sort(inOrder);
  }

  /** Entries that were not handed out yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * The next entry to run of those that are `wanted`, or undefined when there is none for now. Dependencies
   * that form a circle are broken where nothing else can run.
   */
  next(wanted: (entry: TocEntry) => boolean = () => true): TocEntry | undefined {
    const at = this.#ready.findIndex((it) => wanted(it.entry) && !this.#conflicts(it));
    const isStuck = this.#ready.length === 0 && this.#running.size === 0;
    const [circular] = isStuck ? this.#waiting.values() : [];
    const [chosen = circular] = at === -1 ? [] : this.#ready.splice(at, 1);
    if (!chosen) return undefined;
    this.#waiting.delete(chosen.place);
    this.#running.set(chosen.entry, chosen);
    return chosen.entry;
  }

  /** Says that an entry has run, whatever came of it. */
  finish(entry: TocEntry): void {
    const done = this.#running.get(entry);
    if (!done) throw new RangeError(`entry ${entry.dumpId} is not running`);
    this.#running.delete(entry);
    for (const dependent of done.dependents) {
      dependent.undone -= 1;
      // One of a circle may have run before what it depends on.
      if (dependent.undone === 0 && this.#waiting.has(dependent.place)) this.#addReady(dependent);
    }
  }

  #addReady(it: Planned): void {
    let [low, high] = [0, this.#ready.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (inOrder(this.#ready[middle] as Planned, it) < 0) low = middle + 1;
      else high = middle;
    }
    this.#ready.splice(low, 0, it);
  }

  #conflicts(candidate: Planned): boolean {
    for (const running of this.#running.values()) {
      if (haveCommon(candidate.locks, running.tables)) return true;
      if (haveCommon(running.locks, candidate.tables)) return true;
    }
    return false;
  }
}

function haveCommon(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  for (const id of a) if (b.has(id)) return true;
  return false;
}

function inOrder(a: Planned, b: Planned): number {
  return b.weightBytes - a.weightBytes || a.place - b.place;
}

/** Which entries of a pass each entry needs, also through entries outside of it. */
class Needs {
  readonly #byId: ReadonlyMap<number, TocEntry>;
  readonly #inPass: ReadonlySet<number>;
  /** Of entries outside of the pass. */
  readonly #through = new Map<number, ReadonlySet<number>>();

  constructor(byId: ReadonlyMap<number, TocEntry>, inPass: ReadonlySet<number>) {
    this.#byId = byId;
    this.#inPass = inPass;
  }

  of(entry: TocEntry): ReadonlySet<number> {
    const found = new Set<number>();
    for (const id of entry.dependencies) {
      if (this.#inPass.has(id)) found.add(id);
      else for (const far of this.#beyond(id)) found.add(far);
    }
    found.delete(entry.dumpId);
    return found;
  }

  /** Walks with a list of its own: chains of views can be deeper than the stack. */
  #beyond(start: number): ReadonlySet<number> {
    const known = this.#through.get(start);
    if (known) return known;
    const found = new Set<number>();
    const seen = new Set([start]);
    const open = [start];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const dependency of this.#byId.get(id)?.dependencies ?? []) {
        if (this.#inPass.has(dependency)) found.add(dependency);
        else if (!seen.has(dependency)) {
          seen.add(dependency);
          open.push(dependency);
        }
      }
    }
    this.#through.set(start, found);
    return found;
  }
}
