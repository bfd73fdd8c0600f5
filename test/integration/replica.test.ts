import { chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Manifest } from '#contracts/manifest.ts';
import { backupKey } from '#domain/names.ts';
import { copyCluster } from '#local/cluster-snapshots.ts';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import { withClient } from '#test/postgres.ts';
import { usePipeline } from '#test/stack.ts';

describe('a server in recovery (a replica)', () => {
  const pipeline = usePipeline();
  let replica: PostgresServer | undefined;
  let directory = '';

  beforeAll(async () => {
    const { server } = pipeline();
    directory = await mkdtemp(join(tmpdir(), 'holdfast-replica-'));
    const dataDirectory = join(directory, 'data');
    await copyCluster({
      connection: server,
      dataDirectory: server.dataDirectory,
      destination: dataDirectory,
    });
    // With this file and nobody to follow, the copy stays a hot standby that answers queries.
    const signal = join(dataDirectory, 'standby.signal');
    await writeFile(signal, '');
    const owner = await stat(join(dataDirectory, 'PG_VERSION'));
    await chown(signal, owner.uid, owner.gid);
    await chown(directory, owner.uid, owner.gid);
    replica = await startPostgres({ dataDirectory, password: server.password });
  });
  afterAll(async () => {
    await replica?.stop('immediate');
    await rm(directory, { recursive: true, force: true });
  });

  it('is backed up and verified, and the manifest says where it stood', async () => {
    const { port } = replica as PostgresServer;
    const [recovery] = await withClient(replica as PostgresServer, 'postgres', async (client) => {
      const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby');
      return rows;
    });
    expect(recovery).toEqual({ standby: true });

    pipeline().changePlan({ connection: { port } });
    const { execution, summary } = await pipeline().run();

    expect(execution.status, execution.cause).toBe('SUCCEEDED');
    expect(summary?.server?.isReplica).toBe(true);
    const [database] = summary?.databases ?? [];
    const ref = {
      source: 'orders',
      database: 'shop',
      backupId: database?.status === 'verified' ? database.backupId : '',
    };
    const record = await pipeline().stack.objects.get(backupKey(ref, 'manifest.json'));
    const manifest = Manifest.parse(JSON.parse(String(record?.body)));
    expect(manifest.server.isReplica).toBe(true);
    expect(manifest.server.lsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/);
  });
});
