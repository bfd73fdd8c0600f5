import { beforeAll, describe, expect, it } from 'vitest';
import { Selection } from '#contracts/restore.ts';
import { requireSelection } from '#domain/restore/selection.ts';
import { postgresMajors } from '#local/postgres-server.ts';
import { dumpToFile } from '#test/dump-to-file.ts';
import { type SharedPostgres, usePostgres, withClient } from '#test/postgres.ts';
import { accessTo, contentsOf, dumpOf, emptyDatabase, restoreInto } from '#test/restored-copy.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const { majors: clientMajors } = await ensurePostgresClients({ log: () => {} });
const majors = postgresMajors.filter((major) => clientMajors.includes(major));

const SHOP = `
CREATE SCHEMA web;
CREATE TABLE web.views (id serial PRIMARY KEY, path text);
INSERT INTO web.views (path) SELECT md5(n::text) || repeat('x', 200) FROM generate_series(1, 3000) AS n;
CREATE TABLE orders (id int PRIMARY KEY, view int REFERENCES web.views);
INSERT INTO orders SELECT n, n FROM generate_series(1, 500) AS n;
CREATE TABLE nothing (id int);
CREATE INDEX ON web.views (path);
SELECT lo_from_bytea(4711, 'large'), lo_from_bytea(4712, repeat('y', 70000)::bytea);
ANALYZE;`;

async function makeShop({ server }: SharedPostgres): Promise<void> {
  await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE shop'));
  await withClient(server, 'shop', (client) => client.query(SHOP));
}

const PACKINGS: readonly (readonly [string, readonly string[]])[] = [
  ['gzip', []],
  ['without compression', ['-Z0']],
  ['zstd', ['--compress=zstd:3']],
  ['lz4', ['--compress=lz4']],
];

/** What can be seen to be there of one table. */
const viewsOf = (postgres: SharedPostgres, database: string) =>
  postgres.query<{ rows: string; sum: string; indexes: string }>(
    database,
    `SELECT (SELECT count(*) FROM web.views) AS rows, (SELECT md5(string_agg(path, '' ORDER BY id)) FROM web.views) AS sum,
            (SELECT count(*) FROM pg_indexes WHERE schemaname = 'web') AS indexes`,
  );

/** Whole, and one table of it, which is not the first of the file. */
async function expectRestorable(
  postgres: SharedPostgres,
  archive: Buffer,
  { tailed }: { tailed: boolean },
): Promise<void> {
  const { server } = postgres;
  const access = await accessTo(archive);
  expect(access.tail.length > 0).toBe(tailed);
  const whole = await emptyDatabase(postgres);
  const restored = await restoreInto(server, whole, access);
  expect(restored.tolerated).toEqual([]);
  expect(restored.checksum).toBe('matched');
  expect(await contentsOf(server, whole)).toEqual(await contentsOf(server, 'shop'));

  const part = await emptyDatabase(postgres);
  const selection = Selection.parse({ tables: ['web.views'] });
  const { ids } = requireSelection(access.head, access.toc, selection);
  const table = await restoreInto(server, part, access, { ids });
  expect(table.checksum).toBe('not-whole');
  expect(await viewsOf(postgres, part)).toEqual(await viewsOf(postgres, 'shop'));
  await postgres.query('postgres', `DROP DATABASE ${whole}`);
  await postgres.query('postgres', `DROP DATABASE ${part}`);
}

describe.each(majors)('an archive that pg_dump %d made alone', (major) => {
  const postgres = usePostgres({ major });
  beforeAll(() => makeShop(postgres));

  // How a block is packed is the same in each.
  it.each(major === majors.at(-1) ? PACKINGS : PACKINGS.slice(0, 1))(
    'into an open file, %s, comes back: all of it, and one table',
    async (_, args) => {
      const archive = await dumpToFile(postgres.server, 'shop', { way: '>', args, major });
      await expectRestorable(postgres, archive, { tailed: true });
    },
  );

  it('into a file that it opened itself comes back: all of it, and one table', async () => {
    const archive = await dumpToFile(postgres.server, 'shop', { way: '--file', major });
    await expectRestorable(postgres, archive, { tailed: false });
  });

  it('into a pipe comes back: all of it, and one table', async () => {
    const archive = await dumpOf(postgres.server, 'shop', { args: ['--compress=gzip'], major });
    await expectRestorable(postgres, archive, { tailed: false });
  });

  it('into an open file is opened without reading its data', async () => {
    const args = ['-Z0'];
    const archive = await dumpToFile(postgres.server, 'shop', { way: '>', args, major });
    const piped = await accessTo(await dumpOf(postgres.server, 'shop', { args, major }));
    const access = await accessTo(archive);
    expect(access.blocks).toEqual(piped.blocks);
    expect(piped.openedBytes).toBe(piped.sizeBytes);
    expect(access.openedBytes).toBeLessThan(archive.length / 4);
  });

  it('into an open file, with the schema alone or of a database without a table, comes back', async () => {
    const args = ['--schema-only'];
    const schema = await dumpToFile(postgres.server, 'shop', { way: '>', args, major });
    const copy = await emptyDatabase(postgres);
    await restoreInto(postgres.server, copy, schema);
    const rows = 'SELECT count(*)::int AS views FROM web.views';
    expect(await postgres.query(copy, rows)).toEqual([{ views: 0 }]);

    const empty = await dumpToFile(postgres.server, 'postgres', { way: '>', major });
    const access = await accessTo(empty);
    expect(access.blocks).toEqual([]);
    expect(access.sizeBytes).toBe(access.head.length + access.tail.length);
    expect(access.tail.length).toBeGreaterThan(0);
  });

  it('into an open file, so small that one read has it all, comes back', async () => {
    const args = ['--table=nothing', '--table=orders'];
    const archive = await dumpToFile(postgres.server, 'shop', { way: '>', args, major });
    expect(archive.length).toBeLessThan(16_000);
    const copy = await emptyDatabase(postgres);
    const selection = Selection.parse({ tables: ['orders'], without: ['constraints'] });
    const access = await accessTo(archive);
    expect(access.tail.length).toBeGreaterThan(0);
    const { ids } = requireSelection(access.head, access.toc, selection);
    await restoreInto(postgres.server, copy, access, { ids });
    const rows = 'SELECT count(*)::int AS orders FROM orders';
    expect(await postgres.query(copy, rows)).toEqual([{ orders: 500 }]);
  });

  it('into an open file is refused when it was cut, wherever', async () => {
    const archive = await dumpToFile(postgres.server, 'shop', { way: '>', major });
    const { tail, head, blocks } = await accessTo(archive);
    const dataEnd = archive.length - tail.length;
    const cuts = [
      archive.length - 1,
      dataEnd + tail.length / 2,
      dataEnd + 1,
      dataEnd - 1,
      (blocks.at(-1)?.offset ?? 0) + 1,
      head.length + 1,
      head.length - 1,
    ];
    for (const at of cuts) {
      await expect(accessTo(archive.subarray(0, at)), `cut at ${at}`).rejects.toMatchObject({
        name: 'ArchiveCorrupt',
      });
    }
  });

  it('into an open file whose second table of contents lies about an offset is refused', async () => {
    const archive = await dumpToFile(postgres.server, 'shop', { way: '>', major });
    const { tail, toc, head } = await accessTo(archive);
    const entry = toc.entries.find(({ hasData, tag }) => hasData && tag === 'orders');
    const at = archive.length - (head.length - (entry?.dataOffsetAt ?? 0)) + 1;
    expect(tail.length).toBeGreaterThan(head.length - (entry?.dataOffsetAt ?? 0));
    const damaged = Buffer.from(archive);
    damaged[at] = (damaged[at] ?? 0) + 1;
    await expect(accessTo(damaged)).rejects.toMatchObject({ name: 'ContentsMismatch' });
  });
});

/** pg_dump 18 writes the statistics' definitions the first time only. */
describe.runIf(clientMajors.includes(18))('an archive with statistics', () => {
  const postgres = usePostgres({ major: 18 });
  beforeAll(() => makeShop(postgres));

  it('that pg_dump 18 wrote into an open file comes back', async () => {
    const args = ['--statistics'];
    const archive = await dumpToFile(postgres.server, 'shop', { way: '>', args, major: 18 });
    const { tail, head } = await accessTo(archive);
    expect(tail.length).toBeLessThan(head.length / 2);
    await expectRestorable(postgres, archive, { tailed: true });
  });
});

describe('a dump in another format', () => {
  const major = majors.at(-1);
  const postgres = usePostgres(major === undefined ? {} : { major });

  it.each([
    ['plain', /imports\/some\.dump is SQL text/, /psql --file/],
    ['tar', /is a tar file/, /pg_restore --format=tar/],
  ])('(%s) is refused with what to run instead', async (format, what, instead) => {
    const args = [`--format=${format}`];
    const dump = await dumpOf(postgres.server, 'postgres', { args: ['--compress=none', ...args] });
    const opening = accessTo(dump);
    await expect(opening).rejects.toMatchObject({ name: 'ArchiveUnsupported' });
    await expect(opening).rejects.toThrow(what);
    await expect(opening).rejects.toThrow(instead);
    await expect(opening).rejects.toThrow('pg_dump --format=custom --file=');
  });
});
