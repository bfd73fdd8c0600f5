import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { S3Client } from '@aws-sdk/client-s3';
import { startObjectStore } from '#local/object-store/server.ts';

/** A server that speaks S3, started for a test. */
export interface S3Target {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** Path style is not asked for: the SDK has to find it out from the address. */
export function makeClient(endpoint: string, maxAttempts = 1): S3Client {
  return new S3Client({
    endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts,
  });
}

export function makeTemporaryDirectory(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-object-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function startOwnStore(): Promise<S3Target> {
  const directory = makeTemporaryDirectory();
  const server = await startObjectStore({ directory: directory.path });
  return {
    endpoint: server.endpoint,
    close: async () => {
      await server.close();
      directory.remove();
    },
  };
}

/** Whether moto's server can be run: being on PATH is not enough where a version manager has a shim. */
export function hasMoto(): boolean {
  return spawnSync('moto_server', ['--help'], { timeout: 120_000, stdio: 'ignore' }).status === 0;
}

export async function startMoto(): Promise<S3Target> {
  const port = await freePort();
  const child = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await untilAnswers(`${endpoint}/moto-api/`, child);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    endpoint,
    close: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) {
    if (child.exitCode !== null) throw new Error(`moto_server ended with ${child.exitCode}`);
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
  }
  throw new Error('moto_server did not answer within 60 s');
}

/** A presigned GET (signature version 4 in the query), for the credentials of {@link makeClient}. */
export function presignGet(
  endpoint: string,
  path: string,
  { signedAt, expiresSeconds }: { signedAt: Date; expiresSeconds: number },
): string {
  const date = `${signedAt.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const scope = `${date.slice(0, 8)}/eu-west-1/s3/aws4_request`;
  const query = new URLSearchParams({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `test/${scope}`,
    'X-Amz-Date': date,
    'X-Amz-Expires': String(expiresSeconds),
    'X-Amz-SignedHeaders': 'host',
  });
  const host = new URL(endpoint).host;
  const canonical = ['GET', path, query, `host:${host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const hash = createHash('sha256').update(canonical).digest('hex');
  let key: string | Buffer = 'AWS4test';
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const text = ['AWS4-HMAC-SHA256', date, scope, hash].join('\n');
  query.set('X-Amz-Signature', createHmac('sha256', key).update(text).digest('hex'));
  return `${endpoint}${path}?${query.toString()}`;
}
