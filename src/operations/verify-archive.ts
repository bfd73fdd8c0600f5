import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type RunningProgram, startProgram } from '#adapters/programs.ts';
import type { DataBlock, Manifest } from '#contracts/manifest.ts';
import type { VerificationLevel } from '#contracts/verification.ts';
import { BlockChecksums } from '#domain/archive/block-checksums.ts';
import { type TableCopy, tableCopies } from '#domain/archive/block-index.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { readableToc } from '#domain/archive/text-encoding.ts';
import { parseToc, type Toc } from '#domain/archive/toc.ts';
import { CopyTextCounter, type TableRows } from '#domain/copy-text.ts';
import { combineCrc64Nvme, crc64Nvme, fromBase64, toBase64 } from '#domain/crc64-nvme.ts';
import {
  ArchiveUnsupported,
  ChecksumMismatch,
  ContentsMismatch,
  ObjectMissing,
  ObjectReplaced,
  SizeMismatch,
} from '#errors';
import type { Deps, Objects } from '#runtime/ports.ts';

type Needs = Pick<Deps, 'objects' | 'clients'>;

/** Ranged GETs at the same time while block heads are looked at. */
const PROBES_AT_A_TIME = 16;
/** Type byte of a block in the archive (PostgreSQL's pg_backup_custom.c: BLK_DATA, BLK_BLOBS). */
const BLOCK_TYPE = { table: 1, blobs: 3 } as const;
/** An alert need not name a thousand tables. */
const NAMED_BLOCKS = 5;
/** pg_restore needs no locale and no connection. */
const ENVIRONMENT = { LC_ALL: 'C' };

/**
 * Proves that what lies in the bucket is what the manifest says, and that PostgreSQL reads it.
 *
 * 1. every object is there, in the version, size and full-object checksum of the manifest;
 * 2. the table of contents, on its own and at the start of the archive, has its SHA-256, and
 *    `pg_restore --list` reads the same entries as our parser;
 * 3. every data block lies where the table of contents says, and the last ends with the object. At level
 *    `structure` by ranged reads of the blocks' heads; at level `full` while every byte goes by;
 * 4. the checksums that the manifest has for the blocks make up that of the whole archive, with which S3 took it;
 * 5. `full` only: the whole archive has its SHA-256 and each block its checksum, `pg_restore` decodes it to its
 *    end with exit code 0, and the rows of every table are counted.
 *
 * So level `structure` reads no row: that the archive's data have their checksums it believes S3, which computed
 * them when it took the parts, and it would not notice a byte that was another since.
 *
 * Returns the rows by table, named as the database names it (empty at level `structure`). Throws ObjectMissing, ObjectReplaced,
 * SizeMismatch, ChecksumMismatch, ContentsMismatch, ArchiveCorrupt, ArchiveUnsupported.
 */
export async function verifyArchive(
  deps: Needs,
  manifest: Manifest,
  level: VerificationLevel,
  signal: AbortSignal,
): Promise<TableRows[]> {
  for (const object of Object.values(manifest.objects)) await checkObject(deps.objects, object);
  const pgRestore = await chooseRestore(deps, manifest);
  const { head, toc } = await checkContents(deps, manifest, pgRestore, signal);
  checkBlocks(manifest, toc);
  checkBlockChecksums(manifest, head);
  await checkGlobals(deps.objects, manifest);
  if (level === 'full') {
    const copies = tableCopies(toc, readableToc(head, toc));
    return decode(deps, manifest, copies, pgRestore, signal);
  }
  await probeBlocks(deps.objects, manifest, signal);
  return [];
}

async function checkObject(
  objects: Objects,
  expected: Manifest['objects']['archive'],
): Promise<void> {
  const head = await objects.head(expected.key);
  if (!head) throw new ObjectMissing(`${expected.key} is named in the manifest, but is not there`);
  const { key, versionId, sizeBytes, crc64nvme } = expected;
  // First the version: a replaced object has another size and checksum too, but that is not the news.
  if (versionId !== undefined && head.versionId !== versionId) {
    throw new ObjectReplaced(
      `${key} is version ${head.versionId}, the dump task wrote version ${versionId}`,
      { remedy: 'find out who wrote it; the version of the backup is still in the bucket' },
    );
  }
  if (head.sizeBytes !== sizeBytes) {
    throw new SizeMismatch(`${key} has ${head.sizeBytes} bytes, the manifest says ${sizeBytes}`);
  }
  if (head.crc64nvme !== undefined && head.crc64nvme !== crc64nvme) {
    throw new ChecksumMismatch(
      `${key} has CRC-64 ${head.crc64nvme}, the manifest says ${crc64nvme}`,
    );
  }
}

/** The smallest bundled pg_restore that reads what this pg_dump wrote. */
async function chooseRestore(deps: Needs, manifest: Manifest): Promise<string> {
  const majors = await deps.clients.majors();
  const major = majors.find((candidate) => candidate >= manifest.client.major);
  if (major === undefined) {
    throw new ArchiveUnsupported(
      `the archive is of pg_dump ${manifest.client.major}, the bundled clients are ${majors.join(', ')}`,
      { remedy: 'deploy the layer with that major' },
    );
  }
  return deps.clients.program(major, 'pg_restore');
}

async function checkContents(
  { objects }: Needs,
  manifest: Manifest,
  pgRestore: string,
  signal: AbortSignal,
): Promise<{ head: Buffer; toc: Toc }> {
  const { archive, toc: tocObject } = manifest.objects;
  const { headBytes, headSha256, tocEntries } = manifest.archive;
  const contents = await objects.getRange(
    tocObject.key,
    0,
    tocObject.sizeBytes,
    tocObject.versionId,
  );
  const head = await objects.getRange(archive.key, 0, headBytes, archive.versionId);
  for (const [key, bytes] of [
    [tocObject.key, contents],
    [archive.key, head],
  ] as const) {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== headSha256) {
      throw new ChecksumMismatch(`the table of contents in ${key} does not have its SHA-256`);
    }
  }
  const toc = parseToc(head);
  if (toc.entries.length !== tocEntries) {
    throw new ContentsMismatch(
      `the archive lists ${toc.entries.length} entries, the manifest ${tocEntries}`,
    );
  }
  await compareList(pgRestore, contents, toc, signal);
  return { head, toc };
}

/** `pg_restore --list` must see as many entries as we, and each one it prints must be one of ours. */
async function compareList(
  pgRestore: string,
  contents: Buffer,
  toc: Toc,
  signal: AbortSignal,
): Promise<void> {
  const program = startProgram({
    path: pgRestore,
    args: ['--list'],
    environment: ENVIRONMENT,
    signal,
  });
  program.stdin.end(contents);
  const list = Buffer.concat(await program.stdout.toArray()).toString('utf8');
  await requireReadable(program, signal);
  const total = /^; +TOC Entries: (\d+)$/m.exec(list)?.[1];
  const known = new Set(toc.entries.map((entry) => entry.dumpId));
  const stranger = list
    .split('\n')
    .map((line) => /^(\d+); \d+ \d+ /.exec(line)?.[1])
    .find((id) => id !== undefined && !known.has(Number(id)));
  if (Number(total) !== toc.entries.length || stranger !== undefined) {
    throw new ContentsMismatch(
      `pg_restore lists ${total} entries${stranger ? `, among them ${stranger}` : ''}; we read ${toc.entries.length}`,
    );
  }
}

async function requireReadable(program: RunningProgram, signal: AbortSignal): Promise<void> {
  const { exitCode, signal: killedBy, stderr } = await program.ended;
  if (exitCode === 0) return;
  signal.throwIfAborted();
  const how = exitCode === null ? `signal ${killedBy}` : `exit code ${exitCode}`;
  throw new ContentsMismatch(`pg_restore cannot read the archive (${how}): ${stderr.join(' ')}`);
}

/** Manifest and table of contents must agree about the blocks, and leave no gap. */
function checkBlocks(manifest: Manifest, toc: Toc): void {
  const { blocks, headBytes } = manifest.archive;
  const offsets = new Map(toc.entries.map((entry) => [entry.dumpId, entry.dataOffset]));
  let expectedOffset = headBytes;
  for (const block of blocks) {
    if (block.offset !== expectedOffset || offsets.get(block.dumpId) !== block.offset) {
      throw new ContentsMismatch(
        `the data of entry ${block.dumpId} is at byte ${block.offset} by the manifest, ` +
          `${offsets.get(block.dumpId)} by the archive, ${expectedOffset} by what comes before`,
      );
    }
    expectedOffset += block.lengthBytes;
  }
  const { sizeBytes } = manifest.objects.archive;
  const withData = toc.entries.filter((entry) => entry.hasData).length;
  if (expectedOffset !== sizeBytes || withData !== blocks.length) {
    throw new ContentsMismatch(
      `${blocks.length} blocks end at byte ${expectedOffset}; the archive has ${withData} and ${sizeBytes} bytes`,
    );
  }
}

/**
 * The checksums of head and blocks, one after the other, must be the object's: for that no block has to be read.
 * Manifests of older versions have none for the blocks.
 */
function checkBlockChecksums({ objects, archive }: Manifest, head: Buffer): void {
  let whole = crc64Nvme(head);
  for (const { crc64nvme, lengthBytes } of archive.blocks) {
    if (crc64nvme === undefined) return;
    whole = combineCrc64Nvme(whole, fromBase64(crc64nvme), lengthBytes);
  }
  const { key, crc64nvme } = objects.archive;
  if (toBase64(whole) === crc64nvme) return;
  throw new ChecksumMismatch(
    `the blocks of ${key} have CRC-64 ${toBase64(whole)} together by the manifest, the whole has ${crc64nvme}`,
  );
}

async function checkGlobals(objects: Objects, manifest: Manifest): Promise<void> {
  const { key, sizeBytes, sha256, versionId } = manifest.objects.globals;
  const bytes = await objects.getRange(key, 0, sizeBytes, versionId);
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
    throw new ChecksumMismatch(`${key} does not have its SHA-256`);
  }
}

/** Reads only the head of each block: its type, and the id of the entry it belongs to. */
async function probeBlocks(
  objects: Objects,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<void> {
  const { key, versionId } = manifest.objects.archive;
  const waiting = [...manifest.archive.blocks];
  async function probe(block: DataBlock): Promise<void> {
    // The type byte; then the id as pg_dump writes integers: a sign byte and four little-endian ones.
    const bytes = await objects.getRange(key, block.offset, block.offset + 6, versionId);
    if (
      bytes[0] !== BLOCK_TYPE[block.kind] ||
      bytes[1] !== 0 ||
      bytes.readInt32LE(2) !== block.dumpId
    ) {
      throw new ContentsMismatch(
        `the data of entry ${block.dumpId} is not at byte ${block.offset}`,
      );
    }
  }
  const workers = Array.from({ length: PROBES_AT_A_TIME }, async () => {
    for (let block = waiting.pop(); block !== undefined; block = waiting.pop()) {
      signal.throwIfAborted();
      await probe(block);
    }
  });
  await Promise.all(workers);
}

/**
 * One pass over the archive: its checksums, our reader, and pg_restore, whose output is counted. When
 * something is wrong the pass still goes to the end, so that damage is named as what it is (a checksum
 * that does not fit) rather than as what it led to.
 */
async function decode(
  { objects }: Needs,
  manifest: Manifest,
  copies: readonly TableCopy[],
  pgRestore: string,
  signal: AbortSignal,
): Promise<TableRows[]> {
  const { key, versionId } = manifest.objects.archive;
  const counter = new CopyTextCounter(copies);
  const program = startProgram({
    path: pgRestore,
    args: ['--data-only', '--file=-'],
    environment: ENVIRONMENT,
    signal,
  });
  let problem: unknown;
  const note = (error: unknown) => {
    problem ??= error;
  };
  const ended = program.ended.catch(note);
  const counting = (async () => {
    try {
      for await (const chunk of program.stdout as AsyncIterable<Buffer>) counter.push(chunk);
    } catch (error) {
      note(error);
      program.stop();
    }
  })();

  const reader = new ArchiveReader();
  const bodyHash = createHash('sha256');
  const damaged: string[] = [];
  const checksums = new BlockChecksums(manifest.archive.blocks, (block, crc) => {
    const { crc64nvme, schema, table, dumpId } = block;
    if (crc64nvme === undefined || crc64nvme === toBase64(crc)) return;
    damaged.push(table === undefined ? `entry ${dumpId}` : `${schema}.${table}`);
  });
  let position = 0;
  try {
    const body = objects.stream(key, versionId === undefined ? {} : { versionId });
    for await (const chunk of body as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      const data = chunk.subarray(Math.max(manifest.archive.headBytes - position, 0));
      bodyHash.update(data);
      checksums.add(data);
      position += chunk.length;
      attempt(() => reader.push(chunk), note);
      // A pg_restore that is gone never drains its input.
      if (!program.stdin.destroyed && !program.stdin.write(chunk)) {
        await Promise.race([once(program.stdin, 'drain').catch(() => {}), ended]);
      }
    }
    program.stdin.end();
    attempt(() => reader.end(), note);
    await ended;
    await counting;
  } catch (error) {
    program.stop();
    await ended;
    throw error;
  }
  if (bodyHash.digest('hex') !== manifest.archive.bodySha256) {
    const where = damaged.length > 0 ? `; the damage is in ${named(damaged)}` : '';
    throw new ChecksumMismatch(`the data in ${key} does not have its SHA-256${where}`);
  }
  if (damaged.length > 0) {
    throw new ChecksumMismatch(
      `${key} has another CRC-64 than the manifest says in the data of ${named(damaged)}`,
    );
  }
  if (problem !== undefined) throw problem;
  await requireReadable(program, signal);
  return counter.end();
}

function named(damaged: readonly string[]): string {
  const more = damaged.length - NAMED_BLOCKS;
  return `${damaged.slice(0, NAMED_BLOCKS).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function attempt(work: () => void, note: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    note(error);
  }
}
