import { describe, expect, it } from 'vitest';
import { RestoreRecord } from '#contracts/restore.ts';
import { makeBackupId, restoreKey } from '#domain/names.ts';
import { makeCliDeps, RECORD, runCommand } from '#test/cli.ts';
import {
  backupIdAt,
  makePlan,
  makePlannedRestore,
  makePlans,
  makeRestoreReport,
  seedBackup,
} from '#test/fakes.ts';

const MONDAY = backupIdAt('2026-11-16T03:00:00Z');
const TUESDAY = backupIdAt('2026-11-17T03:00:00Z');
const UNVERIFIED = backupIdAt('2026-11-18T03:00:00Z');

function depsWithBackups() {
  const deps = makeCliDeps({ plans: makePlans([makePlan(), makePlan({ source: 'billing' })]) });
  seedBackup(deps.objects, { backupId: MONDAY });
  seedBackup(deps.objects, { backupId: TUESDAY });
  seedBackup(deps.objects, { backupId: UNVERIFIED }, 'unverified');
  return deps;
}

/** What every input has, as the schema fills it in. */
const DEFAULTS = {
  source: 'orders',
  database: 'shop',
  backup: TUESDAY,
  target: { mode: 'new' },
  selection: { without: [], withDependencies: false },
  roles: { createMissing: false, noOwner: false },
  allowUnverified: false,
  keepOnFailure: false,
  retrievalTier: 'standard',
};

async function inputOf(...argv: string[]): Promise<unknown> {
  const deps = depsWithBackups();
  const end = await runCommand(['restore', ...argv, '--no-wait'], { deps });
  expect(end.exitCode, end.stderr).toBe(0);
  expect(deps.executions.started[0]?.stateMachineArn).toBe(RECORD.stateMachines.restore);
  return deps.executions.started[0]?.input;
}

describe('the input of holdfast restore', () => {
  it('is the newest verified backup, named by its id, beside the original', async () => {
    expect(await inputOf('orders/shop')).toEqual(DEFAULTS);
  });

  it.each<[string, string[], object]>([
    ['a backup by its id', [`orders/shop/${MONDAY}`], { backup: MONDAY }],
    ['the same as an option', ['orders/shop', '--backup', MONDAY], { backup: MONDAY }],
    [
      'the last one before a time',
      ['orders/shop', '--before', '2026-11-17T03:00:00Z'],
      { backup: MONDAY },
    ],
    [
      'before a time with a zone',
      ['orders/shop', '--before', '2026-11-17 05:30:00+02:00'],
      { backup: TUESDAY },
    ],
    ['another name', ['orders/shop', '--to', 'a b'], { target: { mode: 'new', database: 'a b' } }],
    [
      "another source's server",
      ['orders/shop', '--target-source', 'billing'],
      { target: { mode: 'new', source: 'billing' } },
    ],
    [
      'an empty database',
      ['orders/shop', '--existing', '--to', 'empty'],
      { target: { mode: 'existing', database: 'empty' } },
    ],
    ['a swap', ['orders/shop', '--swap', '--yes'], { target: { mode: 'swap' } }],
    [
      'tables with what they need',
      ['orders/shop', '--table', 'public.orders', '--table', 'a,b.*', '--with-dependencies'],
      { selection: { without: [], withDependencies: true, tables: ['public.orders', 'a,b.*'] } },
    ],
    [
      'a schema without rows and indexes',
      ['orders/shop', '--schema', 'audit', '--schema-only', '--without', 'indexes,triggers'],
      {
        selection: {
          schemas: ['audit'],
          only: 'schema',
          without: ['indexes', 'triggers'],
          withDependencies: false,
        },
      },
    ],
    [
      'rows alone',
      ['orders/shop', '--data-only', '--existing', '--to', 'shop_copy'],
      {
        selection: { only: 'data', without: [], withDependencies: false },
        target: { mode: 'existing', database: 'shop_copy' },
      },
    ],
    [
      'made roles',
      ['orders/shop', '--create-roles'],
      { roles: { createMissing: true, noOwner: false } },
    ],
    [
      'no owners',
      ['orders/shop', '--no-owner'],
      { roles: { createMissing: false, noOwner: true } },
    ],
    [
      'one owner',
      ['orders/shop', '--role', 'app'],
      { roles: { createMissing: false, noOwner: false, role: 'app' } },
    ],
    [
      'the rest',
      ['orders/shop', '--jobs', '8', '--keep-on-failure', '--tier', 'bulk', '--reason', 'drill'],
      { jobs: 8, keepOnFailure: true, retrievalTier: 'bulk', reason: 'drill' },
    ],
    [
      'an unverified one, on demand',
      [`orders/shop/${UNVERIFIED}`, '--allow-unverified'],
      { backup: UNVERIFIED, allowUnverified: true },
    ],
  ])('is %s', async (_what, argv, changes) => {
    expect(await inputOf(...argv)).toEqual({ ...DEFAULTS, ...changes });
  });

  it('is a foreign archive, which no backup is looked for', async () => {
    const argv = ['orders', '--archive', 'imports/shop.dump', '--to', 'imported'];
    const { database: _database, ...rest } = DEFAULTS;
    expect(await inputOf(...argv)).toEqual({
      ...rest,
      backup: 'latest',
      archive: 'imports/shop.dump',
      target: { mode: 'new', database: 'imported' },
    });
  });
});

describe('holdfast restore', () => {
  it.each([
    [['orders/shop', '--before', '2026-11-01'], 3, 'has no verified backup from before'],
    [['orders/shpo'], 3, 'did you mean shop?'],
    [['orders/shop', '--target-source', 'biling'], 3, 'UnknownSource'],
    [[`orders/shop/${UNVERIFIED}`], 4, 'give --allow-unverified'],
    [['orders/shop', '--swap'], 4, 'give --yes'],
    [['orders/shop', '--swap', '--existing'], 2, 'cannot be used with option'],
    [['orders/shop', '--schema-only', '--data-only'], 2, 'cannot be used with option'],
    [['orders/shop', '--existing'], 2, 'needs target.database'],
    [['orders/shop', '--data-only'], 2, 'needs target.mode "existing"'],
    [['orders/shop', '--swap', '--table', 'a.b'], 2, 'may not leave anything out'],
    [['orders/shop', '--tier', 'fast'], 2, 'Allowed choices are expedited, standard, bulk'],
    [['orders/shop', '--jobs', '0'], 2, 'no whole number'],
    [['orders/shop', '--jobs', '99'], 2, 'jobs is 99'],
    [['orders/shop', '--before', 'yesterday'], 2, 'is no time'],
    [['orders/shop', '--before', '2026-02-30T00:00:00Z'], 2, 'is no time'],
    [['orders/shop', '--before', '2026-11-20', '--backup', MONDAY], 2, 'exclude each other'],
    [[`orders/shop/${MONDAY}`, '--backup', TUESDAY], 2, 'named twice'],
    [['orders/shop', '--without', 'indices'], 2, 'selection.without.0 is "indices"'],
    [['orders'], 2, 'names no database'],
    [['orders', '--archive', '../secrets'], 2, 'write a key under imports/'],
    [['orders', '--archive', 'imports/a', '--backup', MONDAY], 2, 'exclude each other'],
  ])('%j starts nothing and ends with %i', async (argv, code, words) => {
    const deps = depsWithBackups();
    const { exitCode, stderr } = await runCommand(['restore', ...argv], { deps });
    expect(stderr).toContain(words);
    expect(exitCode).toBe(code);
    expect(deps.executions.started).toEqual([]);
  });

  it('asks before it puts a database in place of another, and takes only yes for yes', async () => {
    for (const [answer, code] of [
      ['y', 0],
      ['YES', 0],
      ['', 4],
      ['n', 4],
      ['yesterday', 4],
    ] as const) {
      const deps = depsWithBackups();
      const argv = ['restore', 'orders/shop', '--swap', '--no-wait'];
      const { exitCode, stderr } = await runCommand(argv, { deps, answers: [answer] });
      expect(stderr).toContain('in place of shop on the server of orders');
      expect([answer, exitCode]).toEqual([answer, code]);
      expect(deps.executions.started).toHaveLength(code === 0 ? 1 : 0);
    }
  });

  it('shows which backup it takes, follows the restore and shows its record', async () => {
    const deps = depsWithBackups();
    deps.executions.onStart = (_name, executionArn) => {
      const restoreId = makeBackupId(deps.clock.now(), executionArn);
      const restore = makePlannedRestore({ restoreId, executionArn });
      const record = RestoreRecord.parse({
        version: 1,
        status: 'SUCCEEDED',
        error: null,
        cause: null,
        endedAt: '2026-11-20T03:01:00.000Z',
        durationSeconds: 60,
        restore,
        report: makeRestoreReport({ database: 'shop_copy' }),
        cleanUp: null,
      });
      deps.objects.seed(restoreKey({ source: 'orders', restoreId }, 'restore.json'), record);
    };
    const { exitCode, stdout, stderr } = await runCommand(['restore', 'orders/shop'], { deps });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(
      new RegExp(`backup ${TUESDAY}, verified: 2026-11-17 03:00:00 UTC, 3 days ago`),
    );
    expect(stdout).toContain('2 tables with 4,600 rows as shop_copy');
    const { document } = await runCommand(['restore', 'orders/shop', '--json'], { deps });
    expect(document).toMatchObject({
      status: 'SUCCEEDED',
      record: { report: { bytesRead: 1000 } },
    });
  });

  it('says which option gets round an error', async () => {
    const deps = depsWithBackups();
    deps.executions.end = { status: 'FAILED', error: 'DependencyMissing', cause: 'needs TYPE a.b' };
    const { exitCode, stdout } = await runCommand(['restore', 'orders/shop'], { deps });
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /DependencyMissing: needs TYPE a\.b\n.*\nOn the command line: --with-dependencies\n$/,
    );
    const { document } = await runCommand(['restore', 'orders/shop', '--json'], { deps });
    expect(document['error']).toMatchObject({
      remedy: expect.stringMatching(/--with-dependencies$/),
    });
  });

  it('says so where the deployment is too old to restore', async () => {
    const record = { ...RECORD, stateMachines: { backup: RECORD.stateMachines.backup } };
    const end = await runCommand(['restore', 'orders/shop'], { deps: depsWithBackups(), record });
    expect(end.exitCode).toBe(3);
    expect(end.stderr).toContain('deploy the present version');
  });
});

describe('holdfast restore-server', () => {
  async function serverInputOf(...argv: string[]): Promise<unknown> {
    const deps = makeCliDeps();
    const end = await runCommand(['restore-server', 'orders', ...argv, '--no-wait'], { deps });
    expect(end.exitCode, end.stderr).toBe(0);
    expect(deps.executions.started[0]?.stateMachineArn).toBe(RECORD.stateMachines.restoreServer);
    return deps.executions.started[0]?.input;
  }
  const defaults = {
    source: 'orders',
    target: { publiclyAccessible: false, deletionProtection: false },
    timeoutMinutes: 1440,
  };

  it('asks for a snapshot or for a point in time', async () => {
    expect(await serverInputOf('--snapshot', 'latest')).toEqual({
      ...defaults,
      snapshot: 'latest',
    });
    expect(await serverInputOf('--at', '2026-11-20T12:00')).toEqual({
      ...defaults,
      pointInTime: '2026-11-20T12:00:00.000Z',
    });
    expect(await serverInputOf('--at', 'latest')).toEqual({ ...defaults, pointInTime: 'latest' });
  });

  it('hands on what the new server is to be like', async () => {
    const input = await serverInputOf(
      ...['--snapshot', 'before-upgrade', '--name', 'orders-noon', '--class', 'db.r6g.large'],
      ...['--subnet-group', 'private', '--security-groups', 'sg-1,sg-2', '--multi-az'],
      ...['--tag', 'team=data', '--tag', 'note=a=b', '--deletion-protection', '--clean-up'],
      ...['--timeout', '60', '--reason', 'drill', '--parameter-group', 'pg17'],
    );
    expect(input).toEqual({
      source: 'orders',
      snapshot: 'before-upgrade',
      target: {
        identifier: 'orders-noon',
        instanceClass: 'db.r6g.large',
        subnetGroup: 'private',
        securityGroups: ['sg-1', 'sg-2'],
        parameterGroup: 'pg17',
        multiAz: true,
        tags: { team: 'data', note: 'a=b' },
        publiclyAccessible: false,
        deletionProtection: true,
      },
      cleanUpOnFailure: true,
      timeoutMinutes: 60,
      reason: 'drill',
    });
    expect(await serverInputOf('--at', 'latest', '--no-clean-up')).toMatchObject({
      cleanUpOnFailure: false,
    });
  });

  it.each([
    [[], 'neither --snapshot nor --at'],
    [['--snapshot', 'latest', '--at', 'latest'], 'cannot be used with option'],
    [['--snapshot', 'latest', '--tag', 'team'], 'is no tag'],
    [['--snapshot', 'latest', '--class', 'large'], 'target.instanceClass'],
    [['--at', '12:00'], 'is no time'],
  ])('%j starts nothing and ends with 2', async (argv, words) => {
    const deps = makeCliDeps();
    const end = await runCommand(['restore-server', 'orders', ...argv], { deps });
    expect(end.exitCode).toBe(2);
    expect(end.stderr).toContain(words);
    expect(deps.executions.started).toEqual([]);
  });
});
