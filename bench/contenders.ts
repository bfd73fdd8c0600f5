import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { backupKey } from '#domain/names.ts';
import { loadManifest } from '#operations/records.ts';
import { type Command, measure, type Step } from './measure.ts';
import { type Programs, taskCommand } from './programs.ts';
import { Restores } from './restores.ts';
import { type Sample, takeSample } from './sample.ts';
import type { Order, Workbench } from './workbench.ts';

export const CONTENDERS = {
  limit: 'pg_dump -Fc, zstd:1, to /dev/null',
  task: 'our dump task, into the store',
  'large-parts': 'our dump task, parts for a 600 GB database',
  script: 'pg_dump -Fc | gzip to a file, then upload',
  directory: 'pg_dump -Fd -j2, zstd:1, to disk, then upload',
  decode: 'pg_restore -f /dev/null of the local file',
  verify: 'our verification, out of the store',
  'pg-restore': 'pg_restore -j of the local file',
  restore: 'our restore task, out of the store',
  'pg-restore-table': 'pg_restore -t of the local file, one table',
  'restore-table': 'our restore task, one table out of the store',
} as const;
export type Contender = keyof typeof CONTENDERS;

/** The compression of our plans' default, so that the clients of all contenders do the same work. */
const COMPRESS = '--compress=zstd:1';
/** pg_database_size from which the part size is derived; makes parts of 32 MiB. */
const LARGE_DATABASE_BYTES = 600e9;

/** Runs contenders one at a time, each in a fresh state, and removes what it made. */
export class Arena {
  readonly #bench: Workbench;
  readonly #programs: Programs;
  /** What verification and decoding read; made when first asked for. */
  #backup: Promise<Order> | undefined;
  readonly #restores: Restores;

  /** `jobs`: of restores. */
  constructor(bench: Workbench, programs: Programs, jobs: number) {
    this.#bench = bench;
    this.#programs = programs;
    this.#restores = new Restores(bench, programs, jobs);
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
      case 'pg-restore':
        return this.#restores.byPgRestore();
      case 'restore':
        return this.#restores.byTask();
      case 'pg-restore-table':
        return this.#restores.byPgRestore(this.#bench.smallTable);
      case 'restore-table':
        return this.#restores.byTask(this.#bench.smallTable);
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

  #sample(steps: readonly Step[], check: () => Promise<number>): Promise<Sample> {
    return takeSample(this.#bench, steps, async () => ({ archiveBytes: await check() }));
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
    return taskCommand(this.#programs, name, environment, this.#bench.taskDirectory);
  }
}

async function sizeOf(source: string): Promise<number> {
  if (!(await stat(source)).isDirectory()) return (await stat(source)).size;
  const sizes = await Promise.all(
    (await readdir(source)).map(async (name) => (await stat(path.join(source, name))).size),
  );
  return sizes.reduce((total, size) => total + size, 0);
}
