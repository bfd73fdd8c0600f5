import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Toc } from '#domain/archive/toc.ts';
import { quoteIdentifier as q } from '#domain/restore/sql-tokens.ts';
import { postgresMajors } from '#local/postgres-server.ts';
import { planLoadOrder } from '#operations/restore/load-order.ts';
import { accessTo, dumpOf, restoreInto } from '#test/restored-copy.ts';
import {
  dropDatabases,
  errorOf,
  PASSWORD,
  RESTORER,
  dumpOf as readDump,
  serverOf,
  sql,
  targetOn,
  useTargetServers,
} from '#test/target-servers.ts';

useTargetServers();

/** In the order of their names, which is that of the archive, nothing could be loaded. */
const TABLES = `
  CREATE TABLE public.z_regions (id int PRIMARY KEY, parent int REFERENCES public.z_regions);
  CREATE TABLE public.m_orders (id int, at int, region int REFERENCES public.z_regions,
    PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE public.y_orders_1 PARTITION OF public.m_orders FOR VALUES FROM (0) TO (10);
  CREATE TABLE public.y_orders_2 PARTITION OF public.m_orders FOR VALUES FROM (10) TO (20);
  CREATE TABLE public.b_lines (id int PRIMARY KEY, order_id int, at int,
    FOREIGN KEY (order_id, at) REFERENCES public.m_orders DEFERRABLE INITIALLY DEFERRED);
  CREATE TABLE public."a Notes" (id int, line int REFERENCES public.b_lines)
    PARTITION BY LIST (id);
  CREATE TABLE public."a Notes 1" PARTITION OF public."a Notes" DEFAULT;
  CREATE TABLE public.c_alone (id int)`;
const ROWS = `
  INSERT INTO public.z_regions VALUES (2, 3), (3, NULL);
  INSERT INTO public.m_orders VALUES (1, 5, 3), (2, 15, 2);
  INSERT INTO public.b_lines VALUES (1, 1, 5), (2, 2, 15);
  INSERT INTO public."a Notes" VALUES (1, 1), (2, 2);
  INSERT INTO public.c_alone VALUES (1)`;
const COUNTS = `SELECT (SELECT count(*) FROM public.z_regions)::int AS regions,
  (SELECT count(*) FROM public.m_orders)::int AS orders,
  (SELECT count(*) FROM public.b_lines)::int AS lines,
  (SELECT count(*) FROM public."a Notes")::int AS notes,
  (SELECT count(*) FROM public.c_alone)::int AS alone`;
const database = 'filled';

describe.each(postgresMajors)('rows alone, restored to PostgreSQL %s', (major) => {
  let archive: Buffer;
  let toc: Toc;
  beforeAll(async () => {
    await sql(serverOf(major), 'postgres', 'CREATE DATABASE load_source');
    await sql(serverOf(major), 'load_source', `${TABLES}; ${ROWS}`);
    archive = await dumpOf(serverOf(major), 'load_source', { major: Math.max(17, major) });
    toc = readDump(archive).toc;
  });
  afterAll(() => dropDatabases(serverOf(major)));

  const makeTarget = async (change = 'SELECT 1') => {
    const server = serverOf(major);
    await sql(server, 'postgres', `DROP DATABASE IF EXISTS ${database}`);
    await sql(server, 'postgres', `CREATE DATABASE ${database} OWNER ${q(RESTORER)}`);
    await sql(server, database, `GRANT ALL ON SCHEMA public TO ${q(RESTORER)}`);
    await sql(server, database, `SET ROLE ${q(RESTORER)}; ${TABLES}; ${change}`);
    return server;
  };
  const plan = (user: string) => {
    const ids = new Set(toc.entries.map(({ dumpId }) => dumpId));
    return planLoadOrder(targetOn(major, user), {
      connection: targetOn(major, user).connection,
      database,
      toc,
      ids,
    });
  };
  const namesOf = (level: ReadonlySet<number>) =>
    toc.entries.flatMap(({ dumpId, tag }) => (level.has(dumpId) ? [tag] : [])).sort();
  const login = { user: RESTORER, password: PASSWORD };

  it('go into tables with foreign keys in their order, where the role may not switch these off', async () => {
    const server = await makeTarget();
    const { replica, levels, warnings } = await plan(RESTORER);
    expect(replica).toBe(false);
    expect(levels?.map(namesOf)).toEqual([
      ['c_alone', 'z_regions'],
      ['y_orders_1', 'y_orders_2'],
      ['b_lines'],
      ['a Notes 1'],
    ]);
    expect(warnings).toEqual([expect.stringContaining('session_replication_role')]);

    const progress: number[] = [];
    const access = await accessTo(archive);
    const { checksum, bytesRead } = await restoreInto(server, database, access, {
      dataOnly: true,
      dataLevels: levels,
      login,
      onProgress: ({ phase, done, total }) => {
        if (phase === 'data') progress.push(done / total);
      },
    });

    expect(await sql(server, database, COUNTS)).toEqual([
      { regions: 2, orders: 2, lines: 2, notes: 2, alone: 1 },
    ]);
    const dataBytes = access.blocks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    expect(bytesRead).toBe(access.openedBytes + dataBytes);
    expect(checksum).toBe('not-whole');
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(1);
  });

  it('are refused by a foreign key in any other order', async () => {
    const server = await makeTarget();
    const restoring = restoreInto(server, database, archive, { dataOnly: true, login, jobs: 1 });
    expect(await errorOf(restoring)).toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringContaining('violates foreign key constraint'),
    });
  });

  it('need no order where the role may switch them off', async () => {
    await makeTarget();
    expect(await plan('postgres')).toEqual({ replica: true, levels: undefined, warnings: [] });
  });

  it('cannot be loaded where keys go in a circle, unless one of these is switched off', async () => {
    const server = await makeTarget(
      'ALTER TABLE public.z_regions ADD line int, ADD CONSTRAINT back FOREIGN KEY (line) REFERENCES public.b_lines',
    );
    const { name, message } = await errorOf(plan(RESTORER));
    expect(name).toBe('TargetUnsuitable');
    expect(message).toContain('public.z_regions (back)');
    expect(message).toContain('public.b_lines (');
    expect(message).not.toContain('Notes');
    await sql(server, database, 'ALTER TABLE public.z_regions DISABLE TRIGGER ALL');
    expect((await plan(RESTORER)).levels).toHaveLength(4);
  });
});
