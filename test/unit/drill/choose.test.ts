import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DrillRecord } from '#contracts/drill.ts';
import { takeInventory } from '#domain/backup-inventory.ts';
import { chooseArchives, type DrillWish } from '#domain/drill/choose.ts';
import { type BackupFile, backupKey } from '#domain/names.ts';
import { makePastDrill } from '#test/fakes/drills.ts';
import { backupIdAt } from '#test/fakes.ts';

const NOW = new Date('2026-11-20T10:00:00Z');
const WHOLE: readonly BackupFile[] = ['archive.dump', 'manifest.json', 'verification.json'];

interface Seeded {
  readonly database?: string;
  readonly day: string;
  readonly files?: readonly BackupFile[];
  /** When a drill brought it back. */
  readonly drilled?: string;
}

function inventoryOf(backups: readonly Seeded[]) {
  return takeInventory(
    'orders',
    backups.flatMap(({ database = 'shop', day, files = WHOLE, drilled }) => {
      const ref = { source: 'orders', database, backupId: backupIdAt(`${day}T02:00:00Z`) };
      const lastModified = new Date(`${day}T02:10:00Z`);
      const mark = backupKey(ref, 'drilled.json');
      return [
        ...files.map((file) => ({ key: backupKey(ref, file), sizeBytes: 10, lastModified })),
        ...(drilled ? [{ key: mark, sizeBytes: 10, lastModified: new Date(drilled) }] : []),
      ];
    }),
  );
}

const WEEK = ['14', '15', '16', '17', '18', '19', '20'].map((day) => ({ day: `2026-11-${day}` }));

function choose(backups: readonly Seeded[], changes: Partial<DrillWish> = {}) {
  const { archives, ...rest } = chooseArchives({
    inventory: inventoryOf(backups),
    past: [],
    input: { source: 'orders' },
    rules: { choose: 'latest', randomDays: 90, maxDatabases: 20 },
    selection: 'all',
    now: NOW,
    seed: 'execution-1',
    ...changes,
  });
  return {
    ...rest,
    archives: archives.map(({ backup, chosenBy, newestVerified }) => ({
      database: backup.database,
      day: backup.time.toISOString().slice(0, 10),
      chosenBy,
      newest: newestVerified.time.toISOString().slice(0, 10),
    })),
  };
}

const random = { choose: 'random', randomDays: 3, maxDatabases: 20 } as const;

describe('choosing what a drill rehearses', () => {
  it('misses a database that the last run found and that never got a backup, unless the plan excludes it', () => {
    const known = ['shop', 'crm', 'scratch'];
    const selection = { include: ['*'], exclude: ['scratch'] };
    expect(choose(WEEK, { known, selection })).toMatchObject({
      archives: [{ database: 'shop' }],
      missing: [{ database: 'crm', reason: 'crm has no backup at all' }],
      isPart: false,
    });
  });

  it('is a part where one database, or a backup of one, was asked for of several', () => {
    const day = '2026-11-19';
    const two = [{ day }, { day: '2026-11-20', database: 'crm' }];
    const backup = backupIdAt(`${day}T02:00:00Z`);
    const of = (backups: readonly Seeded[], input: object, known: string[] = []) =>
      choose(backups, { input: { source: 'orders', ...input }, known }).isPart;
    expect(of(two, { database: 'shop' })).toBe(true);
    expect(of(two, { backup })).toBe(true);
    expect(of(two, { backup: 'random' })).toBe(false);
    expect(of(two, {})).toBe(false);
    expect(of([{ day }], { backup })).toBe(false);
    expect(of([{ day }], { database: 'shop' }, ['crm'])).toBe(true);
  });

  it('takes the latest verified backup, and neither a younger unverified nor a quarantined one', () => {
    const chosen = choose([
      { day: '2026-11-17' },
      { day: '2026-11-18' },
      { day: '2026-11-19', files: [...WHOLE, 'quarantine.json'] },
      { day: '2026-11-20', files: ['archive.dump', 'manifest.json'] },
    ]);
    expect(chosen).toEqual({
      archives: [{ database: 'shop', day: '2026-11-18', chosenBy: 'latest', newest: '2026-11-18' }],
      isPart: false,
      missing: [],
      notes: [],
    });
  });

  it('takes a random one of the last days, always the same for the same execution', () => {
    const days = new Set<string>();
    for (let run = 0; run < 60; run++) {
      const changes = { rules: random, seed: `execution-${run}` };
      const [first] = choose(WEEK, changes).archives;
      expect(choose(WEEK, changes).archives).toEqual([first]);
      expect(first).toMatchObject({ chosenBy: 'random', newest: '2026-11-20' });
      days.add(first?.day ?? '');
    }
    // Three days back from 10:00 on the 20th: the 17th at 02:00 is older.
    expect([...days].sort()).toEqual(['2026-11-18', '2026-11-19', '2026-11-20']);
  });

  it('never takes anything but a verified backup, whatever there is', () => {
    const files: fc.Arbitrary<BackupFile[]> = fc.subarray([
      ...WHOLE,
      'quarantine.json',
      'drilled.json',
    ]);
    const day = fc.integer({ min: 1, max: 20 }).map((n) => `2026-11-${String(n).padStart(2, '0')}`);
    const backup = fc.record({ day, files, database: fc.constantFrom('shop', 'audit') });
    const backups = fc.uniqueArray(backup, {
      minLength: 1,
      selector: (it) => `${it.database} ${it.day}`,
    });
    fc.assert(
      fc.property(backups, fc.constantFrom('latest', 'random', 'alternate'), (all, how) => {
        const inventory = inventoryOf(all);
        fc.pre(inventory.databases.size > 0);
        const { archives, missing } = chooseArchives({
          inventory,
          past: [],
          input: { source: 'orders' },
          rules: { choose: how, randomDays: 5, maxDatabases: 20 },
          selection: 'all',
          now: NOW,
          seed: 'x',
        });
        const named = [
          ...archives.map(({ backup: it }) => it.database),
          ...missing.map((it) => it.database),
        ];
        expect(archives.filter(({ backup: it }) => it.state !== 'verified')).toEqual([]);
        expect(named.sort()).toEqual([...inventory.databases.keys()].sort());
      }),
    );
  });

  it('takes the latest where all are older than the random ones may be', () => {
    expect(choose([{ day: '2026-11-01' }], { rules: random }).archives).toMatchObject([
      { day: '2026-11-01', chosenBy: 'latest' },
    ]);
  });

  it.each([
    ['nothing was drilled before', [], 'latest'],
    ['the last one was the latest', ['latest'], 'random'],
    ['the last one was a random one', ['random', 'latest'], 'latest'],
    [
      'the last one was named by hand, and before it came the latest',
      ['named', 'latest'],
      'random',
    ],
    ['the last one found no archive at all', [null, 'random'], 'latest'],
  ] as const)('alternates: when %s', (_, before, expected) => {
    const past = before.map((chosenBy): DrillRecord => makePastDrill({ database: { chosenBy } }));
    const rules = { ...random, choose: 'alternate' } as const;
    expect(choose(WEEK, { past, rules }).archives).toMatchObject([{ chosenBy: expected }]);
  });

  it('takes either where the last drill is too long ago to be looked at, and the latest at first', () => {
    const rules = { ...random, choose: 'alternate' } as const;
    const marked = WEEK.map(({ day }) => ({ day, drilled: '2026-01-01T05:00:00Z' }));
    const choices = (week: readonly Seeded[]) =>
      Array.from({ length: 20 }, (_, index) => choose(week, { rules, seed: `execution-${index}` }))
        .flatMap(({ archives }) => archives)
        .map(({ chosenBy }) => chosenBy);
    expect(new Set(choices(marked))).toEqual(new Set(['latest', 'random']));
    expect(new Set(choices(WEEK))).toEqual(new Set(['latest']));
  });

  it('alternates each database by itself, also after a drill that failed', () => {
    const past = [
      makePastDrill({ database: { database: 'audit', chosenBy: 'latest', status: 'FAILED' } }),
    ];
    const both = [...WEEK, ...WEEK.map(({ day }) => ({ day, database: 'audit' }))];
    const { archives } = choose(both, { past, rules: { ...random, choose: 'alternate' } });
    expect(new Map(archives.map(({ database, chosenBy }) => [database, chosenBy]))).toEqual(
      new Map([
        ['audit', 'random'],
        ['shop', 'latest'],
      ]),
    );
  });

  it('takes first what was drilled or tried longest ago, and says what waits', () => {
    const { archives, notes } = choose(
      [
        { database: 'a', day: '2026-11-18', drilled: '2026-11-01T00:00:00Z' },
        { database: 'a', day: '2026-11-19' },
        { database: 'b', day: '2026-11-19' },
        { database: 'c', day: '2026-11-19', drilled: '2026-10-01T00:00:00Z' },
        { database: 'failing', day: '2026-11-19' },
      ],
      {
        rules: { choose: 'latest', randomDays: 90, maxDatabases: 2 },
        past: [
          makePastDrill({
            database: { database: 'failing', status: 'FAILED', error: 'TaskKilled' },
          }),
        ],
      },
    );
    expect(archives.map(({ database }) => database)).toEqual(['b', 'c']);
    expect(notes).toEqual(['drill.maxDatabases is 2: later drills rehearse a, failing']);
  });

  it('misses a database without a verified backup, and drills the others', () => {
    const chosen = choose([
      { day: '2026-11-19' },
      { database: 'new', day: '2026-11-19', files: ['archive.dump'] },
      { database: 'bad', day: '2026-11-19', files: [...WHOLE, 'quarantine.json'] },
    ]);
    expect(chosen.archives.map(({ database }) => database)).toEqual(['shop']);
    expect(chosen.missing).toEqual([
      { database: 'bad', reason: 'bad has no verified backup: 0 unverified, 1 quarantined' },
      { database: 'new', reason: 'new has no verified backup: 1 unverified, 0 quarantined' },
    ]);
  });

  it('misses a database that the plan names and that was never backed up', () => {
    const { missing } = choose(WEEK, { selection: ['shop', 'audit'] });
    expect(missing).toEqual([{ database: 'audit', reason: 'audit has no backup at all' }]);
  });

  it('leaves out what the plan does not back up any more', () => {
    const both = [...WEEK, { database: 'old', day: '2026-01-01' }];
    const selection = { include: ['*'], exclude: ['old'] };
    const { archives, missing } = choose(both, { selection });
    expect(archives.map(({ database }) => database)).toEqual(['shop']);
    expect(missing).toEqual([]);
  });

  it('takes the database and the backup that are asked for', () => {
    const both = [...WEEK, ...WEEK.map(({ day }) => ({ day, database: 'audit' }))];
    const backup = backupIdAt('2026-11-16T02:00:00Z');
    expect(
      choose(both, { input: { source: 'orders', database: 'audit', backup } }).archives,
    ).toEqual([{ database: 'audit', day: '2026-11-16', chosenBy: 'named', newest: '2026-11-20' }]);
    expect(choose(both, { input: { source: 'orders', backup } }).archives).toHaveLength(2);
  });

  it.each([
    [
      'a database that is not there, with the one that is meant',
      { database: 'shpo' },
      /did you mean shop/,
    ],
    [
      'a backup that is not there',
      { backup: backupIdAt('2020-01-01T00:00:00Z') },
      /has no backup 2020/,
    ],
  ])('refuses %s', (_, asked, words) => {
    const input = { source: 'orders', ...asked };
    expect(() => choose(WEEK, { input })).toThrow(words);
  });

  it('refuses a backup that nobody vouches for, also by its id', () => {
    const backups = [
      ...WEEK,
      { day: '2026-11-13', files: ['archive.dump', 'manifest.json'] as const },
    ];
    const input = {
      source: 'orders',
      database: 'shop',
      backup: backupIdAt('2026-11-13T02:00:00Z'),
    };
    expect(() => choose(backups, { input })).toThrow(/unverified/);
  });

  it('says that there is nothing when the source has no backup', () => {
    expect(() => choose([])).toThrow('orders has no backup that could be rehearsed');
  });
});
