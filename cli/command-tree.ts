import type { Command, Option } from 'commander';

/** The program as completion scripts and the documentation need it. */
export interface CommandTree {
  readonly commands: readonly CommandNode[];
  readonly globalOptions: readonly OptionNode[];
}

export interface CommandNode {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionNode[];
  /** Values of the first argument, where they are known. */
  readonly argumentChoices: readonly string[];
}

export interface OptionNode {
  /** `--level` */
  readonly flag: string;
  readonly description: string;
  readonly takesValue: boolean;
  /** It may stand alone; a value is written with an equals sign, as in `--local=DIR`. */
  readonly mayTakeValue: boolean;
  /** The values it takes, where they are known. */
  readonly choices: readonly string[];
}

export function readCommandTree(program: Command): CommandTree {
  return {
    commands: program.commands
      .map((command) => ({
        name: command.name(),
        description: command.description(),
        options: command.options.map(readOption),
        argumentChoices: command.registeredArguments[0]?.argChoices ?? [],
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    globalOptions: [
      ...program.options.map(readOption),
      {
        flag: '--help',
        description: 'how it is used',
        takesValue: false,
        mayTakeValue: false,
        choices: [],
      },
    ],
  };
}

function readOption(option: Option): OptionNode {
  return {
    flag: option.long ?? option.flags,
    description: option.description,
    takesValue: option.required,
    mayTakeValue: option.optional,
    choices: option.argChoices ?? [],
  };
}
