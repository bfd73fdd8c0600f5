import { type DecodeText, type Toc, type TocEntry, textAt } from '../archive/toc.ts';
import { StatementReader, sqlTokens } from './sql-tokens.ts';

/**
 * What belongs to what in an archive, read out of the dependencies that pg_dump records.
 *
 * Those only say what came before what. To take a table out of an archive one must know more: its index
 * is a *part* of it, which comes and goes with its *owner*; its type is something that it *needs*; and a
 * partition needs its parent only to be attached to it. Source: the `dump*` functions of `pg_dump.c`, which
 * give each entry its tag, and `addBoundaryDependencies` and `findDumpableDependencies`, which flatten
 * what has no entry of its own.
 */
export interface EntryLinks {
  /**
   * A part is restored with all its owners or not at all; the first one is what its statement is about, such
   * as the referencing table of a foreign key. Empty: it stands on its own.
   */
  readonly owners: readonly TocEntry[];
  /** What must be there before it can be made, owners apart. */
  readonly needs: readonly TocEntry[];
  /** Whether it can be made without its owners: a sequence that a column owns. */
  readonly standsAlone: boolean;
}

/** Kinds that have a name in the schema's namespace of relations, and that a selection can name. */
const RELATION_KINDS = new Set(['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE']);
/** What a CHECK CONSTRAINT can be on, besides relations. */
const CONSTRAINED_TYPES = new Set(['DOMAIN', 'TYPE']);
/** An index and what is one underneath. */
const INDEX_KINDS = new Set(['INDEX', 'CONSTRAINT']);
/** The first tokens of a definition name what it is about; more of them only cost time. */
const LEADING_TOKENS = 200;

export class TocGraph {
  readonly entries: readonly TocEntry[];
  readonly #head: Buffer;
  readonly #decode: DecodeText | undefined;
  readonly #byId: ReadonlyMap<number, TocEntry>;
  readonly #links = new Map<number, EntryLinks>();
  readonly #parts = new Map<number, TocEntry[]>();
  /** By the partition's id. */
  readonly #partitionedBy = new Map<number, TocEntry>();
  readonly #partitions = new Map<number, TocEntry[]>();
  readonly #heirs = new Map<number, TocEntry[]>();
  /** btree_gist, see {@link TocGraph.#exclusionNeeds}. */
  readonly #scalarGist: TocEntry | undefined;

  /** `head` is what the TOC was parsed from. */
  constructor(head: Buffer, toc: Pick<Toc, 'entries' | 'decode'>) {
    this.entries = toc.entries;
    this.#head = head;
    this.#decode = toc.decode;
    this.#byId = new Map(toc.entries.map((entry) => [entry.dumpId, entry]));
    this.#scalarGist = toc.entries.find(
      ({ desc, tag }) => desc === 'EXTENSION' && tag === 'btree_gist',
    );
    for (const entry of toc.entries) this.#findParents(entry);
    for (const entry of toc.entries) {
      const links = this.#read(entry);
      this.#links.set(entry.dumpId, links);
      for (const owner of links.owners) listed(this.#parts, owner).push(entry);
    }
  }

  linksOf(entry: TocEntry): EntryLinks {
    return this.#links.get(entry.dumpId) ?? { owners: [], needs: [], standsAlone: true };
  }

  /** What has the entry among its owners. */
  partsOf(entry: TocEntry): readonly TocEntry[] {
    return this.#parts.get(entry.dumpId) ?? [];
  }

  /** The direct partitions of a partitioned table. */
  partitionsOf(entry: TocEntry): readonly TocEntry[] {
    return this.#partitions.get(entry.dumpId) ?? [];
  }

  /** Tables that inherit from it (partitions apart). */
  heirsOf(entry: TocEntry): readonly TocEntry[] {
    return this.#heirs.get(entry.dumpId) ?? [];
  }

  /** The statement that makes it, as pg_dump wrote it. */
  definitionOf({ definition }: TocEntry): string {
    return definition ? textAt(this.#head, definition, this.#decode) : '';
  }

  /** In the archive, and each once. */
  #dependenciesOf(entry: TocEntry): TocEntry[] {
    return [...new Set(entry.dependencies)].flatMap((id) => {
      const found = this.#byId.get(id);
      return found && found !== entry ? [found] : [];
    });
  }

  #findParents(entry: TocEntry): void {
    if (entry.desc === 'TABLE ATTACH') {
      const [parent, partition] = this.#attached(entry);
      if (parent && partition) this.#addPartition(parent, partition);
      return;
    }
    if (entry.desc !== 'TABLE' && entry.desc !== 'FOREIGN TABLE') return;
    const parents = this.#dependenciesOf(entry).filter(({ desc }) => desc === 'TABLE');
    if (parents.length === 0) return;
    const definition = this.definitionOf(entry);
    // pg_dump before 14 writes the partition and its attachment into one entry.
    const isPartition = /\bPARTITION OF | ATTACH PARTITION /.test(definition);
    const isHeir = /\nINHERITS \(/.test(definition);
    for (const parent of parents) {
      if (isPartition && /\nPARTITION BY /.test(this.definitionOf(parent))) {
        listed(this.#partitions, parent).push(entry);
      } else if (isHeir) {
        listed(this.#heirs, parent).push(entry);
      }
    }
  }

  #addPartition(parent: TocEntry, partition: TocEntry): void {
    this.#partitionedBy.set(partition.dumpId, parent);
    listed(this.#partitions, parent).push(partition);
  }

  #read(entry: TocEntry): EntryLinks {
    const { desc } = entry;
    const dependencies = this.#dependenciesOf(entry);
    const links = (owners: readonly TocEntry[], needs: readonly TocEntry[]): EntryLinks => ({
      owners,
      needs: needs.filter((it) => !owners.includes(it)),
      standsAlone: owners.length === 0,
    });
    switch (desc) {
      case 'TABLE DATA': {
        // Rows of an extension's table have no table in the archive, and need the extension.
        const owners = this.#namesakes(entry, dependencies);
        return links(owners, owners.length > 0 ? [] : dependencies.filter(isNoTableData));
      }
      case 'MATERIALIZED VIEW DATA':
        return links(this.#namesakes(entry, dependencies), dependencies);
      case 'SEQUENCE': {
        const owners = dependencies.filter(isRelation);
        const needs = dependencies.filter((it) => !isRelation(it));
        // An identity's is made by ALTER TABLE; that of a serial column is a sequence like any other.
        const standsAlone = !this.definitionOf(entry).startsWith('ALTER TABLE');
        return { owners, needs, standsAlone };
      }
      case 'SEQUENCE OWNED BY': {
        const tables = dependencies.flatMap((it) => this.#dependenciesOf(it).filter(isRelation));
        return links([...new Set([...dependencies, ...tables])], []);
      }
      case 'INDEX':
      case 'STATISTICS': {
        const owners = this.#subject(entry, dependencies.filter(isRelation));
        return links(owners, dependencies.filter(isNoIndex));
      }
      case 'CONSTRAINT': {
        const owners = this.#subject(entry, this.#tagged(entry, dependencies));
        const needs = [...dependencies.filter(isNoIndex), ...this.#exclusionNeeds(entry)];
        return links(owners, needs);
      }
      case 'FK CONSTRAINT': {
        // Both tables: without the other one it can only be left out.
        const [own] = this.#subject(entry, this.#tagged(entry, dependencies));
        const others = dependencies.filter((it) => isRelation(it) && it !== own);
        return links(own ? [own, ...others] : others, dependencies);
      }
      case 'TRIGGER': {
        // On a partition it alters the trigger that it has from its parent.
        const inherited = dependencies.filter((it) => it.desc === 'TRIGGER');
        const owners = this.#subject(entry, this.#tagged(entry, dependencies));
        return links([...owners, ...inherited], dependencies);
      }
      case 'DEFAULT':
      case 'CHECK CONSTRAINT':
      case 'RULE':
      case 'POLICY':
        return links(this.#subject(entry, this.#tagged(entry, dependencies)), dependencies);
      case 'TABLE ATTACH':
      case 'INDEX ATTACH': {
        const [parent, partition] = this.#attached(entry);
        return links(parent && partition ? [partition, parent] : dependencies, []);
      }
      case 'COMMENT':
      case 'ACL':
      case 'SECURITY LABEL':
      case 'STATISTICS DATA':
      case 'SEQUENCE SET':
      case 'ROW SECURITY':
      case 'PUBLICATION TABLE':
      case 'PUBLICATION TABLES IN SCHEMA':
      case 'SUBSCRIPTION TABLE':
        return links(dependencies, []);
      case 'TABLE':
      case 'FOREIGN TABLE': {
        const parent = this.#partitionedBy.get(entry.dumpId);
        return links(
          [],
          dependencies.filter((it) => it !== parent),
        );
      }
      default:
        return links([], dependencies);
    }
  }

  /** The relation of the entry's own name. */
  #namesakes(entry: TocEntry, dependencies: readonly TocEntry[]): TocEntry[] {
    return dependencies.filter(
      (it) => isRelation(it) && it.schema === entry.schema && it.tag === entry.tag,
    );
  }

  /** The relations that a tag `<relation> <name>` may begin with. */
  #tagged(entry: TocEntry, dependencies: readonly TocEntry[]): TocEntry[] {
    return dependencies.filter(
      (it) =>
        (isRelation(it) || CONSTRAINED_TYPES.has(it.desc)) &&
        it.schema === entry.schema &&
        entry.tag.startsWith(`${it.tag} `),
    );
  }

  /** Of several relations that an entry may be a part of, the one that its definition is about. */
  #subject(entry: TocEntry, candidates: readonly TocEntry[]): TocEntry[] {
    if (candidates.length <= 1) return [...candidates];
    const reader = this.#reader(entry);
    if (reader.take('ALTER')) {
      reader.take('FOREIGN');
      if (!reader.take('TABLE')) reader.take('DOMAIN');
      reader.take('ONLY');
    } else if (!reader.take('CREATE', 'OR', 'REPLACE', 'VIEW')) {
      // CREATE STATISTICS x ON … FROM y, CREATE RULE x AS ON DELETE TO y; all others: CREATE … x … ON y.
      const before = { STATISTICS: 'FROM', RULE: 'TO' }[entry.desc] ?? 'ON';
      if (reader.skipTo(before)) reader.take(before);
      reader.take('ONLY');
    }
    const subject = relationAt(reader, candidates);
    return subject ? [subject] : [...candidates];
  }

  /** Parent and partition (or their indexes) of an ATTACH entry. */
  #attached(entry: TocEntry): [TocEntry | undefined, TocEntry | undefined] {
    const dependencies = this.#dependenciesOf(entry);
    const reader = this.#reader(entry);
    reader.take('ALTER');
    if (!reader.take('INDEX')) reader.take('TABLE');
    reader.take('ONLY');
    const candidates =
      entry.desc === 'TABLE ATTACH'
        ? dependencies.filter(isRelation)
        : dependencies.filter((it) => !isRelation(it));
    const parent = relationAt(reader, candidates);
    reader.take('ATTACH', 'PARTITION');
    return [parent, relationAt(reader, candidates)];
  }

  #reader(entry: TocEntry): StatementReader {
    return new StatementReader(sqlTokens(this.definitionOf(entry)).take(LEADING_TOKENS).toArray());
  }

  /**
   * The operator classes of an exclusion constraint belong to its index, which has no entry, so that the
   * dependency on their extension is lost. `=` and `<>` within GiST come from btree_gist for all types
   * that are not ranges; we ask for it once too often rather than fail in the middle.
   */
  #exclusionNeeds(entry: TocEntry): readonly TocEntry[] {
    if (this.#scalarGist === undefined) return [];
    const isScalar = /\bEXCLUDE USING gist \(.* WITH (=|<>)/s.test(this.definitionOf(entry));
    return isScalar ? [this.#scalarGist] : [];
  }
}

export function isRelation({ desc }: TocEntry): boolean {
  return RELATION_KINDS.has(desc);
}

function isNoTableData({ desc }: TocEntry): boolean {
  return desc !== 'TABLE DATA';
}

/** An index depends on another one only as on its parent's, to which an entry of its own attaches it. */
function isNoIndex({ desc }: TocEntry): boolean {
  return !INDEX_KINDS.has(desc);
}

/** The candidate whose name stands at the reader. A constraint's index is called as the constraint is. */
function relationAt(
  reader: StatementReader,
  candidates: readonly TocEntry[],
): TocEntry | undefined {
  const schema = reader.name();
  if (!reader.take('.')) return undefined;
  const name = reader.name();
  if (name === undefined) return undefined;
  return candidates.find(
    (it) =>
      it.schema === schema &&
      (it.tag === name || (it.desc === 'CONSTRAINT' && it.tag.endsWith(` ${name}`))),
  );
}

function listed(lists: Map<number, TocEntry[]>, { dumpId }: TocEntry): TocEntry[] {
  const list = lists.get(dumpId) ?? [];
  lists.set(dumpId, list);
  return list;
}
