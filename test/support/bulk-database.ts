import { randomBytes } from 'node:crypto';
import type { PostgresServer } from '#local/postgres-server.ts';
import { withClient } from './postgres.ts';

const MIB = 1024 * 1024;

/**
 * Twice as many come over the wire, as hexadecimal text. The sender stands still before the end as long
 * as that is more than a task with 24 MiB of upload buffers takes (two parts of 8 MiB, which are 32 MiB
 * of text) and the sockets hold (Linux lets them grow, up to 36 MiB on some machines).
 */
const ROWS = 64;

/**
 * Makes the database `bulk`: while one UploadPart of its archive is held back, pg_dump and its backend
 * stand half-way.
 */
export async function makeBulkDatabase(server: PostgresServer): Promise<void> {
  await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE bulk'));
  await withClient(server, 'bulk', async (client) => {
    await client.query('CREATE TABLE noise (id int PRIMARY KEY, body bytea STORAGE EXTERNAL)');
    for (let id = 0; id < ROWS; id++) {
      await client.query('INSERT INTO noise VALUES ($1, $2)', [id, randomBytes(MIB)]);
    }
    // So that the server is back soon after a crash.
    await client.query('CHECKPOINT');
  });
}

/** For the pipeline's stack: the least that a task takes. */
export const BULK_ENVIRONMENT = { HOLDFAST_UPLOAD_MEMORY_MIB: '24' } as const;
