import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { backupKey } from '#domain/names.ts';
import { loadManifest } from '#operations/records.ts';
import { type Command, cpuSecondsOf, measure, type Step, type Usage } from './measure.ts';
import { emptyFolder, type Order, type Workbench } from './workbench.ts';

export const CONTENDERS = {
  limit: 'pg_dump -Fc, zstd:1, to /dev/null',
  task: 'our dump task, into the store',
  'large-parts': 'our dump task, parts for a 600 GB database',
  script: 'pg_dump -Fc | gzip to a file, then upload',
  directory: 'pg_dump -Fd -j2, zstd:1, to disk, then upload',
  decode: 'pg_restore -f /dev/null of the local file',
  verify: 'our verification, out of the store',
} as const;
export type Contender = keyof typeof CONTENDERS;

export interface Sample extends Usage {
  /** Of the server's processes meanwhile. */
  readonly serverCpuSeconds: number;
  /** Of the local object store meanwhile; on AWS this is S3's. */
  readonly storeCpuSeconds: number;
  /** Of what was made, or read. */
  readonly archiveBytes: number;
}

/** The compression of our plans' default, so that the clients of all contenders do the same work. */
const COMPRESS = '--compress=zstd:1';
/** pg_database_size from which the part size is derived; makes parts of 32 MiB. */
const LARGE_DATABASE_BYTES = 600e9;

/** The bundles, and the Node that runs them, as they are deployed. */
export interface Programs {
  readonly dumpTask: string;
  readonly verifyTask: string;
  /** Of Node, from the image's entry point. */
  readonly nodeFlags: readonly string[];
  /** Makes Node write a CPU profile of the tasks there. */
  readonly profileDirectory: string | undefined;
}

/** Runs contenders one at a time, each in a fresh state, and removes what it made. */
export class Arena {
  readonly #bench: Workbench;
  readonly #programs: Programs;
  /** What verification and decoding read; made when first asked for. */
  #backup: Promise<Order> | undefined;

  constructor(bench: Workbench, programs: Programs) {
    this.#bench = bench;
    this.#programs = programs;
  }

  run(contender: Contender): Promise<Sample> {
    switch (contender) {
      case 'limit':
        return this.#sample([{ pipe: [this.#pgDump('--format=custom', COMPRESS)] }], async () => 0);
      case 'task':
        return this.#dump();
      case 'large-parts':
        return this.#dump(LARGE_DATABASE_BYTES);
      case 'script':
        return this.#script();
      case 'directory':
        return this.#directory();
      case 'decode':
        return this.#decode();
      case 'verify':
        return this.#verify();
    }
  }

  async #dump(estimatedBytes?: number): Promise<Sample> {
    const order = await this.#bench.orderBackup(estimatedBytes);
    const sample = await this.#sample([{ pipe: [this.#task('dumpTask', order)] }], () =>
      this.#checkBackup(order),
    );
    await this.#bench.removeObjects(order.prefix);
    return sample;
  }

  async #script(): Promise<Sample> {
    const file = path.join(this.#bench.scratchDirectory, 'shop.dump.gz');
    const gzip: Command = { argv: ['gzip'] };
    return this.#sample(
      [
        { pipe: [this.#pgDump('--format=custom'), gzip], outputFile: file },
        { pipe: [this.#upload(file)] },
      ],
      () => this.#checkUpload(file),
    );
  }

  async #directory(): Promise<Sample> {
    const folder = path.join(this.#bench.scratchDirectory, 'shop');
    const dump = this.#pgDump('--format=directory', '--jobs=2', COMPRESS, `--file=${folder}`);
    return this.#sample([{ pipe: [dump] }, { pipe: [this.#upload(folder)] }], () =>
      this.#checkUpload(folder),
    );
  }

  async #decode(): Promise<Sample> {
    this.#backup ??= this.#makeBackup();
    const file = this.#bench.pathOf(backupKey(await this.#backup, 'archive.dump'));
    const argv = [this.#bench.client('pg_restore'), '--file=/dev/null', file] as const;
    return this.#sample([{ pipe: [{ argv }] }], async () => (await stat(file)).size);
  }

  async #verify(): Promise<Sample> {
    this.#backup ??= this.#makeBackup();
    const order = await this.#backup;
    const key = backupKey(order, 'verification.json');
    const sample = await this.#sample([{ pipe: [this.#task('verifyTask', order)] }], async () => {
      if (!(await this.#bench.objects.head(key))) throw new Error('the backup was not verified');
      return this.#checkBackup(order);
    });
    // The next verification is to find the backup as new as this one did.
    await this.#bench.objects.delete([key]);
    return sample;
  }

  async #makeBackup(): Promise<Order> {
    const order = await this.#bench.orderBackup();
    await measure([{ pipe: [this.#task('dumpTask', order)] }]);
    return order;
  }

  async #sample(steps: readonly Step[], check: () => Promise<number>): Promise<Sample> {
    const { serverPid, storePid, taskDirectory, scratchDirectory } = this.#bench;
    const server = cpuSecondsOf(serverPid);
    const store = cpuSecondsOf(storePid);
    const usage = await measure(steps);
    const serverCpuSeconds = cpuSecondsOf(serverPid) - server;
    const storeCpuSeconds = cpuSecondsOf(storePid) - store;
    const archiveBytes = await check();
    await emptyFolder(scratchDirectory);
    const left = await emptyFolder(taskDirectory);
    if (left.length > 0) throw new Error(`a task left files: ${left.join(', ')}`);
    return { ...usage, serverCpuSeconds, storeCpuSeconds, archiveBytes };
  }

  async #checkBackup(order: Order): Promise<number> {
    const found = await loadManifest(this.#bench.objects, order);
    if (!found) throw new Error('the dump task wrote no manifest');
    return found.manifest.objects.archive.sizeBytes;
  }

  /** All bytes on disk must be in the bucket. */
  async #checkUpload(source: string): Promise<number> {
    const local = await sizeOf(source);
    let stored = 0;
    for await (const { sizeBytes } of this.#bench.objects.list('script/')) stored += sizeBytes;
    if (local === 0 || stored !== local) {
      throw new Error(`${stored} of ${local} bytes were uploaded`);
    }
    await this.#bench.removeObjects('script/');
    return stored;
  }

  #pgDump(...args: string[]): Command {
    const { clientEnvironment } = this.#bench;
    const argv = [this.#bench.client('pg_dump'), '--no-password', ...args] as const;
    return { argv, environment: clientEnvironment };
  }

  #upload(source: string): Command {
    const program = path.join(import.meta.dirname, 'upload-files.ts');
    return {
      argv: [process.execPath, program, source, this.#bench.bucket, 'script/shop'],
      environment: this.#bench.awsEnvironment,
    };
  }

  #task(name: 'dumpTask' | 'verifyTask', { environment }: Order): Command {
    const { nodeFlags, profileDirectory } = this.#programs;
    const profile = profileDirectory ? ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`] : [];
    return {
      argv: [process.execPath, ...nodeFlags, ...profile, this.#programs[name]],
      environment,
      directory: this.#bench.taskDirectory,
    };
  }
}

async function sizeOf(source: string): Promise<number> {
  if (!(await stat(source)).isDirectory()) return (await stat(source)).size;
  const sizes = await Promise.all(
    (await readdir(source)).map(async (name) => (await stat(path.join(source, name))).size),
  );
  return sizes.reduce((total, size) => total + size, 0);
}
