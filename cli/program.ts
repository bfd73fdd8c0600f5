import { Command, CommanderError } from 'commander';
import { TOOL_VERSION } from '#runtime/version.ts';
import { COMMANDS } from './commands/all.ts';
import { addExamples, makeContext, type World } from './context.ts';
import { describeError, isCleanEnd } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import { safeLines } from './output.ts';

const LOCAL_DIRECTORY = '.holdfast';

/** Runs one command. Returns the exit code; nothing is thrown. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(world, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv.map(spellOutLocal), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (isCleanEnd(error)) return EXIT.ok;
    return reportError(error, argv, world);
  }
}

/** The program with all its commands. `end` gets the exit code of a command that ran to its end. */
export function buildProgram(world: World, end: (exitCode: number) => void): Command {
  const { terminal } = world;
  const program = new Command('holdfast')
    .description('PostgreSQL backups on AWS: start, look at, prove and restore them')
    .version(TOOL_VERSION, '--version', 'the version of this command')
    .helpOption('--help', 'how it is used')
    .helpCommand(false)
    .option('--stage <name>', 'of the deployment; default: HOLDFAST_STAGE, or prod')
    .option('--region <name>', "of the deployment; default: AWS_REGION, or the profile's")
    .option(
      '--local [dir]',
      `the services on this machine; another folder than ${LOCAL_DIRECTORY} as --local=DIR`,
    )
    .option('--json', 'the result as one JSON document')
    .option('--debug', 'errors with their stack')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .exitOverride()
    // Errors are reported in one place, below.
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: () => {},
    });
  addExamples(program, [
    'holdfast list',
    'holdfast start orders',
    'holdfast restore orders/shop --to shop_yesterday',
    'holdfast list --stage dev --region eu-central-1',
    'holdfast list --local',
    '',
    'Exit codes: 0 done, 1 it failed, 2 not understood, 3 not found, 4 refused, 5 AWS or access, 130 interrupted',
  ]);
  const context = makeContext(world, end);
  for (const register of COMMANDS) register(program, context);
  return program;
}

/** Commander would take the word that follows for the folder. */
function spellOutLocal(word: string): string {
  return word === '--local' ? `--local=${LOCAL_DIRECTORY}` : word;
}

function reportError(error: unknown, argv: readonly string[], { terminal }: World): number {
  const { name, message, remedy, exitCode } = describeError(error);
  const isHelp = error instanceof CommanderError && error.code === 'commander.help';
  const asked = (option: string) => argv.includes(option);
  if (asked('--json')) {
    terminal.out(`${JSON.stringify({ error: { name, message, remedy } }, null, 2)}\n`);
  } else if (!isHelp) {
    const lines = [`${name}: ${message}`, ...(remedy === null ? [] : [remedy])];
    terminal.err(`${lines.flatMap(safeLines).join('\n')}\n`);
  }
  if (asked('--debug') && error instanceof Error) terminal.err(`${stackOf(error)}\n`);
  return exitCode;
}

/** With the stacks of its causes. */
function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}
