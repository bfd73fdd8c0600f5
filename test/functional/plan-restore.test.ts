import { describe, expect, it } from 'vitest';
import { backupKey } from '#domain/names.ts';
import { planRestore } from '#functions/plan-restore.ts';
import {
  backupIdAt,
  executionArnOf,
  makeDeps,
  makeManifest,
  makePlan,
  makePlans,
  seedBackup,
} from '#test/fakes.ts';

const at = (time: string) => ({ backupId: backupIdAt(time) });
const OLD = at('2026-11-18T02:00:00Z');
const NEW = at('2026-11-19T02:00:00Z');
const event = (input: unknown) => ({
  input,
  executionArn: executionArnOf('restore-1'),
  startedAt: '2026-11-20T10:00:00.000Z',
});
const shop = { source: 'orders', database: 'shop' };

/** Two verified backups, and a newer one that is not. */
function makeHistory() {
  const deps = makeDeps({
    plans: makePlans([makePlan(), makePlan({ source: 'staging', restore: { jobs: 7 } })]),
  });
  seedBackup(deps.objects, OLD);
  seedBackup(deps.objects, NEW);
  const unverified = seedBackup(deps.objects, at('2026-11-20T02:00:00Z'), 'unverified');
  const quarantined = seedBackup(deps.objects, at('2026-11-17T02:00:00Z'), 'quarantined');
  return { deps, unverified, quarantined };
}

describe('planning a restore', () => {
  it('takes the newest verified backup, and a new name beside the original', async () => {
    const { deps } = makeHistory();
    const { restore, retrieval, task } = await planRestore(event(shop), deps);
    expect(restore).toMatchObject({
      source: 'orders',
      backup: { database: 'shop', backupId: NEW.backupId },
      trust: 'verified',
      archive: { key: backupKey({ ...shop, ...NEW }, 'archive.dump') },
      target: { source: 'orders', mode: 'new', swapWith: null },
      jobs: 4,
    });
    expect(restore.target.database).toMatch(/^shop_restored_20261120t100000z_[a-z0-9]{6}$/);
    expect(retrieval).toMatchObject({ needed: false, storageClass: 'STANDARD' });
    expect(task).toEqual({ heartbeatSeconds: 300, timeoutSeconds: 86_400 });
  });

  it('plans the same restore when it is asked again for the same execution', async () => {
    const { deps } = makeHistory();
    expect(await planRestore(event(shop), deps)).toEqual(await planRestore(event(shop), deps));
  });

  it('reads the version of the archive that was verified, and no newer one', async () => {
    const { deps } = makeHistory();
    const key = backupKey({ ...shop, ...NEW }, 'archive.dump');
    const verified = (await deps.objects.head(key))?.versionId ?? '';
    const manifest = makeManifest({
      ...shop,
      ...NEW,
      objects: { archive: { versionId: verified } },
    });
    deps.objects.seed(backupKey({ ...shop, ...NEW }, 'manifest.json'), manifest);
    deps.objects.seed(key, 'something else');
    const { restore } = await planRestore(event(shop), deps);
    expect(restore.archive.versionId).toBe(verified);
  });

  it('takes the last one that began before a time', async () => {
    const { deps } = makeHistory();
    const before = { backup: { before: '2026-11-19T03:00:00+02:00' } };
    const { restore } = await planRestore(event({ ...shop, ...before }), deps);
    expect(restore.backup?.backupId).toBe(OLD.backupId);
  });

  it('takes an unverified one only when that is allowed, and says what it is', async () => {
    const { deps, unverified, quarantined } = makeHistory();
    for (const { backupId } of [unverified, quarantined]) {
      const input = { ...shop, backup: backupId };
      await expect(planRestore(event(input), deps)).rejects.toMatchObject({
        name: 'BackupNotVerified',
      });
    }
    const allowed = { ...shop, allowUnverified: true };
    const latest = await planRestore(event(allowed), deps);
    expect(latest.restore).toMatchObject({
      trust: 'unverified',
      backup: { backupId: unverified.backupId },
    });
    const bad = await planRestore(event({ ...allowed, backup: quarantined.backupId }), deps);
    expect(bad.restore.trust).toBe('quarantined');
  });

  it('never takes a quarantined one as the latest, whatever is allowed', async () => {
    const deps = makeDeps();
    seedBackup(deps.objects, OLD, 'quarantined');
    await expect(
      planRestore(event({ ...shop, allowUnverified: true }), deps),
    ).rejects.toMatchObject({ name: 'BackupNotFound' });
  });

  it('goes to the server of another source, with the settings of its plan', async () => {
    const { deps } = makeHistory();
    const target = { source: 'staging', database: 'shop_check' };
    const { restore } = await planRestore(event({ ...shop, target }), deps);
    expect(restore).toMatchObject({ target, jobs: 7 });
  });

  it('restores beside the original first when it is to take its place', async () => {
    const { deps } = makeHistory();
    const { restore } = await planRestore(event({ ...shop, target: { mode: 'swap' } }), deps);
    expect(restore.target.swapWith).toBe('shop');
    expect(restore.target.database).toMatch(/^shop_restored_/);
  });

  it('takes an archive that pg_dump alone made, and calls it foreign', async () => {
    const { deps } = makeHistory();
    deps.objects.seed('imports/shop.dump', 'PGDMP');
    const input = { source: 'orders', archive: 'imports/shop.dump', target: { database: 'x' } };
    const { restore } = await planRestore(event(input), deps);
    expect(restore).toMatchObject({ backup: null, trust: 'foreign', target: { database: 'x' } });
  });

  it('brings the archive back from Glacier first, unless it has been', async () => {
    const { deps } = makeHistory();
    const head = deps.objects.head.bind(deps.objects);
    let retrieval: 'none' | 'done' = 'none';
    deps.objects.head = async (key, versionId) => {
      const found = await head(key, versionId);
      return found && { ...found, storageClass: 'DEEP_ARCHIVE', retrieval };
    };
    const input = { ...shop, retrievalTier: 'bulk' };
    expect((await planRestore(event(input), deps)).retrieval).toEqual({
      needed: true,
      tier: 'bulk',
      storageClass: 'DEEP_ARCHIVE',
      timeoutSeconds: 96 * 3600,
    });
    await expect(
      planRestore(event({ ...shop, retrievalTier: 'expedited' }), deps),
    ).rejects.toMatchObject({ name: 'InvalidInput' });
    retrieval = 'done';
    expect((await planRestore(event(input), deps)).retrieval.needed).toBe(false);
  });
});

describe('a restore that cannot be planned', () => {
  it.each([
    [{ source: 'orders' }, 'say which database'],
    [{ ...shop, databse: 'x' }, 'unknown field databse (did you mean database?)'],
    [{ ...shop, backup: 'yesterday' }, 'backup is "yesterday"'],
    [{ ...shop, target: { mode: 'existing' } }, 'needs target.database'],
    [{ ...shop, target: { mode: 'swap' }, selection: { tables: ['a'] } }, 'may not leave'],
    [{ ...shop, selection: { only: 'data' } }, 'needs target.mode "existing"'],
    [{ source: 'orders', archive: 'imports/a.dump' }, 'needs target.database'],
    [{ source: 'orders', archive: 'backups/orders/shop/x/archive.dump' }, 'under imports/'],
    [null, 'not a JSON object'],
  ])('is told what is wrong with %j', async (input, message) => {
    const { deps } = makeHistory();
    await expect(planRestore(event(input), deps)).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    [{ ...shop, database: 'shpo' }, 'BackupNotFound', 'did you mean shop?'],
    [{ ...shop, backup: backupIdAt('2020-01-01T00:00:00Z') }, 'BackupNotFound', NEW.backupId],
    [{ ...shop, backup: { before: '2020-01-01T00:00:00Z' } }, 'BackupNotFound', OLD.backupId],
    [
      { source: 'orders', archive: 'imports/no.dump', target: { database: 'x' } },
      'BackupNotFound',
      'imports/no.dump',
    ],
    [{ ...shop, target: { source: 'nowhere' } }, 'UnknownSource', 'nowhere'],
  ])('is told what there is instead of %j', async (input, name, message) => {
    const { deps } = makeHistory();
    await expect(planRestore(event(input), deps)).rejects.toMatchObject({
      name,
      message: expect.stringContaining(message),
    });
  });
});
