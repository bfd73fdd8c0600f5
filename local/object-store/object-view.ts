import { randomUUID } from 'node:crypto';
import { linkSync, lstatSync, mkdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Names that a key can have and a file cannot, or another file being in the way. */
const NO_SUCH_PATH = new Set([
  'EEXIST',
  'EISDIR',
  'ENAMETOOLONG',
  'ENOTDIR',
  'ENOTEMPTY',
  'EINVAL',
  'EILSEQ',
]);

/**
 * The plain files `<directory>/<bucket>/<key>`: hard links to the data of the current versions, for
 * people and programs that read files. The store itself never reads them, so a key that cannot be a
 * path (`a` beside `a/b`, empty segments, segments over 255 bytes) is only missing here.
 */
export class ObjectView {
  readonly #directory: string;
  readonly #temporary: string;

  /** @param temporary a folder on the same file system */
  constructor(directory: string, temporary: string) {
    this.#directory = directory;
    this.#temporary = temporary;
  }

  /** The path of a key, or undefined when it has none. */
  path(bucket: string, key: string): string | undefined {
    const segments = key.split('/');
    const plain = segments.every(
      (segment) => segment !== '' && segment !== '.' && segment !== '..' && !/[\0\\]/.test(segment),
    );
    return plain ? join(this.#directory, bucket, ...segments) : undefined;
  }

  /** Shows the data under the key; in one step where a file is replaced. */
  show(bucket: string, key: string, dataPath: string): void {
    const path = this.path(bucket, key);
    if (path === undefined) return;
    const temporary = join(this.#temporary, randomUUID());
    try {
      mkdirSync(dirname(path), { recursive: true });
      linkSync(dataPath, temporary);
      renameSync(temporary, path);
    } catch (error) {
      if (!NO_SUCH_PATH.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    } finally {
      // Left over where the rename failed, or did nothing as both names were one file already.
      rmSync(temporary, { force: true });
    }
  }

  /** Whether the key's file is the data, or the key can have none. */
  shows(bucket: string, key: string, dataPath: string): boolean {
    const path = this.path(bucket, key);
    if (path === undefined) return true;
    try {
      return statSync(path).ino === statSync(dataPath).ino;
    } catch {
      return false;
    }
  }

  /** Removes the key's file and the folders that it leaves empty. */
  hide(bucket: string, key: string): void {
    const path = this.path(bucket, key);
    if (path === undefined) return;
    try {
      if (!lstatSync(path).isFile()) return;
      rmSync(path);
      const root = join(this.#directory, bucket);
      for (let folder = dirname(path); folder !== root; folder = dirname(folder)) rmdirSync(folder);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (code !== 'ENOENT' && !NO_SUCH_PATH.has(code)) throw error;
    }
  }
}
