import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publishServices } from '#local/services-record.ts';
import { newestDumpableMajor, withClient } from '#test/postgres.ts';
import { sharedProgram } from '#test/shared-build.ts';
import { usePipeline } from '#test/stack.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const major = await newestDumpableMajor();
const guide = await readFile(new URL('../../docs/recovery-runbook.md', import.meta.url), 'utf8');

interface Step {
  readonly argv: readonly string[];
  /** Lines with `…` for what differs each time. */
  readonly expected: readonly string[];
}

/** What a situation's blocks tell to run, in their order. */
function stepsOf(situation: string): Step[] {
  const blocks = guide.matchAll(/<!-- run: (.+) -->\n```\n([\s\S]*?)```/g);
  return [...blocks]
    .filter(([, name]) => name === situation)
    .flatMap(([, , block = '']) => block.split(/^\$ /m).slice(1))
    .map((part) => {
      const [command = '', ...expected] = part.trimEnd().split('\n');
      return { argv: splitArgv(command), expected };
    });
}

/** As a shell does with the little that the guide uses: blanks between words, quotes around some. */
function splitArgv(line: string): string[] {
  if (/[$`|&;]/.test(line)) throw new Error(`more shell than this test knows: ${line}`);
  const words = line.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  return words.map((word) =>
    word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double),
  );
}

/** `…` is anything, a blank is any white space. */
function pattern(lines: readonly string[]): RegExp {
  const parts = lines
    .join('\n')
    .split('…')
    .map((part) =>
      part
        .trim()
        .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
        .replaceAll(/\s+/g, '\\s+'),
    );
  return new RegExp(parts.join('[\\s\\S]*'));
}

describe('recovering as docs/recovery-runbook.md says', () => {
  const pipeline = usePipeline({
    major,
    plan: { databases: ['shop', 'audit'], kinds: ['snapshot', 'logical'] },
  });
  let directory = '';
  let program = '';
  let programs = '';
  let withdraw = async () => {};

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-runbook-'));
    program = await sharedProgram();
    const { directory: clients, majors } = await ensurePostgresClients();
    programs = join(clients, String(majors.at(-1)), 'bin');
    // Servers made of its snapshots do not run as root and still have to reach them.
    await chmod(dirname(pipeline().directory), 0o755);
    withdraw = await publishServices(pipeline().stack, pipeline().directory);
    const { execution } = await pipeline().run();
    if (execution.status !== 'SUCCEEDED') throw new Error(`no backup: ${execution.cause}`);
  });
  afterAll(async () => {
    await withdraw();
    await rm(directory, { recursive: true, force: true });
  });

  async function run([name = '', ...args]: readonly string[]): Promise<string> {
    const { server } = pipeline();
    const own = name === 'holdfast';
    const argv = own ? [program, ...args, `--local=${pipeline().directory}`] : args;
    const { stdout } = await promisify(execFile)(
      own ? process.execPath : join(programs, name),
      argv,
      {
        cwd: directory,
        timeout: 120_000,
        env: {
          PATH: process.env['PATH'] ?? '',
          HOME: directory,
          PGHOST: server.host,
          PGPORT: String(server.port),
          PGUSER: server.user,
          PGPASSWORD: server.password,
          PGCONNECT_TIMEOUT: '60',
        },
      },
    );
    return stdout;
  }

  /** Each command must end with exit code 0 and print what the guide says. */
  async function follow(
    situation: string,
  ): Promise<{ argv: string; printed: string; wanted: RegExp }[]> {
    const results = [];
    for (const { argv, expected } of stepsOf(situation)) {
      const printed = await run(argv);
      results.push({ argv: argv.join(' '), printed, wanted: pattern(expected) });
    }
    return results;
  }

  async function expectAsWritten(situation: string): Promise<void> {
    const results = await follow(situation);
    expect(results.length).toBeGreaterThan(0);
    for (const { printed, wanted } of results) expect(printed).toMatch(wanted);
  }

  async function query(database: string, text: string): Promise<unknown> {
    return withClient(pipeline().server, database, async (client) => {
      const { rows } = await client.query<{ answer: unknown }>(text);
      return rows[0]?.answer;
    });
  }

  it('brings deleted rows back, and keeps those that were written since', async () => {
    const notes = 'SELECT count(*)::int AS answer FROM crm.contact_notes';
    const before = Number(await query('shop', notes));
    await query('shop', 'DELETE FROM crm.contact_notes');
    await query(
      'shop',
      `INSERT INTO crm.contact_notes SELECT min(id), now(), 'me', 'written since' FROM crm.customers`,
    );

    await expectAsWritten('rows deleted');

    expect(before).toBeGreaterThan(0);
    expect(await query('shop', notes)).toBe(before + 1);
  });

  it('brings a dropped database back under its own name', async () => {
    const tables = `SELECT count(*)::int AS answer FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`;
    const before = await query('audit', tables);
    await query('postgres', 'DROP DATABASE audit WITH (FORCE)');

    await expectAsWritten('database dropped');

    expect(await query('audit', tables)).toBe(before);
  });

  it('brings a lost instance back, from a point in time and from a snapshot', async () => {
    await expectAsWritten('instance lost');
  });

  it('brings the database back as it was before a release, in its place', async () => {
    await query('shop', 'UPDATE crm.customers SET full_name = repeat($$?$$, 5)');

    await expectAsWritten('bad release');

    const spoilt = `SELECT count(*)::int AS answer FROM crm.customers WHERE full_name = '?????'`;
    expect(await query('shop', spoilt)).toBe(0);
  });

  it('leaves no marked command of the guide untried', () => {
    const marked = [...guide.matchAll(/<!-- run: (.+) -->/g)].map(([, name]) => name);
    expect([...new Set(marked)]).toEqual([
      'rows deleted',
      'database dropped',
      'instance lost',
      'bad release',
    ]);
  });
});
