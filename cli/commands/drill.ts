import { type Command, Option } from 'commander';
import { DrillRecord } from '#contracts/drill.ts';
import { DrillKind } from '#contracts/source-plan.ts';
import { parseDrillInput } from '#domain/drill/drill-input.ts';
import { drillRecordKey } from '#domain/names.ts';
import { DeploymentNotFound } from '#errors';
import { parseRecord } from '#operations/records.ts';
import { addExamples, type CliContext } from '../context.ts';
import { drillText } from '../drill-text.ts';
import { runExecution } from '../run-execution.ts';

interface DrillOptions {
  readonly database?: string;
  readonly kind?: string;
  readonly backup?: string;
  readonly reason?: string;
  readonly wait: boolean;
}

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('drill')
    .description('rehearses a restore in isolation: brings a backup back, checks it, and measures')
    .argument('<source>', 'as it is called in the plan file')
    .option('--database <name>', 'only this one; default: each that has a verified backup')
    .addOption(
      new Option('--kind <kind>', "default: the plan's in turn").choices(DrillKind.options),
    )
    .option('--backup <which>', "latest, random or a backup's id; default: as the plan says")
    .option('--reason <text>', 'for the alert and the record')
    .option('--no-wait', 'ends as soon as it is started')
    .action(drill);
  addExamples(command, [
    'holdfast drill orders',
    'holdfast drill orders --database shop --backup random',
    'holdfast drill orders --kind snapshot --reason "before the audit"',
    'holdfast drill orders --no-wait --json',
  ]);

  async function drill(source: string, options: DrillOptions, self: Command): Promise<void> {
    const invocation = context.begin(self);
    const { database, kind, backup, reason, wait } = options;
    const input = parseDrillInput({
      source,
      ...(database === undefined ? {} : { database }),
      ...(kind === undefined ? {} : { kind }),
      ...(backup === undefined ? {} : { backup }),
      ...(reason === undefined ? {} : { reason }),
    });
    const { record, deps, isLocal } = await invocation.open();
    const stateMachineArn = record.stateMachines.drill;
    if (stateMachineArn === undefined) {
      throw new DeploymentNotFound('the deployment has no state machine for drills', {
        remedy: 'deploy the present version',
      });
    }
    await deps.plans.load(source);
    await runExecution(deps, invocation, {
      isLocal,
      stateMachineArn,
      source,
      input,
      wait,
      what: `drill of ${source}`,
      // A drill's id is derived as a restore's is.
      async readRecord({ restoreId: drillId }) {
        const key = drillRecordKey({ source, drillId });
        const found = await deps.objects.get(key);
        return found && parseRecord(DrillRecord, found.body, key);
      },
      describe: (result) => drillText(result, deps.objects.bucket),
    });
  }
}
