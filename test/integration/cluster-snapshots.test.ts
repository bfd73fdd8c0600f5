import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyCluster, deleteClusterCopy } from '#local/cluster-snapshots.ts';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import { usePostgres, withClient } from '#test/postgres.ts';

// The smallest write-ahead log there is, so that it is recycled while a copy is being made.
const settings = { max_wal_size: '32MB', min_wal_size: '32MB', checkpoint_timeout: '30s' };
const source = usePostgres({ settings });

let folder: string;
let destination: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-copies-'));
  // The copy keeps its owner, who may be another than we and has to get there.
  await chmod(folder, 0o755);
  destination = join(folder, 'copies', 'one');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const copyOptions = () => {
  const { server } = source;
  return { connection: server, dataDirectory: server.dataDirectory, destination };
};

async function withCopyStarted(use: (copy: PostgresServer) => Promise<void>): Promise<void> {
  const { password } = source.server;
  const copy = await startPostgres({ dataDirectory: destination, password });
  try {
    await use(copy);
  } finally {
    await copy.stop('immediate');
  }
}

/** A position in the write-ahead log, such as `1/3000158`, as a number. */
function toPosition(lsn: string): bigint {
  const [high = '', low = ''] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}

// Twice the usual time, as it moves 100 MB and machines are busy.
describe('a copy of a running cluster', () => {
  it('holds every row that was committed before it ended, while the source goes on', async () => {
    await source.query(
      'postgres',
      // In several files, so that some are copied early and must be made whole from the log.
      `CREATE TABLE busy (n integer PRIMARY KEY, filler text) PARTITION BY HASH (n);
       DO $$ BEGIN FOR n IN 0..7 LOOP
         EXECUTE format('CREATE TABLE busy_%s PARTITION OF busy FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
       END LOOP; END $$;
       CREATE TABLE still AS SELECT n, md5(n::text) FROM generate_series(1, 300000) n;
       CREATE TABLE doomed AS SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n;`,
    );
    let written = 0;
    const positionAfter: bigint[] = [];
    let isCopying = true;
    const write = () =>
      withClient(source.server, 'postgres', async (client) => {
        while (isCopying) {
          written += 1;
          await client.query("INSERT INTO busy VALUES ($1, repeat('busy', 2000))", [written]);
          await client.query('UPDATE busy SET filler = md5(filler) WHERE n = $1', [written - 9]);
          const position = await client.query('SELECT pg_current_wal_insert_lsn() AS lsn');
          positionAfter.push(toPosition(position.rows[0].lsn));
          // Makes segments of the log old at once, and truncates files that are being copied.
          if (written % 20 === 0) await client.query('SELECT pg_switch_wal()');
          if (written % 5 === 0) await client.query('CHECKPOINT');
          if (written === 60) await client.query('DROP TABLE doomed');
        }
      });
    const copyMeanwhile = async () => {
      try {
        await expect.poll(() => written).toBeGreaterThan(50);
        const writtenBefore = written;
        const done = await copyCluster(copyOptions());
        return { ...done, writtenMeanwhile: written - writtenBefore };
      } finally {
        isCopying = false;
      }
    };
    const [copy] = await Promise.all([copyMeanwhile(), write()]);

    const end = toPosition(copy.endLsn);
    const committed = positionAfter.filter((position) => position <= end).length;
    expect(copy.writtenMeanwhile).toBeGreaterThan(20);
    expect(copy.sizeBytes).toBeGreaterThan(20e6);
    await withCopyStarted(async (server) => {
      const [row] = await withClient(server, 'postgres', async (client) => {
        const result = await client.query(
          `SELECT (SELECT count(*)::integer FROM busy) AS rows,
                  (SELECT max(n) FROM busy) AS last,
                  (SELECT count(*)::integer FROM still) AS still,
                  (SELECT pg_current_wal_lsn() >= $1::pg_lsn) AS "isComplete",
                  (SELECT count(*)::integer FROM pg_replication_slots) AS slots`,
          [copy.endLsn],
        );
        await client.query('INSERT INTO busy VALUES (-1)');
        return result.rows;
      });
      expect(row).toMatchObject({ still: 300_000, isComplete: true, slots: 0 });
      expect(row.rows).toBeGreaterThanOrEqual(committed);
      expect(row.last).toBe(row.rows);
    });
    // What was written to the copy is not in the source, and nothing is left over there.
    const left = await source.query(
      'postgres',
      `SELECT (SELECT count(*)::integer FROM busy WHERE n < 0) AS foreign_rows,
              (SELECT count(*)::integer FROM pg_replication_slots) AS slots`,
    );
    expect(left).toEqual([{ foreign_rows: 0, slots: 0 }]);
    expect(await readdir(join(folder, 'copies'))).toEqual(['one', 'one.log']);
  });

  it('is not made over something that exists', async () => {
    await mkdir(destination, { recursive: true });
    await writeFile(join(destination, 'precious'), '');
    await expect(copyCluster(copyOptions())).rejects.toThrow(
      expect.objectContaining({
        name: 'SnapshotFailed',
        message: expect.stringMatching(/exists already/),
      }),
    );
    expect(await readdir(destination)).toEqual(['precious']);
  });

  it('leaves nothing behind when the server dies half-way', async () => {
    const victim = await startPostgres();
    try {
      const killHalfWay = async () => {
        const copies = join(folder, 'copies');
        const partial = () => (existsSync(copies) ? readdir(copies) : []);
        await expect.poll(partial, { interval: 2 }).toHaveLength(1);
        await victim.kill();
      };
      const { dataDirectory } = victim;
      await Promise.all([
        expect(copyCluster({ connection: victim, dataDirectory, destination })).rejects.toThrow(
          expect.objectContaining({ name: 'SnapshotFailed' }),
        ),
        killHalfWay(),
      ]);
      expect(await readdir(join(folder, 'copies'))).toEqual([]);
    } finally {
      await victim.stop();
    }
  });

  it('leaves nothing behind when the server cannot be reached', async () => {
    const connection = { ...source.server, port: 1 };
    await expect(copyCluster({ ...copyOptions(), connection })).rejects.toThrow(
      expect.objectContaining({
        name: 'SnapshotFailed',
        message: expect.stringMatching(/ECONNREFUSED/),
      }),
    );
    expect(await readdir(join(folder, 'copies'))).toEqual([]);
  });
});

describe('deleting a copy', () => {
  it('deletes one that no server uses, and nothing else', async () => {
    await copyCluster(copyOptions());
    await withCopyStarted(async () => {
      await expect(deleteClusterCopy(destination)).rejects.toThrow(/in use/);
    });
    // An immediate stop removes the mark of a running server.
    await deleteClusterCopy(destination);
    await deleteClusterCopy(destination);
    expect(existsSync(destination)).toBe(false);

    await mkdir(destination);
    await writeFile(join(destination, 'precious'), '');
    await expect(deleteClusterCopy(destination)).rejects.toThrow(/not a PostgreSQL cluster/);
    expect(await readdir(destination)).toEqual(['precious']);
  });
});
