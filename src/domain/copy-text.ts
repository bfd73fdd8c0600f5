import { ArchiveUnsupported, ContentsMismatch } from '#errors';
import type { TableCopy } from './archive/block-index.ts';

export interface TableRows {
  readonly schema: string;
  readonly table: string;
  readonly rows: number;
}

const lineFeed = 0x0a;
const backslash = 0x5c;
const dot = 0x2e;
const copyKeyword = 'COPY ';

/**
 * Counts the rows in what `pg_restore --data-only --file=-` prints.
 *
 * In that text each table's rows stand between its COPY statement, word for word as the table of
 * contents has it, and a line `\.`. COPY escapes line feeds, so each one among the rows ends a row.
 * Tables come in the order of the table of contents, before sequences and large objects. Therefore a
 * line that begins with COPY must be the statement that is due, and after the last table no line is
 * looked at: an object whose name imitates a statement can make the count fail, never make it wrong.
 */
export class CopyTextCounter {
  readonly #tables: readonly TableCopy[];
  readonly #rows: number[] = [];
  #state: 'line start' | 'line' | 'rows' = 'line start';
  /** The statement that is due, in each encoding it may be in, as far as they fit this line. */
  #due: readonly Buffer[];
  #matchedBytes = 0;
  #rowsOfTable = 0;
  /** How much of the line `\.` the current row has shown: 0 to 2 bytes, or 3 when it is another. */
  #terminatorBytes = 0;

  /**
   * @param tables of the table of contents, in its order: see `tableCopies`.
   * @throws ArchiveUnsupported for a table that was dumped as INSERT statements.
   */
  constructor(tables: readonly TableCopy[]) {
    for (const { schema, table, copyStatement } of tables) {
      if (!copyStatement) {
        throw new ArchiveUnsupported(`the rows of ${schema}.${table} are not in COPY form`, {
          remedy: 'dump without --inserts, so that they can be counted',
        });
      }
    }
    this.#tables = tables;
    this.#due = this.#dueStatement();
  }

  /** Tables whose rows are complete, in the order of the table of contents. */
  get counted(): TableRows[] {
    return this.#rows.map((rows, i) => {
      const { schema, table } = this.#tables[i] as TableCopy;
      return { schema, table, rows };
    });
  }

  /**
   * Takes the next bytes, cut anywhere; they are not kept.
   *
   * @throws ContentsMismatch when another table comes than the one that is due.
   */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#rows.length < this.#tables.length) {
      if (this.#state === 'rows') {
        at = this.#countRows(chunk, at);
      } else if (this.#state === 'line') {
        const end = chunk.indexOf(lineFeed, at);
        if (end === -1) return;
        at = end + 1;
        this.#state = 'line start';
      } else {
        this.#match(chunk[at] as number);
        at += 1;
      }
    }
  }

  /**
   * Says that the text has ended, and answers the rows of every table.
   *
   * @throws ContentsMismatch when a table is missing or its rows have no end.
   */
  end(): TableRows[] {
    const missing = this.#tables[this.#rows.length];
    if (missing !== undefined) {
      const name = `${missing.schema}.${missing.table}`;
      throw new ContentsMismatch(
        this.#state === 'rows'
          ? `the text ends within the rows of ${name}, after ${this.#rowsOfTable}`
          : `the text ends without the rows of ${name}`,
      );
    }
    return this.counted;
  }

  /** Names that were not UTF-8 were read as Latin-1 (see `textAt`): a statement may be either. */
  #dueStatement(): readonly Buffer[] {
    const statement = this.#tables[this.#rows.length]?.copyStatement;
    if (statement === undefined) return [];
    const utf8 = Buffer.from(statement);
    const latin1 = Buffer.from(statement, 'latin1');
    return utf8.length === statement.length ? [utf8] : [utf8, latin1];
  }

  /** Holds one byte of a line against the statement that is due. */
  #match(byte: number): void {
    this.#due = this.#due.filter((statement) => statement[this.#matchedBytes] === byte);
    this.#matchedBytes += 1;
    const complete = this.#due.some((statement) => statement.length === this.#matchedBytes);
    if (this.#due.length > 0 && !complete) return;

    if (!complete && this.#matchedBytes > copyKeyword.length) {
      const { schema, table } = this.#tables[this.#rows.length] as TableCopy;
      throw new ContentsMismatch(
        `the text has other rows where those of ${schema}.${table} are due`,
      );
    }
    this.#state = complete ? 'rows' : byte === lineFeed ? 'line start' : 'line';
    this.#rowsOfTable = 0;
    this.#terminatorBytes = 0;
    this.#matchedBytes = 0;
    this.#due = this.#dueStatement();
  }

  /** Counts up to the table's end or the chunk's; answers where it stopped. */
  #countRows(chunk: Buffer, start: number): number {
    let at = start;
    let rows = this.#rowsOfTable;
    let shown = this.#terminatorBytes;
    while (at < chunk.length) {
      if (shown === 3) {
        const end = chunk.indexOf(lineFeed, at);
        if (end === -1) break;
        rows += 1;
        shown = 0;
        at = end + 1;
        continue;
      }
      const byte = chunk[at];
      at += 1;
      if (byte === lineFeed) {
        if (shown === 2) {
          this.#rows.push(rows);
          this.#state = 'line start';
          this.#due = this.#dueStatement();
          return at;
        }
        rows += 1;
        shown = 0;
      } else if (shown === 0 && byte === backslash) shown = 1;
      else if (shown === 1 && byte === dot) shown = 2;
      else shown = 3;
    }
    this.#rowsOfTable = rows;
    this.#terminatorBytes = shown;
    return chunk.length;
  }
}
