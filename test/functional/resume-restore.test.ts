import { describe, expect, it } from 'vitest';
import type { ObjectRestoreEvent } from '#contracts/events.ts';
import type { PlannedRestore } from '#contracts/restore.ts';
import { makeBackupId, RETRIEVAL_POINTERS, restoreKey } from '#domain/names.ts';
import { Throttled } from '#errors';
import { resumeRestore } from '#functions/resume-restore.ts';
import { retrieveArchive } from '#functions/retrieve-archive.ts';
import { resumeRetrievals } from '#operations/restore/resume-retrievals.ts';
import { type FrozenObject, freezeObject } from '#test/fakes/frozen-object.ts';
import { makeDeps, makePlannedRestore, makeWorkflow } from '#test/fakes.ts';

const RETRIEVED = { output: { retrieved: true } };
const HOUR = 3_600_000;

const restore = makePlannedRestore();
const { key } = restore.archive;
/** Another restore of the same archive. */
const second = makePlannedRestore({
  restoreId: makeBackupId(new Date('2026-11-20T11:00:00Z'), 'second'),
});
const otherKey = 'imports/other.dump';
/** A restore of another one. */
const foreign = makePlannedRestore({
  restoreId: makeBackupId(new Date('2026-11-20T12:00:00Z'), 'foreign'),
  source: 'staging',
  archive: { key: otherKey },
});

function makeFrozen() {
  const deps = makeDeps({ workflow: makeWorkflow({ tokens: ['one', 'two', 'three'] }) });
  deps.objects.seed(key, 'PGDMP');
  deps.objects.seed(otherKey, 'PGDMP');
  return {
    deps,
    archive: freezeObject(deps.objects, key),
    other: freezeObject(deps.objects, otherKey),
  };
}
type Frozen = ReturnType<typeof makeFrozen>;

async function wait({ deps }: Frozen, waiting: PlannedRestore, taskToken: string) {
  const retrieval = {
    needed: true,
    tier: 'standard',
    storageClass: 'GLACIER',
    timeoutSeconds: 36_000,
  } as const;
  await retrieveArchive({ restore: waiting, retrieval, taskToken }, deps);
}

function completed(change: { key?: string; bucket?: string } = {}): ObjectRestoreEvent {
  return {
    'detail-type': 'Object Restore Completed',
    time: '2026-11-20T15:00:00Z',
    detail: {
      bucket: { name: change.bucket ?? 'holdfast-test' },
      object: { key: change.key ?? key, size: 5, etag: 'e', 'version-id': 'v1' },
      'restore-expiry-time': '2026-11-28T00:00:00Z',
      'source-storage-class': 'GLACIER',
    },
  };
}

const pointers = ({ deps }: Frozen) => deps.objects.keys(RETRIEVAL_POINTERS);
const arrive = (archive: FrozenObject) => {
  archive.retrieval = 'done';
};

describe('the event that an archive is back', () => {
  it('answers everyone who waits for it, and nobody else', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    await wait(frozen, second, 'two');
    await wait(frozen, foreign, 'three');
    arrive(frozen.archive);
    arrive(frozen.other);
    const counts = await resumeRestore(completed(), frozen.deps);
    expect(counts).toEqual({ resumed: 2, waiting: 0, failed: 0 });
    expect([...frozen.deps.workflow.answers]).toEqual([
      ['one', RETRIEVED],
      ['two', RETRIEVED],
    ]);
    expect(pointers(frozen)).toHaveLength(1);
    expect(frozen.deps.objects.keys(restoreKey(restore, 'retrieval.json'))).toHaveLength(1);
  });

  it('does nothing more when it comes twice, also at the same time', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    arrive(frozen.archive);
    const both = await Promise.all([
      resumeRestore(completed(), frozen.deps),
      resumeRestore(completed(), frozen.deps),
    ]);
    expect(both.reduce((sum, { resumed }) => sum + resumed, 0)).toBe(1);
    await resumeRestore(completed(), frozen.deps);
    expect(frozen.deps.workflow.answers.size).toBe(1);
    expect(pointers(frozen)).toEqual([]);
  });

  it.each([
    ['a key that nobody waits for', { key: 'imports/nobody.dump' }],
    ['a bucket that is not ours', { bucket: 'somebody-elses' }],
  ])('is ignored for %s', async (_what, change) => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    arrive(frozen.archive);
    const counts = await resumeRestore(completed(change), frozen.deps);
    expect(counts).toEqual({ resumed: 0, waiting: 0, failed: 0 });
    expect(frozen.deps.workflow.answers.size).toBe(0);
    expect(frozen.deps.log.of('event ignored')).toHaveLength(1);
    expect(pointers(frozen)).toHaveLength(1);
  });

  it('is not believed while S3 says that the archive cannot be read', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    const counts = await resumeRestore(completed(), frozen.deps);
    expect(counts).toEqual({ resumed: 0, waiting: 1, failed: 0 });
    expect(frozen.deps.workflow.answers.size).toBe(0);
    expect(pointers(frozen)).toHaveLength(1);
  });

  it('only clears away when the execution is over', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    arrive(frozen.archive);
    frozen.deps.workflow.closeToken('one');
    const counts = await resumeRestore(completed(), frozen.deps);
    expect(counts).toEqual({ resumed: 0, waiting: 0, failed: 0 });
    expect(pointers(frozen)).toEqual([]);
  });

  it('answers the newest attempt of a state that was tried again', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    frozen.deps.workflow.closeToken('one');
    await wait(frozen, restore, 'two');
    arrive(frozen.archive);
    expect((await resumeRestore(completed(), frozen.deps)).resumed).toBe(1);
    expect([...frozen.deps.workflow.answers.keys()]).toEqual(['two']);
    expect(pointers(frozen)).toEqual([]);
  });

  it('never clears away what a new attempt has just written', async () => {
    const frozen = makeFrozen();
    const { deps } = frozen;
    await wait(frozen, restore, 'one');
    arrive(frozen.archive);
    deps.workflow.closeToken('one');
    // The state is tried again between the answer to the old token and the clearing away.
    const succeed = deps.workflow.succeed.bind(deps.workflow);
    deps.workflow.succeed = async (token, output) => {
      const answer = await succeed(token, output);
      frozen.archive.retrieval = 'ongoing';
      deps.workflow.succeed = succeed;
      await wait(frozen, restore, 'two');
      return answer;
    };
    await resumeRestore(completed(), deps);
    arrive(frozen.archive);
    await resumeRestore(completed(), deps);
    expect([...deps.workflow.answers.keys()]).toEqual(['two']);
  });

  it('is tried again for the one whose answer failed, the others having theirs', async () => {
    const frozen = makeFrozen();
    const { deps } = frozen;
    await wait(frozen, restore, 'one');
    await wait(frozen, second, 'two');
    arrive(frozen.archive);
    const succeed = deps.workflow.succeed.bind(deps.workflow);
    deps.workflow.succeed = async (token, output) => {
      if (token === 'one') throw new Throttled('too fast');
      return succeed(token, output);
    };
    await expect(resumeRestore(completed(), deps)).rejects.toMatchObject({ name: 'Throttled' });
    expect([...deps.workflow.answers.keys()]).toEqual(['two']);
    deps.workflow.succeed = succeed;
    await resumeRestore(completed(), deps);
    expect([...deps.workflow.answers.keys()].sort()).toEqual(['one', 'two']);
  });

  it('keeps the token out of the log', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'three');
    arrive(frozen.archive);
    await resumeRestore(completed(), frozen.deps);
    expect(JSON.stringify(frozen.deps.log.entries)).not.toContain('three');
  });
});

describe('looking after those whose event never came', () => {
  it('answers what is back, and is the heartbeat of what is not', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    await wait(frozen, foreign, 'three');
    arrive(frozen.other);
    const counts = await resumeRetrievals(frozen.deps);
    expect(counts).toEqual({ resumed: 1, waiting: 1, failed: 0 });
    expect([...frozen.deps.workflow.answers]).toEqual([['three', RETRIEVED]]);
    expect(frozen.deps.workflow.heartbeats).toEqual(['one']);
    expect(pointers(frozen)).toHaveLength(1);
  });

  it('goes on waiting for one that S3 has been at for days', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    frozen.deps.clock.advance(47 * HOUR);
    expect(await resumeRetrievals(frozen.deps)).toEqual({ resumed: 0, waiting: 1, failed: 0 });
    expect(frozen.deps.workflow.heartbeats).toEqual(['one']);
  });

  it('clears away the attempt before, while the new one waits', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    await wait(frozen, restore, 'two');
    expect(pointers(frozen)).toHaveLength(2);
    expect(await resumeRetrievals(frozen.deps)).toEqual({ resumed: 0, waiting: 1, failed: 0 });
    expect(frozen.deps.workflow.heartbeats).toEqual(['two']);
    expect(pointers(frozen)).toHaveLength(1);
  });

  it('clears away what nobody waits for any more', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    frozen.deps.workflow.closeToken('one');
    await resumeRetrievals(frozen.deps);
    expect(pointers(frozen)).toEqual([]);
  });

  it('gives up an archive that was deleted meanwhile', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    await frozen.deps.objects.delete([key]);
    expect(await resumeRetrievals(frozen.deps)).toEqual({ resumed: 0, waiting: 0, failed: 1 });
    expect(frozen.deps.workflow.answers.get('one')).toMatchObject({ error: 'ObjectMissing' });
    expect(pointers(frozen)).toEqual([]);
  });

  it('gives up an archive that S3 does not retrieve, but not before it can have been asked', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    frozen.archive.retrieval = 'none';
    frozen.deps.clock.advance(HOUR);
    expect(await resumeRetrievals(frozen.deps)).toMatchObject({ waiting: 1, failed: 0 });
    frozen.deps.clock.advance(1000);
    expect(await resumeRetrievals(frozen.deps)).toMatchObject({ waiting: 0, failed: 1 });
    expect(frozen.deps.workflow.answers.get('one')).toMatchObject({ error: 'RetrievalFailed' });
    expect(pointers(frozen)).toEqual([]);
  });

  it('leaves the records alone of a source that is called waiting', async () => {
    const frozen = makeFrozen();
    const own = makePlannedRestore({ source: 'waiting' });
    await wait(frozen, own, 'one');
    await resumeRetrievals(frozen.deps);
    expect(frozen.deps.objects.keys(restoreKey(own, 'retrieval.json'))).toHaveLength(1);
    expect(frozen.deps.workflow.heartbeats).toEqual(['one']);
  });

  it('does it for all, though the record of one cannot be read', async () => {
    const frozen = makeFrozen();
    await wait(frozen, restore, 'one');
    await wait(frozen, second, 'two');
    frozen.deps.objects.seed(restoreKey(restore, 'retrieval.json'), '{}');
    arrive(frozen.archive);
    await expect(resumeRetrievals(frozen.deps)).rejects.toMatchObject({
      name: 'InvalidEnvironment',
    });
    expect([...frozen.deps.workflow.answers.keys()]).toEqual(['two']);
  });
});
