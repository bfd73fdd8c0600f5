import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupKey } from '#domain/names.ts';
import { dataOfServer } from '#local/cluster-snapshots.ts';
import { publishServices } from '#local/services-record.ts';
import { LOCAL } from '#local/stack.ts';
import { withClient } from '#test/postgres.ts';
import { sharedProgram } from '#test/shared-build.ts';
import { usePipeline } from '#test/stack.ts';

const LIMIT_MILLISECONDS = 240_000;

/** `orders` with its databases `shop` and `audit`, and a snapshot. */
const pipeline = usePipeline({
  plan: {
    databases: ['shop', 'audit'],
    kinds: ['snapshot', 'logical'],
    retention: {
      archives: {
        keepLast: 1,
        daily: 0,
        weekly: 0,
        monthly: 0,
        yearly: 0,
        minimumVerified: 1,
        maxDeleteShare: 1,
      },
      dryRun: true,
    },
  },
});
let out = '';
let program = '';
let withdraw = async () => {};

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
  program = await sharedProgram();
  // Its snapshots can be restored as servers, which do not run as root and still have to reach them.
  await chmod(dirname(pipeline().directory), 0o755);
  const { server, stack } = pipeline();
  stack.plane.rds.registerInstance({
    identifier: 'orders-db',
    engineVersion: `${server.major}`,
    host: server.host,
    port: server.port,
    ...dataOfServer(server),
  });
  withdraw = await publishServices(stack, pipeline().directory);
});
afterAll(async () => {
  await withdraw();
  await rm(out, { recursive: true, force: true });
});

interface End {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly document: Record<string, unknown>;
}

/** The built file as a child, with an environment that would lead it anywhere but to our services. */
function run(argv: readonly string[], options: { local?: string | false } = {}): Promise<End> {
  const { local = pipeline().directory } = options;
  const child = spawn(
    process.execPath,
    [program, ...argv, ...(local === false ? [] : [`--local=${local}`])],
    {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: out,
        AWS_PROFILE: 'of-somebody-else',
        AWS_ACCESS_KEY_ID: 'AKIAREAL',
        AWS_SECRET_ACCESS_KEY: 'real',
        AWS_SESSION_TOKEN: 'real',
        AWS_REGION: 'us-east-1',
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MILLISECONDS,
    },
  );
  const text = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
  return new Promise((settle, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) =>
      settle({
        exitCode,
        ...text,
        get document() {
          return JSON.parse(text.stdout) as Record<string, unknown>;
        },
      }),
    );
  });
}

describe('the command, as it is installed', () => {
  it('is one executable file that starts by itself', async () => {
    const { mode } = await stat(program);
    expect(mode & 0o111).toBe(0o111);
    expect((await readFile(program, 'utf8')).startsWith('#!/usr/bin/env node\n')).toBe(true);
    expect(await run(['--version'], { local: false })).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('says how to start the services when none run', async () => {
    const end = await run(['list'], { local: out });
    expect(end.exitCode).toBe(3);
    expect(end.stderr).toContain('npm start -- --keep');
  });
});

describe('the command against the local services', () => {
  it(
    'starts a backup, follows it, and ends with its summary',
    async () => {
      const { exitCode, stdout, stderr } = await run(['start', 'orders', '--reason', 'a test']);
      expect(exitCode, stderr).toBe(0);
      expect(stderr).toMatch(/→ Dump Database \(shop\)[\s\S]*✓ Dump Database \(shop\)/);
      expect(stderr).toContain('✓ Create Snapshot');
      expect(stdout).toContain('backup of orders verified: 2 databases, 1 snapshot');
      expect(stdout).toContain('started by hand (a test)');
      const second = await run(['start', 'orders', '--kinds', 'logical', '--json']);
      expect(second.exitCode).toBe(0);
      expect(second.document).toMatchObject({
        status: 'SUCCEEDED',
        record: { databases: [{ status: 'verified' }, { status: 'verified' }] },
      });
    },
    LIMIT_MILLISECONDS,
  );

  it('ends with 1 when the run fails', async () => {
    const argv = ['start', 'orders', '--databases', 'nowhere', '--kinds', 'logical'];
    const { exitCode, document } = await run([...argv, '--json']);
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({ status: 'FAILED', error: { remedy: expect.any(String) } });
  });

  it('lists backups and snapshots', async () => {
    const { document } = await run(['list', '--snapshots', '--json']);
    const backups = document['backups'] as { database: string; state: string; level: string }[];
    expect(backups.map(({ database, state, level }) => `${database} ${state} ${level}`)).toEqual([
      'audit verified full',
      'audit verified full',
      'shop verified full',
      'shop verified full',
    ]);
    expect(document['snapshots']).toMatchObject([{ ours: true, status: 'available' }]);
    const { stdout } = await run(['list', 'orders', 'shop', '--snapshots']);
    expect(stdout).toMatch(
      /^orders\/shop +\d{8}T\d{6}Z-\w{6} .* s ago .* verified +full +- +STANDARD$/m,
    );
    expect(stdout).toMatch(/^orders +holdfast-orders-\S+ +holdfast .* available$/m);
  });

  it('shows sizes and rows as they are in the database', async () => {
    const { document } = await run(['show', 'orders/shop/latest', '--json']);
    const tables = document['tables'] as {
      schema: string;
      table: string;
      rows: number;
      sizeBytes: number;
    }[];
    const rows = Object.fromEntries(tables.map((it) => [`${it.schema}.${it.table}`, it.rows]));
    expect(rows['crm.customers']).toBeGreaterThan(0);
    expect(tables.every(({ sizeBytes }) => sizeBytes > 0)).toBe(true);
    expect(tables.toSorted((a, b) => b.sizeBytes - a.sizeBytes)).toEqual(tables);
    const { stdout } = await run(['show', 'orders/shop']);
    expect(stdout).toMatch(
      new RegExp(`^crm\\.customers +\\S+ \\w+ +${rows['crm.customers']}$`, 'm'),
    );
  });

  it('lists the tables of the archive, hostile names included', async () => {
    const { document } = await run(['tables', 'orders/shop', '--json']);
    const tables = document['tables'] as { schema: string; table: string; kind: string }[];
    expect(tables).toContainEqual(expect.objectContaining({ schema: '日本語', table: '注文' }));
    expect(tables.filter(({ kind }) => kind === 'partitioned table').length).toBeGreaterThan(0);
    const { stdout } = await run(['tables', 'orders/shop']);
    expect(stdout).toContain('odd."line\\nbreak"');
  });

  it('makes a link whose bytes are those of the verified archive', async () => {
    const { exitCode, document } = await run(['link', 'orders/shop/latest', '--json']);
    expect(exitCode).toBe(0);
    const answer = await fetch(String(document['url']));
    expect(answer.status).toBe(200);
    const fetched = Buffer.from(await answer.arrayBuffer());
    const ref = { source: 'orders', database: 'shop', backupId: String(document['backupId']) };
    const stored = await pipeline().stack.objects.get(backupKey(ref, 'archive.dump'));
    const hash = (bytes: Buffer | undefined) =>
      createHash('sha256')
        .update(bytes ?? '')
        .digest('hex');
    expect(fetched.length).toBe(document['sizeBytes']);
    expect(hash(fetched)).toBe(hash(stored?.body));
  });

  it('makes a link that works until it has expired, and no longer', async () => {
    const { document } = await run([
      'link',
      'orders/shop',
      '--file',
      'globals.sql',
      '--expires',
      '1s',
      '--json',
    ]);
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect((await fetch(String(document['url']))).status).toBe(403);
  });

  it('verifies with the real pg_restore, and finds damage that was done since', async () => {
    const { objects } = pipeline().stack;
    const intact = await run(['verify', 'orders/audit', '--json']);
    expect(intact.stderr).toContain('reading ');
    expect(intact).toMatchObject({ exitCode: 0, document: { intact: true, level: 'full' } });
    const backupId = String(intact.document['backupId']);
    const key = backupKey({ source: 'orders', database: 'audit', backupId }, 'globals.sql');
    await objects.put(key, '-- nothing is left\n');
    const damaged = await run(['verify', `orders/audit/${backupId}`, '--level', 'structure']);
    expect(damaged.exitCode).toBe(1);
    expect(damaged.stdout).toMatch(/^DAMAGED[\s\S]*ObjectReplaced/);
  });

  it(
    'restores a database beside the original, and what was restored is there',
    async () => {
      const { exitCode, stdout, stderr } = await run([
        'restore',
        'orders/shop',
        '--to',
        'shop_copy',
      ]);
      expect(exitCode, stdout + stderr).toBe(0);
      expect(stderr).toMatch(/^backup \S+, verified: /);
      expect(stdout).toContain('restore of orders/shop done: shop_copy');
      const count = (database: string) =>
        withClient(pipeline().server, database, async (client) => {
          const { rows } = await client.query('SELECT count(*) FROM crm.customers');
          return rows[0]?.count as string;
        });
      expect(await count('shop_copy')).toBe(await count('shop'));
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'ends with 1 when a restore fails, with the option that gets round it',
    async () => {
      const argv = ['restore', 'orders/shop', '--table', 'crm.customers', '--to', 'part'];
      const failed = await run(argv);
      expect(failed.exitCode).toBe(1);
      expect(failed.stdout).toMatch(
        /DependencyMissing[\s\S]*On the command line: --with-dependencies/,
      );
      const done = await run([...argv, '--with-dependencies', '--json']);
      expect(done.exitCode, done.stdout).toBe(0);
      const { report } = done.document['record'] as {
        report: { bytesRead: number; archiveBytes: number };
      };
      expect(report.bytesRead).toBeLessThan(report.archiveBytes);
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'restores a server from a snapshot',
    async () => {
      const argv = ['restore-server', 'orders', '--snapshot', 'latest', '--name', 'orders-copy'];
      const { exitCode, document, stdout } = await run([...argv, '--json']);
      expect(exitCode, stdout).toBe(0);
      expect(document).toMatchObject({
        record: { restore: { target: { identifier: 'orders-copy' } } },
      });
    },
    LIMIT_MILLISECONDS,
  );

  it('shows the retention plan, and deletes what it shows when told to', async () => {
    const left = async () => {
      let manifests = 0;
      for await (const { key } of pipeline().stack.objects.list('backups/orders/')) {
        if (key.endsWith('/manifest.json')) manifests += 1;
      }
      return manifests;
    };
    const plan = await run(['retention', 'orders']);
    expect(plan.exitCode).toBe(0);
    expect(plan.stdout.match(/^delete .* no rule keeps it$/gm)).toHaveLength(2);
    // The plan of the source says dryRun, which holds here as well.
    const refused = await run(['retention', 'orders', '--apply', '--yes']);
    expect([refused.exitCode, await left()]).toEqual([4, 4]);
    pipeline().changePlan({ retention: { dryRun: false } });
    const unconfirmed = await run(['retention', 'orders', '--apply']);
    expect([unconfirmed.exitCode, await left()]).toEqual([4, 4]);
    const applied = await run(['retention', 'orders', '--apply', '--yes', '--json']);
    expect(applied.exitCode, applied.stderr).toBe(0);
    expect([applied.document['applied'], await left()]).toEqual([true, 2]);
  });

  it('names what was probably meant, and prints no stack', async () => {
    const end = await run(['show', 'orders/shpo']);
    expect([end.exitCode, end.stdout]).toEqual([3, '']);
    expect(end.stderr).toBe(
      'BackupNotFound: there is no backup of orders/shpo\ndid you mean shop?\n',
    );
  });

  it('leaves the services to their owner: their file is readable by nobody else', async () => {
    const { mode } = await stat(join(pipeline().directory, 'services.json'));
    expect(mode & 0o777).toBe(0o600);
    const text = await readFile(join(pipeline().directory, 'services.json'), 'utf8');
    expect(text).not.toContain(pipeline().sample.backup.password);
    expect(text).toContain(LOCAL.bucket);
  });
});
