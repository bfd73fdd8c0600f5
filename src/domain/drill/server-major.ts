import { DrillServerFailed } from '#errors';

export interface ServerMajor {
  readonly major: number;
  /** The source's own is not at hand: an archive restores into a newer one too, which is not quite the same. */
  readonly note: string | undefined;
}

/**
 * The server that rehearses an archive: of the source's major or, where there is none, of the next newer one. An
 * older one may not know what the archive says. Throws DrillServerFailed when there is none.
 */
export function chooseServerMajor(source: number, majors: readonly number[]): ServerMajor {
  if (majors.includes(source)) return { major: source, note: undefined };
  const newer = majors.filter((major) => major > source);
  if (newer.length > 0) {
    const major = Math.min(...newer);
    return {
      major,
      note: `the source is PostgreSQL ${source}, the drill restored into PostgreSQL ${major}: of ${source} it has no server`,
    };
  }
  throw new DrillServerFailed(
    `the source is PostgreSQL ${source}, the servers at hand are ${majors.join(', ') || 'none'}`,
    {
      remedy: `add ${source} to layers/postgres-client/versions.json, make the image again and deploy it`,
    },
  );
}
