import type { Selection } from '#contracts/restore.ts';
import type { TocEntry } from '../archive/toc.ts';
import { displayText } from '../display-text.ts';
import { databaseEntries } from './database-definition.ts';
import { displayEntry, displayEntryList, isRows, isSetting, leftOutAs } from './entry-kinds.ts';
import { parseSchemaPattern, parseTablePattern } from './name-pattern.ts';
import type { IsPresent, MissingDependency, SelectedEntries, SelectedTable } from './selection.ts';
import { type Choice, selectionWarnings } from './selection-warnings.ts';
import { isRelation, type TocGraph } from './toc-graph.ts';

/** `shell`: without its partitions, as it is only there for one of them. */
type Extent = 'full' | 'shell';

/** Finds what {@link selectEntries} answers: seeds, their parts, what these need, until nothing more follows. */
export class EntrySelector implements Choice {
  readonly graph: TocGraph;
  readonly selection: Selection;
  readonly #isPresent: IsPresent;
  readonly isWholeDatabase: boolean;
  readonly #ofDatabase: ReadonlySet<TocEntry>;
  readonly chosen = new Map<TocEntry, Extent>();
  /** Of the chosen, what was not followed to its parts yet. */
  readonly #fresh: TocEntry[] = [];
  readonly seeds = new Set<TocEntry>();
  readonly #dependencies = new Set<TocEntry>();
  readonly #unmatched: string[] = [];
  readonly #warnings = new Set<string>();

  constructor(graph: TocGraph, selection: Selection, isPresent: IsPresent) {
    this.graph = graph;
    this.selection = selection;
    this.#isPresent = isPresent;
    this.isWholeDatabase = selection.tables === undefined && selection.schemas === undefined;
    const ofDatabase = databaseEntries(graph);
    const ids = new Set(ofDatabase.map(({ dumpId }) => dumpId));
    const about = graph.entries.filter((entry) => entry.dependencies.some((id) => ids.has(id)));
    this.#ofDatabase = new Set([...ofDatabase, ...about]);
  }

  select(): SelectedEntries {
    const { only } = this.selection;
    for (const entry of this.#findSeeds()) {
      if (this.isLeftOut(entry)) continue;
      this.seeds.add(entry);
      this.#add(entry, 'full');
    }
    this.#close();
    const missing = only === 'data' ? this.#tablesToFill() : this.#missing();
    for (const warning of selectionWarnings(this)) this.#warnings.add(warning);
    const { entries } = this.graph;
    const restored = entries.filter((entry) => isSetting(entry) || this.#isRestored(entry));
    const ids = new Set(restored.map(({ dumpId }) => dumpId));
    return {
      ids,
      whole: entries.every((entry) => ids.has(entry.dumpId) || this.#ofDatabase.has(entry)),
      tables: this.#tables(ids),
      dependencies: restored.filter((entry) => this.#dependencies.has(entry)),
      missing,
      unmatched: this.#unmatched,
      warnings: [...this.#warnings],
    };
  }

  #isRestored(entry: TocEntry): boolean {
    if (!this.chosen.has(entry)) return false;
    // pg_restore's --schema-only and --data-only leave the values of statistics out, both.
    if (this.selection.only === 'data') return isRows(entry);
    return (
      this.selection.only === undefined || !(isRows(entry) || entry.desc === 'STATISTICS DATA')
    );
  }

  #tables(ids: ReadonlySet<number>): SelectedTable[] {
    return this.graph.entries.flatMap((entry) => {
      const { desc, schema = '', tag: table } = entry;
      const isTable = desc === 'TABLE' || desc === 'FOREIGN TABLE';
      if (isTable && this.chosen.has(entry)) {
        const rows = this.graph.partsOf(entry).find((part) => part.desc === 'TABLE DATA');
        const dataDumpId = rows && ids.has(rows.dumpId) ? rows.dumpId : undefined;
        if (dataDumpId === undefined && !ids.has(entry.dumpId)) return [];
        return [{ schema, table, dataDumpId }];
      }
      const isAlone = desc === 'TABLE DATA' && this.graph.linksOf(entry).owners.length === 0;
      return isAlone && ids.has(entry.dumpId) ? [{ schema, table, dataDumpId: entry.dumpId }] : [];
    });
  }

  // What was asked for.

  #findSeeds(): Iterable<TocEntry> {
    const { tables = [], schemas = [] } = this.selection;
    const { entries } = this.graph;
    if (this.isWholeDatabase) {
      const { length } = this.selection.without;
      // A restore of everything does not depend on what we make of the archive's dependencies.
      return entries.filter(
        (entry) => !this.#ofDatabase.has(entry) && (length === 0 || !this.#isPart(entry)),
      );
    }
    const relations = entries.filter((entry) => isRelation(entry) || this.#isExtensionRows(entry));
    const named = tables.flatMap((pattern) => this.#matched(pattern, relations));
    const inSchemas = this.#matchSchemas(schemas);
    return new Set([...named, ...inSchemas]);
  }

  #matched(text: string, relations: readonly TocEntry[]): readonly TocEntry[] {
    const exact = relations.filter(({ schema = '', tag }) => `${schema}.${tag}` === text);
    if (exact.length > 0) return exact;
    const pattern = parseTablePattern(text);
    const found = relations.filter(
      ({ schema = '', tag }) =>
        (pattern.schema === undefined || pattern.schema.matches(schema)) &&
        pattern.name.matches(tag),
    );
    if (found.length === 0) this.#unmatched.push(text);
    const schemas = new Set(found.map(({ schema }) => schema));
    if (pattern.schema === undefined && schemas.size > 1 && !/[*?]/.test(text)) {
      this.#warnings.add(
        `${displayText(text, 100)} is in several schemas: ${displayEntryList(found)}`,
      );
    }
    return found;
  }

  #matchSchemas(texts: readonly string[]): readonly TocEntry[] {
    const { entries } = this.graph;
    const known = new Set(entries.flatMap(({ schema }) => schema ?? []));
    for (const { desc, tag } of entries) if (desc === 'SCHEMA') known.add(tag);
    const wanted = new Set<string>();
    for (const text of texts) {
      const pattern = known.has(text) ? { matches: (it: string) => it === text } : undefined;
      const matcher = pattern ?? parseSchemaPattern(text);
      const found = [...known].filter((name) => matcher.matches(name));
      if (found.length === 0) this.#unmatched.push(text);
      for (const name of found) wanted.add(name);
    }
    // Remarks on a schema that every database has (public) have nothing to be a part of.
    const remarks = new Set([...wanted].flatMap((it) => [`SCHEMA ${it}`, `SCHEMA ${quoted(it)}`]));
    return entries.filter((entry) => {
      const { desc, schema, tag } = entry;
      if (desc === 'SCHEMA') return wanted.has(tag);
      if (this.#isPart(entry)) return false;
      return schema === undefined ? isRemark(desc) && remarks.has(tag) : wanted.has(schema);
    });
  }

  /** Rows of a table that an extension makes. */
  #isExtensionRows(entry: TocEntry): boolean {
    return entry.desc === 'TABLE DATA' && !this.#isPart(entry);
  }

  #isPart(entry: TocEntry): boolean {
    const { owners, standsAlone } = this.graph.linksOf(entry);
    return owners.length > 0 && !standsAlone;
  }

  // What follows from it.

  /** Adds what must be added until nothing more does. */
  #close(): void {
    while (this.#fresh.length > 0) {
      const added: TocEntry[] = [];
      for (let entry = this.#fresh.pop(); entry; entry = this.#fresh.pop()) {
        added.push(entry);
        for (const part of this.graph.partsOf(entry)) this.#considerPart(part);
        this.#followPartitions(entry);
      }
      // Only now, as what is needed may be a part of something that was just added.
      for (const entry of added) {
        for (const needed of this.#unmetNeeds(entry)) this.#provide(needed, entry);
        this.#fillShells(entry);
      }
    }
  }

  #add(entry: TocEntry, extent: Extent): void {
    const before = this.chosen.get(entry);
    if (before === 'full' || before === extent) return;
    // A schema that is there cannot be made, also when it was asked for.
    if (entry.desc === 'SCHEMA' && this.#isPresent(entry)) return;
    this.chosen.set(entry, extent);
    this.#fresh.push(entry);
  }

  isLeftOut(entry: TocEntry): boolean {
    const kind = leftOutAs(entry);
    return kind !== undefined && this.selection.without.includes(kind);
  }

  #considerPart(part: TocEntry): void {
    if (this.chosen.has(part) || this.isLeftOut(part)) return;
    const [subject, ...others] = this.graph.linksOf(part).owners;
    if (!subject || !this.chosen.has(subject)) return;
    const lacking = others.filter((owner) => !this.isThere(owner));
    if (lacking.length > 0) {
      if (!this.selection.withDependencies) return;
      if (part.desc === 'TABLE ATTACH') for (const it of lacking) this.#addNeeded(it, 'shell');
      else if (part.desc === 'FK CONSTRAINT') for (const it of lacking) this.#addNeeded(it, 'full');
      else return;
    }
    this.#add(part, 'full');
  }

  #followPartitions(entry: TocEntry): void {
    if (this.chosen.get(entry) !== 'full') return;
    for (const partition of this.graph.partitionsOf(entry)) {
      if (this.#dependencies.has(entry)) this.#addNeeded(partition, 'full');
      else this.#add(partition, 'full');
    }
  }

  /** What refers to a partitioned table refers to the rows of all its partitions, they themselves apart. */
  #fillShells(entry: TocEntry): void {
    const { owners, needs } = this.graph.linksOf(entry);
    const referred = entry.desc === 'FK CONSTRAINT' ? [...owners.slice(1), ...needs] : needs;
    for (const it of referred) {
      if (this.chosen.get(it) === 'shell' && !this.#isPartitionOf(entry, it)) this.#add(it, 'full');
    }
  }

  #isPartitionOf(entry: TocEntry, parent: TocEntry): boolean {
    return entry.desc === 'TABLE' && this.graph.partitionsOf(parent).includes(entry);
  }

  #unmetNeeds(entry: TocEntry): readonly TocEntry[] {
    const { owners, needs, standsAlone } = this.graph.linksOf(entry);
    const all = standsAlone ? needs : [...owners, ...needs];
    return all.filter((it) => !this.isThere(it));
  }

  /** Whether it is restored, or in the target, itself or with what it is a part of. */
  isThere(entry: TocEntry): boolean {
    if (this.chosen.has(entry) || this.#isPresent(entry)) return true;
    const { owners } = this.graph.linksOf(entry);
    return this.#isPart(entry) && owners.every((owner) => this.#isPresent(owner));
  }

  #provide(needed: TocEntry, by: TocEntry): void {
    if (this.#isKeptFor(needed)) {
      if (this.selection.only !== 'data') {
        this.#warnings.add(
          `${displayEntry(needed)} is restored nevertheless: ${displayEntry(this.#needer(by))} needs it`,
        );
      }
      this.#addNeeded(needed, 'full');
    } else if (this.selection.withDependencies || needed.desc === 'SCHEMA') {
      this.#addNeeded(needed, this.#isPartitionOf(by, needed) ? 'shell' : 'full');
    }
  }

  /** Whether it was left out by `without` only, so that nobody can be asked to select it. */
  #isKeptFor(needed: TocEntry): boolean {
    const { owners } = this.graph.linksOf(needed);
    return this.isLeftOut(needed) && owners.every((owner) => this.isThere(owner));
  }

  #addNeeded(entry: TocEntry, extent: Extent): void {
    if (!this.chosen.has(entry)) this.#dependencies.add(entry);
    this.#add(entry, extent);
  }

  // What is lacking.

  #missing(): MissingDependency[] {
    const missing = new Map<TocEntry, Set<TocEntry>>();
    for (const entry of this.chosen.keys()) {
      for (const unmet of this.#unmetNeeds(entry)) {
        for (const needed of this.#namable(unmet)) {
          const by = missing.get(needed) ?? new Set();
          missing.set(needed, by.add(this.#needer(entry)));
        }
      }
    }
    return inOrder(this.graph.entries, missing);
  }

  /** Of a part, what one would select to have it. */
  #namable(entry: TocEntry): readonly TocEntry[] {
    if (!this.#isPart(entry)) return [entry];
    const lacking = this.graph.linksOf(entry).owners.filter((it) => !this.isThere(it));
    return lacking.length > 0 ? lacking.flatMap((it) => this.#namable(it)) : [entry];
  }

  /** A default and a view's query are the relation itself to the reader; an index has a name of its own. */
  #needer(entry: TocEntry): TocEntry {
    const [owner] = this.graph.linksOf(entry).owners;
    const isItself = entry.desc === 'DEFAULT' || (entry.desc === 'RULE' && !leftOutAs(entry));
    return owner && isItself ? owner : entry;
  }

  /** Rows alone need what they go into. */
  #tablesToFill(): MissingDependency[] {
    const missing = new Map<TocEntry, Set<TocEntry>>();
    for (const entry of this.chosen.keys()) {
      if (entry.desc !== 'TABLE DATA' && entry.desc !== 'SEQUENCE SET') continue;
      const { owners, needs } = this.graph.linksOf(entry);
      for (const needed of [...owners, ...needs]) {
        if (!this.#isPresent(needed)) missing.set(needed, new Set([entry]));
      }
    }
    return inOrder(this.graph.entries, missing);
  }
}

function inOrder(
  entries: readonly TocEntry[],
  missing: ReadonlyMap<TocEntry, ReadonlySet<TocEntry>>,
): MissingDependency[] {
  return entries.flatMap((needed) => {
    const by = missing.get(needed);
    return by ? [{ needed, by: [...by] }] : [];
  });
}

function isRemark(desc: string): boolean {
  return desc === 'COMMENT' || desc === 'ACL' || desc === 'SECURITY LABEL';
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
