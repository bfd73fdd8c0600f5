import { describe, expect, it } from 'vitest';
import { backupKey } from '#domain/names.ts';
import { type CliDeps, makeCliDeps, runCommand } from '#test/cli.ts';
import { backupIdAt, makePlan, makePlans, makeServerSnapshot, seedBackup } from '#test/fakes.ts';

/** The clock stands at 2026-11-20 03:00 UTC. */
function depsWith(
  backups: readonly [time: string, state?: Parameters<typeof seedBackup>[2], database?: string][],
): CliDeps {
  const deps = makeCliDeps();
  for (const [time, state, database = 'shop'] of backups) {
    seedBackup(deps.objects, { database, backupId: backupIdAt(time) }, state);
  }
  return deps;
}

const backupsOf = (document: Record<string, unknown>) =>
  document['backups'] as Record<string, unknown>[];

describe('holdfast list', () => {
  it('shows age, time, size, state, level and storage class of each backup, newest first', async () => {
    const deps = depsWith([
      ['2026-11-19T00:00:00Z'],
      ['2026-11-20T00:00:00Z'],
      ['2026-11-18T03:00:00Z', 'quarantined'],
      ['2026-11-17T03:00:00Z', 'unverified'],
    ]);
    const { exitCode, stdout } = await runCommand(['list', 'orders', 'shop'], { deps });
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^DATABASE +BACKUP +TIME +AGE +SIZE +STATE +LEVEL +DRILLED +STORAGE$/);
    expect(lines[1]).toMatch(
      /^orders\/shop +20261120T000000Z-\w{6} +2026-11-20 00:00:00 UTC +3 h ago +[\d.]+ kB +verified +full +- +STANDARD$/,
    );
    expect(lines.slice(1).map((line) => /verified|unverified|quarantined/.exec(line)?.[0])).toEqual(
      ['verified', 'verified', 'quarantined', 'unverified'],
    );
    expect(lines[4]).toMatch(/ 3 days ago .* unverified +- +- +STANDARD$/);
  });

  it('says when a drill first brought a backup back', async () => {
    const deps = depsWith([['2026-11-16T00:00:00Z']]);
    const ref = {
      source: 'orders',
      database: 'shop',
      backupId: backupIdAt('2026-11-16T00:00:00Z'),
    };
    deps.objects.seed(backupKey(ref, 'drilled.json'), '{}', new Date('2026-11-17T03:00:00Z'));
    const { stdout } = await runCommand(['list', 'orders'], { deps });
    expect(stdout).toMatch(/verified +full +3 days ago +STANDARD$/m);
    const shown = await runCommand(['show', 'orders/shop/latest'], { deps });
    expect(shown.stdout).toMatch(/^drilled +2026-11-17 03:00:00 UTC, 3 days ago$/m);
    const { document } = await runCommand(['show', 'orders/shop', '--json'], { deps });
    expect(document['drilledAt']).toBe('2026-11-17T03:00:00.000Z');
  });

  it('says the same as JSON, and nothing else', async () => {
    const deps = depsWith([['2026-11-20T00:00:00Z']]);
    const { document, stderr } = await runCommand(['list', '--json'], { deps });
    expect(stderr).toBe('');
    expect(document).toEqual({
      backups: [
        {
          source: 'orders',
          database: 'shop',
          backupId: backupIdAt('2026-11-20T00:00:00Z'),
          time: '2026-11-20T00:00:00.000Z',
          ageSeconds: 10_800,
          state: 'verified',
          sizeBytes: expect.any(Number),
          level: 'full',
          verifiedAt: expect.any(String),
          drilledAt: null,
          storageClass: 'STANDARD',
          retrieval: 'none',
        },
      ],
      omitted: 0,
    });
  });

  it('shows the ten newest of each database, and says how many more there are', async () => {
    const days = Array.from(
      { length: 12 },
      (_, day) => `2026-11-${String(day + 1).padStart(2, '0')}T03:00:00Z`,
    );
    const deps = depsWith([
      ...days.map((time): [string] => [time]),
      ['2026-11-01T03:00:00Z', 'verified', 'audit'],
    ]);
    const { stdout } = await runCommand(['list', 'orders'], { deps });
    expect(stdout.match(/orders\/shop/g)).toHaveLength(10);
    expect(stdout.match(/orders\/audit/g)).toHaveLength(1);
    expect(stdout).toContain('2 older ones are not shown: --all');
    const all = await runCommand(['list', 'orders', '--all', '--json'], { deps });
    expect(backupsOf(all.document)).toHaveLength(13);
    expect(all.document['omitted']).toBe(0);
  });

  it('shows only those in the state that was asked for', async () => {
    const deps = depsWith([['2026-11-19T00:00:00Z'], ['2026-11-18T03:00:00Z', 'quarantined']]);
    const { document } = await runCommand(['list', '--state', 'quarantined', '--json'], { deps });
    expect(backupsOf(document).map(({ state }) => state)).toEqual(['quarantined']);
  });

  it('shows backups of every source, also of one that is no longer in the plan', async () => {
    const deps = makeCliDeps();
    seedBackup(deps.objects, { source: 'gone', backupId: backupIdAt('2026-11-19T00:00:00Z') });
    seedBackup(deps.objects, { backupId: backupIdAt('2026-11-19T00:00:00Z') });
    const { stdout } = await runCommand(['list'], { deps });
    expect(stdout).toMatch(/gone\/shop[\s\S]*orders\/shop/);
    expect((await runCommand(['list', 'gone'], { deps })).exitCode).toBe(0);
  });

  it('shows a hostile name so that a terminal obeys none of it', async () => {
    const hostile = 'a\u001b[2J\u202eb\nc';
    const deps = depsWith([['2026-11-19T00:00:00Z', 'verified', hostile]]);
    const { stdout } = await runCommand(['list'], { deps });
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    const { document } = await runCommand(['list', '--json'], { deps });
    expect(backupsOf(document)[0]?.['database']).toBe(hostile);
  });

  it('keeps columns in line when names are wide', async () => {
    const deps = depsWith([
      ['2026-11-19T00:00:00Z', 'verified', '注文'],
      ['2026-11-19T00:00:00Z', 'verified', 'shop'],
    ]);
    const { stdout } = await runCommand(['list'], { deps });
    const [, first = '', second = ''] = stdout.split('\n');
    const wide = first.startsWith('orders/shop') ? second : first;
    const narrow = wide === first ? second : first;
    // Two characters of two columns each: the text is two characters shorter.
    expect(wide.indexOf('2026')).toBe(narrow.indexOf('2026') - 2);
  });

  it('paints states on a terminal only, and never against NO_COLOR', async () => {
    const deps = depsWith([['2026-11-19T00:00:00Z']]);
    const on = async (isTty: boolean, environment = {}) =>
      (await runCommand(['list'], { deps, isTty, environment })).stdout.includes(
        '\u001b[32mverified',
      );
    expect(await on(true)).toBe(true);
    expect(await on(false)).toBe(false);
    expect(await on(true, { NO_COLOR: '1' })).toBe(false);
    expect((await runCommand(['list', '--json'], { deps, isTty: true })).stdout).not.toContain(
      '\u001b',
    );
  });

  it('names the source or the database that was probably meant', async () => {
    const deps = depsWith([['2026-11-19T00:00:00Z']]);
    const database = await runCommand(['list', 'orders', 'shpo'], { deps });
    expect(database).toMatchObject({ exitCode: 3 });
    expect(database.stderr).toContain('did you mean shop?');
    const source = await runCommand(['list', 'odrers'], { deps });
    expect(source.exitCode).toBe(3);
    expect(source.stderr).toContain('UnknownSource');
    const reference = await runCommand(['list', 'orders/shop'], { deps });
    expect(reference.exitCode).toBe(2);
    expect(reference.stderr).toContain('a blank between source and database');
  });

  it('says so when there is none', async () => {
    const { exitCode, stdout } = await runCommand(['list']);
    expect([exitCode, stdout]).toEqual([0, 'There is no backup.\n']);
  });

  it('tells an archive in Glacier, and one that is being brought back', async () => {
    const deps = depsWith([['2026-11-19T00:00:00Z'], ['2026-11-18T00:00:00Z']]);
    const head = deps.objects.head.bind(deps.objects);
    const archived = backupKey(
      { source: 'orders', database: 'shop', backupId: backupIdAt('2026-11-18T00:00:00Z') },
      'archive.dump',
    );
    deps.objects.head = async (key, version) => {
      const found = await head(key, version);
      return found && key === archived
        ? { ...found, storageClass: 'GLACIER', retrieval: 'ongoing' }
        : found;
    };
    const { stdout } = await runCommand(['list'], { deps });
    expect(stdout).toMatch(/20261119T.* STANDARD\n.*20261118T.* GLACIER \(being retrieved\)\n/);
  });
});

describe('holdfast list --snapshots', () => {
  it("shows ours and the server's own, and not those of other servers", async () => {
    const ours = 'holdfast-orders-20261120t020000z-k3v9qd';
    const deps = makeCliDeps();
    deps.servers.listSnapshots = async (kind, identifier) => {
      expect([kind, identifier]).toEqual(['instance', 'orders-prod']);
      return [
        makeServerSnapshot({
          snapshotId: 'rds:orders-prod-2026-11-19',
          type: 'automated',
          createdAt: new Date('2026-11-19T03:00:00Z'),
        }),
        makeServerSnapshot({ snapshotId: ours, createdAt: new Date('2026-11-20T02:00:00Z') }),
        makeServerSnapshot({ snapshotId: 'before-upgrade', serverIdentifier: 'billing-prod' }),
        makeServerSnapshot({
          snapshotId: 'being-made',
          status: 'creating',
          createdAt: undefined,
          sizeGiB: null,
        }),
      ];
    };
    const { stdout } = await runCommand(['list', 'orders', '--snapshots'], { deps });
    const lines = stdout.trimEnd().split('\n').slice(-4);
    expect(lines[0]).toMatch(/^SOURCE +SNAPSHOT +BY +TIME +AGE +SIZE +STATUS$/);
    expect(lines[1]).toMatch(/^orders +being-made +manual +- +- +- +creating$/);
    expect(lines[2]).toMatch(
      new RegExp(
        `^orders +${ours} +holdfast +2026-11-20 02:00:00 UTC +60 min ago +100 GiB +available$`,
      ),
    );
    expect(lines[3]).toMatch(/^orders +rds:orders-prod-2026-11-19 +automated .* 24 h ago /);
    const { document } = await runCommand(['list', '--snapshots', '--json'], { deps });
    expect(document['snapshots']).toHaveLength(3);
  });

  it('asks RDS nothing for a plain server', async () => {
    const plan = { ...makePlan(), engine: { type: 'postgres' as const } };
    const deps = makeCliDeps({ plans: makePlans([plan]) });
    deps.servers.listSnapshots = () => Promise.reject(new Error('RDS was asked'));
    const { exitCode, stdout } = await runCommand(['list', '--snapshots'], { deps });
    expect([exitCode, stdout]).toEqual([0, 'There is no backup.\n\nThere is no snapshot.\n']);
  });
});
