import { describe, expect, it } from 'vitest';
import type { ServerSettings, ServerTarget } from '#contracts/restore-server.ts';
import { restoredServerName, restoredWriterName } from '#domain/names.ts';
import {
  checkSnapshot,
  latestSnapshot,
  pointInTimeOrigin,
  snapshotOrigin,
} from '#domain/restore/server-origin.ts';
import {
  checkTargetFits,
  parseServerRestoreInput,
  serverOfPlan,
} from '#domain/restore/server-restore-input.ts';
import { isOfRestore, serverTags, takeOverSettings } from '#domain/restore/server-settings.ts';
import { cleanUpPolicy, secondsToNextLook, standingOf } from '#domain/restore/server-status.ts';
import { makePlan, makeServerSettings, makeServerSnapshot, makeSourceServer } from '#test/fakes.ts';

const fails = (name: string, text: string | RegExp) =>
  expect.objectContaining({
    name,
    message: typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text),
  });

describe('the input of a server restore', () => {
  it('has defaults for everything but what is restored', () => {
    expect(parseServerRestoreInput({ source: 'orders', snapshot: 'latest' })).toEqual({
      source: 'orders',
      snapshot: 'latest',
      target: { publiclyAccessible: false, deletionProtection: false },
      timeoutMinutes: 1440,
    });
  });

  it.each([
    'holdfast-orders-20261120t020000z-k3v9qd',
    'arn:aws:rds:eu-west-1:123456789012:snapshot:holdfast-orders-20261120t020000z-k3v9qd',
    'arn:aws-cn:rds:cn-north-1:123456789012:cluster-snapshot:holdfast-orders-20261120t020000z-k3v9qd',
  ])('needs no source where our own snapshot names it: %s', (snapshot) => {
    expect(parseServerRestoreInput({ snapshot }).source).toBe('orders');
  });

  it.each([
    'rds:orders-prod-2026-11-20-02-05',
    'awsbackup:job-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f',
    'arn:aws:rds:eu-west-1:210987654321:snapshot:shared-by-others',
    'arn:aws:rds:eu-west-1:123456789012:snapshot:rds:orders-prod-2026-11-20-02-05',
  ])('takes the names that RDS gives to snapshots: %s', (snapshot) => {
    expect(parseServerRestoreInput({ source: 'orders', snapshot }).snapshot).toBe(snapshot);
  });

  it.each<[string, unknown, string | RegExp]>([
    ['no object', 'latest', 'the input is not a JSON object'],
    ['no source', { snapshot: 'by-hand' }, 'the input has no source'],
    ['nothing to restore', { source: 'orders' }, 'neither a snapshot nor a pointInTime'],
    [
      'two things to restore',
      { source: 'orders', snapshot: 'latest', pointInTime: 'latest' },
      'both a snapshot and a pointInTime',
    ],
    [
      'a name that no snapshot has',
      { source: 'orders', snapshot: 'the newest!' },
      'snapshot is "the newest!": write "latest", the id of a snapshot, or its ARN',
    ],
    [
      'a misspelt field',
      { source: 'orders', snapshots: 'latest', pointInTime: 'latest' },
      'did you mean snapshot?',
    ],
    [
      'a time without its zone',
      { source: 'orders', pointInTime: '2026-11-20 12:00' },
      /pointInTime is "2026-11-20 12:00": write "latest", or a time such as "2026-11-20T12:00:00Z"/,
    ],
    [
      'a name that RDS does not take',
      { source: 'orders', snapshot: 'latest', target: { identifier: 'a--b' } },
      'single hyphens',
    ],
    [
      'a tag of Amazon',
      { source: 'orders', snapshot: 'latest', target: { tags: { 'aws:x': '1' } } },
      'begins with aws: or holdfast:',
    ],
    [
      'a security group by its name',
      { source: 'orders', snapshot: 'latest', target: { securityGroups: ['default'] } },
      'write sg-',
    ],
  ])('with %s says what to write', (_, input, message) => {
    expect(() => parseServerRestoreInput(input)).toThrow(fails('InvalidInput', message));
    expect(() => parseServerRestoreInput(input)).toThrow('{"source":"orders","snapshot":"latest"}');
  });

  it.each<['instance' | 'cluster', Partial<ServerTarget>, string]>([
    ['instance', { clusterParameterGroup: 'x' }, 'write target.parameterGroup'],
    ['cluster', { optionGroup: 'x' }, 'leave it out'],
    ['cluster', { multiAz: true }, 'add readers'],
    ['cluster', { identifier: 'a'.repeat(62) }, 'at most 61'],
  ])('of an %s refuses %j', (kind, target, message) => {
    const base = { publiclyAccessible: false, deletionProtection: false };
    expect(() => checkTargetFits(kind, { ...base, ...target })).toThrow(
      fails('InvalidInput', message),
    );
  });

  it('is for servers of RDS alone', () => {
    expect(serverOfPlan(makePlan())).toEqual({ kind: 'instance', identifier: 'orders-prod' });
    const plain = { ...makePlan(), engine: { type: 'postgres' } as const };
    expect(() => serverOfPlan(plain)).toThrow(fails('InvalidInput', 'plain PostgreSQL server'));
  });
});

describe('the name of a restored server', () => {
  const time = new Date('2026-11-20T03:00:00.500Z');

  it('says whose it is and when it was asked for', () => {
    expect(restoredServerName('orders-prod', time)).toBe('orders-prod-restored-20261120t030000z');
    expect(restoredWriterName('orders')).toBe('orders-1');
  });

  it.each([
    'a'.repeat(63),
    `${'a'.repeat(34)}-${'b'.repeat(20)}`,
    `${'a'.repeat(33)}-b-${'c'.repeat(9)}`,
  ])('fits the limits of RDS, with its writer: from %s', (identifier) => {
    const name = restoredServerName(identifier, time);
    expect(restoredWriterName(name).length).toBeLessThanOrEqual(63);
    expect(name).toMatch(/^[a-z](-?[a-z0-9])*-restored-20261120t030000z$/);
  });
});

const sought = { source: 'orders', identifier: 'orders-prod', resourceId: 'db-ORDERS' };

describe('the latest snapshot', () => {
  const at = (day: number, changes: object) =>
    makeServerSnapshot({ createdAt: new Date(Date.UTC(2026, 10, day)), ...changes });
  const others = { serverIdentifier: 'other', resourceId: 'db-OTHER', tags: {} };

  it.each([
    ['one of ours', { snapshotId: 'wanted', ...others, tags: makeServerSnapshot().tags }],
    ['an automated one of the server', { snapshotId: 'wanted', tags: {}, type: 'automated' }],
    [
      'one from before the server was renamed',
      { snapshotId: 'wanted', ...others, resourceId: 'db-ORDERS' },
    ],
  ])('may be %s', (_, changes) => {
    const found = latestSnapshot([at(10, {}), at(12, changes), at(11, {}), at(13, others)], sought);
    expect(found.snapshotId).toBe('wanted');
  });

  it('is none that is still being made, and none of another source', () => {
    const creating = at(14, { status: 'creating', snapshotId: 'creating' });
    const ofBilling = at(15, {
      tags: { 'holdfast:managed': 'true', 'holdfast:source': 'billing' },
    });
    const good = at(1, { snapshotId: 'good' });
    expect(latestSnapshot([creating, ofBilling, good], sought).snapshotId).toBe('good');
    expect(() => latestSnapshot([creating], sought)).toThrow(
      fails('SnapshotNotFound', 'none of the 1 snapshots of orders is available'),
    );
    expect(() => latestSnapshot([ofBilling], sought)).toThrow(
      fails('SnapshotNotFound', 'orders has no snapshot'),
    );
  });
});

describe('a snapshot that was named', () => {
  const asked = { ...sought, engine: 'postgres' };

  it('of the source is restored without a word', () => {
    expect(checkSnapshot(makeServerSnapshot(), asked)).toEqual([]);
    expect(snapshotOrigin(makeServerSnapshot())).toMatchObject({
      type: 'snapshot',
      createdAt: '2026-11-20T02:03:00.000Z',
      sizeGiB: 100,
    });
  });

  it('of another server is restored, and that is said', () => {
    const foreign = makeServerSnapshot({ tags: {}, serverIdentifier: 'old', resourceId: 'db-OLD' });
    expect(checkSnapshot(foreign, asked)).toEqual([expect.stringContaining('the server old')]);
  });

  it.each([
    [
      { tags: { 'holdfast:managed': 'true', 'holdfast:source': 'billing' } },
      'SnapshotNotFound',
      '"source":"billing"',
    ],
    [{ engine: 'mysql' }, 'InvalidInput', 'is of mysql'],
    [{ status: 'creating' }, 'ServerRestoreFailed', 'is creating'],
  ])('is refused with %j', (changes, name, message) => {
    expect(() => checkSnapshot(makeServerSnapshot(changes), asked)).toThrow(fails(name, message));
  });
});

describe('a point in time', () => {
  const window = {
    earliest: new Date('2026-11-13T00:00:00Z'),
    latest: new Date('2026-11-20T02:55:00Z'),
    keptResourceId: null,
  };

  it('is kept in UTC; the latest one stays for RDS to choose', () => {
    expect(pointInTimeOrigin(window, '2026-11-20T03:00:00+01:00', sought)).toMatchObject({
      time: '2026-11-20T02:00:00.000Z',
      latest: '2026-11-20T02:55:00.000Z',
    });
    expect(pointInTimeOrigin(window, 'latest', sought)).toMatchObject({ time: null });
  });

  it.each([
    ['2026-11-20T02:55:00.001Z', 'write "pointInTime":"latest"'],
    ['2026-11-12T23:59:59Z', 'restore a snapshot from before'],
  ])('of %s is out of reach', (time, remedy) => {
    const ask = () => pointInTimeOrigin(window, time, sought);
    expect(ask).toThrow(fails('InvalidInput', remedy));
    expect(ask).toThrow('only from 2026-11-13T00:00:00.000Z to 2026-11-20T02:55:00.000Z');
  });

  it.each(['2026-11-13T00:00:00Z', '2026-11-20T02:55:00Z'])(
    'may be the end of the window, %s',
    (time) => {
      expect(pointInTimeOrigin(window, time, sought)).toMatchObject({ type: 'point-in-time' });
    },
  );

  it('needs automated backups', () => {
    expect(() => pointInTimeOrigin(undefined, 'latest', sought)).toThrow(
      fails('InvalidInput', 'turn on automated backups'),
    );
  });
});

describe('the settings of the new server', () => {
  const target: ServerTarget = { publiclyAccessible: false, deletionProtection: false };
  const ownTags = serverTags({ source: 'orders', restoreId: 'r-1', reason: null });
  const base = {
    kind: 'instance',
    identifier: 'orders-prod',
    source: makeSourceServer(),
    snapshot: makeServerSnapshot(),
    target,
    ownTags,
  } as const;
  const settings = (changes: Partial<ServerSettings>) => ({
    source: makeSourceServer({ settings: makeServerSettings(changes) }),
  });

  it("are the source's, but neither public nor protected", () => {
    const taken = takeOverSettings({ ...base, ...settings({ publiclyAccessible: true }) });
    expect(taken.warnings).toEqual([]);
    expect(taken.settings).toEqual(
      makeServerSettings({
        iops: null,
        storageThroughput: null,
        publiclyAccessible: false,
        deletionProtection: false,
        tags: { team: 'shop', ...ownTags },
      }),
    );
  });

  it.each<[string, Partial<ServerSettings>, number, unknown]>([
    ['gp3 below 400 GiB', { storageType: 'gp3' }, 399, { iops: null, storageThroughput: null }],
    [
      'gp3 from 400 GiB',
      { storageType: 'gp3', iops: 12_000, storageThroughput: 500 },
      400,
      { iops: 12_000, storageThroughput: 500 },
    ],
    ['io2', { storageType: 'io2', iops: 5000 }, 100, { iops: 5000, storageThroughput: null }],
    ['gp2', { storageType: 'gp2', iops: 300 }, 1000, { iops: null, storageThroughput: null }],
  ])('say the speed of storage where RDS lets them: %s', (_, changes, sizeGiB, expected) => {
    const snapshot = makeServerSnapshot({ sizeGiB });
    const taken = takeOverSettings({ ...base, ...settings(changes), snapshot });
    expect(taken.settings).toMatchObject(expected as object);
  });

  it('leave out the groups of a major that the snapshot is not of', () => {
    const snapshot = makeServerSnapshot({ engineVersion: '16.9' });
    const taken = takeOverSettings({ ...base, snapshot });
    expect(taken.settings).toMatchObject({ parameterGroup: null, optionGroup: null });
    expect(taken.warnings).toEqual([
      'the parameter group orders-17 was not taken over: the snapshot is of PostgreSQL 16, the source is 17 by now',
    ]);
    const given = takeOverSettings({
      ...base,
      snapshot,
      target: { ...target, parameterGroup: 'orders-16' },
    });
    expect(given).toMatchObject({ warnings: [], settings: { parameterGroup: 'orders-16' } });
  });

  it("carry the source's tags without Amazon's and those of an earlier restore", () => {
    const tags = {
      team: 'shop',
      'aws:x': '1',
      'holdfast:restore': 'r-0',
      'holdfast:reason': 'an earlier one',
      'holdfast:managed': 'restore',
    };
    const taken = takeOverSettings({
      ...base,
      ...settings({ tags }),
      target: { ...target, tags: { team: 'data' } },
    });
    expect(taken.settings.tags).toEqual({ team: 'data', ...ownTags });
    expect(isOfRestore(taken.settings.tags, { source: 'orders', restoreId: 'r-1' })).toBe(true);
  });

  it('carry no more tags than RDS takes, ours always', () => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`tag-${i}`, 'x']));
    const taken = takeOverSettings({ ...base, ...settings({ tags: many }) });
    expect(Object.keys(taken.settings.tags)).toHaveLength(50);
    expect(taken.settings.tags).toMatchObject(ownTags);
    expect(taken.warnings).toEqual(['3 tags of the source were not taken over: RDS takes 50']);
  });

  it('of an instance have no other key than its own', () => {
    const own = makeServerSnapshot().settings.kmsKeyId ?? '';
    const asked = (kmsKeyId: string) =>
      takeOverSettings({ ...base, target: { ...target, kmsKeyId } });
    expect(asked(own).settings.kmsKeyId).toBe(own);
    expect(asked('11111111').warnings).toEqual([]);
    expect(() => asked('alias/other')).toThrow(
      fails('InvalidInput', 'copy the snapshot under that key'),
    );
  });

  it('of a cluster may have another key, and never options or a second zone', () => {
    const taken = takeOverSettings({
      ...base,
      kind: 'cluster',
      target: { ...target, kmsKeyId: 'alias/other' },
    });
    expect(taken.settings).toMatchObject({
      kmsKeyId: 'alias/other',
      optionGroup: null,
      multiAz: false,
    });
  });

  const gone = (kind: 'instance' | 'cluster', given: Partial<ServerTarget>) =>
    takeOverSettings({ ...base, kind, source: undefined, target: { ...target, ...given } });
  const place = { subnetGroup: 'a', securityGroups: ['sg-1'] };

  it.each<['instance' | 'cluster', Partial<ServerTarget>, string]>([
    ['instance', {}, 'target.subnetGroup, target.securityGroups'],
    ['instance', { subnetGroup: 'a' }, ': target.securityGroups'],
    ['cluster', place, ': target.instanceClass'],
  ])('of an %s whose source is gone, with %j, miss %s', (kind, given, missing) => {
    expect(() => gone(kind, given)).toThrow(fails('InvalidInput', missing));
  });

  it.each<['instance' | 'cluster', Partial<ServerTarget>, number]>([
    ['instance', place, 1],
    ['instance', { ...place, parameterGroup: 'p' }, 0],
    ['cluster', { ...place, instanceClass: 'db.r6g.large' }, 2],
  ])(
    'of an %s whose source is gone are those of %j and of the snapshot',
    (kind, given, warnings) => {
      const taken = gone(kind, given);
      expect(taken.settings).toMatchObject({ ...given, port: 5432, iamAuthentication: true });
      expect(taken.warnings).toHaveLength(warnings);
    },
  );
});

describe("a server's tags", () => {
  const restore = { source: 'orders', restoreId: 'r-1' };
  const tags = serverTags({ ...restore, reason: 'a <test>' });

  it('say which restore made it', () => {
    expect(tags['holdfast:reason']).toBe('a _test_');
    expect(isOfRestore(tags, restore)).toBe(true);
  });

  it.each([
    [{ 'holdfast:managed': 'true' }],
    [{ 'holdfast:restore': 'r-2' }],
    [{ 'holdfast:source': 'billing' }],
  ])('with %j are not of that restore', (change) => {
    expect(isOfRestore({ ...tags, ...change }, restore)).toBe(false);
  });
});

describe("RDS's word for a state", () => {
  it.each([
    ['available', 'available'],
    ['storage-optimization', 'available'],
    ['creating', 'under-way'],
    ['backing-up', 'under-way'],
    ['a word of next year', 'under-way'],
    ['failed', 'failed'],
    ['incompatible-network', 'failed'],
    ['inaccessible-encryption-credentials-recoverable', 'failed'],
    ['cloning-failed', 'failed'],
    ['deleting', 'failed'],
  ])('%s means: %s', (status, standing) => {
    expect(standingOf(status)).toBe(standing);
  });
});

it('three days of waiting fit into the history of an execution', () => {
  const eventsOfALook = 9; // the Wait's two, the Task's five, the Choice's two
  let elapsed = 0;
  let looks = 0;
  while (elapsed < 3 * 24 * 3600) {
    elapsed += secondsToNextLook(elapsed);
    looks += 1;
  }
  expect(looks * eventsOfALook).toBeLessThan(10_000);
  expect(secondsToNextLook(0)).toBe(5);
  expect(secondsToNextLook(1e9)).toBe(300);
});

it.each([
  [undefined, 'unfinished'],
  [true, 'always'],
  [false, 'never'],
])('cleanUpOnFailure %s means: %s', (given, policy) => {
  expect(cleanUpPolicy(given)).toBe(policy);
});
