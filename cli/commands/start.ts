import type { Command } from 'commander';
import { RunSummary } from '#contracts/run-summary.ts';
import { runAlert } from '#domain/alert-message.ts';
import { kindsOfRun, parseBackupInput } from '#domain/backup-input.ts';
import { runSummaryKey } from '#domain/names.ts';
import { parseRecord } from '#operations/records.ts';
import { addExamples, type CliContext, collectList, collectValue } from '../context.ts';
import { runExecution } from '../run-execution.ts';

interface StartOptions {
  readonly databases?: string[];
  readonly database?: string[];
  readonly kinds?: string[];
  readonly reason?: string;
  readonly wait: boolean;
}

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('start')
    .description('starts a backup of a source and follows it to its end')
    .argument('<source>', 'as it is called in the plan file')
    .option('--databases <names>', 'only these, with commas between them', collectList)
    .option(
      '--database <name>',
      'the same for one whose name has a comma; repeatable',
      collectValue,
    )
    .option('--kinds <kinds>', 'snapshot, logical; default: as the plan says', collectList)
    .option('--reason <text>', 'for the alert and the summary')
    .option('--no-wait', 'ends as soon as it is started')
    .action(start);
  addExamples(command, [
    'holdfast start orders',
    'holdfast start orders --databases shop,audit --kinds logical --reason "before release 4.2"',
    'holdfast start orders --no-wait --json',
  ]);

  async function start(source: string, options: StartOptions, self: Command): Promise<void> {
    const invocation = context.begin(self);
    const { kinds, reason, wait } = options;
    const databases = [...(options.databases ?? []), ...(options.database ?? [])];
    const input = parseBackupInput({
      source,
      ...(databases.length > 0 ? { databases } : {}),
      ...(kinds ? { kinds } : {}),
      ...(reason === undefined ? {} : { reason }),
    });
    const { record, deps, isLocal } = await invocation.open();
    const { plan } = await deps.plans.load(source);
    // What the plan does not allow is better said now than by a run that failed.
    kindsOfRun(input, plan);
    await runExecution(deps, invocation, {
      isLocal,
      stateMachineArn: record.stateMachines.backup,
      source,
      input,
      wait,
      what: `backup of ${source}`,
      async readRecord({ runId }) {
        const key = runSummaryKey(source, runId);
        const found = await deps.objects.get(key);
        return found && parseRecord(RunSummary, found.body, key);
      },
      describe: (summary) => runAlert(summary, deps.objects.bucket).text,
    });
  }
}
