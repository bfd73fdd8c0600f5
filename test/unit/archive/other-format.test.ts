import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { recognizeOtherFormat } from '#domain/archive/other-format.ts';
import { makeArchiveSpec, writeArchive } from '#test/archive-writer.ts';

const { bytes } = writeArchive(makeArchiveSpec());

function withFormat(format: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[10] = format;
  return changed;
}

const PLAIN = '--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n';
const GLOBALS = '--\n-- PostgreSQL database cluster dump\n--\n\n';
const tar = Buffer.alloc(512);
tar.write('toc.dat');
tar.write('ustar', 257);

describe('a file that is no custom-format archive', () => {
  it.each([
    ['SQL of pg_dump', Buffer.from(PLAIN), 'SQL text', 'psql --file'],
    ['SQL of pg_dumpall', Buffer.from(GLOBALS), 'pg_dumpall', 'psql --file'],
    ['SQL without comments', Buffer.from('SET x = 1;\n'), 'SQL text', 'psql --file'],
    ['a tar file', tar, 'tar file', 'pg_restore --format=tar'],
    ['toc.dat of a directory', withFormat(3), 'toc.dat', 'pg_restore --format=directory'],
    ['gzip around SQL', gzipSync(PLAIN), 'gzip', 'gunzip'],
    ['zstd around an archive', zstdCompressSync(bytes), 'zstd', 'unzstd'],
    ['lz4', Buffer.from('04224d18', 'hex'), 'lz4', 'unlz4'],
    ['bzip2', Buffer.from('BZh9'), 'bzip2', 'bunzip2'],
    ['xz', Buffer.from('fd377a585a00', 'hex'), 'xz', 'unxz'],
  ])('is known as %s, with what to do', (_, start, what, instead) => {
    const other = recognizeOtherFormat(start);
    expect(other?.what).toContain(what);
    expect(other?.remedy).toContain(instead);
    expect(other?.remedy).toContain('pg_dump --format=custom --file=');
  });

  it.each([
    ['an archive', bytes],
    ['an archive whose format is damaged', withFormat(2)],
    ['anything else', Buffer.from('\0GDMP nothing that is known')],
    ['nothing', Buffer.alloc(0)],
  ])('is not recognized in %s', (_, start) => {
    expect(recognizeOtherFormat(start)).toBeUndefined();
  });
});
