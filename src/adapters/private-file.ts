import { randomBytes } from 'node:crypto';
import { realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Writes a file that its owner alone may read, whole or not at all: the text goes into a fresh file (0600) beside
 * it, which then takes its name, and with it the place of a file that others could read. What is no regular file
 * (a terminal, a pipe) is written to. Throws what the file system does.
 */
export async function writePrivateFile(file: string, text: string): Promise<void> {
  const known = await stat(file).catch(absent);
  if (known && !known.isFile()) return writeFile(file, text);
  // A link stays one: what it leads to is replaced.
  const target = known ? await realpath(file) : file;
  const name = `.${basename(target).slice(0, 100)}.${randomBytes(6).toString('hex')}.new`;
  const fresh = join(dirname(target), name);
  try {
    await writeFile(fresh, text, { mode: 0o600, flag: 'wx', flush: true });
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
