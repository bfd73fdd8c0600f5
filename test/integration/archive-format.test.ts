import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ArchiveIndex,
  type DataBlock,
  tableCopies,
  tableRanges,
} from '#domain/archive/block-index.ts';
import { patchHead } from '#domain/archive/patch.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { parseToc, type TocEntry, textAt } from '#domain/archive/toc.ts';
import { CopyTextCounter } from '#domain/copy-text.ts';
import { type PostgresMajor, type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

/** For each client the newest server at hand that it can dump, and the compressions it knows. */
const cases: { client: number; server: PostgresMajor; compressions: Record<string, string> }[] = [
  { client: 15, server: 15, compressions: { none: '0', gzip: '6' } },
  ...([16, 17, 18] as const).map((client) => ({
    client,
    server: client === 16 ? (15 as const) : client,
    compressions: { none: 'none', gzip: 'gzip', lz4: 'lz4', zstd: 'zstd:1' },
  })),
];
const clients = await ensurePostgresClients();
const execute = promisify(execFile);

/** Where a client's programs are: built for the layer, or installed the way Debian does. */
function programsOf(client: number): string | undefined {
  if (clients.majors.includes(client)) return path.join(clients.directory, String(client), 'bin');
  const installed = `/usr/lib/postgresql/${client}/bin`;
  return existsSync(path.join(installed, 'pg_dump')) ? installed : undefined;
}

describe.each(cases)('client $client', ({ client, server: serverMajor, compressions }) => {
  const programs = programsOf(client);
  const reason = programs ? '' : ' (skipped: this client is neither built nor installed)';
  describe.skipIf(programs === undefined)(`archives${reason}`, () => {
    let server: PostgresServer;
    let directory: string;

    beforeAll(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'archive-format-'));
      server = await startPostgres({ major: serverMajor });
      await fill(server);
    });
    afterAll(async () => {
      await server?.stop();
      await rm(directory, { recursive: true, force: true });
    });

    const connection = (database: string) => ({
      argv: [
        '--host',
        server.host,
        '--port',
        String(server.port),
        '--username',
        server.user,
      ].concat(['--no-password', '--dbname', database]),
      options: {
        env: { ...process.env, PGPASSWORD: server.password },
        timeout: 120_000,
        maxBuffer: 2 ** 28,
        encoding: 'buffer' as const,
      },
    });
    const pgRestore = async (...argv: string[]) =>
      (await execute(`${programs}/pg_restore`, argv, connection('').options)).stdout;

    /** `pg_dump` into a pipe, through the reader. */
    async function dumpThroughPipe(database: string, ...argv: string[]) {
      const { argv: where, options } = connection(database);
      const child = spawn(`${programs}/pg_dump`, ['--format=custom', ...where, ...argv], {
        env: options.env,
        timeout: options.timeout,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exit = once(child, 'exit');
      const completed: DataBlock[] = [];
      const reader = new ArchiveReader({ onBlock: (block) => completed.push(block) });
      const chunks: Buffer[] = [];
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        reader.push(chunk);
        chunks.push(chunk);
      }
      expect(await exit).toEqual([0, null]);
      const index = reader.end();
      expect(completed).toEqual(index.blocks);
      return { index, head: reader.head as Buffer, bytes: Buffer.concat(chunks) };
    }

    /** The archive with its offsets filled in, as a file. */
    async function writePatched(
      name: string,
      dump: Awaited<ReturnType<typeof dumpThroughPipe>>,
    ): Promise<string> {
      const { index, head, bytes } = dump;
      const file = path.join(directory, name);
      await writeFile(file, Buffer.concat([patchHead(head, index), bytes.subarray(head.length)]));
      return file;
    }

    async function dumpToFile(database: string, file: string, ...argv: string[]): Promise<Buffer> {
      const { argv: where, options } = connection(database);
      const all = ['--format=custom', ...where, ...argv, '--file', file];
      await execute(`${programs}/pg_dump`, all, options);
      return readFile(file);
    }

    it.each(Object.entries(compressions))(
      'with %s become, once patched, the bytes that pg_dump writes to a file',
      async (compression, compress) => {
        const { index, head, bytes } = await dumpThroughPipe('shop', `--compress=${compress}`);
        expect(index.header.compression).toBe(compression);
        expect(index.header.database).toBe('shop');
        const file = path.join(directory, `${compression}.dump`);
        const filed = await dumpToFile('shop', file, `--compress=${compress}`);

        const patched = Buffer.concat([patchHead(head, index), bytes.subarray(head.length)]);
        expect(withoutCreationTime(patched).equals(withoutCreationTime(filed))).toBe(true);
        expect(withoutCreationTime(bytes).equals(withoutCreationTime(filed))).toBe(false);

        // What pg_dump filled in by itself is held against the blocks as they are read.
        const reader = new ArchiveReader();
        for (let at = 0; at < filed.length; at += 1_000)
          reader.push(filed.subarray(at, at + 1_000));
        const fromFile = reader.end();
        expect(fromFile.blocks).toEqual(index.blocks);
        expect(offsetsOf(fromFile.entries)).toEqual(
          new Map(index.blocks.map(({ dumpId, offset }) => [dumpId, offset])),
        );
      },
    );

    it('have the contents that pg_restore lists', async () => {
      const dump = await dumpThroughPipe('shop');
      const { index } = dump;
      const file = await writePatched('listed.dump', dump);
      expect(parseList(await pgRestore('--list', '--verbose', file))).toEqual({
        count: index.entries.length,
        version: `${index.header.formatVersion}-0`,
        database: 'shop',
        entries: index.entries.map(listLine),
      });
    });

    it('have as many rows as the server, whatever their names', async () => {
      const dump = await dumpThroughPipe('shop');
      const { index } = dump;
      const file = await writePatched('counted.dump', dump);
      const counter = new CopyTextCounter(tableCopies(index));
      counter.push(await pgRestore('--data-only', '--file=-', file));
      const rows = new Map(counter.end().map((t) => [`${t.schema}.${t.table}`, t.rows]));
      expect(rows).toEqual(await countOnServer(server, [...rows.keys()]));
      expect(rows.size).toBe(8);
      expect(tableRanges(index).map(({ schema, table }) => `${schema}.${table}`)).toEqual([
        ...rows.keys(),
      ]);
    });

    it('have a head that answers for the schema without the data', async () => {
      const dump = await dumpThroughPipe('shop');
      const { index, head } = dump;
      const whole = await writePatched('whole.dump', dump);
      const toc = path.join(directory, 'toc.dump');
      const patched = patchHead(head, index);
      await writeFile(toc, patched);
      expect(parseToc(patched).entries).toHaveLength(index.entries.length);
      const encoding = index.entries.find((entry) => entry.desc === 'ENCODING')?.definition;
      expect(encoding && textAt(patched, encoding)).toContain("'UTF8'");
      for (const argv of [
        ['--list'],
        ['--section=pre-data', '--file=-'],
        ['--section=post-data', '--file=-'],
      ]) {
        const [ofWhole, ofToc] = await Promise.all(
          [whole, toc].map(async (file) => withoutToken(await pgRestore(...argv, file))),
        );
        expect(ofToc).toBe(ofWhole);
        expect(ofToc?.length).toBeGreaterThan(500);
      }
    });

    it('of a database that is not UTF-8 are read and counted the same', async () => {
      const dump = await dumpThroughPipe('latin');
      const file = await writePatched('latin.dump', dump);
      const counter = new CopyTextCounter(tableCopies(dump.index));
      counter.push(await pgRestore('--data-only', '--file=-', file));
      expect(counter.end()).toEqual([{ schema: 'public', table: 'café', rows: 2 }]);
    });

    it('without any data are whole', async () => {
      const { index, bytes } = await dumpThroughPipe('shop', '--schema-only');
      expect(index.blocks).toEqual([]);
      expect(index.headLengthBytes).toBe(bytes.length);
    });

    it('of INSERT statements are read, but not counted', async () => {
      const { index } = await dumpThroughPipe('shop', '--inserts');
      expect(tableRanges(index)).toHaveLength(8);
      expect(() => new CopyTextCounter(tableCopies(index))).toThrow(/are not in COPY form/);
    });
  });
});

/** What breaks tools that are not careful: names, empty and column-less tables, large objects. */
async function fill(server: PostgresServer): Promise<void> {
  await query(server, 'postgres', [
    'CREATE ROLE "o""wner"',
    'CREATE DATABASE shop',
    "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
  ]);
  const forged = 'x\nCOPY public.orders (id, note) FROM stdin;\n1\n\\.\n';
  await query(server, 'shop', [
    'CREATE TABLE orders (id int PRIMARY KEY, note text)',
    `INSERT INTO orders SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, 20000) i`,
    `INSERT INTO orders VALUES (0, E'\\\\.'), (-1, E'a\\nb\\n\\\\.\\n'), (-2, NULL), (-3, '')`,
    'CREATE TABLE "line\nfeed ""q"" \\ 日本 Ü" ("a\nb" int, "c;--" text)',
    `INSERT INTO "line\nfeed ""q"" \\ 日本 Ü" VALUES (1, 'COPY x FROM stdin;')`,
    'CREATE TABLE empty (id int)',
    'CREATE TABLE no_columns ()',
    'INSERT INTO no_columns SELECT FROM generate_series(1, 7)',
    'CREATE TABLE one_text (t text)',
    `INSERT INTO one_text VALUES (''), (E'\\\\.'), (E'\\n'), (NULL)`,
    'CREATE SCHEMA "Büro"',
    `CREATE TABLE "Büro".parted (k int, g int GENERATED ALWAYS AS (k * 2) STORED) PARTITION BY LIST (k)`,
    'CREATE TABLE "Büro".p1 PARTITION OF "Büro".parted FOR VALUES IN (1)',
    'CREATE TABLE "Büro".p2 PARTITION OF "Büro".parted DEFAULT',
    'INSERT INTO "Büro".parted SELECT i % 3 FROM generate_series(1, 30) i',
    'CREATE TABLE "Büro".bytes (b bytea)',
    `INSERT INTO "Büro".bytes SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 500) i`,
    `CREATE SEQUENCE ${pg.escapeIdentifier(forged)}`,
    `COMMENT ON TABLE orders IS E'two\\nlines'`,
    'CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders',
    `SELECT lo_from_bytea(i::oid, decode(repeat(md5(i::text), 500), 'hex')) FROM generate_series(20000, 20020) i`,
    'SELECT lo_from_bytea(4294967295, NULL)',
    "SELECT lo_from_bytea(4294967294, '')",
    'ALTER LARGE OBJECT 20001 OWNER TO "o""wner"',
    'ALTER TABLE empty OWNER TO "o""wner"',
    `COMMENT ON LARGE OBJECT 20002 IS 'x'`,
  ]);
  await query(server, 'latin', ['CREATE TABLE café (é int)', 'INSERT INTO café VALUES (1), (2)']);
}

async function query(server: PostgresServer, database: string, statements: readonly string[]) {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function countOnServer(server: PostgresServer, tables: readonly string[]) {
  const client = new pg.Client({ connectionString: server.url('shop') });
  await client.connect();
  try {
    const rows = new Map<string, number>();
    for (const name of tables) {
      const dot = name.indexOf('.');
      const table = [name.slice(0, dot), name.slice(dot + 1)].map(pg.escapeIdentifier).join('.');
      const { rows: result } = await client.query(`SELECT count(*)::int AS n FROM ONLY ${table}`);
      rows.set(name, result[0].n);
    }
    return rows;
  } finally {
    await client.end();
  }
}

/** Blanks the seven integers of the creation time, which follow the header's compression. */
function withoutCreationTime(archive: Buffer): Buffer {
  const minor = archive[6] as number;
  const start = minor >= 15 ? 12 : 16;
  return Buffer.from(archive).fill(0, start, start + 7 * 5);
}

/** The newest minors print a random token around the text. */
function withoutToken(text: Buffer): string {
  return text.toString('latin1').replace(/^\\(un)?restrict .*$/gm, '');
}

function offsetsOf(entries: ArchiveIndex['entries']): Map<number, number | undefined> {
  return new Map(
    entries.filter((entry) => entry.hasData).map((entry) => [entry.dumpId, entry.dataOffset]),
  );
}

/** An entry as pg_restore lists it: on one line, with a hyphen for no schema. */
function listLine(entry: TocEntry): string {
  const { dumpId, tableOid, oid, desc, schema, tag, owner, dependencies } = entry;
  const line = `${dumpId}; ${tableOid} ${oid} ${desc} ${schema || '-'} ${tag} ${owner ?? ''}`;
  const suffix = dependencies.length === 0 ? '' : ` <- ${dependencies.join(' ')}`;
  return line.replaceAll(/[\r\n]/g, ' ') + suffix;
}

function parseList(list: Buffer) {
  const text = list.toString();
  const entries = text
    .replaceAll(/\n;\s+depends on: ?(.*)/g, ' <- $1')
    .split('\n')
    .filter((line) => /^\d+; /.test(line));
  return {
    count: Number(/TOC Entries: (\d+)/.exec(text)?.[1]),
    version: /Dump Version: (\S+)/.exec(text)?.[1],
    database: /dbname: (.*)/.exec(text)?.[1],
    entries,
  };
}
