import { describe, expect, it } from 'vitest';
import { PlannedDrillState } from '#contracts/drill.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { backupKey, drillRecordKey, sourceExtentKey } from '#domain/names.ts';
import { ServiceUnavailable } from '#errors';
import { planDrill } from '#functions/plan-drill.ts';
import { DRILL_ID, makePastDrill } from '#test/fakes/drills.ts';
import {
  backupIdAt,
  type Changes,
  executionArnOf,
  makeDeps,
  makePlan,
  makePlans,
  seedBackup,
} from '#test/fakes.ts';

const at = (time: string, database = 'shop') => ({ database, backupId: backupIdAt(time) });
const OLD = at('2026-11-18T02:00:00Z');
const NEW = at('2026-11-19T02:00:00Z');
const event = (input: object = {}) => ({
  input: { source: 'orders', ...input },
  executionArn: executionArnOf('drill-1'),
  startedAt: '2026-11-20T10:00:00.000Z',
});

function makeHistory(drill: Changes<SourcePlan['drill']> = {}) {
  const deps = makeDeps({ plans: makePlans([makePlan({ drill })]) });
  seedBackup(deps.objects, OLD);
  seedBackup(deps.objects, NEW);
  seedBackup(deps.objects, at('2026-11-20T02:00:00Z'), 'unverified');
  return deps;
}

describe('planning a drill', () => {
  it('takes the latest verified backup first, whole, with its roles, under its own name', async () => {
    const state = await planDrill(event(), makeHistory());
    expect(PlannedDrillState.parse(state)).toEqual(state);
    expect(state).toMatchObject({
      drill: {
        source: 'orders',
        kind: 'archive',
        planVersion: 1,
        // Daily in Berlin: the longest day has 25 hours, and a run 6.
        targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
        notes: [],
      },
      archives: [
        {
          restore: {
            backup: NEW,
            trust: 'verified',
            target: { database: 'shop', mode: 'new', swapWith: null },
            selection: { without: [], withDependencies: false },
            roles: { createMissing: true, noOwner: false },
          },
          retrieval: { needed: false },
          task: { heartbeatSeconds: 300, timeoutSeconds: 43_200 },
          chosenBy: 'latest',
          newestBackupAt: '2026-11-19T02:00:00.000Z',
        },
      ],
      missing: [],
      concurrency: 2,
      server: null,
    });
  });

  it('plans the same drill when it is asked again, also where the choice is random', async () => {
    const deps = makeHistory({ choose: 'random' });
    for (let day = 1; day < 18; day++) {
      seedBackup(deps.objects, at(`2026-11-${String(day).padStart(2, '0')}T02:00:00Z`));
    }
    expect(await planDrill(event(), deps)).toEqual(await planDrill(event(), deps));
  });

  it('gives each database an id of its own, so that one task is not taken for another', async () => {
    const deps = makeHistory();
    seedBackup(deps.objects, at('2026-11-19T02:00:00Z', 'audit'));
    const { archives } = await planDrill(event(), deps);
    expect(new Set(archives.map(({ restore }) => restore.restoreId)).size).toBe(2);
  });

  it('says that it is a part where one database of several was asked for', async () => {
    const deps = makeHistory();
    const one = () => planDrill(event({ source: 'orders', database: 'shop' }), deps);
    expect((await one()).drill.part).toBeUndefined();
    seedBackup(deps.objects, at('2026-11-19T02:00:00Z', 'audit'));
    expect((await one()).drill.part).toBe(true);
    expect((await planDrill(event(), deps)).drill.part).toBeUndefined();
  });

  it('reads the version of the archive that was verified', async () => {
    const deps = makeHistory();
    const key = backupKey({ source: 'orders', ...NEW }, 'archive.dump');
    const verified = (await deps.objects.head(key))?.versionId;
    const [archive] = (await planDrill(event(), deps)).archives;
    expect(archive?.restore.archive).toMatchObject({ key, versionId: verified });
  });

  it('takes the other choice after the last drill', async () => {
    const deps = makeHistory();
    const past = makePastDrill({ drill: { drillId: '20261101T050000Z-k3v9qd' } });
    deps.objects.seed(drillRecordKey(past.drill), past);
    expect((await planDrill(event(), deps)).archives).toMatchObject([{ chosenBy: 'random' }]);
  });

  it('goes by the newest of the records that can be read', async () => {
    const deps = makeHistory();
    const put = (drillId: string, chosenBy: 'latest' | 'random') => {
      const record = makePastDrill({ drill: { drillId }, database: { chosenBy } });
      deps.objects.seed(drillRecordKey(record.drill), record);
    };
    put('20260901T050000Z-k3v9qd', 'random');
    put('20261001T050000Z-k3v9qd', 'latest');
    deps.objects.seed(drillRecordKey({ source: 'orders', drillId: DRILL_ID }), 'not JSON');
    expect((await planDrill(event(), deps)).archives).toMatchObject([{ chosenBy: 'random' }]);
    expect(deps.log.entries.map(({ fields }) => fields['while'])).toContain(
      'reading the record of a drill',
    );
  });

  it('carries no tables of the plan around, which the task is told of when it is ordered', async () => {
    const deps = makeHistory({ tables: ['public.orders', 'nowhere.*'] });
    expect(JSON.stringify(await planDrill(event(), deps))).not.toContain('public.orders');
  });

  it('goes on with the kind after the last drill that there was a plan of', async () => {
    const kinds: ('archive' | 'snapshot')[] = ['snapshot', 'archive'];
    const deps = makeHistory({ kinds });
    const drillId = (time: string) => ({ drillId: backupIdAt(time), startedAt: time });
    const unplanned = { ...drillId('2026-11-19T10:00:00.000Z'), unplanned: true as const };
    const before = { ...drillId('2026-11-18T10:00:00.000Z'), kind: 'snapshot' as const };
    for (const drill of [unplanned, before]) {
      const record = makePastDrill({ drill });
      deps.objects.seed(drillRecordKey(record.drill), record);
    }
    expect((await planDrill(event(), deps)).drill.kind).toBe('archive');
  });

  it('misses a database whose manifest was altered, and drills the others', async () => {
    const deps = makeHistory();
    const bad = { source: 'orders', ...at('2026-11-19T02:00:00Z', 'audit') };
    seedBackup(deps.objects, bad);
    deps.objects.seed(backupKey(bad, 'manifest.json'), '{}');
    const { archives, missing, drill } = await planDrill(event(), deps);
    expect(archives.map(({ restore }) => restore.backup)).toEqual([NEW]);
    expect(missing).toMatchObject([
      {
        database: 'audit',
        backupId: bad.backupId,
        failure: { Error: 'ManifestInvalid' },
        newestBackupAt: '2026-11-19T02:00:00.000Z',
      },
    ]);
    expect(drill.notes).toEqual([expect.stringContaining('nothing to drill: ')]);
  });

  it('misses a database of the last run that has no backup, and goes without where that record is broken', async () => {
    const deps = makeHistory();
    const since = '2026-11-01T02:00:00.000Z';
    deps.objects.seed(sourceExtentKey('orders'), {
      databases: [
        { database: 'shop', since },
        { database: 'crm', since },
      ],
    });
    const planned = await planDrill(event(), deps);
    expect(planned.missing).toMatchObject([
      { database: 'crm', failure: { Error: 'BackupNotFound' }, newestBackupAt: null },
    ]);
    expect(planned.archives).toHaveLength(1);
    deps.objects.seed(sourceExtentKey('orders'), 'not JSON');
    expect((await planDrill(event(), deps)).missing).toEqual([]);
  });

  it('misses a database without a verified backup', async () => {
    const deps = makeHistory();
    seedBackup(deps.objects, at('2026-11-19T02:00:00Z', 'audit'), 'quarantined');
    expect((await planDrill(event(), deps)).missing).toMatchObject([
      { database: 'audit', backupId: null, failure: { Error: 'BackupNotFound' } },
    ]);
  });

  it('fits what a state may hold, however many databases and tables there are, and though all fail', async () => {
    const tables = Array.from(
      { length: 40 },
      (_, index) => `reporting.a_table_to_rehearse_${index}`,
    );
    const deps = makeHistory({ maxDatabases: 100, tables });
    for (let index = 0; index < 1100; index += 1) {
      const database = `tenant_${'x'.repeat(40)}_${String(index).padStart(4, '0')}`;
      const state = index < 150 ? 'verified' : 'unverified';
      seedBackup(deps.objects, at('2026-11-19T02:00:00Z', database), state);
    }
    const planned = await planDrill(event({ reason: 'r'.repeat(200) }), deps);
    expect(planned.archives).toHaveLength(100);
    expect(planned.missing).toHaveLength(50);
    expect(planned.drill.notes.at(-1)).toBe(
      'nothing to drill of 900 databases that are not listed either',
    );
    // As "Database Not Drilled" makes them.
    const results = planned.archives.map(({ restore }) => ({
      ...restore.backup,
      failure: { Error: 'RestoreFailed', Cause: 'c'.repeat(600) },
    }));
    const stateBytes = Buffer.byteLength(JSON.stringify({ ...planned, results }));
    // Step Functions: 262,144. What is left is for longer causes, which no state can catch.
    expect(stateBytes).toBeLessThan(200_000);
  });

  it('leaves what may pass to be tried again', async () => {
    const deps = makeHistory();
    const down = () => Promise.reject(new ServiceUnavailable('S3 answers 503'));
    const failing = { ...deps, objects: { ...deps.objects, head: down } };
    await expect(planDrill(event(), failing)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });

  it.each([
    ['an unknown source', { source: 'nobody' }, 'UnknownSource'],
    ['a field that does not exist', { databse: 'shop' }, 'InvalidInput'],
    ['a database that is not there', { database: 'shpo' }, 'BackupNotFound'],
    [
      'a backup that is unverified',
      {
        database: 'shop',
        backup: backupIdAt('2026-11-20T02:00:00Z'),
      },
      'BackupNotVerified',
    ],
  ])('refuses %s', async (_, input, name) => {
    await expect(planDrill(event(input), makeHistory())).rejects.toMatchObject({ name });
  });

  it('refuses a server without security groups of its own, which could reach production', async () => {
    const deps = makeHistory({ kinds: ['snapshot'] });
    await expect(planDrill(event(), deps)).rejects.toMatchObject({ name: 'InvalidPlan' });
  });
});
