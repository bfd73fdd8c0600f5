import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Manifest } from '#contracts/manifest.ts';
import { Verification } from '#contracts/verification.ts';
import { type BackupFile, type BackupRef, backupKey } from '#domain/names.ts';
import { LOCAL } from '#local/stack.ts';
import { resign, storedBytes } from '#test/failure-case.ts';
import { alertText, expectFailure, useDesk } from '#test/restore-case.ts';

const desk = useDesk();
const store = () => desk.pipeline.stack.store;
const backups = new Map<'zstd' | 'gzip', BackupRef>();
const undo: (() => void)[] = [];

beforeAll(async () => {
  backups.set('zstd', desk.backup);
  desk.pipeline.changePlan({ dump: { compression: { algorithm: 'gzip', level: 6 } } });
  backups.set('gzip', await desk.backUp());
  desk.pipeline.changePlan({});
});
afterEach(() => {
  for (const back of undo.splice(0).reverse()) back();
});

const bytesOf = (backup: BackupRef, file: BackupFile) =>
  storedBytes(desk.pipeline, backupKey(backup, file));
const manifestOf = (backup: BackupRef) =>
  Manifest.parse(JSON.parse(String(bytesOf(backup, 'manifest.json'))));
const ordersOf = (backup: BackupRef) => {
  const block = manifestOf(backup).archive.blocks.find(({ table }) => table === 'orders');
  if (!block) throw new Error('the archive has no orders');
  return block;
};
/** Changes the archive where it lies; S3 says of it what it said before. */
function damage(backup: BackupRef, edit: (bytes: Buffer) => Buffer): void {
  const path = store().path(LOCAL.bucket, backupKey(backup, 'archive.dump')) ?? '';
  const bytes = readFileSync(path);
  undo.push(() => writeFileSync(path, bytes));
  writeFileSync(path, edit(Buffer.from(bytes)));
}
const flipAt = (at: number) => (bytes: Buffer) => {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
};
/** Puts other bytes in the place of a file, as who may write would; afterwards its own are back. */
function replace(file: BackupFile, bytes: Buffer | string): void {
  const key = backupKey(desk.backup, file);
  const before = bytesOf(desk.backup, file);
  undo.push(() => store().damage.replace(LOCAL.bucket, key, before));
  store().damage.replace(LOCAL.bucket, key, Buffer.from(bytes));
}

const compressions = ['zstd', 'gzip'] as const;
const parts = [
  ['the whole', {}],
  ['one table', { selection: { tables: ['public.orders'] } }],
] as const;
const OTHER_ROWS = {
  error: 'ChecksumMismatch',
  cause: /the data of public\.orders have CRC-64 .*, and should have/,
  left: 'nothing-left',
} as const;
const ways = compressions.flatMap((algorithm) =>
  parts.map(([part, input]) => [algorithm, part, input] as const),
);

describe('an archive that was damaged after its verification', () => {
  const start = (algorithm: 'zstd' | 'gzip', input: object) =>
    desk.restore({ backup: backups.get(algorithm)?.backupId, ...input });
  const ref = (algorithm: 'zstd' | 'gzip') => backups.get(algorithm) ?? desk.backup;

  it.each(ways)(
    'is not restored when a bit of the rows is another: %s, %s',
    async (algorithm, _part, input) => {
      const { offset, lengthBytes } = ordersOf(ref(algorithm));
      damage(ref(algorithm), flipAt(offset + Math.floor(lengthBytes / 2)));
      expectFailure(await start(algorithm, input), OTHER_ROWS);
    },
  );

  // A zstd frame of pg_dump has no checksum of its own: wherever its decoder does not stumble, nobody else would.
  it('is not restored wherever in one table the bit is', async () => {
    const { offset, lengthBytes } = ordersOf(ref('zstd'));
    for (let step = 0; step <= 20; step += 1) {
      damage(ref('zstd'), flipAt(offset + Math.floor(((lengthBytes - 1) * step) / 20)));
      expectFailure(await start('zstd', { selection: { tables: ['public.orders'] } }), OTHER_ROWS);
      undo.pop()?.();
    }
  });

  it('is restored in part without that proof where an older version wrote none, and says so', async () => {
    const manifest = resign(bytesOf(desk.backup, 'manifest.json'), (before) => ({
      ...before,
      archive: {
        ...before.archive,
        blocks: before.archive.blocks.map(({ crc64nvme: _newer, ...block }) => block),
      },
    }));
    replace('manifest.json', manifest);
    const outcome = await desk.restore({ selection: { tables: ['public.orders'] } });
    const { database = '', checksum, warnings } = outcome.record?.report ?? {};
    expect(checksum).toBe('not-whole');
    expect(warnings).toContainEqual(expect.stringContaining('could not be compared'));
    await desk.query(`DROP DATABASE "${database}"`);
  });

  it.each(ways)(
    'is not restored when its table of contents is another: %s, %s',
    async (algorithm, _part, input) => {
      damage(ref(algorithm), flipAt(1000));
      expectFailure(await start(algorithm, input), {
        error: 'ChecksumMismatch',
        cause: 'does not have its SHA-256',
        left: 'nothing-left',
      });
    },
  );

  it.each(ways)(
    'is not restored when its end is missing: %s, %s',
    async (algorithm, _part, input) => {
      const { offset } = ordersOf(ref(algorithm));
      damage(ref(algorithm), (bytes) => bytes.subarray(0, offset + 1000));
      expectFailure(await start(algorithm, input), {
        error: 'SizeMismatch',
        cause: /has \d+ bytes, not \d+/,
        left: 'nothing-left',
      });
    },
  );

  it.each(parts)(
    'is restored from the version that was verified when another took its place: %s',
    async (_part, input) => {
      const { versionId } = manifestOf(desk.backup).objects.archive;
      replace('archive.dump', 'not an archive');
      const outcome = await desk.restore(input);
      expect(outcome.record?.restore.archive).toMatchObject({ versionId });
      const { database = '', checks, warnings } = outcome.record?.report ?? {};
      expect(warnings).not.toContainEqual(expect.stringContaining('could not be compared'));
      expect(checks?.rows.find(({ table }) => table === 'orders')).toMatchObject({ actual: 3000 });
      await desk.query(`DROP DATABASE "${database}"`);
    },
  );
});

describe('a backup whose records were touched after its verification', () => {
  it('is not restored when its manifest was altered', async () => {
    replace('manifest.json', String(bytesOf(desk.backup, 'manifest.json')).replace('desk', 'dask'));
    expectFailure(await desk.restore(), {
      error: 'ManifestInvalid',
      cause: 'was altered: its content does not have its own SHA-256',
      left: null,
    });
  });

  it('is not restored when its manifest leaves out a table, by whoever knows how', async () => {
    const manifest = resign(bytesOf(desk.backup, 'manifest.json'), (before) => ({
      ...before,
      archive: { ...before.archive, blocks: before.archive.blocks.slice(1) },
    }));
    replace('manifest.json', manifest);
    expectFailure(await desk.restore(), {
      error: 'ArchiveCorrupt',
      cause: /the data of entry \d+ should begin at byte/,
      left: 'nothing-left',
    });
  });

  it('counts as unverified when its proof is gone, and as lost when that goes meanwhile', async () => {
    const { backupId } = await desk.backUp('desk');
    const key = backupKey({ ...desk.backup, backupId }, 'verification.json');
    const outcome = await desk.actAt(
      'order',
      async () => store().damage.remove(LOCAL.bucket, key),
      { backup: backupId },
    );
    expectFailure(outcome, {
      error: 'ObjectMissing',
      cause: `there is no ${key} any more`,
      left: 'nothing-left',
    });
    await desk.accept();
    expectFailure(await desk.restore({ backup: backupId }), {
      error: 'BackupNotVerified',
      cause: /is unverified/,
      left: null,
    });
  });

  describe('which counts other rows than there are', () => {
    const tamper = () => {
      const proof = JSON.parse(String(bytesOf(desk.backup, 'verification.json')));
      const { tables } = Verification.parse(proof);
      const changed = tables.map((it) => (it.table === 'lines' ? { ...it, rows: 501 } : it));
      replace('verification.json', JSON.stringify({ ...proof, tables: changed }));
    };
    const mismatch = {
      error: 'RestoreMismatch',
      cause: '"public"."lines" has 500 rows instead of 501',
    } as const;

    it('is dropped again', async () => {
      tamper();
      const outcome = await desk.restore();
      expectFailure(outcome, { ...mismatch, left: 'nothing-left' });
      expect(outcome.record?.report?.checks.problems).toHaveLength(1);
    });

    it('is kept when asked, and it is said where', async () => {
      tamper();
      const outcome = await desk.restore({ keepOnFailure: true });
      expectFailure(outcome, { ...mismatch, left: 'kept' });
      const { database } = outcome.record?.restore.target ?? {};
      expect(alertText(outcome)).toContain(`in the database ${database}, as you asked`);
      expect(await desk.query('SELECT count(*)::int AS n FROM lines', database)).toEqual([
        { n: 500 },
      ]);
      await desk.query(`DROP DATABASE "${database}"`);
    });
  });
});

describe('an object store in trouble', () => {
  it.each([1, 2])(
    'in which every fifth read fails or is cut does not keep a restore from succeeding (seed %i)',
    async (seed) => {
      const before = store().faults.injected;
      store().faults.plan = {
        seed,
        operations: ['GetObject'],
        // Which this test reads itself.
        key: /(?<!\/restore\.json)$/,
        shares: { internalError: 0.05, slowDown: 0.05, cutBeforeEffect: 0.05, cutInBody: 0.05 },
      };
      // A restore reads few objects: by chance alone, hardly any might fail.
      store().faults.failNext('GetObject', { status: 503, times: 2 });
      // Chance alone may spare the archive.
      store().faults.failNext('GetObject', { key: /\/archive\.dump$/, status: 503 });
      store().faults.failNext('GetObject', { key: /\/archive\.dump$/, cut: 'in-body', times: 2 });
      const outcome = await desk.restore();
      store().faults.clear();
      expect(store().faults.injected).toBeGreaterThanOrEqual(before + 3);
      await desk.expectWhole(outcome);
    },
  );

  it('that refuses to be read in the middle of the data fails the restore by name', async () => {
    const key = /\/archive\.dump$/;
    store().faults.failNext('GetObject', { key });
    store().faults.failNext('GetObject', { key, times: 100, status: 403 });
    expectFailure(await desk.restore(), {
      error: 'AccessDenied',
      cause: 'archive.dump',
      left: 'nothing-left',
    });
  });
});

describe('two restores of one backup at a time', () => {
  it('both succeed, side by side', async () => {
    const [one, other] = await Promise.all([desk.restore(), desk.restore()]);
    expect(one.record?.report?.database).not.toBe(other.record?.report?.database);
    await desk.expectWhole(one);
    await desk.expectWhole(other);
  });
});
