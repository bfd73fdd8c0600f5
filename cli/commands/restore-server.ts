import { type Command, Option } from 'commander';
import { type ServerRestoreInput, ServerRestoreRecord } from '#contracts/restore-server.ts';
import { restoreKey } from '#domain/names.ts';
import { serverRestoreAlert } from '#domain/restore/server-restore-alert.ts';
import { parseServerRestoreInput } from '#domain/restore/server-restore-input.ts';
import { parseTimeText } from '#domain/time-text.ts';
import { DeploymentNotFound, InvalidInput } from '#errors';
import { parseRecord } from '#operations/records.ts';
import { addExamples, type CliContext, collectList, collectValue, parseCount } from '../context.ts';
import { runExecution } from '../run-execution.ts';

/** As commander gives them. */
export interface ServerRestoreOptions {
  readonly snapshot?: string;
  readonly at?: string;
  readonly name?: string;
  readonly class?: string;
  readonly subnetGroup?: string;
  readonly securityGroups?: string[];
  readonly parameterGroup?: string;
  readonly clusterParameterGroup?: string;
  readonly optionGroup?: string;
  readonly kmsKey?: string;
  readonly multiAz?: boolean;
  readonly tag?: string[];
  readonly public?: boolean;
  readonly deletionProtection?: boolean;
  /** Undefined: a server that runs is never deleted. */
  readonly cleanUp?: boolean;
  readonly timeout?: number;
  readonly reason?: string;
  readonly wait: boolean;
}

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('restore-server')
    .description('restores a whole RDS instance or Aurora cluster beside the original')
    .argument('<source>', 'whose server')
    .addOption(
      new Option(
        '--snapshot <id>',
        'latest, or the id or ARN of a snapshot; holdfast list --snapshots has them',
      ).conflicts('at'),
    )
    .option('--at <time>', 'a point in time, or latest: 2026-11-20T12:00:00Z')
    .option('--name <identifier>', 'of the new server; default: <source>-restored-<time>')
    .option('--class <class>', "default: the source's, as all that follows")
    .option('--subnet-group <name>', 'decides the VPC')
    .option('--security-groups <ids>', 'with commas between them', collectList)
    .option('--parameter-group <name>', 'of the instance, or of the Aurora writer')
    .option('--cluster-parameter-group <name>', 'Aurora only')
    .option('--option-group <name>', 'instances only')
    .option('--kms-key <id>', 'Aurora only: an instance keeps its key')
    .option('--multi-az', 'with a standby; instances only')
    .option('--tag <key=value>', "beside the source's own; repeatable", collectValue)
    .option('--public', 'reachable from the internet, if its security groups allow it')
    .option('--deletion-protection', 'of the new server')
    .option('--clean-up', 'deletes the new server after any failure')
    .option('--no-clean-up', 'never deletes it')
    .option('--timeout <minutes>', 'for RDS to make the server; default: 1440', parseCount)
    .option('--reason <text>', 'for the alert and the record')
    .option('--no-wait', 'ends as soon as it is started')
    .action(restoreServer);
  addExamples(command, [
    'holdfast restore-server orders --snapshot latest',
    'holdfast restore-server orders --at 2026-11-20T12:00:00Z --name orders-noon',
    'holdfast restore-server orders --at latest --class db.r6g.large --no-wait',
  ]);

  async function restoreServer(
    source: string,
    options: ServerRestoreOptions,
    self: Command,
  ): Promise<void> {
    const invocation = context.begin(self);
    const input = readServerRequest(source, options);
    const { record, deps, isLocal } = await invocation.open();
    const stateMachineArn = record.stateMachines.restoreServer;
    if (stateMachineArn === undefined) {
      throw new DeploymentNotFound('the deployment has no state machine that restores servers', {
        remedy: 'deploy the present version',
      });
    }
    await deps.plans.load(source);
    await runExecution(deps, invocation, {
      isLocal,
      stateMachineArn,
      source,
      input,
      wait: options.wait,
      what: `restore of the server of ${source}`,
      where: 'server-restore',
      async readRecord({ restoreId }) {
        const key = restoreKey({ source, restoreId }, 'server.json');
        const found = await deps.objects.get(key);
        return found && parseRecord(ServerRestoreRecord, found.body, key);
      },
      describe: (result) => serverRestoreAlert(result, deps.objects.bucket).text,
    });
  }
}

/** The input of the state machine that the command line asks for. Throws InvalidInput. */
export function readServerRequest(
  source: string,
  options: ServerRestoreOptions,
): ServerRestoreInput {
  const { snapshot, at, cleanUp, timeout, reason } = options;
  if (snapshot === undefined && at === undefined) {
    throw new InvalidInput('neither --snapshot nor --at says what to restore', {
      remedy: 'write --snapshot latest, or --at 2026-11-20T12:00:00Z',
    });
  }
  return parseServerRestoreInput(
    present({
      source,
      snapshot,
      pointInTime: at === undefined || at === 'latest' ? at : parseTimeText(at),
      target: present({
        identifier: options.name,
        instanceClass: options.class,
        subnetGroup: options.subnetGroup,
        securityGroups: options.securityGroups,
        parameterGroup: options.parameterGroup,
        clusterParameterGroup: options.clusterParameterGroup,
        optionGroup: options.optionGroup,
        kmsKeyId: options.kmsKey,
        multiAz: options.multiAz,
        tags: options.tag && Object.fromEntries(options.tag.map(readTag)),
        publiclyAccessible: options.public,
        deletionProtection: options.deletionProtection,
      }),
      cleanUpOnFailure: cleanUp,
      timeoutMinutes: timeout,
      reason,
    }),
  );
}

function readTag(text: string): [string, string] {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key !== undefined && value !== undefined) return [key, value];
  throw new InvalidInput(`${JSON.stringify(text)} is no tag`, { remedy: 'write --tag team=data' });
}

/** Without what is undefined. */
function present(shape: object): object {
  return Object.fromEntries(Object.entries(shape).filter(([, value]) => value !== undefined));
}
