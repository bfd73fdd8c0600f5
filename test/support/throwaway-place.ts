import { mkdtempSync } from 'node:fs';
import { chmod, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeThrowawayServers } from '#adapters/throwaway-servers.ts';
import { layOutDrillServers } from '#local/drill-servers.ts';
import type { Session, ThrowawayServer, ThrowawayServers } from '#runtime/ports.ts';

/** Programs and a directory, as the drill task has them. */
export interface ThrowawayPlace {
  readonly servers: ThrowawayServers;
  /** One folder a major. */
  readonly programs: string;
  /** Where data directories are made. */
  readonly directory: string;
  remove(): Promise<void>;
}

export async function makeThrowawayPlace(): Promise<ThrowawayPlace> {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-drill-test-'));
  await chmod(home, 0o755);
  const laidOut = await layOutDrillServers(home);
  const { HOLDFAST_POSTGRES_SERVERS: programs = '', HOLDFAST_DRILL_DIRECTORY: directory = '' } =
    laidOut.environment;
  return {
    programs,
    directory,
    servers: makeThrowawayServers({ programs, directory, memoryBytes: 512 * 1024 ** 2 }),
    async remove() {
      await laidOut.remove();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** One statement after the other in a session of its own. */
export async function runOn(
  { databases, connection }: Pick<ThrowawayServer, 'databases' | 'connection'>,
  database: string,
  ...statements: string[]
): Promise<Record<string, unknown>[]> {
  const session: Session = await databases.connect(connection, database, { unlimited: true });
  try {
    await session.query('RESET search_path');
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = await session.query(statement);
    return rows;
  } finally {
    await session.close();
  }
}

/** Overwrites bytes of a file in place, as a disk does that lies. */
export async function overwrite(file: string, at: number, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, at);
  } finally {
    await handle.close();
  }
}
