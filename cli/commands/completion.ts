import { Argument, type Command } from 'commander';
import { readCommandTree } from '../command-tree.ts';
import { completionScript, SHELLS, type Shell } from '../completion-scripts.ts';
import { addExamples, type CliContext } from '../context.ts';

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('completion')
    .description('a script that completes commands and options in your shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell, _options: object, self: Command) => {
      const script = completionScript(shell, readCommandTree(program));
      context.begin(self).out.result({ shell, script }, () => [script.trimEnd()]);
    });
  addExamples(command, [
    'source <(holdfast completion bash)',
    'holdfast completion zsh > ~/.zfunc/_holdfast',
    'holdfast completion fish > ~/.config/fish/completions/holdfast.fish',
  ]);
}
