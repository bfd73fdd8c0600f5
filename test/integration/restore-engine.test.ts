import { beforeAll, describe, expect, it } from 'vitest';
import { cutHead } from '#domain/archive/cut-head.ts';
import { restoreOrder } from '#domain/restore/entry-order.ts';
import { archiveScript } from '#domain/restore/script.ts';
import { postgresMajors } from '#local/postgres-server.ts';
import { fillSampleDatabase } from '#local/sample-database/fill-sample-database.ts';
import { makeAwkwardDatabase } from '#test/awkward-database.ts';
import {
  newestDumpableMajor,
  type SharedPostgres,
  usePostgres,
  withClient,
} from '#test/postgres.ts';
import {
  accessTo,
  type CopyOptions,
  contentsOf,
  dumpOf,
  emptyDatabase,
  restoreInto,
  runProgram,
  unanalyzed,
} from '#test/restored-copy.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const major = await newestDumpableMajor();
const { majors: clientMajors } = await ensurePostgresClients({ log: () => {} });
const oldestMajor = postgresMajors[0];

/** Restores what pg_dump makes of a database beside it. */
async function copyOf(
  postgres: SharedPostgres,
  database: string,
  {
    dump,
    options,
    ...rest
  }: CopyOptions & { dump?: Parameters<typeof dumpOf>[2]; options?: string } = {},
) {
  const archive = await dumpOf(postgres.server, database, dump);
  const copy = await emptyDatabase(postgres, options);
  const restored = await restoreInto(postgres.server, copy, archive, rest);
  return { restored, copy, archive };
}

describe('a whole database', () => {
  const postgres = usePostgres({ major });

  beforeAll(async () => {
    await fillSampleDatabase({ connection: postgres.server, scale: 0.02 });
    await makeAwkwardDatabase(postgres.server, 'awkward');
  });

  it('is the same afterwards: schema, rows, large objects, sequences', async () => {
    const { restored, copy, archive } = await copyOf(postgres, 'shop');

    expect(restored.tolerated).toEqual([]);
    expect(restored.warnings).toEqual([]);
    expect(restored.checksum).toBe('matched');
    expect(restored.bytesRead).toBeGreaterThanOrEqual(archive.length);
    expect(restored.phases.map(({ phase }) => phase)).toEqual([
      'pre-data',
      'data',
      'post-data',
      'analyze',
    ]);
    const contents = await contentsOf(postgres.server, copy);
    expect(contents.tables.length).toBeGreaterThan(30);
    expect(contents).toEqual(await contentsOf(postgres.server, 'shop'));
    expect(await unanalyzed(postgres.server, copy)).toEqual([]);
  });

  it.each([1, 8])('with all that is awkward is the same afterwards (by %d jobs)', async (jobs) => {
    const { restored, copy } = await copyOf(postgres, 'awkward', { jobs });

    expect(restored.tolerated).toEqual([]);
    expect(restored.warnings).toEqual([]);
    expect(restored.checksum).toBe('matched');
    const contents = await contentsOf(postgres.server, copy);
    expect(contents.largeObjects).toHaveLength(4);
    expect(contents).toEqual(await contentsOf(postgres.server, 'awkward'));
    expect(await unanalyzed(postgres.server, copy)).toEqual([]);
  });

  it.each([
    ['uncompressed', ['--compress=none']],
    ['compressed with gzip', ['--compress=gzip:1']],
    ['compressed with lz4', ['--compress=lz4']],
    ['loaded through the root of its partitions', ['--load-via-partition-root']],
    ['written as INSERT', ['--inserts']],
    ['with statistics in it', ['--statistics']],
  ])('is the same afterwards when its archive is %s', async (_, args) => {
    const { restored, copy } = await copyOf(postgres, 'awkward', { dump: { args } });

    expect(restored.tolerated).toEqual([]);
    expect(restored.checksum).toBe('matched');
    expect(await contentsOf(postgres.server, copy)).toEqual(
      await contentsOf(postgres.server, 'awkward'),
    );
  });

  it.each([
    ['nothing in it', []],
    [
      'nothing but large objects',
      ["SELECT lo_from_bytea(7, 'seven')", "SELECT lo_from_bytea(8, '')"],
    ],
    ['nothing but a schema', ['CREATE TABLE empty (id int)', 'CREATE INDEX ON empty (id)']],
  ])('with %s is the same afterwards', async (_, statements) => {
    const original = await emptyDatabase(postgres);
    for (const statement of statements) await postgres.query(original, statement);

    const { restored, copy } = await copyOf(postgres, original);

    expect(restored.checksum).toBe('matched');
    expect(await contentsOf(postgres.server, copy)).toEqual(
      await contentsOf(postgres.server, original),
    );
  });

  it.each([
    ['LATIN1', 'Größe ¡ÿ×', "ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'"],
    ['WIN1252', 'Größe “€”', "ENCODING WIN1252 LC_COLLATE 'C' LC_CTYPE 'C'"],
    ['EUC_JP', '売上～表 ソ', "ENCODING EUC_JP LC_COLLATE 'C' LC_CTYPE 'C'"],
    ['SQL_ASCII', 'Größe ü', "ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'"],
    ['UTF8', 'Größe 売上 😀', ''],
  ])('in %s is the same afterwards, names and texts too', async (encoding, word, options) => {
    const original = await emptyDatabase(postgres, options);
    await withClient(postgres.server, original, async (client) => {
      await client.query(`CREATE SCHEMA "${word}"`);
      await client.query(`CREATE TABLE "${word}"."${word}" ("${word}" text DEFAULT '${word}')`);
      await client.query(`INSERT INTO "${word}"."${word}" VALUES ('${word}'), (DEFAULT)`);
      await client.query(`COMMENT ON TABLE "${word}"."${word}" IS '${word}'`);
      await client.query(`CREATE TYPE "${word}"."${word} art" AS ENUM ('${word}')`);
      await client.query(
        `CREATE FUNCTION "${word}"."${word}"() RETURNS text LANGUAGE sql AS $f$ SELECT '${word};' $f$`,
      );
      await client.query(`CREATE INDEX ON "${word}"."${word}" (("${word}" || '${word}'))`);
    });

    const { restored, copy } = await copyOf(postgres, original, { options });

    expect(restored.tolerated).toEqual([]);
    const contents = await contentsOf(postgres.server, copy);
    expect(contents).toEqual(await contentsOf(postgres.server, original));
    const [row] = await withClient(postgres.server, copy, async (client) => {
      const { rows } = await client.query(`SELECT "${word}"."${word}"() AS said`);
      return rows;
    });
    expect(row).toEqual({ said: `${word};` });
    expect(encoding).not.toBe('');
  });

  it('with bytes that are in no encoding is the same afterwards', async () => {
    const options = "ENCODING SQL_ASCII LC_COLLATE 'C' LC_CTYPE 'C'";
    const original = await emptyDatabase(postgres, options);
    // The bytes FF FE, which UTF-8 does not have.
    const bytes = String.raw`E'\xFF\xFE'`;
    await postgres.query(original, 'CREATE TABLE raw (t text)');
    await postgres.query(original, `INSERT INTO raw VALUES (${bytes})`);
    await postgres.query(original, `COMMENT ON TABLE raw IS ${bytes}`);

    const { copy } = await copyOf(postgres, original, { options });

    const check = (database: string) =>
      postgres.query(
        database,
        `SELECT (SELECT encode(t::bytea, 'hex') FROM raw) AS rows,
                encode(obj_description('raw'::regclass)::bytea, 'hex') AS comment`,
      );
    expect(await check(copy)).toEqual([{ rows: 'fffe', comment: 'fffe' }]);
    expect(await check(copy)).toEqual(await check(original));
  });

  it("lies in the target's own tablespace where its own is not there, and says so", async () => {
    const original = await emptyDatabase(postgres);
    await postgres.query(original, 'CREATE TABLE lying (id int PRIMARY KEY)');
    const archive = await dumpOf(postgres.server, original);
    const head = (await accessTo(archive)).head;
    // The tablespace's name stands in the table of contents alone: an empty one becomes another of length 0.
    expect(head.includes('lying')).toBe(true);
    const moved = withTablespace(archive, 'far away');
    const copy = await emptyDatabase(postgres);

    const { warnings } = await restoreInto(postgres.server, copy, moved);

    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/no tablespace "far away".*TABLE public\.lying/);
  });

  it('can be one table out of many, of which alone the bytes are read', async () => {
    const access = await accessTo(
      await dumpOf(postgres.server, 'shop', { args: ['--compress=none'] }),
    );
    const original = await contentsOf(postgres.server, 'shop');
    const wanted = access.toc.entries.filter(
      ({ desc, schema, tag }) =>
        (desc === 'SCHEMA' && tag === 'web') ||
        (schema === 'web' &&
          /^page_views( .*)?$/.test(tag) &&
          /^(TABLE|TABLE DATA|CONSTRAINT|INDEX)$/.test(desc)),
    );
    const ids = new Set(wanted.map(({ dumpId }) => dumpId));
    const dataBytes = access.blocks
      .filter(({ dumpId }) => ids.has(dumpId))
      .reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const copy = await emptyDatabase(postgres);

    const restored = await restoreInto(postgres.server, copy, access, { ids });

    expect(restored.entries).toEqual({ selected: ids.size, total: access.toc.entries.length });
    expect(restored.checksum).toBe('not-whole');
    expect(restored.bytesRead - access.openedBytes).toBe(dataBytes);
    expect(dataBytes).toBeGreaterThan(1000);
    expect((await contentsOf(postgres.server, copy)).tables).toEqual(
      original.tables.filter(({ table }) => table === 'web.page_views'),
    );
    expect(await unanalyzed(postgres.server, copy)).toEqual([]);
  });

  it('runs the statements that pg_restore prints', async () => {
    for (const database of ['awkward', 'shop']) {
      expectSameScript(await scriptsOf(postgres, database, major));
    }
  });
});

describe('between servers of different majors', () => {
  const old = usePostgres({ major: oldestMajor });
  const middle = usePostgres({ major: 17 });
  const recent = usePostgres({ major });
  const oldestClient = clientMajors[0] ?? major;

  beforeAll(async () => {
    await makeAwkwardDatabase(old.server, 'awkward');
    await makeAwkwardDatabase(middle.server, 'awkward');
    // Roles are no part of an archive.
    await makeAwkwardDatabase(recent.server, 'other');
  });

  it.each(clientMajors)(
    'what client %d dumped of an old one arrives on the newest',
    async (client) => {
      const archive = await dumpOf(old.server, 'awkward', { major: client });
      const copy = await emptyDatabase(recent);

      const restored = await restoreInto(recent.server, copy, archive);

      expect(restored.tolerated).toEqual([]);
      const [there, here] = [
        await contentsOf(recent.server, copy),
        await contentsOf(old.server, 'awkward'),
      ];
      expect({ ...there, schema: '' }).toEqual({ ...here, schema: '' });
      // Not one object less; 18 writes names of NOT NULL constraints where 15 has none.
      const objects = (schema: string) => schema.match(/^-- Name: .*$/gm)?.toSorted();
      expect(objects(there.schema)).toEqual(objects(here.schema));
    },
  );

  it("an older one than the archive's is refused before anything is made", async () => {
    const archive = await dumpOf(middle.server, 'awkward', { major: 17 });
    const copy = await emptyDatabase(old);

    await expect(restoreInto(old.server, copy, archive)).rejects.toMatchObject({
      name: 'TargetUnsuitable',
      message: expect.stringContaining(
        'comes from PostgreSQL 17, the target server is PostgreSQL 15',
      ),
    });

    expect((await contentsOf(old.server, copy)).tables).toEqual([]);
  });

  it.each(clientMajors)('pg_restore %d prints the statements that we run', async (client) => {
    expectSameScript(await scriptsOf(old, 'awkward', client));
    expectSameScript(await scriptsOf(middle, 'awkward', client));
  });

  it('an old one gets its own back, though the client knows settings that it does not', async () => {
    const dump = { major: oldestClient };
    const { restored, copy } = await copyOf(old, 'awkward', { dump });

    expect(oldestClient).toBeGreaterThan(oldestMajor);
    // Its options are those of a subscription of 16; there is no other difference.
    expect(restored.tolerated.map(({ objectType }) => objectType)).toEqual(['SUBSCRIPTION']);
    expect(restored.warnings).toEqual([]);
    expect(restored.checksum).toBe('matched');
    await old.query('awkward', 'DROP SUBSCRIPTION asleep');
    expect(await contentsOf(old.server, copy)).toEqual(await contentsOf(old.server, 'awkward'));
  });
});

/** What pg_restore prints of everything but rows, and what we would run. */
async function scriptsOf(postgres: SharedPostgres, database: string, client: number) {
  const archive = await dumpOf(postgres.server, database, { major: client });
  const { head, toc } = await accessTo(archive);
  const blockless = new Set(toc.entries.filter((it) => !it.hasData).map((it) => it.dumpId));
  const printed = await runProgram('pg_restore', ['--file=-'], {
    major: client,
    input: cutHead(head, toc, blockless),
  });
  const script = archiveScript(head);
  const order = restoreOrder(toc, blockless);
  const ours = [
    ...order.preData,
    ...order.beforeData,
    ...order.afterData,
    ...order.postData.flat(),
  ].flatMap(({ dumpId }) => script.statements(dumpId).parts.map(({ text }) => text));
  return { ours: ours.join('\n'), printed: printed.toString('utf8') };
}

function expectSameScript({ ours, printed }: { ours: string; printed: string }): void {
  expect(linesOf(ours).length).toBeGreaterThan(200);
  expect(linesOf(ours)).toEqual(linesOf(printed));
}

/** What must be in both scripts: without comments, settings, and quotes that one of them leaves out. */
function linesOf(script: string): string[] {
  return script
    .split('\n')
    .filter((line) => !/^(--|\\|SET |SELECT pg_catalog\.set_config\('search_path')/.test(line))
    .map((line) => line.replaceAll('"', '').trim())
    .filter((line) => line !== '')
    .toSorted();
}

/** The archive of one table, whose entry says that it lies in this tablespace. */
function withTablespace(archive: Buffer, tablespace: string): Buffer {
  const int = (value: number) => {
    const bytes = Buffer.alloc(5);
    bytes.writeInt32LE(value, 1);
    return bytes;
  };
  const text = (value: string) => Buffer.concat([int(value.length), Buffer.from(value)]);
  // Schema, tablespace (none), access method.
  const before = Buffer.concat([text('public'), text(''), text('heap')]);
  const at = archive.indexOf(before);
  if (at === -1) throw new Error('the table does not stand there as expected');
  const after = Buffer.concat([text('public'), text(tablespace), text('heap')]);
  return Buffer.concat([archive.subarray(0, at), after, archive.subarray(at + before.length)]);
}
