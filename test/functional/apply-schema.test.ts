import { describe, expect, it } from 'vitest';
import { Connection } from '#contracts/source-plan.ts';
import { parseToc } from '#domain/archive/toc.ts';
import { ConnectionLost } from '#errors';
import { SchemaApplier } from '#operations/restore/apply-schema.ts';
import type { Databases } from '#runtime/ports.ts';
import { type EntrySpec, makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';
import { makeClock } from '#test/fakes.ts';

/** A server that runs everything, but for what `refuse` throws. */
function makeServer(refuse: (sql: string, attempt: number) => unknown = () => undefined) {
  const queries: string[] = [];
  const attempts = new Map<string, number>();
  let [sessions, closed, running, most] = [0, 0, 0, 0];
  const databases: Databases = {
    async connect() {
      sessions += 1;
      return {
        async query(text, values = []) {
          if (text.includes('pg_settings')) return [];
          if (text.includes('pg_tablespace')) return [];
          if (text.includes('has_schema_privilege')) return [];
          queries.push(values.length > 0 ? `${text} -- ${values.join()}` : text);
          attempts.set(text, (attempts.get(text) ?? 0) + 1);
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          const error = refuse(text, attempts.get(text) ?? 0);
          if (error) throw error;
          return [];
        },
        async close() {
          closed += 1;
        },
      };
    },
    async clientEnvironment() {
      throw new Error('nobody asks for it');
    },
  };
  return {
    databases,
    queries,
    get sessions() {
      return sessions;
    },
    get open() {
      return sessions - closed;
    },
    get most() {
      return most;
    },
  };
}

const refusal = (code: string, message = 'no') => Object.assign(new Error(message), { code });

function makeApplier(
  server: ReturnType<typeof makeServer>,
  entries: readonly Partial<EntrySpec>[],
  role?: string,
) {
  const specs = entries.map((entry, i) =>
    makeEntry({ dumpId: 10 + i, tag: `t${i}`, definition: `MAKE ${i};\n`, ...entry }),
  );
  const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec({ entries: specs }));
  const head = bytes.subarray(0, headLengthBytes);
  const toc = parseToc(head);
  const applier = new SchemaApplier(
    { databases: server.databases, clock: makeClock() },
    {
      connection: Connection.parse({ host: 'db', auth: { type: 'secret', secretId: 's' } }),
      database: 'shop',
      head,
      toc,
      blocks: [],
      roles: { noOwner: false, role },
      signal: new AbortController().signal,
    },
  );
  return { applier, entries: toc.entries };
}

const mades = (queries: readonly string[]) =>
  queries.map((sql) => [...sql.matchAll(/MAKE (\d+)/g)].map(([, number]) => Number(number)));

describe('entries in order', () => {
  it('go to the server many at a time, in one transaction', async () => {
    const server = makeServer();
    const { applier, entries } = makeApplier(
      server,
      Array.from({ length: 70 }, () => ({})),
    );
    let applied = 0;
    await applier.applyInOrder('pre-data', entries, () => {
      applied += 1;
    });
    expect(mades(server.queries).map((group) => group.length)).toEqual([32, 32, 6]);
    expect(mades(server.queries).flat()).toEqual(entries.map((_, i) => i));
    expect(applied).toBe(70);
    expect([server.sessions, server.open]).toEqual([1, 0]);
  });

  it('are set apart from each other where one of them is very long', async () => {
    const server = makeServer();
    const long = `MAKE 1; -- ${'x'.repeat(300_000)}`;
    const { applier, entries } = makeApplier(server, [{}, { definition: long }, {}]);
    await applier.applyInOrder('pre-data', entries);
    expect(mades(server.queries)).toEqual([[0], [1], [2]]);
  });

  it('are tried one by one where one of them is refused, and then part by part', async () => {
    const server = makeServer((sql) => (sql.includes('MAKE 1') ? refusal('42P06') : undefined));
    const { applier, entries } = makeApplier(server, [
      {},
      { desc: 'SCHEMA', dropStatement: 'DROP SCHEMA t1;\n' },
      {},
    ]);
    await applier.applyInOrder('pre-data', entries);
    expect(mades(server.queries)).toEqual([[0, 1, 2], [0], [1], [1], [2]]);
    expect(applier.tolerated).toMatchObject([{ objectType: 'SCHEMA', sqlState: '42P06' }]);
    // What was not made, or was there before, is not given to anybody.
    expect(server.queries.at(-2)).not.toContain('OWNER');
  });

  it('say where they lie once, and again when that changes', async () => {
    const server = makeServer();
    const { applier, entries } = makeApplier(server, [
      { accessMethod: 'heap' },
      { accessMethod: 'heap' },
      { accessMethod: 'odd' },
    ]);
    await applier.applyInOrder('pre-data', entries);
    expect(server.queries.join('').match(/SET default_table_access_method = "\w+"/g)).toEqual([
      'SET default_table_access_method = "heap"',
      'SET default_table_access_method = "odd"',
    ]);
  });

  it('are run as the role that was asked for, also after a grant in the name of another', async () => {
    const server = makeServer();
    const definition =
      'SET SESSION AUTHORIZATION x;\nGRANT a TO b;\nRESET SESSION AUTHORIZATION;\n';
    const { applier, entries } = makeApplier(server, [{ desc: 'ACL', definition }, {}], 'limited');
    await applier.applyInPasses('post-data', [entries.slice(0, 1), entries.slice(1)], 1);
    const roles = server.queries.map((sql) => /'role'.* -- (\w+)/.exec(sql)?.[1] ?? 'statements');
    expect(roles).toEqual(['limited', 'statements', 'limited', 'statements']);
  });
});

describe('a statement', () => {
  it.each([
    ['40P01', 'deadlock detected'],
    ['XX000', 'tuple concurrently updated'],
  ])('that was in the way of another (%s, %s) is run again', async (code, message) => {
    const server = makeServer((_, attempt) => (attempt < 3 ? refusal(code, message) : undefined));
    const { applier, entries } = makeApplier(server, [{}]);
    await applier.applyInOrder('post-data', entries);
    expect(server.queries).toHaveLength(3);
    expect(applier.tolerated).toEqual([]);
  });

  it('that is always in the way is not run for ever', async () => {
    const server = makeServer(() => refusal('40P01', 'deadlock detected'));
    const { applier, entries } = makeApplier(server, [{}]);
    await expect(applier.applyInOrder('post-data', entries)).rejects.toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringContaining('deadlock detected (SQLSTATE 40P01)'),
    });
  });

  it('during which the connection is lost is not tried again, and is named', async () => {
    const server = makeServer(() => new ConnectionLost('cannot query: gone'));
    const { applier, entries } = makeApplier(server, [{}, {}]);
    await expect(applier.applyInOrder('pre-data', entries)).rejects.toMatchObject({
      name: 'ConnectionLost',
      message: 'pre-data: TABLE public.t0 failed: cannot query: gone',
    });
    expect(server.queries).toHaveLength(1);
    expect(server.open).toBe(0);
  });

  it('whose socket broke is no statement that the server refused', async () => {
    const error = new ConnectionLost('cannot query: EPIPE', { cause: refusal('EPIPE') });
    const server = makeServer(() => error);
    const { applier, entries } = makeApplier(server, [{ desc: 'EVENT TRIGGER' }]);
    await expect(applier.applyInOrder('pre-data', entries)).rejects.toMatchObject({
      name: 'ConnectionLost',
    });
  });
});

describe('passes', () => {
  it('run on several sessions, one pass after the other', async () => {
    const server = makeServer();
    const { applier, entries } = makeApplier(
      server,
      Array.from({ length: 20 }, () => ({})),
    );
    await applier.applyInPasses('post-data', [entries.slice(0, 12), entries.slice(12)], 4);
    expect(server.most).toBe(4);
    expect([server.sessions, server.open]).toEqual([4, 0]);
    const order = mades(server.queries).flat();
    expect(order.slice(0, 12).every((it) => it < 12)).toBe(true);
    expect(order).toHaveLength(20);
  });

  it('end with the first failure, and start nothing more', async () => {
    const server = makeServer((sql) => (sql.includes('MAKE 2') ? refusal('23505') : undefined));
    const { applier, entries } = makeApplier(
      server,
      Array.from({ length: 50 }, () => ({})),
    );
    await expect(applier.applyInPasses('post-data', [entries], 3)).rejects.toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringContaining('TABLE public.t2'),
    });
    expect(mades(server.queries).flat().length).toBeLessThan(15);
    expect(server.open).toBe(0);
  });

  it('give privileges many at a time, and indexes one by one', async () => {
    const server = makeServer();
    const { applier, entries } = makeApplier(server, [
      ...Array.from({ length: 40 }, () => ({ desc: 'ACL' })),
      ...Array.from({ length: 3 }, () => ({ desc: 'INDEX' })),
    ]);
    await applier.applyInPasses('post-data', [entries.slice(0, 40), entries.slice(40)], 1);
    expect(mades(server.queries).map((group) => group.length)).toEqual([32, 8, 1, 1, 1]);
  });
});
