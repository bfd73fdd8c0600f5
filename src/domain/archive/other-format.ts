/** What a file is that is no custom-format archive, and how to come by one. */
export interface OtherFormat {
  /** As in "imports/shop.dump is …". */
  readonly what: string;
  readonly remedy: string;
}

/** Bytes that {@link recognizeOtherFormat} looks at: a tar file's first header. */
export const RECOGNIZED_BYTES = 512;

/** `archTar` of `pg_backup_archiver.h`. */
const TAR = 3;

const AGAIN = 'dump again with pg_dump --format=custom --file=FILE';

/** As a whole, which pg_restore does not read either. Magic numbers as file(1) knows them. */
const COMPRESSED = [
  { magic: [0x1f, 0x8b], name: 'gzip', unpack: 'gunzip' },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: 'zstd', unpack: 'unzstd' },
  { magic: [0x04, 0x22, 0x4d, 0x18], name: 'lz4', unpack: 'unlz4' },
  { magic: [0x42, 0x5a, 0x68], name: 'bzip2', unpack: 'bunzip2' },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: 'xz', unpack: 'unxz' },
] as const;

/**
 * The other things that people keep as a dump, by how they begin. What pg_dump writes as tar begins with the
 * member `toc.dat`; in a directory that is a file of its own, which begins as an archive does and has the format
 * of tar in its header (`_CloseArchive` in PostgreSQL's `pg_backup_directory.c`).
 */
export function recognizeOtherFormat(start: Buffer): OtherFormat | undefined {
  const packed = COMPRESSED.find(({ magic }) => magic.every((byte, at) => start[at] === byte));
  if (packed) {
    return {
      what: `a file that ${packed.name} has packed`,
      remedy: `put it there unpacked (${packed.unpack}), if it is an archive in the custom format; else ${AGAIN}`,
    };
  }
  const text = start.toString('latin1', 0, RECOGNIZED_BYTES);
  if (text.startsWith('PGDMP')) {
    const format = start[10];
    if (format !== TAR) return undefined;
    return {
      what: 'the toc.dat of a dump in the directory or tar format, without the data',
      remedy: `restore the whole directory with pg_restore --format=directory, or ${AGAIN}`,
    };
  }
  if (text.slice(257, 262) === 'ustar') {
    return {
      what: 'a tar file',
      remedy: `restore what pg_dump wrote with pg_restore --format=tar, or ${AGAIN}`,
    };
  }
  if (text.includes('PostgreSQL database cluster dump')) {
    return {
      what: 'SQL of a whole server, as pg_dumpall writes it',
      remedy: `run it with psql --file, or dump each database with pg_dump --format=custom --file=FILE`,
    };
  }
  if (text.includes('PostgreSQL database dump') || /^\s*(--|\\restrict |SET |CREATE )/.test(text)) {
    return {
      what: 'SQL text, as pg_dump writes it without --format',
      remedy: `run it with psql --file, or ${AGAIN}`,
    };
  }
  return undefined;
}
