import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { combineReports } from '#local/report.ts';
import { usePostgres, withClient } from '#test/postgres.ts';

type Document = ReturnType<typeof combineReports>;

const root = resolve(import.meta.dirname, '../..');
const LIMIT_MILLISECONDS = 240_000;
let out = '';

interface StartEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs what `npm start` runs, with nothing of AWS in the environment. */
function start(args: readonly string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['scripts/start.ts', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: out, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MILLISECONDS,
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
  return new Promise<StartEnd>((settle) =>
    child.once('close', (exitCode) => settle({ exitCode, ...text })),
  );
}

/** The last line of standard output. */
function documentOf({ stdout }: StartEnd): Document {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) yield join(entry.parentPath, entry.name);
  }
}

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'holdfast-start-'));
});
afterAll(() => rm(out, { recursive: true, force: true }));

describe('npm start without arguments', () => {
  it(
    'backs up the sample database, drills it, and ends with one JSON document',
    async () => {
      const directory = join(out, 'sample');
      const end = await start(['--json', '--out', directory]);
      expect(end.exitCode, end.stderr).toBe(0);

      const document = documentOf(end);
      expect(document.status).toBe('SUCCEEDED');
      expect(document.error).toBeNull();
      expect(document.snapshot?.status).toBe('available');
      expect(document.retention?.status).toBe('applied');
      expect(document.notifications.map(({ status }) => status)).toEqual(['SUCCEEDED', 'PASSED']);
      expect(document.drill).toMatchObject({ status: 'PASSED', error: null });
      expect(document.drill?.databases.map(({ database }) => database).sort()).toEqual([
        'audit',
        'shop',
      ]);
      expect(end.stderr).toMatch(
        /^ {2}drill {6}PASSED: .*; RTO .* of 4 h 0 min, RPO .* of 24 h 0 min$/m,
      );
      expect(document.backups.map(({ database }) => database).sort()).toEqual(['audit', 'shop']);
      const shop = document.backups.find(({ database }) => database === 'shop');
      const rows = Object.values(shop?.rows ?? {}).reduce((sum, count) => sum + count, 0);
      expect(rows).toBeGreaterThanOrEqual(300_000);
      for (const backup of document.backups) {
        expect(existsSync(backup.archivePath)).toBe(true);
        expect(existsSync(backup.manifestPath)).toBe(true);
        expect(existsSync(backup.verificationPath)).toBe(true);
      }
    },
    LIMIT_MILLISECONDS,
  );
});

describe("npm start with a user's own server", () => {
  const postgres = usePostgres();
  const database = 'own "data"; it\'s';
  const password = 'pässword-with-$-and-&';

  beforeAll(async () => {
    const { server } = postgres;
    await withClient(server, 'postgres', async (client) => {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
      await client.query(
        `CREATE ROLE me LOGIN SUPERUSER PASSWORD ${client.escapeLiteral(password)}`,
      );
    });
    await withClient(server, database, (client) =>
      client.query('CREATE TABLE notes AS SELECT n FROM generate_series(1, 1234) AS n'),
    );
  });

  const url = (withPassword: boolean) => {
    const secret = withPassword ? `:${encodeURIComponent(password)}` : '';
    const { host, port } = postgres.server;
    return `postgres://me${secret}@${host}:${port}/${encodeURIComponent(database)}`;
  };

  it(
    'backs it up, and the password shows up nowhere',
    async () => {
      const directory = join(out, 'own');
      const end = await start(['--json', '--out', directory, '--url', url(true)]);
      expect(end.exitCode, end.stderr).toBe(0);
      const [backup] = documentOf(end).backups;
      expect(backup?.database).toBe(database);
      expect(backup?.rows).toEqual({ 'public.notes': 1234 });

      const written = [Buffer.from(end.stdout), Buffer.from(end.stderr)];
      for await (const file of filesBelow(directory)) written.push(await readFile(file));
      const found = written.filter(
        (bytes) => bytes.includes(password) || bytes.includes(encodeURIComponent(password)),
      );
      expect(found).toEqual([]);
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'takes the password from PGPASSWORD, and every database with --all-databases',
    async () => {
      const args = ['--json', '--out', join(out, 'all'), '--all-databases', '--url', url(false)];
      const end = await start([...args, '--no-drill'], { PGPASSWORD: password });
      expect(end.exitCode, end.stderr).toBe(0);
      expect(documentOf(end).drill).toBeNull();
      const names = documentOf(end).backups.map((backup) => backup.database);
      expect(names.sort()).toEqual([database, 'postgres'].sort());
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'backs up every source of a plan file, and goes on when one fails',
    async () => {
      const { host, port } = postgres.server;
      const connection = (user: string) =>
        `{ host: ${host}, port: ${port}, user: ${user}, auth: { type: secret, secretId: ${user} }, tls: { mode: disable } }`;
      const plan = join(out, 'plan.yml');
      await writeFile(
        plan,
        [
          'version: 1',
          'sources:',
          `  closed: { engine: { type: postgres }, connection: ${connection('nobody')} }`,
          `  own: { engine: { type: rds-instance, identifier: own-db }, connection: ${connection('me')} }`,
          '',
        ].join('\n'),
      );
      const args = ['--json', '--out', join(out, 'plan'), '--config', plan];
      const end = await start(args, { PGPASSWORD: password });

      expect(end.exitCode).toBe(1);
      const document = documentOf(end);
      const byName = document.runs.map(({ source, status }) => `${source} ${status}`);
      expect(byName).toEqual(['closed FAILED', 'own SUCCEEDED']);
      expect(JSON.stringify(document.error)).toContain('AuthenticationFailed');
      expect(document.backups.map((backup) => backup.database)).toContain(database);
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'ends with 1 when the drill finds what the plan did not expect, and says what and why',
    async () => {
      const { host, port } = postgres.server;
      const plan = join(out, 'drill.yml');
      const expectation =
        '{ name: enough, query: SELECT count(*) FROM notes, expect: { atLeast: 5000 } }';
      await writeFile(
        plan,
        [
          'version: 1',
          'sources:',
          '  own:',
          '    engine: { type: postgres }',
          `    connection: { host: ${host}, port: ${port}, user: me, auth: { type: secret, secretId: me }, tls: { mode: disable } }`,
          `    databases: [${JSON.stringify(database)}]`,
          `    drill: { smokeQueries: [${expectation}] }`,
          '',
        ].join('\n'),
      );
      const args = ['--json', '--out', join(out, 'drilled'), '--config', plan];
      const end = await start(args, { PGPASSWORD: password });

      expect(end.exitCode, end.stderr).toBe(1);
      const document = documentOf(end);
      expect(document.backups).toHaveLength(1);
      expect(document).toMatchObject({
        status: 'FAILED',
        error: { name: 'DrillFailed' },
        drill: { status: 'FAILED' },
      });
      expect(end.stderr).toMatch(/^ +data: .*: smoke-query: /m);
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'ends with 1 and the named error when the password is wrong',
    async () => {
      const args = ['--json', '--out', join(out, 'wrong'), '--url', url(false)];
      const end = await start(args, { PGPASSWORD: 'not the password' });
      expect(end.exitCode).toBe(1);
      const document = documentOf(end);
      expect(document.status).toBe('FAILED');
      expect(JSON.stringify(document)).toContain('AuthenticationFailed');
      expect(end.stdout + end.stderr).not.toContain('not the password');
    },
    LIMIT_MILLISECONDS,
  );
});

describe('npm start that is not understood', () => {
  it('says how it is used and ends with 2, without the URL that was mistyped', async () => {
    const end = await start(['--ulr', 'postgres://me:hunter2@host/db']);
    expect(end.exitCode).toBe(2);
    expect(end.stderr).toContain('--url');
    expect(end.stdout + end.stderr).not.toContain('hunter2');
  });
});
