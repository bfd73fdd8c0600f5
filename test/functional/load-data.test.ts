import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeClients } from '#adapters/clients.ts';
import { Connection } from '#contracts/source-plan.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { type LoadDataOptions, loadData } from '#operations/restore/load-data.ts';
import { openArchive } from '#operations/restore/open-archive.ts';
import {
  makeArchiveSpec,
  makeTableData,
  type WrittenArchive,
  writeArchive,
} from '#test/archive-writer.ts';
import { makeClock, makeDatabases, makeMemoryObjects } from '#test/fakes.ts';

/** As `pg_restore` prints it. */
const CROWDED =
  'pg_restore: error: connection to server at "db", port 5432 failed: FATAL:  sorry, too many clients already';
/** Each table is a share of its own. */
const TABLES = 6;
const TABLE_BYTES = 5 * 1024 * 1024;

describe('loading data', () => {
  let directory: string;
  const { signal } = new AbortController();

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-load-'));
    await mkdir(join(directory, '18', 'bin'), { recursive: true });
    await mkdir(join(directory, 'runs'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** Shell commands in the place of pg_restore; `$RUNS` is a folder, `$RUN` a new one in it. */
  async function pretend(commands: string): Promise<void> {
    const file = join(directory, '18', 'bin', 'pg_restore');
    const head = `#!/bin/sh\nRUNS='${join(directory, 'runs')}'\nRUN=$(mktemp -d "$RUNS/XXXXXX")\n`;
    await writeFile(file, `${head}${commands}\n`);
    await chmod(file, 0o755);
  }

  async function load(
    changes: Partial<LoadDataOptions> = {},
    {
      checksums = false,
      harm = () => {},
      read,
    }: {
      /** Whether the blocks have theirs, as those of a manifest. */
      checksums?: boolean;
      /** Changes the archive after its checksums were made. */
      harm?: (bytes: Buffer, blocks: WrittenArchive['blocks']) => void;
      read?: (range: { start: number; end: number }) => void;
    } = {},
  ) {
    const entries = Array.from({ length: TABLES }, (_, i) =>
      makeTableData({ dumpId: 20 + i, tag: `t${i}`, table: [Buffer.alloc(TABLE_BYTES, 97 + i)] }),
    );
    const { bytes, blocks } = writeArchive(makeArchiveSpec({ entries, withOffsets: true }));
    const objects = makeMemoryObjects();
    objects.head = async (key) => ({
      key,
      sizeBytes: bytes.length,
      etag: '""',
      versionId: undefined,
      crc64nvme: undefined,
      lastModified: new Date(0),
      storageClass: 'STANDARD',
      retrieval: 'none',
      metadata: {},
    });
    objects.getRange = async (_key, start, end) => bytes.subarray(start, end);
    objects.stream = (_key, { start = 0, end = bytes.length } = {}) => {
      read?.({ start, end });
      const body = bytes.subarray(start, end);
      const chunks = Math.ceil(body.length / 65_536);
      return Readable.from(
        Array.from({ length: chunks }, (_, i) => body.subarray(i * 65_536, (i + 1) * 65_536)),
        { objectMode: false },
      );
    };
    const archive = { key: 'x', sizeBytes: bytes.length };
    const opened = await openArchive({ objects }, { archive, signal });
    const withChecksums = opened.blocks.map((block) => ({
      ...block,
      crc64nvme: toBase64(
        crc64Nvme(bytes.subarray(block.offset, block.offset + block.lengthBytes)),
      ),
    }));
    const access = { ...opened, blocks: checksums ? withChecksums : opened.blocks };
    harm(bytes, blocks);
    const loaded = await loadData(
      { databases: makeDatabases({}), clients: makeClients(directory), clock: makeClock() },
      {
        access,
        major: 18,
        serverMajor: 18,
        ids: new Set(entries.map(({ dumpId }) => dumpId)),
        connection: Connection.parse({ host: 'db', auth: { type: 'secret', secretId: 's' } }),
        database: "it's =",
        jobs: 3,
        replica: false,
        signal,
        ...changes,
      },
    );
    return loaded;
  }

  const runs = async () => (await readdir(join(directory, 'runs'))).sort();
  const kept = (run: string, name: string) => readFile(join(directory, 'runs', run, name));

  it('gives each program an archive of its own, and every table to one of them', async () => {
    await pretend('cat > "$RUN/input"; printf "%s\\n" "$@" > "$RUN/args"');

    const loaded = await load();

    const tables: number[] = [];
    for (const run of await runs()) {
      const reader = new ArchiveReader();
      reader.push(await kept(run, 'input'));
      tables.push(...reader.end().blocks.map(({ dumpId }) => dumpId));
    }
    expect(tables.toSorted((a, b) => a - b)).toEqual([20, 21, 22, 23, 24, 25]);
    expect(loaded).toMatchObject({ checksum: 'unknown', warnings: [] });
  });

  it('names the database in a way that no name can be taken for a connection string', async () => {
    await pretend('printf "%s\\n" "$@" > "$RUN/args"; env > "$RUN/env"; cat > /dev/null');
    await load({ roleName: 'owner', replica: true, jobs: 1 });
    const [run = ''] = await runs();
    expect((await kept(run, 'args')).toString().split('\n')).toEqual([
      '--data-only',
      '--no-password',
      String.raw`--dbname=dbname='it\'s ='`,
      '--exit-on-error',
      '--role=owner',
      '',
    ]);
    expect((await kept(run, 'env')).toString()).toMatch(
      /^PGOPTIONS=-c session_replication_role=replica$/m,
    );
  });

  it('does not stop at a setting that an older server does not know', async () => {
    await pretend(
      [
        'printf "%s\\n" "$@" > "$RUN/args"; cat > /dev/null',
        `echo 'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"' >&2`,
        `echo 'Command was: SET transaction_timeout = 0;' >&2; echo >&2`,
        `echo 'pg_restore: warning: errors ignored on restore: 1' >&2; exit 1`,
      ].join('\n'),
    );
    const loaded = await load({ serverMajor: 16, jobs: 1 });
    const [run = ''] = await runs();
    expect(loaded.bytesRead).toBeGreaterThan(TABLES * TABLE_BYTES);
    expect((await kept(run, 'args')).toString()).not.toContain('--exit-on-error');
  });

  it('leaves nothing undone where the server is crowded out again and again', async () => {
    // No more than one at a time: whoever comes second is refused.
    await pretend(
      [
        `if ! mkdir "$RUNS/../lock" 2> /dev/null; then rmdir "$RUN"; echo '${CROWDED}' >&2; exit 1; fi`,
        'cat > "$RUN/input"; rmdir "$RUNS/../lock"',
      ].join('\n'),
    );

    const loaded = await load({ jobs: 6 });

    const tables: number[] = [];
    for (const run of await runs()) {
      const reader = new ArchiveReader();
      reader.push(await kept(run, 'input'));
      tables.push(...reader.end().blocks.map(({ dumpId }) => dumpId));
    }
    expect(tables.toSorted((a, b) => a - b)).toEqual([20, 21, 22, 23, 24, 25]);
    expect(loaded.warnings).toEqual([
      expect.stringMatching(/^the server has too few connections: \d jobs loaded data, not 6$/),
    ]);
  });

  it('gives up where the server has no connection at all', async () => {
    await pretend(`echo '${CROWDED}' >&2; exit 1`);
    await expect(load()).rejects.toMatchObject({ name: 'DatabaseUnreachable', retryable: true });
  });

  it('believes no program that ends well before it has read everything', async () => {
    await pretend('head -c 1000 > /dev/null; exit 0');
    await expect(load()).rejects.toMatchObject({ name: 'RestoreFailed' });
  });

  it('starts none of the others once one has failed', async () => {
    await pretend(
      `cat > /dev/null; echo 'pg_restore: error: COPY failed for table "t": ERROR:  no' >&2; exit 1`,
    );
    await expect(load({ jobs: 1 })).rejects.toMatchObject({ name: 'RestoreFailed' });
    expect(await runs()).toHaveLength(1);
  });

  it('loads nothing twice: what may have been loaded in part is not tried again', async () => {
    const lost = 'COPY failed for table "t1": server closed the connection unexpectedly';
    await pretend(`cat > /dev/null; echo 'pg_restore: error: ${lost}' >&2; exit 1`);
    await expect(load({ jobs: 1 })).rejects.toMatchObject({ name: 'ConnectionLost' });
    expect(await runs()).toHaveLength(1);
  });

  it('tells how far it is', async () => {
    await pretend('cat > /dev/null');
    const seen: { bytes: number; totalBytes: number }[] = [];
    await load({ onProgress: (progress) => seen.push(progress) });
    const bytes = seen.map((it) => it.bytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(seen.at(-1)?.bytes).toBe(seen.at(-1)?.totalBytes);
  });

  describe('whose blocks have checksums', () => {
    const KEEP = 'cat > "$RUN/input"';
    /** Flips a bit of the third table, so many bytes from where its block begins; below 0: from its end. */
    const flip = (at: number) => (bytes: Buffer, blocks: WrittenArchive['blocks']) => {
      const { offset = 0, lengthBytes = 0 } = blocks[2] ?? {};
      const place = at < 0 ? offset + lengthBytes + at : offset + at;
      bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
    };
    const DAMAGED = {
      name: 'ChecksumMismatch',
      message: expect.stringMatching(/^the data of public\.t2 have CRC-64 .*, and should have /),
    };

    it('says of a part whether every block in it was compared', async () => {
      await pretend(KEEP);
      expect(await load({ ids: new Set([21, 23, 24]) }, { checksums: true })).toMatchObject({
        checksum: 'blocks-matched',
      });
      expect(await load({ ids: new Set([21, 23, 24]) })).toMatchObject({ checksum: 'not-whole' });
      expect(await load({ ids: new Set() }, { checksums: true })).toMatchObject({
        checksum: 'blocks-matched',
      });
      expect(await load({ ids: new Set() })).toMatchObject({ checksum: 'not-whole' });
    });

    it.each([0, 3, 20, 65_536, 2_000_000, -65_537, -6, -1])(
      'ends at a bit that flipped, before the program has all of the table: at byte %i',
      async (at) => {
        await pretend(KEEP);
        const ids = new Set([22]);
        await load({ ids }, { checksums: true });
        const [whole = ''] = await runs();
        await expect(load({ ids }, { checksums: true, harm: flip(at) })).rejects.toMatchObject(
          DAMAGED,
        );
        const [broken = ''] = (await runs()).filter((run) => run !== whole);
        const [before, after] = [await kept(whole, 'input'), await kept(broken, 'input')];
        expect(after.length).toBeLessThan(before.length);
      },
    );

    it('names the damage, though the program gave up over the data before', async () => {
      await pretend(
        `head -c 100000 > /dev/null; echo 'pg_restore: error: could not decompress data: no' >&2; exit 1`,
      );
      const ids = new Set([22]);
      const loading = load({ ids }, { checksums: true, harm: flip(-9) });
      await expect(loading).rejects.toMatchObject(DAMAGED);
    });

    it('names the damage, though the program thought that all was well and it had everything', async () => {
      await pretend('head -c 100000 > /dev/null; exit 0');
      const loading = load({ ids: new Set([22]) }, { checksums: true, harm: flip(20) });
      await expect(loading).rejects.toMatchObject(DAMAGED);
    });

    it('blames nothing on data that are as they should be', async () => {
      await pretend(
        `head -c 100000 > /dev/null; echo 'pg_restore: error: COPY failed for table "t2": ERROR:  no' >&2; exit 1`,
      );
      const loading = load({ ids: new Set([22]) }, { checksums: true });
      await expect(loading).rejects.toMatchObject({ name: 'RestoreFailed' });
    });

    it('reads no further than needed where it was the server that failed', async () => {
      await pretend(
        `head -c 100000 > /dev/null; echo 'pg_restore: error: COPY failed for table "t2": ERROR:  could not extend file "x"' >&2; exit 1`,
      );
      const ranges: { start: number; end: number }[] = [];
      const loading = load(
        { ids: new Set([22]) },
        { checksums: true, harm: flip(-9), read: (range) => ranges.push(range) },
      );
      await expect(loading).rejects.toMatchObject({ name: 'TargetFull' });
      // The archive's head, which is read to open it, and the table.
      expect(ranges).toHaveLength(2);
    });
  });
});
