import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CopyTextCounter } from '#domain/copy-text.ts';

const orders = { schema: 'public', table: 'orders', copyStatement: copyOf('public.orders (id)') };
const users = { schema: 'public', table: 'users', copyStatement: copyOf('public.users (a, b)') };

function copyOf(target: string): string {
  return `COPY ${target} FROM stdin;\n`;
}

/** What pg_restore prints for one table; it takes line feeds out of comments. */
function block(table: { table: string; copyStatement: string }, rows: readonly string[]): string {
  const lines = rows.map((row) => `${row}\n`).join('');
  return `--\n-- Data for Name: ${table.table.replaceAll('\n', ' ')}; Type: TABLE DATA\n--\n\n${table.copyStatement}${lines}\\.\n\n\n`;
}

const preamble =
  '--\n-- PostgreSQL database dump\n--\n\n\\restrict 0a1b\n\nSET statement_timeout = 0;\n' +
  "SELECT pg_catalog.set_config('search_path', '', false);\n\n";

function count(text: string | Buffer, tables = [orders, users], cut = Number.POSITIVE_INFINITY) {
  const counter = new CopyTextCounter(tables);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += cut) counter.push(bytes.subarray(at, at + cut));
  return counter.end();
}

describe('counting rows', () => {
  it('gives each table its rows, in the order of the contents', () => {
    const text = preamble + block(orders, ['1', '2', '3']) + block(users, []);
    expect(count(text)).toEqual([
      { schema: 'public', table: 'orders', rows: 3 },
      { schema: 'public', table: 'users', rows: 0 },
    ]);
  });

  it('counts rows that are empty or look almost like the end', () => {
    const rows = [
      '',
      '\\\\.',
      '\\.x',
      '\\',
      '.',
      '\\N',
      ' \\.',
      '\\..',
      'COPY public.users (a, b)',
    ];
    expect(count(preamble + block(orders, rows), [orders])[0]?.rows).toBe(rows.length);
  });

  it('comes to the same wherever the text is cut', () => {
    const anyRow = fc
      .string({ unit: fc.constantFrom('\\', '.', 'N', '\t', 'é', '日', 'x'), maxLength: 6 })
      .filter((row) => row !== '\\.');
    fc.assert(
      fc.property(
        fc.array(anyRow, { maxLength: 20 }),
        fc.array(anyRow, { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        (a, b, cut) => {
          const text = `${preamble}${block(orders, a)}${block(users, b)}SELECT 1;\n`;
          expect(count(text, [orders, users], cut).map(({ rows }) => rows)).toEqual([
            a.length,
            b.length,
          ]);
        },
      ),
    );
  });

  it('knows statements whose names hold line feeds, quotes and other alphabets', () => {
    const odd = {
      schema: 'Büro',
      table: 'a\nCOPY b',
      copyStatement: copyOf('"Büro"."a\nCOPY b" ("日本", "q""uote")'),
    };
    expect(count(preamble + block(odd, ['1', '2']), [odd], 3)[0]?.rows).toBe(2);
  });

  it('knows statements in an encoding that is not UTF-8', () => {
    const latin1 = { schema: 'public', table: 'é', copyStatement: copyOf('public."é" (id)') };
    const text = Buffer.from(preamble + block(latin1, ['1']), 'latin1');
    expect(count(text, [latin1])[0]?.rows).toBe(1);
  });

  it('tells two tables apart that are loaded through the same parent', () => {
    const parts = ['p1', 'p2'].map((table) => ({ ...orders, table }));
    const text = preamble + block(orders, ['1']) + block(orders, ['2', '3']);
    expect(count(text, parts).map(({ table, rows }) => [table, rows])).toEqual([
      ['p1', 1],
      ['p2', 2],
    ]);
  });

  it('is not misled by what follows the last table', () => {
    const forged = `SELECT pg_catalog.setval('public."x\n${orders.copyStatement}1\n\\.\n"', 1, true);\n`;
    expect(count(preamble + block(orders, ['1']) + forged, [orders])[0]?.rows).toBe(1);
  });

  it('shows the tables that are done so far', () => {
    const counter = new CopyTextCounter([orders, users]);
    counter.push(Buffer.from(`${preamble + block(orders, ['1'])}-- Data`));
    expect(counter.counted).toEqual([{ schema: 'public', table: 'orders', rows: 1 }]);
  });

  it('has nothing to count in an archive without tables', () => {
    expect(count(preamble, [])).toEqual([]);
  });
});

describe('a text that does not fit the contents', () => {
  const mismatch = (message: RegExp) =>
    expect.objectContaining({
      name: 'ContentsMismatch',
      message: expect.stringMatching(message),
    });

  it('is refused when a table is left out', () => {
    expect(() => count(preamble + block(users, ['1']))).toThrow(
      mismatch(/other rows where those of public\.orders are due/),
    );
    expect(() => count(preamble + block(orders, ['1']))).toThrow(
      mismatch(/ends without the rows of public\.users/),
    );
  });

  it('is refused when an unknown table comes before one that is due', () => {
    const other = { table: 'x', copyStatement: copyOf('public.orders (id, extra)') };
    expect(() => count(preamble + block(other, []) + block(orders, []), [orders])).toThrow(
      mismatch(/other rows where those of public\.orders are due/),
    );
  });

  it('is refused when it ends anywhere before the end of the last table', () => {
    const text = preamble + block(orders, ['1', '2', '3']);
    const end = text.lastIndexOf('\\.\n') + 3;
    for (let length = 0; length < end; length += 1) {
      expect(() => count(text.slice(0, length), [orders])).toThrow(mismatch(/the text ends/));
    }
    expect(count(text.slice(0, end), [orders])[0]?.rows).toBe(3);
  });

  it('is refused before it starts when a table was dumped as INSERT statements', () => {
    const inserts = { ...orders, copyStatement: undefined };
    expect(() => new CopyTextCounter([inserts])).toThrow(
      expect.objectContaining({
        name: 'ArchiveUnsupported',
        remedy: expect.stringContaining('--inserts'),
      }),
    );
  });
});
