import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Verification } from '#contracts/verification.ts';
import type { PostgresServer } from '#local/postgres-server.ts';
import { tableContents } from '#local/sample-database/table-contents.ts';
import { newestDumpableMajor, usePostgres, withClient } from '#test/postgres.ts';
import { usePipeline } from '#test/stack.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const major = await newestDumpableMajor();
const guide = await readFile(new URL('../../docs/restore-by-hand.md', import.meta.url), 'utf8');

/** The commands under a heading that are marked to be run, in argv form. */
function commandsUnder(heading: string): string[][] {
  const section = guide.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const [, block] = /<!-- run -->\n```\n(.*?)```/s.exec(section) ?? [];
  if (block === undefined) throw new Error(`"${heading}" has no commands to run`);
  return block.trim().split('\n').map(splitArgv);
}

/** As a shell does with the little that the guide uses: blanks between words, quotes around some. */
function splitArgv(line: string): string[] {
  if (/[\\$`|&;<>]/.test(line)) throw new Error(`more shell than this test knows: ${line}`);
  const words = line.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double),
  );
}

describe('restoring as docs/restore-by-hand.md says', () => {
  const pipeline = usePipeline({ major });
  const target = usePostgres({ major });
  let directory: string;
  let programs: string;
  let original: Awaited<ReturnType<typeof contentsOf>>;

  beforeAll(async () => {
    const { execution } = await pipeline().run();
    if (execution.status !== 'SUCCEEDED') throw new Error(`no backup: ${execution.cause}`);
    const { directory: clients, majors } = await ensurePostgresClients();
    programs = join(clients, String(majors.at(-1)), 'bin');
    directory = await mkdtemp(join(tmpdir(), 'holdfast-restore-'));
    // In the place of `aws s3 cp`.
    const { objects } = pipeline().stack;
    for await (const { key } of objects.list('backups/orders/shop/')) {
      await writeFile(join(directory, basename(key)), objects.stream(key));
    }
    original = await contentsOf(pipeline().server, 'shop');
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  /** Runs one command against a server with an environment of its own; fails as it does. */
  async function run([program = '', ...args]: string[], server: PostgresServer = target.server) {
    return promisify(execFile)(join(programs, program), args, {
      cwd: directory,
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
      env: {
        PGHOST: server.host,
        PGPORT: String(server.port),
        PGUSER: server.user,
        PGPASSWORD: server.password,
        PGCONNECT_TIMEOUT: '60',
      },
    });
  }

  /** Runs the commands under a heading one by one; each must end with exit code 0. */
  async function follow(heading: string) {
    const outputs = [];
    for (const command of commandsUnder(heading)) outputs.push(await run(command));
    return outputs;
  }

  /** Everything that the copy must have in common with the original. */
  async function contentsOf(server: PostgresServer, database: string) {
    const schema = await run(['pg_dump', '--schema-only', `--dbname=${database}`], server);
    return withClient(server, database, async (client) => {
      const rowsOf = async (query: string) => (await client.query(query)).rows;
      return {
        // pg_dump puts a random word into \restrict and \unrestrict.
        schema: schema.stdout.replaceAll(/^\\(un)?restrict .*$/gm, ''),
        tables: await tableContents(client),
        largeObjects: await rowsOf(
          `SELECT oid, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text
             FROM pg_largeobject_metadata ORDER BY oid`,
        ),
        sequences: await rowsOf(
          'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2',
        ),
        views: await rowsOf(
          'SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM sales.turnover AS t',
        ),
      };
    });
  }

  it('shows what is in the backup without a server', async () => {
    const [listing] = await follow('What is in it');
    expect(listing?.stdout).toMatch(/^;.*dbname: shop$/m);
    expect(listing?.stdout).toMatch(/TABLE DATA web page_views web_app$/m);
  });

  it('restores the whole database: schema, rows, large objects, sequences', async () => {
    const [roles, , restored] = await follow('Restore it whole');

    expect(roles?.stderr.replaceAll(/.*ERROR: {2}role "postgres" already exists\n/g, '')).toBe('');
    expect(restored?.stderr).toBe('');
    expect(original.tables.length).toBeGreaterThan(30);
    expect(original.largeObjects.length).toBeGreaterThan(20);
    expect(original.schema.length).toBeGreaterThan(10_000);
    expect(await contentsOf(target.server, 'shop_restored')).toEqual(original);
  });

  it('brings back the rows of one table and touches no other', async () => {
    const [lost] = await follow('Bring back the rows of one table');
    expect(lost?.stdout).toBe('TRUNCATE TABLE\n');
    expect(await contentsOf(target.server, 'shop_restored')).toEqual(original);
  });

  it('finds as many rows as the verification has counted', async () => {
    const text = await readFile(join(directory, 'verification.json'), 'utf8');
    const { tables } = Verification.parse(JSON.parse(text));
    const counted = tables.find((it) => it.schema === 'web' && it.table === 'page_views')?.rows;
    const [output] = await follow('Compare');
    expect(counted).toBeGreaterThan(0);
    expect(/^ +(\d+)$/m.exec(output?.stdout ?? '')?.[1]).toBe(String(counted));
  });

  it('leaves no marked command of the guide untried', () => {
    const marked = guide.match(/<!-- run -->/g) ?? [];
    const tried = [
      'What is in it',
      'Restore it whole',
      'Bring back the rows of one table',
      'Compare',
    ];
    expect(marked).toHaveLength(tried.length);
  });
});
