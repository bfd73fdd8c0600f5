import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import { RunLock } from '#contracts/run-lock.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import type { Results } from '#contracts/workflow.ts';
import { counted } from '#domain/alert-text.ts';
import { displayBytes, displayName } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { makeExecutionName, retentionPlanKey, runLockKey } from '#domain/names.ts';
import { resultsOfSummary } from '#domain/results-of-summary.ts';
import { RetentionGuard, RunInProgress } from '#errors';
import { deleteBackups } from '#operations/delete-backups.ts';
import { planSourceRetention, type SourceRetention } from '#operations/retention.ts';
import { toTheEnd } from '#operations/to-the-end.ts';
import type { Deps } from '#runtime/ports.ts';
import { addExamples, type CliContext } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, type Output, safeLines } from '../output.ts';

interface RetentionOptions {
  readonly apply?: boolean;
  readonly yes?: boolean;
}

type Decision = RetentionPlanRecord['databases'][number]['keep'][number] & {
  readonly action: 'keep' | 'delete';
};

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('retention')
    .description('what retention would keep and delete, and why; deletes nothing unless --apply')
    .argument('<source>', 'as it is called in the plan file')
    .option('--apply', 'does what the plan shows, after asking')
    .option('--yes', 'does not ask')
    .action(retention);
  addExamples(command, [
    'holdfast retention orders',
    'holdfast retention orders --json',
    'holdfast retention orders --apply',
  ]);

  async function retention(
    source: string,
    options: RetentionOptions,
    self: Command,
  ): Promise<void> {
    const { out, open, confirm, end } = context.begin(self);
    const { deps } = await open();
    const { plan, version } = await deps.plans.load(source);
    const now = deps.clock.now();
    const runId = makeExecutionName(source, now, randomUUID());
    const planned = await planSourceRetention(deps, {
      plan,
      run: {
        source,
        runId,
        executionArn: '',
        startedAt: now.toISOString(),
        trigger: 'manual',
        reason: null,
        kinds: ['logical', 'snapshot'],
        databases: null,
        planVersion: version,
      },
      results: await latestResults(deps, source),
    });
    const { record, guard } = planned;
    const show = (applied: boolean) =>
      out.result({ ...record, dryRun: !applied, applied }, () => [
        ...planLines(record, now, out),
        '',
        summaryLine(planned, applied),
      ]);
    if (!options.apply) {
      show(false);
      // A plan that a run would refuse is not well.
      if (guard) end(EXIT.refused);
      return;
    }
    if (guard) throw guard;
    if (record.dryRun) {
      throw new RetentionGuard(
        `the plan of ${source} says retention.dryRun, so nothing is deleted`,
        {
          remedy: 'take it out of the plan file and deploy that, if you mean it',
        },
      );
    }
    if (planned.backups.length + planned.snapshotIds.length > 0) {
      await refuseWhileRunning(deps, source);
      if (!out.json) for (const line of planLines(record, now, out)) out.note(line);
      await confirm(`${summaryLine(planned, false)} Delete them?`, options.yes === true);
      // Somebody may have thought it over for long.
      await refuseWhileRunning(deps, source);
      await apply(deps, planned, retentionPlanKey(source, runId), () => deps.plans.load(source));
    }
    show(true);
  }
}

/** As Apply Retention does: the plan is written down before anything is deleted. */
async function apply(
  deps: Pick<Deps, 'objects' | 'snapshots'>,
  { record, backups, snapshotIds }: SourceRetention,
  planKey: string,
  loadPlan: () => ReturnType<Deps['plans']['load']>,
): Promise<void> {
  const { plan } = await loadPlan();
  await deps.objects.put(planKey, JSON.stringify(record, null, 1), {
    contentType: 'application/json',
  });
  await deleteBackups(deps, backups);
  await toTheEnd(snapshotIds, (snapshotId) => deps.snapshots.delete(plan, snapshotId));
}

/** A run tidies up itself at its end, and what it is writing must not be judged. */
async function refuseWhileRunning(
  { objects, workflow }: Pick<Deps, 'objects' | 'workflow'>,
  source: string,
): Promise<void> {
  const found = await objects.get(runLockKey(source));
  const lock = RunLock.safeParse(parseJson(found?.body)).data;
  if (!lock) return;
  const status = await workflow.executionStatus(lock.executionArn);
  if (status !== 'RUNNING' && status !== 'PENDING_REDRIVE') return;
  throw new RunInProgress(
    `run ${lock.runId} of ${source} has been running since ${lock.startedAt}`,
    {
      remedy: 'wait for its end: it applies retention itself',
    },
  );
}

/**
 * What the last run came to: where its dump of a database failed, nothing of that database goes, as in the
 * run itself.
 */
async function latestResults({ objects }: Pick<Deps, 'objects'>, source: string): Promise<Results> {
  const summaries: { key: string; lastModified: Date }[] = [];
  for await (const object of objects.list(`runs/${source}/`)) {
    if (object.key.endsWith('/summary.json')) summaries.push(object);
  }
  summaries.sort((a, b) => b.lastModified.getTime() - a.lastModified.getTime());
  for (const { key } of summaries) {
    const found = await objects.get(key);
    const summary = RunSummary.safeParse(parseJson(found?.body)).data;
    const results = summary && resultsOfSummary(summary);
    if (results) return results;
  }
  return { snapshot: { status: 'skipped' }, logical: { status: 'skipped' } };
}

function parseJson(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    return undefined;
  }
}

function planLines(record: RetentionPlanRecord, now: Date, out: Output): string[] {
  const { databases, snapshots, guard, foreign } = record;
  const groups = [
    ...databases.map((group) => ({ title: `database ${displayName(group.database)}`, ...group })),
    ...(snapshots ? [{ title: 'snapshots', ...snapshots }] : []),
  ];
  return [
    ...groups.flatMap(({ title, keep, delete: gone, withheld }, index) => {
      const rows: Decision[] = [
        ...keep.map((it) => ({ ...it, action: 'keep' as const })),
        ...gone.map((it) => ({ ...it, action: 'delete' as const })),
      ].sort((a, b) => (a.time < b.time ? 1 : -1));
      return [
        ...(index > 0 ? [''] : []),
        out.colors.bold(`${record.source}: ${title}`),
        ...(withheld === null ? [] : safeLines(`nothing may go: ${withheld}`)),
        ...(rows.length === 0 ? ['nothing'] : decisionLines(rows, now, out)),
      ];
    }),
    ...(groups.length === 0 ? [`${record.source} has no backup.`] : []),
    ...(foreign.objects + foreign.snapshots.length > 0
      ? [
          '',
          `not ours, never touched: ${counted(foreign.objects, 'object')}, ${counted(foreign.snapshots.length, 'snapshot')}`,
        ]
      : []),
    ...(guard === null
      ? []
      : ['', ...safeLines(`REFUSED: ${guard}`).map((line) => out.colors.red(line))]),
  ];
}

function decisionLines(rows: readonly Decision[], now: Date, out: Output): string[] {
  return formatTable(
    [
      {
        title: 'PLAN',
        cell: ({ action }) => action,
        paint:
          ({ action }) =>
          (colors) =>
            action === 'keep' ? colors.green : colors.red,
      },
      { title: 'BACKUP', cell: ({ id }) => safeLines(id).join(' ') },
      { title: 'TIME', cell: ({ time }) => displayUtc(new Date(time)) },
      { title: 'AGE', align: 'right', cell: ({ time }) => relativeTime(new Date(time), now) },
      {
        title: 'SIZE',
        align: 'right',
        cell: ({ sizeBytes }) => (sizeBytes === 0 ? '-' : displayBytes(sizeBytes)),
      },
      { title: 'STATE', cell: ({ state }) => state },
      { title: 'WHY', cell: ({ reasons }) => safeLines(reasons.join('; ')).join(' ') },
    ],
    rows,
    out.colors,
  );
}

function summaryLine({ record, backups, snapshotIds }: SourceRetention, applied: boolean): string {
  const kept =
    record.databases.reduce((sum, { keep }) => sum + keep.length, 0) +
    (record.snapshots?.keep.length ?? 0);
  const bytes = backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (backups.length + snapshotIds.length === 0) return `${kept} kept, nothing to delete.`;
  const verb = applied ? 'deleted' : 'to be deleted';
  return `${kept} kept; ${verb}: ${counted(backups.length, 'backup')} (${displayBytes(bytes)}), ${counted(snapshotIds.length, 'snapshot')}.`;
}
