import type { Command } from 'commander';
import { InvalidInput, NotConfirmed } from '#errors';
import type { Connect, GlobalOptions, OpenDeployment } from './deployment.ts';
import { makeOutput, type Output } from './output.ts';
import type { Terminal } from './terminal.ts';

/** What the program is given from outside; tests give their own. */
export interface World {
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly connect: Connect;
}

/** One call of one command. */
export interface Invocation {
  readonly out: Output;
  readonly signal: AbortSignal;
  /** The deployment that the options name; looked up once. */
  readonly open: () => Promise<OpenDeployment>;
  /**
   * Asks whether to go on; `yes`: the answer was given beforehand. Throws NotConfirmed, also where
   * nobody is there to be asked.
   */
  readonly confirm: (question: string, yes: boolean) => Promise<void>;
  /** What the process ends with, unless an error does it first. */
  readonly end: (exitCode: number) => void;
}

/** What every `cli/commands/<verb>.ts` is registered with. */
export interface CliContext {
  readonly world: World;
  /** Begins a call: `command` is the last argument of commander's action. */
  begin(command: Command): Invocation;
}

export function makeContext(world: World, end: (exitCode: number) => void): CliContext {
  return {
    world,
    begin(command) {
      const options = command.optsWithGlobals<GlobalOptions>();
      const { terminal, environment, signal } = world;
      let opened: Promise<OpenDeployment> | undefined;
      return {
        out: makeOutput(terminal, { json: options.json === true, environment }),
        signal,
        end,
        open() {
          opened ??= world.connect(options);
          return opened;
        },
        async confirm(question, yes) {
          if (yes) return;
          if (!terminal.canAsk) {
            throw new NotConfirmed(`nobody can be asked here: ${question}`, {
              remedy: 'give --yes if you mean it; nothing was done',
            });
          }
          const answer = await terminal.ask(`${question} [y/N] `, signal);
          if (/^y(es)?$/i.test(answer.trim())) return;
          throw new NotConfirmed('the answer was not yes', {
            remedy: 'nothing was done; answer with y if you mean it',
          });
        },
      };
    },
  };
}

/** `a,b` as a list; for options that may also be repeated. */
export function collectList(value: string, before: readonly string[] = []): string[] {
  const items = value.split(',').map((item) => item.trim());
  return [...before, ...items.filter((item) => item !== '')];
}

/** For options that are repeated, each with one value, which may hold a comma. */
export function collectValue(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Throws InvalidInput. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,6}$/.test(text) && count >= 1) return count;
  throw new InvalidInput(`${JSON.stringify(text)} is no whole number from 1`);
}

/** Adds examples to a command's help. */
export function addExamples(command: Command, lines: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`,
  );
}
