import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeThrowawayServers } from '#adapters/throwaway-servers.ts';
import { amcheck } from '#operations/drill/amcheck.ts';
import { makeDrillOrder, makeDrillPlace, rehearse } from '../support/drill-case.ts';
import { listBackups, usePipeline } from '../support/stack.ts';
import { makeThrowawayPlace, runOn, type ThrowawayPlace } from '../support/throwaway-place.ts';

/** What tasks/build-postgres-server.sh made. It takes minutes, so that no test run makes it by itself. */
const BUILT = resolve(import.meta.dirname, '../../.cache/postgres-servers');
const MAJOR = 18;
const missing = !existsSync(join(BUILT, String(MAJOR), 'bin', 'postgres'));
const skipped = missing
  ? ' (skipped: run node scripts/postgres-servers.ts --output .cache/postgres-servers --major 18)'
  : '';

describe.skipIf(missing)(`The servers of the task image${skipped}`, () => {
  const { signal } = new AbortController();
  const pipeline = usePipeline({ major: MAJOR });
  let place: ThrowawayPlace;
  beforeAll(async () => {
    place = await makeThrowawayPlace();
  });
  afterAll(() => place.remove());
  const servers = () => makeThrowawayServers({ programs: BUILT, directory: place.directory });

  test('A server of it has every extension of contrib, ICU, XML and amcheck', async () => {
    const server = await servers().start({ major: MAJOR, signal });
    try {
      const available = await runOn(
        server,
        'postgres',
        `SELECT name FROM pg_available_extensions ORDER BY 1`,
      );
      const names = available.map(({ name }) => String(name));
      expect(names).toEqual(
        expect.arrayContaining(['amcheck', 'btree_gist', 'citext', 'hstore', 'ltree', 'pg_trgm']),
      );
      expect(names).toEqual(
        expect.arrayContaining(['pgcrypto', 'postgres_fdw', 'unaccent', 'uuid-ossp', 'xml2']),
      );
      for (const name of names) {
        await runOn(server, 'postgres', `CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`);
      }
      expect(
        await runOn(
          server,
          'postgres',
          `CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk')`,
          `SELECT 'Ärger' < 'Af' COLLATE german AS phonebook, xmlparse(CONTENT '<a/>')::text AS xml,
                  length(uuid_generate_v4()::text) AS uuid`,
        ),
      ).toEqual([{ phonebook: true, xml: '<a/>', uuid: 36 }]);
      const { connection, databases } = server;
      const request = { connection, database: 'postgres', mode: 'full', jobs: 2, signal } as const;
      const { checks } = await amcheck({ databases }, request);
      expect(checks).toMatchObject({ state: 'clean', reason: null });
    } finally {
      await server.stop();
    }
  });

  test('A drill on it brings the sample back', async () => {
    const { execution } = await pipeline().run();
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    const [backupId = ''] = (await listBackups(pipeline())).keys();
    const { objects } = pipeline().stack;
    const order = await makeDrillOrder(objects, { source: 'orders', database: 'shop', backupId });
    const drills = await makeDrillPlace(objects);
    try {
      const report = await rehearse({ ...drills.deps, throwawayServers: servers() }, order);
      expect(report.findings).toEqual([]);
      expect(report.server.versionNumber).toBeGreaterThanOrEqual(180_000);
      expect(report.checks.amcheck.state).toBe('clean');
    } finally {
      await drills.remove();
    }
    expect(await readdir(place.directory)).toEqual([]);
  });
});
