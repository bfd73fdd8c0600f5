import * as z from 'zod';

/**
 * `manifest.json`: the commit record of a backup, written last by the dump task. Everything needed to
 * verify and to restore without any other source. `sha256` is over the canonical JSON (keys sorted, no
 * white space) of everything else, so that an altered manifest is told from a valid one.
 */
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Instant = z.iso.datetime();

export const StoredObject = z.strictObject({
  key: z.string(),
  sizeBytes: z.int().min(0),
  sha256: Sha256.optional().describe('of the whole object; the archive has head and body instead'),
  crc64nvme: z
    .string()
    .describe('full-object CRC-64/NVME, base64 of 8 bytes big-endian, as S3 has it'),
  versionId: z.string().optional(),
});
export type StoredObject = z.infer<typeof StoredObject>;

/** One data block of the archive, in the order of the file. */
export const DataBlock = z.strictObject({
  dumpId: z.int().min(1),
  kind: z.enum(['table', 'blobs']),
  schema: z.string().optional(),
  table: z.string().optional(),
  offset: z.int().min(0).describe("of the block's type byte"),
  lengthBytes: z.int().min(1).describe('to the end of the block, terminator included'),
  crc64nvme: z
    .string()
    .regex(/^[A-Za-z0-9+/]{11}=$/)
    .optional()
    .describe("of the block's bytes, as in StoredObject; absent in manifests of older versions"),
});
export type DataBlock = z.infer<typeof DataBlock>;

export const Manifest = z.strictObject({
  version: z.literal(1),
  tool: z.strictObject({ name: z.literal('holdfast'), version: z.string() }),
  source: z.string(),
  database: z.string(),
  backupId: z.string(),
  runId: z.string(),
  executionArn: z.string(),
  startedAt: Instant,
  endedAt: Instant,
  server: z.strictObject({
    version: z.string(),
    versionNumber: z.int(),
    isReplica: z.boolean(),
    lsn: z
      .string()
      .nullable()
      .describe('WAL position at the start; null where the server hides it'),
    snapshotId: z.string().describe('exported snapshot that pg_dump used'),
    encoding: z.string(),
    extensions: z
      .array(z.strictObject({ name: z.string(), version: z.string() }))
      .optional()
      .describe('of the database, as the dump saw them; absent in manifests of older versions'),
  }),
  client: z.strictObject({ major: z.int(), version: z.string() }),
  options: z.strictObject({
    format: z.literal('custom'),
    compression: z.strictObject({ algorithm: z.enum(['zstd', 'gzip']), level: z.int() }),
    lockWaitTimeoutSeconds: z.int(),
  }),
  databaseSizeBytes: z.int().min(0),
  objects: z.strictObject({
    archive: StoredObject,
    toc: StoredObject,
    globals: StoredObject,
  }),
  archive: z.strictObject({
    formatVersion: z.string().describe("the archive's own, e.g. 1.16"),
    headBytes: z.int().min(1),
    headSha256: Sha256,
    bodySha256: Sha256,
    tocEntries: z.int().min(0),
    blocks: z.array(DataBlock),
  }),
  warnings: z.array(z.string()),
  sha256: Sha256,
});
export type Manifest = z.infer<typeof Manifest>;
