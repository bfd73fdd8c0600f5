import type { CommandTree, OptionNode } from './command-tree.ts';

/** Scripts that complete commands, options and their values. Names in them are our own, never from outside. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, tree: CommandTree): string {
  switch (shell) {
    case 'bash':
      return bashScript(tree);
    case 'zsh':
      return zshScript(tree);
    case 'fish':
      return fishScript(tree);
  }
}

/** Every option that takes a value, with its choices: `--level` → `structure full`. */
function valueOptions({ commands, globalOptions }: CommandTree): Map<string, Set<string>> {
  const choices = new Map<string, Set<string>>();
  for (const option of [...globalOptions, ...commands.flatMap(({ options }) => options)]) {
    if (!option.takesValue) continue;
    const known = choices.get(option.flag) ?? new Set();
    for (const choice of option.choices) known.add(choice);
    choices.set(option.flag, known);
  }
  return choices;
}

const flagsOf = (options: readonly OptionNode[]) => options.map(({ flag }) => flag);

function bashScript(tree: CommandTree): string {
  const { commands, globalOptions } = tree;
  const names = commands.map(({ name }) => name);
  const values = [...valueOptions(tree)].map(
    ([flag, choices]) =>
      `    ${flag}) COMPREPLY=($(compgen -W '${[...choices].join(' ')}' -- "$word")); return ;;`,
  );
  const cases = commands.map(({ name, options, argumentChoices }) => {
    const words = [...argumentChoices, ...flagsOf(options), ...flagsOf(globalOptions)];
    return `    ${name}) words='${words.join(' ')}' ;;`;
  });
  return `# bash completion for holdfast. Load it with: source <(holdfast completion bash)
_holdfast() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command= words i
  COMPREPLY=()
  case $before in
${values.join('\n')}
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${names.join('|')}) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
${cases.join('\n')}
    *) words='${[...names, ...flagsOf(globalOptions)].join(' ')}' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _holdfast holdfast
`;
}

/** For a word in single quotes, in zsh. */
function zshQuoted(text: string): string {
  return text.replaceAll("'", "'\\''");
}

/**
 * `_arguments` takes the options before the command as well, and hands the rest on as a command line of its
 * own. The last lines serve both ways of loading it: sourced, it registers itself; found in `fpath` as
 * `_holdfast`, the file is the body of the function, and has to act at once.
 */
function zshScript({ commands, globalOptions }: CommandTree): string {
  const spec = ({ flag, description, takesValue, mayTakeValue, choices }: OptionNode) => {
    const text = zshQuoted(description.replaceAll(/[[\]\\]/g, '\\$&'));
    if (mayTakeValue) return `'${flag}=-[${text}]::value:'`;
    if (!takesValue) return `'${flag}[${text}]'`;
    // Given twice is for the command to judge: many are repeatable.
    return `'*${flag}[${text}]:value:${choices.length > 0 ? `(${choices.join(' ')})` : ''}'`;
  };
  const listed = commands.map(
    ({ name, description }) => `        '${name}:${zshQuoted(description)}'`,
  );
  const cases = commands.map(({ name, options, argumentChoices }) => {
    const argument =
      argumentChoices.length > 0 ? `'1:value:(${argumentChoices.join(' ')})'` : "'*:value:'";
    const specs = [argument, ...[...options, ...globalOptions].map(spec)];
    return `        ${name})\n          _arguments ${specs.join(' \\\n            ')} ;;`;
  });
  return `#compdef holdfast
# zsh completion for holdfast. Load it with: source <(holdfast completion zsh)
_holdfast() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C ${globalOptions.map(spec).join(' \\\n    ')} \\
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(
${listed.join('\n')}
      )
      _describe command commands ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
if [[ $funcstack[1] == _holdfast ]]; then
  _holdfast "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
  compdef _holdfast holdfast
fi
`;
}

/** What was typed before the word in question decides: the first word that is no option or its value. */
function fishScript(tree: CommandTree): string {
  const { commands, globalOptions } = tree;
  const line = (condition: string, { flag, description, takesValue, choices }: OptionNode) =>
    [
      `complete -c holdfast${condition} -l ${flag.replace(/^--/, '')} -d '${fishQuoted(description)}'`,
      takesValue ? ' -x' : '',
      choices.length > 0 ? ` -a '${choices.join(' ')}'` : '',
    ].join('');
  const lines = commands.flatMap(({ name, description, options, argumentChoices }) => {
    const condition = ` -n '__holdfast_command ${name}'`;
    return [
      `complete -c holdfast -n __holdfast_command -a ${name} -d '${fishQuoted(description)}'`,
      ...(argumentChoices.length > 0
        ? [`complete -c holdfast${condition} -a '${argumentChoices.join(' ')}'`]
        : []),
      ...options.map((option) => line(condition, option)),
    ];
  });
  return `# fish completion for holdfast. Load it with: holdfast completion fish | source
# Whether this is the command that was typed; without a name: whether none was typed yet.
function __holdfast_command
    set -l command ''
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else
            switch $word
                case ${[...valueOptions(tree).keys()].join(' ')}
                    set skip 1
                case '-*'
                case '*'
                    set command $word
                    break
            end
        end
    end
    test "$command" = "$argv[1]"
end
complete -c holdfast -f
${[...lines, ...globalOptions.map((option) => line('', option))].join('\n')}
`;
}

function fishQuoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
