import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The folder with the PostgreSQL clients, as `<folder>/<major>/bin/pg_restore`: the checkout's own, or those
 * that Debian and Ubuntu install. Undefined when there are none.
 */
export function findPostgresClients(
  from: string,
  architecture: string = process.arch,
): string | undefined {
  const folder = architecture === 'arm64' ? 'arm64' : 'x86_64';
  const built = join('layers/postgres-client/dist', folder, 'postgres-client');
  // From the source file, and from the bundle in dist/cli.
  const candidates = [join(from, '..', built), join(from, '../..', built), '/usr/lib/postgresql'];
  return candidates.find(hasClients);
}

function hasClients(folder: string): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some(
    (name) => /^\d{2}$/.test(name) && existsSync(join(folder, name, 'bin/pg_restore')),
  );
}
