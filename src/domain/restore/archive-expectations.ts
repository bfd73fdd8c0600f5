import { readAgain } from '../archive/text-encoding.ts';
import { type Toc, type TocEntry, textAt } from '../archive/toc.ts';

/** What the selected entries of an archive say about the database that they make. */
export interface ArchiveExpectations {
  /** `schema`, `table` of each selected entry with rows, in the order of the archive. */
  readonly tables: readonly { readonly schema: string; readonly table: string }[];
  /** By {@link objectKey}: the value that SEQUENCE SET gives the sequence. */
  readonly sequences: ReadonlyMap<
    string,
    { readonly lastValue: string; readonly isCalled: boolean }
  >;
  /** By {@link objectKey} of schema and `<table> <constraint>`: those that were not valid to begin with. */
  readonly notValid: ReadonlySet<string>;
  readonly largeObjects: number;
  /** A name of a verification as `tables` has it: those of older versions knew no encoding. */
  readonly readName: (recorded: string) => string;
}

/** A schema and a name as one key; no name has a zero byte. */
export function objectKey(schema: string, name: string): string {
  return `${schema}\0${name}`;
}

/** Reads them out of the entries with these dump ids. `head` is what the TOC was parsed from. */
export function archiveExpectations(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
  ids: ReadonlySet<number>,
): ArchiveExpectations {
  const selected = toc.entries.filter(({ dumpId }) => ids.has(dumpId));
  const text = ({ definition }: TocEntry) => (definition ? textAt(head, definition) : '');
  const sequences = new Map<string, { lastValue: string; isCalled: boolean }>();
  const notValid = new Set<string>();
  let largeObjects = 0;
  for (const entry of selected) {
    const { desc, tag, schema = '' } = entry;
    if (desc === 'SEQUENCE SET') {
      const value = /, (-?\d+), (true|false)\);\s*$/.exec(text(entry));
      if (value) {
        sequences.set(objectKey(schema, tag), {
          lastValue: value[1] ?? '',
          isCalled: value[2] === 'true',
        });
      }
    } else if (desc === 'CHECK CONSTRAINT' || desc === 'FK CONSTRAINT' || desc === 'CONSTRAINT') {
      // These stand in entries of their own, never within CREATE TABLE. NOT ENFORCED is of PostgreSQL 18.
      if (/ NOT (VALID|ENFORCED);\s*$/.test(text(entry))) notValid.add(objectKey(schema, tag));
    } else if (desc === 'BLOB') {
      largeObjects += 1;
    } else if (desc === 'BLOB METADATA') {
      // One oid a line (pg_dump 17 and newer).
      largeObjects += text(entry).match(/^\d+$/gm)?.length ?? 0;
    }
  }
  const isRows = ({ desc, hasData }: TocEntry) => desc === 'TABLE DATA' && hasData;
  const { decode } = toc;
  const names = new Set(
    toc.entries.filter(isRows).flatMap(({ schema = '', tag }) => [schema, tag]),
  );
  return {
    tables: selected.filter(isRows).map(({ schema = '', tag }) => ({ schema, table: tag })),
    sequences,
    notValid,
    largeObjects,
    readName: (recorded) =>
      decode && !names.has(recorded) ? readAgain(recorded, decode) : recorded,
  };
}
