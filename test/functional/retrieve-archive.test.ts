import { describe, expect, it } from 'vitest';
import { Retrieval } from '#contracts/restore.ts';
import { parseRetrievalPointerKey, restoreKey, retrievalPointerPrefix } from '#domain/names.ts';
import { RetrievalFailed, ServiceUnavailable } from '#errors';
import { retrieveArchive } from '#functions/retrieve-archive.ts';
import { freezeObject } from '#test/fakes/frozen-object.ts';
import { makeDeps, makePlannedRestore, makeWorkflow } from '#test/fakes.ts';

const restore = makePlannedRestore({ archive: { versionId: 'v1' } });
const { key } = restore.archive;
const record = restoreKey(restore, 'retrieval.json');
const event = {
  restore,
  retrieval: {
    needed: true,
    tier: 'standard',
    storageClass: 'GLACIER',
    timeoutSeconds: 36_000,
  },
  taskToken: 'token-1',
} as const;

function makeFrozen() {
  const deps = makeDeps({ workflow: makeWorkflow({ tokens: ['token-1', 'token-2'] }) });
  deps.objects.seed(key, 'PGDMP');
  return { deps, archive: freezeObject(deps.objects, key) };
}

describe('asking S3 for an archive', () => {
  it('writes down who waits, asks for that version, and leaves the token open', async () => {
    const { deps, archive } = makeFrozen();
    expect(await retrieveArchive(event, deps)).toEqual({ retrieval: 'ongoing' });
    expect(Retrieval.parse(deps.objects.json(record))).toEqual({
      version: 1,
      restoreId: restore.restoreId,
      source: 'orders',
      archive: restore.archive,
      tier: 'standard',
      requestedAt: '2026-11-20T03:00:00.000Z',
      taskToken: 'token-1',
    });
    const pointers = deps.objects.keys(retrievalPointerPrefix(key));
    expect(pointers.map((pointer) => parseRetrievalPointerKey(pointer))).toMatchObject([
      { source: 'orders', restoreId: restore.restoreId },
    ]);
    expect(archive.requests).toEqual([{ tier: 'standard', days: 8, versionId: 'v1' }]);
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('writes it down before it asks, as the event may be faster than the answer', async () => {
    const { deps } = makeFrozen();
    let seen: string[] = [];
    deps.objects.fault = (operation) => {
      if (operation === 'retrieve') seen = deps.objects.keys('restores/');
    };
    await retrieveArchive(event, deps);
    expect(seen).toContain(record);
    expect(seen.filter((it) => it.startsWith(retrievalPointerPrefix(key)))).toHaveLength(1);
  });

  it('says how long it may take, to people', async () => {
    const { deps } = makeFrozen();
    await retrieveArchive(event, deps);
    expect(deps.alerts.sent.map(({ subject }) => subject)).toEqual([
      'Holdfast: restore waits for Glacier (3 to 5 hours): orders/shop',
    ]);
  });

  it('keeps the token out of the log and the alert', async () => {
    const { deps } = makeFrozen();
    await retrieveArchive({ ...event, taskToken: 'token-2' }, deps);
    expect(JSON.stringify([deps.log.entries, deps.alerts.sent])).not.toContain('token-2');
    expect(deps.objects.keys().join()).not.toContain('token-2');
  });

  it('lets the restore wait although nobody could be told', async () => {
    const { deps } = makeFrozen();
    deps.alerts.failure = new ServiceUnavailable('SNS is away');
    expect(await retrieveArchive(event, deps)).toEqual({ retrieval: 'ongoing' });
    expect(deps.log.of('failed')).toMatchObject([{ fields: { error: 'ServiceUnavailable' } }]);
  });

  it('goes on at once when the archive has been brought back meanwhile', async () => {
    const { deps, archive } = makeFrozen();
    archive.retrieval = 'done';
    expect(await retrieveArchive(event, deps)).toEqual({ retrieval: 'done' });
    expect(deps.workflow.answers.get('token-1')).toEqual({ output: { retrieved: true } });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('does no harm when the event has answered the token already', async () => {
    const { deps, archive } = makeFrozen();
    archive.retrieval = 'done';
    deps.workflow.closeToken('token-1');
    await retrieveArchive(event, deps);
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('fails by name when S3 refuses, and tells nobody to wait', async () => {
    const { deps } = makeFrozen();
    deps.objects.fault = (operation) => {
      if (operation === 'retrieve') throw new RetrievalFailed('no capacity');
    };
    await expect(retrieveArchive(event, deps)).rejects.toMatchObject({ name: 'RetrievalFailed' });
    expect(deps.alerts.sent).toEqual([]);
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('waits with the newest token when the state is tried again', async () => {
    const { deps, archive } = makeFrozen();
    await retrieveArchive(event, deps);
    await retrieveArchive({ ...event, taskToken: 'token-2' }, deps);
    expect(deps.objects.json(record)).toMatchObject({ taskToken: 'token-2' });
    expect(deps.objects.keys(retrievalPointerPrefix(key))).toHaveLength(2);
    expect(archive.requests).toHaveLength(2);
  });
});
