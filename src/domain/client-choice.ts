import { ClientTooOld } from '#errors';

/** zstd came with the clients of 16, so no older one dumps. */
const OLDEST_MAJOR = 16;

/** The major of a server: 17 of `server_version_num` 170011. */
export function serverMajor(versionNumber: number): number {
  return Math.floor(versionNumber / 10_000);
}

/**
 * The client that dumps a server: the smallest at hand that is at least 16 and at least the server's
 * major. A client reads older servers but not newer ones, and what a newer one writes may hold settings
 * that the server it came from rejects. Throws ClientTooOld when there is none.
 */
export function chooseClientMajor(versionNumber: number, majors: readonly number[]): number {
  const wanted = Math.max(OLDEST_MAJOR, serverMajor(versionNumber));
  const fitting = majors.filter((major) => major >= wanted);
  if (fitting.length > 0) return Math.min(...fitting);
  const known = majors.length > 0 ? majors.join(', ') : 'none';
  throw new ClientTooOld(
    `the server is PostgreSQL ${serverMajor(versionNumber)}, the clients at hand are ${known}`,
    { remedy: `add client ${wanted} to layers/postgres-client/versions.json and deploy again` },
  );
}
