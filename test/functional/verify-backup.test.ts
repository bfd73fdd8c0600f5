import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeClients } from '#adapters/clients.ts';
import type { DumpJob } from '#contracts/job.ts';
import type { Manifest } from '#contracts/manifest.ts';
import { TAG_STATE } from '#contracts/verification.ts';
import { tableRanges } from '#domain/archive/block-index.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { combineCrc64Nvme, fromBase64, toBase64 } from '#domain/crc64-nvme.ts';
import { alertMarkerKey, type BackupFile, backupKey, jobKey } from '#domain/names.ts';
import { ServiceUnavailable } from '#errors';
import { verifyBackup } from '#functions/verify-backup.ts';
import { makeArchiveSpec, makeEntry, makeTableData, writeArchive } from '#test/archive-writer.ts';
import { crc64NvmeBase64 } from '#test/fakes/crc64-reference.ts';
import {
  backupIdAt,
  type Changes,
  type FakeDeps,
  makeDeps,
  makeJob,
  makeManifest,
  seedBackup,
} from '#test/fakes.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

/** The one thing here that is not faked: what pg_restore says of an archive. */
let clients: ReturnType<typeof makeClients>;
let major = 0;
beforeAll(async () => {
  const { directory, majors } = await ensurePostgresClients();
  clients = makeClients(directory);
  major = majors.at(-1) ?? 0;
});

const ref = { source: 'orders', database: 'shop', backupId: backupIdAt('2026-11-20T02:01:00Z') };
const key = (file: BackupFile) => backupKey(ref, file);
const event = (manifestKey = key('manifest.json'), bucket = 'holdfast-test') => ({
  'detail-type': 'Object Created' as const,
  time: '2026-11-20T02:02:00Z',
  detail: { bucket: { name: bucket }, object: { key: manifestKey, size: 1 } },
});

const archive = writeArchive(
  makeArchiveSpec({
    withOffsets: true,
    entries: [
      makeEntry({ dumpId: 7, tag: 'orders', definition: 'CREATE TABLE public.orders (id int);\n' }),
      makeTableData({
        dumpId: 9,
        tag: 'orders',
        table: [Buffer.from('1\n2\n3\n'), Buffer.from('\\.\n\n\n')],
      }),
      makeTableData({ dumpId: 10, tag: 'empty', table: [Buffer.from('\\.\n\n\n')] }),
    ],
  }),
).bytes;
const globals = Buffer.from('CREATE ROLE app;\n');

/** A bucket with one unverified backup in it, whole but for what `change` does. */
function seedUnverified(
  changes: {
    manifest?: Changes<Manifest>;
    job?: Changes<DumpJob>;
    body?: Buffer;
    /** What the manifest says of the blocks, from what is right. */
    checksums?: (right: readonly string[]) => readonly (string | undefined)[];
  } = {},
): FakeDeps {
  const deps = makeDeps({ clients });
  const body = changes.body ?? archive;
  const reader = new ArchiveReader();
  reader.push(archive);
  const index = reader.end();
  const head = reader.head ?? Buffer.alloc(0);
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const { checksums = (right) => right } = changes;
  const crcs = checksums(
    index.blocks.map(({ offset, lengthBytes }) =>
      crc64NvmeBase64(body.subarray(offset, offset + lengthBytes)),
    ),
  );
  const stored = (file: BackupFile, bytes: Buffer) => ({
    key: key(file),
    sizeBytes: bytes.length,
    crc64nvme: crc64NvmeBase64(bytes),
  });
  deps.objects.seed(key('archive.dump'), body);
  deps.objects.seed(key('toc.dump'), head);
  deps.objects.seed(key('globals.sql'), globals);
  const manifest = makeManifest({
    ...ref,
    client: { major },
    objects: {
      archive: stored('archive.dump', body),
      toc: { ...stored('toc.dump', head), sha256: sha256(head) },
      globals: { ...stored('globals.sql', globals), sha256: sha256(globals) },
    },
    archive: {
      headBytes: head.length,
      headSha256: sha256(head),
      bodySha256: sha256(body.subarray(head.length)),
      tocEntries: index.entries.length,
      blocks: tableRanges(index).map(({ dumpId, schema, table, offset, lengthBytes }, i) => ({
        dumpId,
        kind: 'table' as const,
        schema,
        table,
        offset,
        lengthBytes,
        ...(crcs[i] === undefined ? {} : { crc64nvme: crcs[i] }),
      })),
    },
    ...changes.manifest,
  });
  deps.objects.seed(key('manifest.json'), manifest);
  deps.objects.seed(jobKey(ref), makeJob({ ...ref, ...changes.job }));
  return deps;
}

const errorOf = (deps: FakeDeps) =>
  (deps.objects.json(key('quarantine.json')) as Record<'error', string>).error;

describe('a manifest that was created', () => {
  it('leads to a verification with the rows of each table, tags, and the answer to the run', async () => {
    const deps = seedUnverified();
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'verified' });
    expect(deps.objects.json(key('verification.json'))).toMatchObject({
      ...ref,
      level: 'full',
      archiveBytes: archive.length,
      tables: [
        { schema: 'public', table: 'orders', rows: 3 },
        { schema: 'public', table: 'empty', rows: 0 },
      ],
    });
    for (const file of ['archive.dump', 'toc.dump', 'globals.sql'] as const) {
      expect(deps.objects.tagsOf(key(file))[TAG_STATE]).toBe('verified');
    }
    expect(deps.workflow.answers.get('token-1')).toMatchObject({
      output: { status: 'verified', tables: 2, rows: 3, backupId: ref.backupId },
    });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('has one effect when it is told twice, at the same time and later', async () => {
    const deps = seedUnverified();
    await Promise.all([verifyBackup(event(), deps), verifyBackup(event(), deps)]);
    const record = deps.objects.text(key('verification.json'));
    const answers = new Map(deps.workflow.answers);
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'verified' });
    expect(await deps.objects.versions(key('verification.json'))).toHaveLength(1);
    expect(deps.objects.text(key('verification.json'))).toBe(record);
    expect(deps.workflow.answers).toEqual(answers);
    expect(deps.alerts.sent).toEqual([]);
  });

  it('is verified when no run waits for it any more, and when its job record is gone', async () => {
    const late = seedUnverified();
    late.workflow.closeToken('token-1');
    expect(await verifyBackup(event(), late)).toEqual({ outcome: 'verified' });
    const copied = seedUnverified();
    await copied.objects.delete([jobKey(ref)]);
    expect(await verifyBackup(event(), copied)).toEqual({ outcome: 'verified' });
    expect([...late.alerts.sent, ...copied.alerts.sent]).toEqual([]);
  });

  it('is neither verified nor quarantined while the store does not answer', async () => {
    const deps = seedUnverified();
    deps.objects.fault = (operation) => {
      if (operation === 'getRange') throw new ServiceUnavailable('no answer');
    };
    await expect(verifyBackup(event(), deps)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    expect(deps.objects.keys(key('quarantine.json'))).toEqual([]);
    expect(deps.workflow.answers.size).toBe(0);
    deps.objects.fault = undefined;
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'verified' });
  });

  it('is handed to one Fargate task when its archive is too large', async () => {
    const deps = seedUnverified({ job: { verification: { lambdaMaxBytes: archive.length - 1 } } });
    for (let time = 0; time < 2; time++) {
      expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'handed-over' });
    }
    expect(deps.tasks.started.map(({ kind }) => kind)).toEqual(['verify-backup']);
    expect(deps.objects.keys(key('verification.json'))).toEqual([]);
  });
});

describe('an event that is none of ours', () => {
  it.each([
    ['of another file', key('toc.dump'), 'holdfast-test'],
    ['of another bucket', key('manifest.json'), 'elsewhere'],
    ['of no backup id', 'backups/orders/shop/notanid/manifest.json', 'holdfast-test'],
    ['of a source that cannot be', 'backups/Orders!/shop/x/manifest.json', 'holdfast-test'],
  ])('is ignored: %s', async (_what, other, bucket) => {
    const deps = seedUnverified();
    const before = deps.objects.keys();
    expect(await verifyBackup(event(other, bucket), deps)).toEqual({ outcome: 'ignored' });
    expect(deps.objects.keys()).toEqual(before);
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('is ignored when retention has deleted the backup since', async () => {
    const deps = seedUnverified();
    await deps.objects.delete(deps.objects.keys());
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'ignored' });
    expect(deps.objects.keys()).toEqual([]);
    expect(deps.alerts.sent).toEqual([]);
  });
});

/** The archive with one bit of the byte at the offset flipped. */
function flipped(bytes: Buffer, offset: number): Buffer {
  const copy = Buffer.from(bytes);
  const at = offset < 0 ? copy.length + offset : offset;
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}

describe('a backup that is not what its manifest says', () => {
  const files = ['archive.dump', 'toc.dump', 'globals.sql'] as const;

  it.each(files)('is quarantined when %s is gone', async (file) => {
    const deps = seedUnverified();
    await deps.objects.delete([key(file)]);
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('ObjectMissing');
  });

  it.each(files)('is quarantined when %s is a byte shorter', async (file) => {
    const deps = seedUnverified();
    const stored = await deps.objects.get(key(file));
    deps.objects.seed(key(file), stored?.body.subarray(1) ?? '');
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('SizeMismatch');
  });

  it.each(files)('is quarantined when %s has another version', async (file) => {
    const deps = seedUnverified();
    const head = await deps.objects.head(key(file));
    const manifest = deps.objects.json(key('manifest.json')) as Manifest;
    const name = (
      { 'archive.dump': 'archive', 'toc.dump': 'toc', 'globals.sql': 'globals' } as const
    )[file];
    const pinned = { ...manifest.objects[name], versionId: `not-${head?.versionId}` };
    const again = seedUnverified({
      manifest: {
        ...manifest,
        sha256: undefined,
        objects: { ...manifest.objects, [name]: pinned },
      },
    });
    expect(await verifyBackup(event(), again)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(again)).toBe('ObjectReplaced');
  });

  it('is quarantined when S3 has another checksum', async () => {
    const deps = seedUnverified();
    deps.objects.seed(key('archive.dump'), flipped(archive, -20));
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('ChecksumMismatch');
  });

  it('is quarantined when the manifest was altered', async () => {
    const deps = seedUnverified({ manifest: { sha256: '0'.repeat(64) } });
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('ManifestInvalid');
  });

  it('is quarantined at level structure when a block does not begin where it should', async () => {
    const reader = new ArchiveReader();
    reader.push(archive);
    const [first] = reader.end().blocks;
    const deps = seedUnverified({
      body: flipped(archive, (first?.offset ?? 0) + 2),
      job: { verification: { level: 'structure' } },
    });
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('ContentsMismatch');
  });

  describe('in the checksums of its blocks', () => {
    /** Those of both tables wrong, in a way that together they are right: only who reads the rows can tell. */
    const balanced = ([first = '', second = '']: readonly string[]) => {
      const [a, b] = [fromBase64(first), fromBase64(second)];
      const secondBytes = blocks[1]?.lengthBytes ?? 0;
      const together = combineCrc64Nvme(a, b, secondBytes);
      return [toBase64(a ^ 1n), toBase64(combineCrc64Nvme(a ^ 1n, together, secondBytes))];
    };
    const reader = new ArchiveReader();
    reader.push(archive);
    const { blocks } = reader.end();

    it.each(['structure', 'full'] as const)(
      'is quarantined where they do not make up that of the whole, at level %s',
      async (level) => {
        const deps = seedUnverified({
          job: { verification: { level } },
          checksums: ([, second]) => ['AAAAAAAAAAA=', second],
        });
        expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
        expect(deps.objects.json(key('quarantine.json'))).toMatchObject({
          error: 'ChecksumMismatch',
          cause: expect.stringContaining('together by the manifest'),
        });
      },
    );

    it('is quarantined where the rows of a table have another, which is named', async () => {
      const deps = seedUnverified({ checksums: balanced });
      expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
      expect(deps.objects.json(key('quarantine.json'))).toMatchObject({
        error: 'ChecksumMismatch',
        cause: expect.stringMatching(/in the data of public\.orders, public\.empty$/),
      });
    });

    it('is not found at level structure, which reads no rows', async () => {
      const deps = seedUnverified({
        job: { verification: { level: 'structure' } },
        checksums: balanced,
      });
      expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'verified' });
    });

    it.each(['structure', 'full'] as const)(
      'is nothing to say where an older version wrote none, at level %s',
      async (level) => {
        const deps = seedUnverified({
          job: { verification: { level } },
          checksums: () => [],
        });
        expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'verified' });
      },
    );
  });

  it('is quarantined as unsupported when no pg_restore at hand is new enough', async () => {
    const deps = seedUnverified({ manifest: { client: { major: 99 } } });
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(deps)).toBe('ArchiveUnsupported');
  });
});

describe('the alert of a quarantine', () => {
  const damaged = () => seedUnverified({ manifest: { sha256: '0'.repeat(64) } });
  const marker = alertMarkerKey('orders', `quarantined-shop-${ref.backupId}`);

  it('is left to the run that waits, also when the event comes again', async () => {
    const deps = damaged();
    await verifyBackup(event(), deps);
    await verifyBackup(event(), deps);
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'ManifestInvalid' });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('is sent once when no run waits', async () => {
    const deps = damaged();
    deps.workflow.closeToken('token-1');
    await verifyBackup(event(), deps);
    await verifyBackup(event(), deps);
    expect(deps.alerts.sent).toMatchObject([
      { attributes: { event: 'quarantine', error: 'ManifestInvalid' } },
    ]);
  });

  it('is not sent by the delivery that finds the token just closed by another one', async () => {
    const deps = damaged();
    deps.workflow.closeToken('token-1');
    const clock = {
      ...deps.clock,
      async sleep(milliseconds: number, signal?: AbortSignal) {
        // While this one waits, the other gets to its marker.
        if (!deps.objects.keys().includes(marker)) deps.objects.seed(marker, '{}');
        await deps.clock.sleep(milliseconds, signal);
      },
    };
    await verifyBackup(event(), { ...deps, clock });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('is tried again when it could not be sent', async () => {
    const deps = damaged();
    deps.workflow.closeToken('token-1');
    deps.alerts.failure = new ServiceUnavailable('SNS is down');
    await expect(verifyBackup(event(), deps)).rejects.toThrow('SNS is down');
    deps.alerts.failure = undefined;
    expect(await verifyBackup(event(), deps)).toEqual({ outcome: 'quarantined' });
    expect(deps.alerts.sent).toHaveLength(1);
  });
});

describe('an archive of an odd size', () => {
  const sizeAnomaly = { ratio: 2, minimumBytes: 1, warmUp: 2, window: 7 };

  /** Earlier archives have 27 bytes: the new one is many times as large. */
  function withEarlier(action: 'warn' | 'fail', state: 'verified' | 'quarantined'): FakeDeps {
    const deps = seedUnverified({
      job: { verification: { sizeAnomaly: { ...sizeAnomaly, action } } },
    });
    for (const day of ['18', '19']) {
      seedBackup(deps.objects, { backupId: backupIdAt(`2026-11-${day}T02:00:00Z`) }, state);
    }
    return deps;
  }

  it('is a warning in its record, or a quarantine, as the plan says', async () => {
    const warned = withEarlier('warn', 'verified');
    expect(await verifyBackup(event(), warned)).toEqual({ outcome: 'verified' });
    const { warnings } = warned.objects.json(key('verification.json')) as { warnings: string[] };
    expect(warnings).toEqual([expect.stringContaining('median of the last 2 verified')]);
    const failed = withEarlier('fail', 'verified');
    expect(await verifyBackup(event(), failed)).toEqual({ outcome: 'quarantined' });
    expect(errorOf(failed)).toBe('SizeAnomaly');
  });

  it('is not measured against what was quarantined', async () => {
    expect(await verifyBackup(event(), withEarlier('fail', 'quarantined'))).toEqual({
      outcome: 'verified',
    });
  });
});
