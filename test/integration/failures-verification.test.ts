import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Quarantine } from '#contracts/verification.ts';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { backupKey } from '#domain/names.ts';
import { LOCAL } from '#local/stack.ts';
import type { PutResult } from '#runtime/ports.ts';
import {
  expectNothingHalfWritten,
  type HeldBackup,
  KEEP_ALL,
  makeGoodBackup,
  resign,
  runWithHarm,
  stateTag,
  storedBytes,
} from '#test/failure-case.ts';
import { withClient } from '#test/postgres.ts';
import { listBackups, usePipeline } from '#test/stack.ts';

const pipeline = usePipeline({ plan: { retention: KEEP_ALL } });
let expectGoodBackupUntouched: () => Promise<void>;
beforeAll(async () => {
  expectGoodBackupUntouched = await makeGoodBackup(pipeline());
});

/** Runs a backup that comes to harm, and asks for what must follow from any damage. */
async function expectQuarantine(
  harm: (held: HeldBackup) => unknown,
  expected: { error: string; cause: RegExp },
): Promise<void> {
  const { execution, summary, alerts, held } = await runWithHarm(pipeline(), harm);

  expect(execution).toMatchObject({ status: 'FAILED', error: expected.error });
  expect(summary?.databases).toMatchObject([
    { database: 'shop', status: 'failed', failure: { Error: expected.error } },
  ]);
  expect(alerts.map(({ attributes }) => attributes)).toMatchObject([
    { event: 'backup', status: 'FAILED', error: expected.error },
  ]);
  const quarantine = Quarantine.parse(JSON.parse(String(held.bytes('quarantine.json'))));
  expect(quarantine).toMatchObject({ ...held.ref, error: expected.error });
  expect(quarantine.cause).toMatch(expected.cause);
  const { backupId } = held.ref;
  expect((await listBackups(pipeline())).get(backupId)).not.toContain('verification.json');
  await expectTaggedQuarantined(held);
  await expectNothingHalfWritten(pipeline());
  await expectGoodBackupUntouched();
}

async function expectTaggedQuarantined({ ref, key }: HeldBackup): Promise<void> {
  const files = (await listBackups(pipeline())).get(ref.backupId);
  for (const file of ['archive.dump', 'toc.dump', 'globals.sql'] as const) {
    if (files?.has(file)) expect(await stateTag(pipeline(), key(file))).toBe('quarantined');
  }
}

const manifestOf = (held: HeldBackup) => JSON.parse(String(held.bytes('manifest.json')));
const damage = () => pipeline().stack.store.damage;
const put = (key: string, body: Buffer | string) => pipeline().stack.objects.put(key, body);

/** Puts other bytes under a key without a trace of the first ones: a new object, one version. */
async function forge(key: string, body: Buffer | string): Promise<PutResult> {
  damage().remove(LOCAL.bucket, key);
  return put(key, body);
}

/** Changes stored bytes in place: same version, same checksum, as far as the store knows. */
function overwrite(key: string, body: Buffer | string): void {
  writeFileSync(pipeline().stack.store.path(LOCAL.bucket, key) ?? '', body);
}

describe('a bit that flips in storage before the verification', () => {
  it.each([
    ["the archive's data", 'archive.dump', -40],
    ["the archive's head", 'archive.dump', 200],
    ['toc.dump', 'toc.dump', 200],
    ['globals.sql', 'globals.sql', 10],
  ] as const)('is found in %s', async (_where, file, offset) => {
    await expectQuarantine((held) => damage().flipBit(LOCAL.bucket, held.key(file), offset), {
      error: 'ChecksumMismatch',
      cause: /does not have its SHA-256/,
    });
  });

  it('is found in the last byte of the archive', async () => {
    await expectQuarantine((held) => damage().flipBit(LOCAL.bucket, held.key('archive.dump'), -1), {
      error: 'ChecksumMismatch',
      cause: /the data in .* does not have its SHA-256; the damage is in \w+/,
    });
  });
});

describe('an object that is not what the dump wrote', () => {
  it('is found when the archive was cut short', async () => {
    await expectQuarantine(
      (held) => {
        const { length } = held.bytes('archive.dump');
        damage().truncate(LOCAL.bucket, held.key('archive.dump'), length - 1);
      },
      { error: 'SizeMismatch', cause: /bytes, the manifest says/ },
    );
  });

  it.each(['archive.dump', 'globals.sql'] as const)('is found when %s is gone', async (file) => {
    await expectQuarantine((held) => damage().remove(LOCAL.bucket, held.key(file)), {
      error: 'ObjectMissing',
      cause: /is named in the manifest, but is not there/,
    });
  });

  it('is found when somebody deleted the archive, which leaves a delete marker', async () => {
    const { objects } = pipeline().stack;
    await expectQuarantine((held) => objects.delete([held.key('archive.dump')]), {
      error: 'ObjectMissing',
      cause: /is not there/,
    });
  });

  it.each(['archive.dump', 'toc.dump'] as const)(
    'is found when %s was written again, be it with the same bytes',
    async (file) => {
      await expectQuarantine((held) => put(held.key(file), held.bytes(file)), {
        error: 'ObjectReplaced',
        cause: /the dump task wrote version/,
      });
    },
  );

  it("is found when another backup's archive is in its place, version and size included", async () => {
    const earlier = [...(await listBackups(pipeline())).keys()][0] ?? '';
    await expectQuarantine(
      (held) => {
        const other = backupKey({ ...held.ref, backupId: earlier }, 'archive.dump');
        const size = held.bytes('archive.dump').length;
        const bytes = Buffer.alloc(size);
        storedBytes(pipeline(), other).copy(bytes);
        overwrite(held.key('archive.dump'), bytes);
      },
      { error: 'ChecksumMismatch', cause: /does not have its SHA-256/ },
    );
  });
});

describe('a manifest that is not the one the dump wrote', () => {
  const invalid = (cause: RegExp) => ({ error: 'ManifestInvalid', cause });

  it('is found when one value in it was changed', async () => {
    await expectQuarantine(
      (held) => {
        const text = String(held.bytes('manifest.json'));
        overwrite(
          held.key('manifest.json'),
          text.replace('"isReplica": false', '"isReplica":  true'),
        );
      },
      invalid(/was altered/),
    );
  });

  it('is found when a bit of it flipped', async () => {
    await expectQuarantine(
      (held) => damage().flipBit(LOCAL.bucket, held.key('manifest.json'), 40),
      invalid(/was altered|is malformed/),
    );
  });

  it('is found when it was written a second time with a digest that fits', async () => {
    await expectQuarantine(
      (held) =>
        put(
          held.key('manifest.json'),
          resign(held.bytes('manifest.json'), (manifest) => ({ ...manifest, warnings: ['none'] })),
        ),
      invalid(/was written 2 times/),
    );
  });

  it("is found when it is another backup's", async () => {
    const earlier = [...(await listBackups(pipeline())).keys()][0] ?? '';
    await expectQuarantine(
      (held) =>
        forge(
          held.key('manifest.json'),
          storedBytes(pipeline(), backupKey({ ...held.ref, backupId: earlier }, 'manifest.json')),
        ),
      invalid(/describes another backup/),
    );
  });

  it.each([
    ['is cut JSON', '{"version": 1,'],
    ['is empty', ''],
    ['is JSON of something else', '[]'],
  ])('is found when it %s', async (_what, body) => {
    await expectQuarantine(
      (held) => forge(held.key('manifest.json'), body),
      invalid(/is malformed/),
    );
  });

  it('is found when it is gone', async () => {
    await expectQuarantine((held) => damage().remove(LOCAL.bucket, held.key('manifest.json')), {
      error: 'ObjectMissing',
      cause: /there is no .*manifest\.json/,
    });
  });
});

/** The first block of a table that has rows: type, id (5 bytes), length of the chunk (5), zstd. */
function blockWithRows(held: HeldBackup): { dumpId: number; offset: number } {
  return manifestOf(held).archive.blocks.find(
    (block: { kind: string; lengthBytes: number }) =>
      block.kind === 'table' && block.lengthBytes > 1000,
  );
}

/** Damages the archive and makes every digest, in the manifest and of the store, fit the damage. */
async function damageAndResign(held: HeldBackup, offset: number): Promise<void> {
  const body = Buffer.from(held.bytes('archive.dump'));
  body.writeUInt8(body.readUInt8(offset) ^ 1, offset);
  const { versionId, crc64nvme = '' } = await forge(held.key('archive.dump'), body);
  const manifest = resign(held.bytes('manifest.json'), ({ objects, archive, ...content }) => ({
    ...content,
    objects: { ...objects, archive: { ...objects.archive, versionId, crc64nvme } },
    archive: {
      ...archive,
      bodySha256: createHash('sha256').update(body.subarray(archive.headBytes)).digest('hex'),
      blocks: archive.blocks.map((block) => ({
        ...block,
        crc64nvme: toBase64(
          crc64Nvme(body.subarray(block.offset, block.offset + block.lengthBytes)),
        ),
      })),
    },
  }));
  await forge(held.key('manifest.json'), manifest);
}

describe('an archive that nobody can read, though every size and digest fits', () => {
  it('is found by pg_restore when compressed data is broken', async () => {
    await expectQuarantine((held) => damageAndResign(held, blockWithRows(held).offset + 11), {
      error: 'ContentsMismatch',
      cause: /pg_restore cannot read the archive/,
    });
  });

  it('is found by our reader when the structure is broken', async () => {
    await expectQuarantine((held) => damageAndResign(held, blockWithRows(held).offset + 6), {
      error: 'ArchiveCorrupt',
      cause: /./,
    });
  });

  it('is found at level structure when a block is not where the contents say', async () => {
    pipeline().changePlan({ verification: { level: 'structure' } });
    try {
      await expectQuarantine(
        (held) =>
          damage().flipBit(LOCAL.bucket, held.key('archive.dump'), blockWithRows(held).offset),
        { error: 'ContentsMismatch', cause: /the data of entry \d+ is not at byte \d+/ },
      );
    } finally {
      pipeline().changePlan({});
    }
  });
});

describe('a backup of an odd size', () => {
  const rules = { ratio: 1.5, minimumBytes: 1000, warmUp: 1 };

  /** The archive more than doubles: what does not compress is added. */
  async function growDatabase(bytes: number): Promise<void> {
    await withClient(pipeline().server, 'shop', async (client) => {
      await client.query('CREATE TABLE IF NOT EXISTS noise (line bytea)');
      await client.query(
        `INSERT INTO noise SELECT decode(string_agg(md5(random()::text), ''), 'hex')
         FROM generate_series(1, $1) GROUP BY random() < 0.5`,
        [Math.ceil(bytes / 16)],
      );
      const { user } = pipeline().sample.backup;
      await client.query(`GRANT SELECT ON noise TO "${user}"`);
    });
  }

  it('is verified with a warning that says so, in the record and in the alert', async () => {
    const [latest] = [...(await listBackups(pipeline())).keys()];
    const size = storedBytes(
      pipeline(),
      backupKey({ source: 'orders', database: 'shop', backupId: latest ?? '' }, 'archive.dump'),
    ).length;
    await growDatabase(size);
    pipeline().changePlan({ verification: { sizeAnomaly: { ...rules, action: 'warn' } } });

    const { execution, summary, alerts, held } = await runWithHarm(pipeline(), () => {});
    expect(execution.status).toBe('SUCCEEDED');
    const { warnings } = JSON.parse(String(held.bytes('verification.json')));
    expect(warnings.join()).toMatch(/times the median of the last \d+ verified/);
    expect(summary?.warnings.join()).toContain('shop');
    expect(alerts).toHaveLength(1);
    expect(alerts[0]?.attributes).toMatchObject({ status: 'SUCCEEDED', severity: 'warning' });
    await expectNothingHalfWritten(pipeline());
  });

  it('is quarantined where the plan says fail, and the bad one is no measure for the next', async () => {
    pipeline().changePlan({ verification: { sizeAnomaly: { ...rules, action: 'fail' } } });
    await growDatabase(4_000_000);
    for (let time = 0; time < 2; time++) {
      await expectQuarantine(() => {}, {
        error: 'SizeAnomaly',
        cause: /times the median of the last/,
      });
    }
    pipeline().changePlan({});
  });
});
