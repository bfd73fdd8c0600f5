import { ArchiveUnsupported, TargetUnsuitable } from '#errors';
import type { ArchiveHeader } from '../archive/toc.ts';
import { serverMajor } from '../client-choice.ts';

/** `17` of `17.11 (Debian 17.11-1)`; undefined where it begins with no number. */
export function majorOfVersion(version: string | undefined): number | undefined {
  const major = /^\d+/.exec(version ?? '')?.[0];
  return major === undefined ? undefined : Number(major);
}

/**
 * The client that restores: the smallest at hand that is at least the target server's major and at least that
 * of the pg_dump that wrote the archive; where none reaches the server, the newest that reads the archive, as
 * what pg_restore sends to load data is understood by every newer server.
 *
 * @throws ArchiveUnsupported when no client at hand reads the archive.
 * @throws TargetUnsuitable when the target is older than the server that was dumped: its statements may hold
 *   what the older one does not know.
 */
export function chooseRestoreMajor(
  header: Pick<ArchiveHeader, 'serverVersion' | 'dumpVersion'>,
  targetVersionNumber: number,
  majors: readonly number[],
): number {
  const target = serverMajor(targetVersionNumber);
  const dumped = majorOfVersion(header.serverVersion);
  if (dumped !== undefined && dumped > target) {
    throw new TargetUnsuitable(
      `the archive comes from PostgreSQL ${dumped}, the target server is PostgreSQL ${target}`,
      { remedy: `restore to a server of major ${dumped} or newer` },
    );
  }
  const client = majorOfVersion(header.dumpVersion) ?? 0;
  const reading = majors.filter((major) => major >= client).toSorted((a, b) => a - b);
  const chosen = reading.find((major) => major >= target) ?? reading.at(-1);
  if (chosen !== undefined) return chosen;
  throw new ArchiveUnsupported(
    `the archive is of pg_dump ${header.dumpVersion}, the clients at hand are ${majors.join(', ') || 'none'}`,
    { remedy: 'add the client of that major to layers/postgres-client/versions.json and deploy' },
  );
}
