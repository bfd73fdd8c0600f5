import type { Readable } from 'node:stream';
import { type RunningProgram, startProgram } from '#adapters/programs.ts';
import type { RestoreReport } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { BlockChecksums } from '#domain/archive/block-checksums.ts';
import type { DataBlock } from '#domain/archive/block-index.ts';
import { cutHead } from '#domain/archive/cut-head.ts';
import { combineCrc64Nvme, crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { type ClientFailure, classifyRestoreFailure } from '#domain/restore/client-failure.ts';
import { coverWhole, type DataShare, planShares, rangesOf } from '#domain/restore/data-shares.ts';
import { objectOf } from '#domain/restore/statement-failure.ts';
import { ArchiveCorrupt, AuthenticationFailed, ChecksumMismatch, RestoreFailed } from '#errors';
import type { Deps } from '#runtime/ports.ts';
import type { ArchiveAccess } from './open-archive.ts';

export interface LoadDataOptions {
  readonly access: ArchiveAccess;
  /** Client to load with. */
  readonly major: number;
  /** Major of the server: an older one than the client's is not told what it does not know. */
  readonly serverMajor: number;
  /** Entries; those without a data block are somebody else's. */
  readonly ids: ReadonlySet<number>;
  readonly connection: Connection;
  readonly database: string;
  readonly jobs: number;
  readonly roleName?: string | undefined;
  /** Without triggers and foreign keys, as a replica applies rows; needs a superuser or rds_superuser. */
  readonly replica: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: { bytes: number; totalBytes: number }) => void) | undefined;
}

export interface LoadedData {
  readonly bytesRead: number;
  readonly checksum: RestoreReport['checksum'];
  readonly warnings: readonly string[];
}

/** pg_restore 17 and newer set it without asking; servers before 17 do not know it. */
const TRANSACTION_TIMEOUT_SINCE = 17;
/** Tries to connect, with a pause that doubles: 8 seconds in all. */
const CONNECT_TRIES = 6;
const CONNECT_PAUSE_MILLISECONDS = 250;
/** Where the server has no connection to give, though others of ours are at work: a session that ended is gone. */
const CROWDED_TRIES = 2;
/**
 * Of a table in whose data pg_restore failed, so much more is read to learn whether they are damaged: it takes
 * some seconds.
 */
const READ_ON_BYTES = 1024 ** 3;
/** What pg_restore ends with may come from damaged data; its other errors say for certain what it was. */
const OF_THE_DATA: readonly string[] = [ArchiveCorrupt.errorName, RestoreFailed.errorName];

/**
 * Loads rows and large objects by several pg_restore at a time. Each is fed on its standard input with a head
 * that has its entries alone, followed by their blocks from ranged GETs: nothing is written to a disk, nothing
 * is read that is not wanted, and pg_restore skips nothing. As bytes go by, their CRC-64 is computed. That of each
 * block must be the one written down for it, before pg_restore gets the block's last bytes: a table whose data
 * are damaged is never committed. That of all must be the archive's, when the whole archive has gone by.
 *
 * Throws TargetFull, ConnectionLost, DatabaseUnreachable, AuthenticationFailed, InsufficientPrivilege,
 * RestoreFailed, ChecksumMismatch, what reading the archive throws, or the signal's reason; no process is
 * left then.
 */
export async function loadData(
  deps: Pick<Deps, 'databases' | 'clients' | 'clock'>,
  options: LoadDataOptions,
): Promise<LoadedData> {
  const load = new DataLoad(deps, options);
  return load.run();
}

interface ReadBlock {
  readonly block: DataBlock;
  readonly crc: bigint;
}

class DataLoad {
  readonly #deps: Pick<Deps, 'databases' | 'clients' | 'clock'>;
  readonly #options: LoadDataOptions;
  readonly #totalBytes: number;
  readonly #waiting: DataShare[];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #read: ReadBlock[] = [];
  /** That have not ended: whoever gives a share back can leave it to one of the others. */
  #workers = 0;
  #crowdedOut = 0;
  #bytesRead = 0;
  #bytesDone = 0;

  constructor(deps: Pick<Deps, 'databases' | 'clients' | 'clock'>, options: LoadDataOptions) {
    this.#deps = deps;
    this.#options = options;
    const { access, ids, jobs, signal } = options;
    const byId = new Map(access.blocks.map((block) => [block.dumpId, block]));
    // pg_restore asks for data in the order of the entries, whatever the file's.
    const blocks = access.toc.entries.flatMap(({ dumpId }): DataBlock[] => {
      const block = ids.has(dumpId) ? byId.get(dumpId) : undefined;
      return block ? [block] : [];
    });
    this.#totalBytes = blocks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    this.#waiting = planShares(blocks, jobs);
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  async run(): Promise<LoadedData> {
    const { jobs, signal } = this.#options;
    this.#workers = Math.min(jobs, this.#waiting.length);
    let failure: { error: unknown } | undefined;
    const work = async () => {
      try {
        await this.#work();
      } catch (error) {
        failure ??= { error };
        this.#stop.abort(error);
      } finally {
        this.#workers -= 1;
      }
    };
    const workers = this.#workers;
    await Promise.all(Array.from({ length: workers }, work));
    signal.throwIfAborted();
    if (failure !== undefined) throw failure.error;
    const left = this.#waiting.length;
    if (left > 0) throw new RestoreFailed(`${left} shares of the data were given to nobody`);
    return {
      bytesRead: this.#bytesRead,
      checksum: this.#compareChecksum(),
      warnings:
        this.#crowdedOut === 0
          ? []
          : [
              `the server has too few connections: ${workers - this.#crowdedOut} jobs loaded data, not ${workers}`,
            ],
    };
  }

  async #work(): Promise<void> {
    for (let share = this.#waiting.shift(); share !== undefined; share = this.#waiting.shift()) {
      if (!(await this.#loadShare(share))) return;
    }
  }

  /** False: the server has no connection for this worker, the others do its work. */
  async #loadShare(share: DataShare): Promise<boolean> {
    let refresh = false;
    for (let attempt = 1; ; attempt += 1) {
      this.#signal.throwIfAborted();
      const failed = await this.#runClient(share, refresh);
      if (failed === undefined) return true;
      const { error, atConnect, tooManyConnections } = failed;
      // What may have loaded something is never tried twice.
      if (!atConnect) throw error;
      if (error.name === AuthenticationFailed.errorName) {
        // The password may have been rotated since the secret was cached.
        if (refresh) throw error;
        refresh = true;
        continue;
      }
      if (tooManyConnections && this.#workers > 1 && attempt >= CROWDED_TRIES) {
        this.#crowdedOut += 1;
        this.#waiting.unshift(share);
        return false;
      }
      if (attempt >= CONNECT_TRIES || !error.retryable) throw error;
      const pause = CONNECT_PAUSE_MILLISECONDS * 2 ** (attempt - 1);
      await this.#deps.clock.sleep(pause, this.#signal);
    }
  }

  async #runClient(share: DataShare, refresh: boolean): Promise<ClientFailure | undefined> {
    const { databases, clients } = this.#deps;
    const { access, major, serverMajor, connection, database, roleName, replica } = this.#options;
    // Right before each start: an IAM token is valid for 15 minutes, and a load takes hours.
    const { environment, secrets } = await databases.clientEnvironment(connection, database, {
      refresh,
    });
    const knowsAllSettings = serverMajor >= TRANSACTION_TIMEOUT_SINCE;
    const program = startProgram({
      path: clients.program(major, 'pg_restore'),
      args: [
        '--data-only',
        '--no-password',
        `--dbname=${connectionString(database)}`,
        ...(knowsAllSettings ? ['--exit-on-error'] : []),
        ...(roleName === undefined ? [] : [`--role=${roleName}`]),
      ],
      environment: {
        ...environment,
        ...(replica ? { PGOPTIONS: '-c session_replication_role=replica' } : {}),
      },
      secrets,
      signal: this.#signal,
    });
    program.stdout.resume();
    const ids = new Set(share.blocks.map(({ dumpId }) => dumpId));
    const doneBefore = this.#bytesDone;
    // Reading goes no further than the program that is read for.
    const gone = new AbortController();
    const ended = program.ended.finally(() => gone.abort());
    ended.catch(() => {});
    const read: ReadBlock[] = [];
    const checksums = new BlockChecksums(share.blocks, (block, crc) => {
      this.#requireChecksum(block, crc);
      read.push({ block, crc });
    });
    let feeding: { error: unknown } | undefined;
    let fed = false;
    try {
      await write(program, cutHead(access.head, access.toc, ids));
      const reading = AbortSignal.any([this.#signal, gone.signal]);
      fed = await this.#feed(program, share, checksums, reading);
    } catch (error) {
      if (!gone.signal.aborted || error instanceof ChecksumMismatch) feeding = { error };
      program.stop();
    }
    program.stdin.end();
    const end = await ended;
    this.#signal.throwIfAborted();
    // The archive could not be read: what pg_restore says of it is only what followed.
    if (feeding !== undefined) throw feeding.error;
    if (end.exitCode !== 0) {
      const failed = classifyRestoreFailure(
        access.toc.entries.filter(({ dumpId }) => ids.has(dumpId)),
        end,
      );
      if (failed) {
        if (OF_THE_DATA.includes(failed.error.name)) await this.#readOn(checksums);
        this.#bytesDone = doneBefore;
        return failed;
      }
    }
    if (!fed) {
      await this.#readOn(checksums);
      throw new RestoreFailed('pg_restore ended before it had read all of its data', {
        remedy: 'look whether the client is the one that was deployed',
      });
    }
    this.#read.push(...read);
    return undefined;
  }

  /**
   * Streams the share's blocks into the program; false when that is gone before it has them all. Throws the
   * signal's reason at once when it is aborted. A chunk with the end of a block whose checksum is another is not
   * written any more.
   */
  async #feed(
    program: RunningProgram,
    share: DataShare,
    checksums: BlockChecksums<DataBlock>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { access, onProgress } = this.#options;
    for (const range of rangesOf(share.blocks)) {
      let position = range.start;
      for await (const chunk of chunksOf(access.read(range.start, range.end), signal)) {
        position += chunk.length;
        this.#bytesRead += chunk.length;
        this.#bytesDone += chunk.length;
        checksums.add(chunk);
        if (!(await write(program, chunk))) return false;
        onProgress?.({ bytes: this.#bytesDone, totalBytes: this.#totalBytes });
        // The program may end before the stream says that it does.
        if (position >= range.end) break;
      }
      if (position !== range.end) {
        throw new ChecksumMismatch(
          `the archive gave ${position - range.start} bytes from byte ${range.start}, not ${range.end - range.start}`,
        );
      }
    }
    return true;
  }

  #requireChecksum({ dumpId, crc64nvme }: DataBlock, crc: bigint): void {
    if (crc64nvme === undefined || toBase64(crc) === crc64nvme) return;
    const entry = this.#options.access.toc.entries.find((it) => it.dumpId === dumpId);
    const what = entry ? objectOf(entry) : `entry ${dumpId}`;
    throw new ChecksumMismatch(
      `the data of ${what} have CRC-64 ${toBase64(crc)}, and should have ${crc64nvme}`,
      { remedy: 'restore from another backup' },
    );
  }

  /**
   * Reads to its end the block that pg_restore had begun when it ended: damage is named as what it is, not as
   * what it led to. Throws ChecksumMismatch or the signal's reason, nothing else.
   */
  async #readOn(checksums: BlockChecksums<DataBlock>): Promise<void> {
    const { open } = checksums;
    if (open?.block.crc64nvme === undefined) return;
    const { block, position } = open;
    const end = block.offset + block.lengthBytes;
    if (end - position > READ_ON_BYTES) return;
    try {
      const rest = this.#options.access.read(position, end);
      for await (const chunk of chunksOf(rest, this.#signal)) {
        this.#bytesRead += chunk.length;
        checksums.add(chunk);
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      // Why pg_restore ended is the news, not that the archive cannot be read any more.
      if (error instanceof ChecksumMismatch) throw error;
    }
  }

  #compareChecksum(): RestoreReport['checksum'] {
    const { head, blocks, tail, sizeBytes, crc64nvme } = this.#options.access;
    const readBlocks = this.#read.map(({ block }) => block);
    // Of no rows there is nothing to compare; what counts then is whether it could have been done.
    const comparable = readBlocks.length > 0 ? readBlocks : blocks;
    if (!coverWhole(rangesOf(readBlocks), head.length, sizeBytes - tail.length)) {
      const compared = comparable.every((block) => block.crc64nvme !== undefined);
      return compared ? 'blocks-matched' : 'not-whole';
    }
    if (crc64nvme === undefined) return 'unknown';
    const sorted = this.#read.toSorted((a, b) => a.block.offset - b.block.offset);
    const beforeTail = sorted.reduce(
      (before, { block, crc: next }) => combineCrc64Nvme(before, next, block.lengthBytes),
      crc64Nvme(head),
    );
    const crc = combineCrc64Nvme(beforeTail, crc64Nvme(tail), tail.length);
    if (toBase64(crc) === crc64nvme) return 'matched';
    throw new ChecksumMismatch(
      `the archive that was read has CRC-64 ${toBase64(crc)}, and should have ${crc64nvme}`,
      { remedy: 'do not use what was restored' },
    );
  }
}

/** The chunks of a stream; a stream that stands still is left at once when the signal says so. */
async function* chunksOf(body: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Buffer>>();
      const leave = () => reject(signal.reason);
      signal.throwIfAborted();
      signal.addEventListener('abort', leave, { once: true });
      iterator.next().then(resolve, reject);
      const result = await promise.finally(() => signal.removeEventListener('abort', leave));
      if (result.done) return;
      yield result.value;
    }
  } finally {
    body.on('error', () => {}).destroy();
  }
}

/** Waits until the program takes more; false when it is gone. */
async function write({ stdin }: RunningProgram, chunk: Buffer): Promise<boolean> {
  if (stdin.destroyed) return false;
  if (stdin.write(chunk)) return true;
  return new Promise((resolve) => {
    const settle = () => {
      stdin.off('drain', settle).off('close', settle);
      resolve(!stdin.destroyed);
    };
    stdin.on('drain', settle).on('close', settle);
  });
}

/** As an argument, a name with "=" would be taken for a connection string: so it becomes one. */
function connectionString(database: string): string {
  return `dbname='${database.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
