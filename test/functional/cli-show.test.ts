import { describe, expect, it } from 'vitest';
import { backupKey } from '#domain/names.ts';
import { makeArchiveSpec, makeEntry, makeTableData, writeArchive } from '#test/archive-writer.ts';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import { backupIdAt, makeManifest, makeVerification, seedBackup } from '#test/fakes.ts';

const NEW = backupIdAt('2026-11-20T00:00:00Z');
const OLD = backupIdAt('2026-11-19T00:00:00Z');

describe('holdfast show', () => {
  it('shows manifest and verification of the newest verified backup, its tables the largest first', async () => {
    const deps = makeCliDeps();
    const ref = seedBackup(deps.objects, { backupId: OLD });
    seedBackup(deps.objects, { backupId: NEW }, 'unverified');
    const block = (table: string, dumpId: number, lengthBytes: number) => ({
      dumpId,
      kind: 'table' as const,
      schema: 'public',
      table,
      offset: 100,
      lengthBytes,
    });
    deps.objects.seed(
      backupKey(ref, 'manifest.json'),
      makeManifest({
        ...ref,
        archive: {
          blocks: [block('items', 7, 900), block('orders', 8, 52_000), block('a b', 9, 10)],
        },
        warnings: ['a sequence\u001b[31m was skipped'],
      }),
    );
    deps.objects.seed(
      backupKey(ref, 'verification.json'),
      makeVerification({
        ...ref,
        tables: [
          { schema: 'public', table: 'orders', rows: 1200 },
          { schema: 'public', table: 'items', rows: 3400 },
        ],
      }),
    );
    const { exitCode, stdout } = await runCommand(['show', 'orders/shop'], { deps });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`orders/shop/${OLD}`);
    expect(stdout).toMatch(/^time +2026-11-19 00:00:00 UTC, 27 h ago$/m);
    expect(stdout).toMatch(/^verified +2026-11-19 00:00:17 UTC, level full, in 5 s$/m);
    expect(stdout).toMatch(/^server +PostgreSQL 17.11, encoding UTF8$/m);
    expect(stdout).toMatch(/^LSN +0\/1A2B3C8$/m);
    expect(stdout).toMatch(
      /public\.orders +52 kB +1,200\npublic\.items +900 B +3,400\npublic\."a b" +10 B +-\n/,
    );
    expect(stdout).toMatch(/^warning: a sequence\\u\{1b\}\[31m was skipped$/m);
    const { document } = await runCommand(['show', 'orders/shop/latest', '--json'], { deps });
    expect(document).toMatchObject({
      backupId: OLD,
      state: 'verified',
      tables: [
        { table: 'orders', sizeBytes: 52_000, rows: 1200 },
        { table: 'items', sizeBytes: 900, rows: 3400 },
        { table: 'a b', rows: null },
      ],
      manifest: { backupId: OLD, server: { lsn: '0/1A2B3C8' } },
      verification: { level: 'full' },
      quarantine: null,
    });
  });

  it('shows a quarantined one that is named by its id, with why, even when its manifest is damaged', async () => {
    const deps = makeCliDeps();
    const ref = seedBackup(deps.objects, { backupId: NEW }, 'quarantined');
    deps.objects.seed(backupKey(ref, 'manifest.json'), '{"version":');
    const { exitCode, stdout } = await runCommand(['show', `orders/shop/${NEW}`], { deps });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^quarantined +ChecksumMismatch: the archive does not/m);
    expect(stdout).toMatch(/^manifest unreadable: .*manifest\.json is malformed/m);
    const { document } = await runCommand(['show', `orders/shop/${NEW}`, '--json'], { deps });
    expect(document).toMatchObject({ state: 'quarantined', manifest: null, tables: [] });
  });

  it.each([
    ['orders/shpo', 'did you mean shop?'],
    [`orders/shop/${NEW.slice(0, -1)}${NEW.endsWith('0') ? '1' : '0'}`, `did you mean ${NEW}?`],
    [`orders/shop/${NEW.slice(0, -2)}`, `did you mean ${NEW}?`],
    ['orders/shop/20200101T000000Z-k3v9qd', `the newest are ${NEW}`],
    ['odrers/shop', 'UnknownSource'],
  ])('finds no %s, and helps', async (reference, words) => {
    const deps = makeCliDeps();
    seedBackup(deps.objects, { backupId: NEW });
    const { exitCode, stdout, stderr } = await runCommand(['show', reference], { deps });
    expect([exitCode, stdout]).toEqual([3, '']);
    expect(stderr).toContain(words);
  });

  it('takes a database whose name has slashes', async () => {
    const deps = makeCliDeps();
    seedBackup(deps.objects, { database: 'a/b', backupId: NEW });
    for (const reference of ['orders/a/b', 'orders/a/b/latest', `orders/a/b/${NEW}`]) {
      const { document } = await runCommand(['show', reference, '--json'], { deps });
      expect(document).toMatchObject({ database: 'a/b', backupId: NEW });
    }
  });
});

describe('holdfast tables', () => {
  function depsWithToc() {
    const deps = makeCliDeps();
    const ref = seedBackup(deps.objects, { backupId: NEW });
    const { bytes, headLengthBytes } = writeArchive(
      makeArchiveSpec({
        entries: [
          makeEntry({ dumpId: 1, desc: 'TABLE', tag: 'orders', schema: 'public' }),
          makeEntry({ dumpId: 2, desc: 'TABLE', tag: 'no\nrows', schema: 'audit' }),
          makeEntry({ dumpId: 3, desc: 'VIEW', tag: 'totals', schema: 'public' }),
          makeTableData({
            dumpId: 4,
            tag: 'orders',
            schema: 'public',
            table: [Buffer.from('1\n')],
          }),
          makeEntry({ dumpId: 5, desc: 'INDEX', tag: 'i1', schema: 'public', dependencies: [1] }),
          makeEntry({ dumpId: 6, desc: 'INDEX', tag: 'i2', schema: 'public', dependencies: [1] }),
        ],
      }),
    );
    deps.objects.seed(backupKey(ref, 'toc.dump'), bytes.subarray(0, headLengthBytes));
    return { deps, ref };
  }

  it('lists the tables of the archive from its table of contents alone', async () => {
    const { deps, ref } = depsWithToc();
    deps.objects.fault = (operation, key) => {
      const reads = ['get', 'getRange', 'stream'].includes(operation);
      if (reads && key !== backupKey(ref, 'toc.dump')) throw new Error(`${operation} of ${key}`);
    };
    const { exitCode, stdout, stderr } = await runCommand(['tables', 'orders/shop'], { deps });
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^audit\."no\\nrows" +table +\S+ +- +0$/m);
    expect(stdout).toMatch(/^public\.orders +table +\S+ +yes +2$/m);
    expect(stdout).toMatch(/^and 2 index, 1 view: --all$/m);
    const { document } = await runCommand(['tables', 'orders/shop', '--json'], { deps });
    expect(document).toMatchObject({
      tables: [
        { schema: 'audit', table: 'no\nrows', hasData: false, indexes: 0 },
        { schema: 'public', table: 'orders', kind: 'table', hasData: true, indexes: 2 },
      ],
      objects: { TABLE: 2, INDEX: 2, VIEW: 1 },
    });
    expect(document).not.toHaveProperty('entries');
  });

  it('lists every object on request', async () => {
    const { deps } = depsWithToc();
    const { stdout } = await runCommand(['tables', 'orders/shop', '--all'], { deps });
    expect(stdout).toMatch(/^VIEW +public\.totals /m);
    const { document } = await runCommand(['tables', 'orders/shop', '--all', '--json'], { deps });
    expect(document['entries']).toHaveLength(6);
  });

  it('ends with 1 and the name of the damage when it cannot be read', async () => {
    const { deps, ref } = depsWithToc();
    deps.objects.seed(backupKey(ref, 'toc.dump'), 'PGDMP and nothing more');
    const { exitCode, stderr } = await runCommand(['tables', 'orders/shop'], { deps });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^Archive(Corrupt|Unsupported): /);
  });
});
