import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '#adapters/clock.ts';
import { quoteIdentifier as q } from '#domain/restore/sql-tokens.ts';
import { ConnectionLost, DatabaseUnreachable } from '#errors';
import { postgresMajors } from '#local/postgres-server.ts';
import { swapDatabase } from '#operations/restore/swap-database.ts';
import type { Databases } from '#runtime/ports.ts';
import { withClient } from '#test/postgres.ts';
import {
  commentOf,
  dropDatabases,
  errorOf,
  PASSWORD,
  RESTORER,
  serverOf,
  sql,
  type Target,
  targetOn,
  useTargetServers,
} from '#test/target-servers.ts';

useTargetServers();

describe.each(postgresMajors)('a swap on PostgreSQL %s', (major) => {
  const original = `or'ig"inal`;
  const previous = `pre'v"ious`;
  const restored = `re'st"ored`;
  afterAll(() => dropDatabases(serverOf(major)));

  const make = async (owner = 'postgres') => {
    const server = serverOf(major);
    await dropDatabases(server);
    for (const [name, version] of [
      [original, 'old'],
      [restored, 'new'],
    ] as const) {
      await sql(server, 'postgres', `CREATE DATABASE ${q(name)} OWNER ${q(owner)}`);
      await sql(server, name, `CREATE TABLE version AS SELECT '${version}' AS name`);
      await sql(server, name, 'GRANT SELECT ON version TO PUBLIC');
    }
    return server;
  };
  const swap = (target: Target) =>
    swapDatabase(
      { ...target, clock: systemClock },
      { connection: target.connection, restored, original, previous },
    );
  const versionOf = async (name: string) =>
    (await sql<{ name: string }>(serverOf(major), name, 'SELECT name FROM version'))[0]?.name;

  it('shows everybody one of the two, and never a half of it', async () => {
    const server = await make(RESTORER);
    await sql(
      server,
      'postgres',
      `CREATE ROLE app_${major} LOGIN PASSWORD '${PASSWORD}'; GRANT app_${major} TO ${q(RESTORER)}`,
    );
    const seen: { at: number; saw: string }[] = [];
    let stop = false;
    const hammer = async () => {
      const { databases, connection } = targetOn(major, `app_${major}`);
      while (!stop) {
        try {
          const session = await databases.connect(connection, original);
          try {
            const [row] = await session.query<{ name: string }>('SELECT name FROM public.version');
            seen.push({ at: performance.now(), saw: row?.name ?? 'nothing' });
          } finally {
            await session.close();
          }
        } catch (error) {
          // The server's own word where it had one; a connection that broke has none, and our name for it.
          const { code } = ((error as Error).cause ?? error) as { code?: string };
          seen.push({ at: performance.now(), saw: `error ${code ?? (error as Error).name}` });
        }
      }
    };
    const timesSeen = (what: string) => seen.filter(({ saw }) => saw === what).length;
    const hammers = [hammer(), hammer(), hammer()];
    await expect.poll(() => timesSeen('old')).toBeGreaterThan(20);
    const swapped = await swap(targetOn(major, RESTORER));
    await expect.poll(() => timesSeen('new')).toBeGreaterThan(20);
    stop = true;
    await Promise.all(hammers);

    expect(swapped).toEqual({ previousDatabase: previous, warnings: [] });
    const kinds = new Set(seen.map(({ saw }) => saw));
    // While the name changes hands a connection may be ended, or told that the name has just moved.
    const allowed = ['old', 'new', 'error 57P01', 'error 3D000', 'error ConnectionLost'];
    expect([...kinds].filter((it) => !allowed.includes(it))).toEqual([]);
    const lastOld = Math.max(...seen.filter(({ saw }) => saw === 'old').map(({ at }) => at));
    const firstNew = Math.min(...seen.filter(({ saw }) => saw === 'new').map(({ at }) => at));
    expect(firstNew).toBeGreaterThan(lastOld);
    expect(firstNew - lastOld).toBeLessThan(10_000);
    expect(await versionOf(original)).toBe('new');
    expect(await versionOf(previous)).toBe('old');
    await sql(server, 'postgres', `DROP ROLE app_${major}`);
  });

  it('ends the sessions that are in the way, also those within a transaction', async () => {
    const server = await make();
    const held = await withClient(server, original, async (client) => {
      await client.query('BEGIN; LOCK TABLE version');
      await swap(targetOn(major));
      return client.query('SELECT 1').then(
        () => 'alive',
        () => 'ended',
      );
    }).catch(() => 'ended');
    expect(held).toBe('ended');
    expect(await versionOf(original)).toBe('new');
  });

  it('that cannot end a session leaves all as it was, and names that session', async () => {
    const server = await make(RESTORER);
    const { name, message } = await withClient(server, original, async (client) => {
      await client.query('BEGIN; SELECT 1');
      const error = await errorOf(swap(targetOn(major, RESTORER)));
      await client.query('SELECT 1');
      return error;
    });
    expect(name).toBe('SwapFailed');
    expect(message).toMatch(/held by process \d+ of postgres/);
    expect(await versionOf(original)).toBe('old');
    expect(await versionOf(restored)).toBe('new');
    expect(await commentOf(server, previous)).toBe('no such database');
  });

  it.each([
    ['the name for the original is taken', `CREATE DATABASE ${q(previous)}`],
    ['the restored one is gone', `DROP DATABASE ${q(restored)}`],
    ['the original belongs to another', `ALTER DATABASE ${q(original)} OWNER TO postgres`],
  ])('changes nothing when %s', async (_, spoil) => {
    const server = await make(RESTORER);
    await sql(server, 'postgres', spoil);
    expect(await errorOf(swap(targetOn(major, RESTORER)))).toMatchObject({ name: 'SwapFailed' });
    expect(await versionOf(original)).toBe('old');
  });

  /** The connection is gone when the transaction was committed, or just before. */
  const losing = (target: Target, commits: boolean, comesBack = true): Target => {
    let lost = false;
    const connect: Databases['connect'] = async (...args) => {
      if (lost && !comesBack) throw new DatabaseUnreachable('no way there');
      const session = await target.databases.connect(...args);
      const query: typeof session.query = async (text, values) => {
        if (text !== 'COMMIT') return session.query(text, values);
        lost = true;
        await session.query(commits ? 'COMMIT' : 'ROLLBACK');
        throw new ConnectionLost('it broke');
      };
      return { ...session, query };
    };
    return { ...target, databases: { ...target.databases, connect } };
  };

  it('that was committed when the connection broke is done', async () => {
    await make();
    expect(await swap(losing(targetOn(major), true))).toMatchObject({ previousDatabase: previous });
    expect(await versionOf(original)).toBe('new');
    expect(await versionOf(previous)).toBe('old');
  });

  it('that was not committed when the connection broke has failed, and nothing has changed', async () => {
    await make();
    expect(await errorOf(swap(losing(targetOn(major), false)))).toMatchObject({
      name: 'SwapFailed',
      message: expect.stringContaining('which is untouched'),
    });
    expect(await versionOf(original)).toBe('old');
  });

  it('of which nobody can say what became of it is not said to have changed nothing', async () => {
    await make();
    const error = await errorOf(swap(losing(targetOn(major), true, false)));
    expect(error).toMatchObject({ name: 'SwapFailed' });
    expect(error.message).toContain('does not say whether it did');
    expect(error.message).not.toContain('untouched');
  });

  it('is a mere rename where there is no original', async () => {
    const server = await make();
    await sql(server, 'postgres', `DROP DATABASE ${q(original)}`);
    expect(await swap(targetOn(major))).toEqual({ previousDatabase: null, warnings: [] });
    expect(await versionOf(original)).toBe('new');
  });

  it('says what the original had beyond the backup', async () => {
    const server = await make();
    await sql(
      server,
      'postgres',
      `ALTER DATABASE ${q(original)} SET work_mem = '9MB'; GRANT CREATE ON DATABASE ${q(original)} TO other_role`,
    );
    await sql(
      server,
      original,
      `SELECT pg_create_logical_replication_slot('slot_${major}', 'pgoutput')`,
    );
    const { warnings } = await swap(targetOn(major));
    expect(warnings).toEqual([
      expect.stringMatching(/has not: CREATE for other_role; setting work_mem=9MB$/),
      expect.stringContaining(`slot_${major}`),
    ]);
    await sql(server, previous, `SELECT pg_drop_replication_slot('slot_${major}')`);
  });

  it('refuses to rename the database that it works from', async () => {
    const target = targetOn(major);
    const connection = { ...target.connection, maintenanceDatabase: original };
    await make();
    const error = await errorOf(
      swapDatabase({ ...target, clock: systemClock }, { connection, restored, original, previous }),
    );
    expect(error).toMatchObject({ name: 'SwapFailed' });
  });
});
