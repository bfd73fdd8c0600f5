import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clients } from '#runtime/ports.ts';

/** The bundled programs: `<directory>/<major>/bin/<program>`, as layers/postgres-client builds them. */
export function makeClients(directory: string): Clients {
  let known: Promise<readonly number[]> | undefined;
  return {
    majors() {
      known ??= readdir(directory).then((names) =>
        names
          .filter((name) => /^\d{2}$/.test(name))
          .map(Number)
          .sort((a, b) => a - b),
      );
      return known;
    },
    program: (major, name) => join(directory, String(major), 'bin', name),
  };
}
