import { describe, expect, it } from 'vitest';
import { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { runLockKey, runSummaryKey } from '#domain/names.ts';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import {
  backupIdAt,
  executionArnOf,
  makePlan,
  makePlans,
  makeSnapshots,
  makeWorkflow,
  seedBackup,
} from '#test/fakes.ts';

const ids = ['2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19'].map((day) =>
  backupIdAt(`${day}T03:00:00Z`),
);
const [oldest = '', older = '', old = '', newest = ''] = ids;
const SNAPSHOT = 'holdfast-orders-20261101t020000z-k3v9qd';
const RULES = { keepLast: 2, daily: 0, weekly: 0, monthly: 0, yearly: 0, minimumVerified: 1 };

/** Four backups and a snapshot, of which rules keep two and none. */
function makeCase(changes: { dryRun?: boolean; maxDeleteShare?: number } = {}) {
  const { dryRun = false, maxDeleteShare = 1 } = changes;
  const plan = makePlan({
    retention: {
      dryRun,
      archives: { ...RULES, maxDeleteShare },
      snapshots: { ...RULES, keepLast: 0, maxDeleteShare: 1 },
    },
  });
  const deps = makeCliDeps({
    plans: makePlans([plan]),
    snapshots: makeSnapshots([
      { snapshotId: SNAPSHOT, createdAt: new Date('2026-11-01T02:00:00Z'), status: 'available' },
      {
        snapshotId: 'holdfast-orders-20261119t020000z-k3v9qd',
        createdAt: new Date('2026-11-19T02:00:00Z'),
        status: 'available',
      },
    ]),
    workflow: makeWorkflow({ executions: { [executionArnOf('r1')]: 'RUNNING' } }),
  });
  for (const backupId of ids) seedBackup(deps.objects, { backupId });
  return deps;
}

const left = (deps: ReturnType<typeof makeCase>) =>
  ids.filter((id) => deps.objects.keys().some((key) => key.includes(`/${id}/`)));

describe('holdfast retention', () => {
  it('shows what would be kept and deleted, with every reason, and deletes nothing', async () => {
    const deps = makeCase();
    const before = deps.objects.keys();
    const { exitCode, stdout } = await runCommand(['retention', 'orders'], { deps });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^keep +${newest} .* verified +last 1 of 2; minimum verified 1 of 1$`, 'm'),
    );
    expect(stdout).toMatch(new RegExp(`^delete +${oldest} .* verified +no rule keeps it$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^delete +${SNAPSHOT} `, 'm'));
    expect(stdout).toMatch(/^3 kept; to be deleted: 2 backups \(\S+ kB\), 1 snapshot\.$/m);
    expect(deps.objects.keys()).toEqual(before);
    expect(deps.snapshots).toMatchObject({ stored: expect.objectContaining({ size: 2 }) });
  });

  it('gives the plan as the record that a run would write', async () => {
    const { document } = await runCommand(['retention', 'orders', '--json'], { deps: makeCase() });
    const { applied, ...record } = document;
    expect(applied).toBe(false);
    const plan = RetentionPlanRecord.parse(record);
    expect(plan.dryRun).toBe(true);
    expect(plan.databases[0]?.delete.map(({ id }) => id)).toEqual([older, oldest]);
  });

  it('deletes what it has shown when that is confirmed, and writes the plan down first', async () => {
    const deps = makeCase();
    const argv = ['retention', 'orders', '--apply'];
    const { exitCode, stdout, stderr } = await runCommand(argv, { deps, answers: ['y'] });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(new RegExp(`delete +${oldest}[\\s\\S]*Delete them\\? \\[y/N\\]`));
    expect(stdout).toContain('deleted: 2 backups');
    expect(left(deps)).toEqual([old, newest]);
    expect(deps.snapshots).toMatchObject({ stored: expect.objectContaining({ size: 1 }) });
    const [key = ''] = deps.objects.keys('runs/orders/');
    expect(key).toMatch(/^runs\/orders\/orders-20261120T030000Z-\w{6}\/retention\.json$/);
    expect(RetentionPlanRecord.parse(deps.objects.json(key)).databases[0]?.delete).toHaveLength(2);
  });

  it.each([
    ['nobody confirmed it', makeCase(), undefined, 'nobody can be asked'],
    ['the answer was no', makeCase(), ['n'], 'the answer was not yes'],
    ['the guard refuses', makeCase({ maxDeleteShare: 0 }), ['y'], 'RetentionGuard'],
    ['the plan says dryRun', makeCase({ dryRun: true }), ['y'], 'retention.dryRun'],
  ])('deletes nothing when %s', async (_why, deps, answers, words) => {
    const before = deps.objects.keys();
    const { exitCode, stderr } = await runCommand(['retention', 'orders', '--apply'], {
      deps,
      ...(answers ? { answers } : {}),
    });
    expect(exitCode).toBe(4);
    expect(stderr).toContain(words);
    expect(deps.objects.keys()).toEqual(before);
  });

  it('deletes nothing while a run of the source goes on', async () => {
    const deps = makeCase();
    const executionArn = executionArnOf('r1');
    deps.objects.seed(runLockKey('orders'), {
      version: 1,
      executionArn,
      runId: 'r1',
      startedAt: '2026-11-20T02:59:00.000Z',
    });
    const argv = ['retention', 'orders', '--apply', '--yes'];
    const { exitCode, stderr } = await runCommand(argv, { deps });
    expect([exitCode, left(deps)]).toEqual([4, ids]);
    expect(stderr).toContain('RunInProgress: run r1 of orders');
    deps.workflow.executions.set(executionArn, 'SUCCEEDED');
    expect((await runCommand(argv, { deps })).exitCode).toBe(0);
    expect(left(deps)).toEqual([old, newest]);
  });

  it('keeps all of a database whose dump failed in the last run', async () => {
    const deps = makeCase();
    const failure = { Error: 'LockTimeout', Cause: 'waited' };
    const summary = (runId: string, databases: RunSummary['databases']) =>
      RunSummary.parse({
        version: 1,
        status: 'FAILED',
        error: 'BackupIncomplete',
        cause: '',
        source: 'orders',
        runId,
        executionArn: executionArnOf(runId),
        trigger: 'schedule',
        reason: null,
        kinds: ['logical'],
        startedAt: '2026-11-20T02:00:00.000Z',
        endedAt: '2026-11-20T02:10:00.000Z',
        durationSeconds: 600,
        snapshot: { status: 'skipped' },
        server: { version: '17.11', versionNumber: 170011, isReplica: false },
        databases,
        retention: null,
        problems: [],
        warnings: [],
      });
    const seed = (runId: string, time: string, databases: RunSummary['databases']) =>
      deps.objects.seed(runSummaryKey('orders', runId), summary(runId, databases), new Date(time));
    seed('a-newer', '2026-11-20T02:10:00Z', [{ status: 'failed', database: 'shop', failure }]);
    seed('b-older', '2026-11-19T02:10:00Z', []);
    const { stdout } = await runCommand(['retention', 'orders'], { deps });
    expect(stdout).toContain('nothing may go: its dump failed in this run: LockTimeout');
    expect(stdout).toMatch(/^keep +\S+ .*withheld/m);
    expect(stdout).not.toMatch(new RegExp(`^delete +${oldest}`, 'm'));
  });

  it('ends with 4 when a run would refuse the plan, and says why', async () => {
    const deps = makeCase({ maxDeleteShare: 0 });
    const { exitCode, stdout } = await runCommand(['retention', 'orders'], { deps });
    expect(exitCode).toBe(4);
    expect(stdout).toContain('REFUSED: retention of database shop would delete 2 of 4');
  });
});
