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

/** For a single-quoted word with a description in zsh and fish. */
function quoted(text: string): string {
  return text.replaceAll("'", "'\\''");
}

function zshScript({ commands, globalOptions }: CommandTree): string {
  const spec = ({ flag, description, takesValue, choices }: OptionNode) => {
    const text = quoted(description).replaceAll(/[[\]:]/g, '\\$&');
    const value = takesValue ? `:value:${choices.length > 0 ? `(${choices.join(' ')})` : ''}` : '';
    return `'${flag}[${text}]${value}'`;
  };
  const listed = commands.map(
    ({ name, description }) => `    '${name}:${quoted(description).replaceAll(':', '\\:')}'`,
  );
  const cases = commands.map(({ name, options, argumentChoices }) => {
    const argument = argumentChoices.length > 0 ? `'1:value:(${argumentChoices.join(' ')})'` : '';
    const specs = [argument, ...[...options, ...globalOptions].map(spec)].filter((it) => it !== '');
    return `    ${name})\n      _arguments ${specs.join(' \\\n        ')} ;;`;
  });
  return `#compdef holdfast
# zsh completion for holdfast. Load it with: source <(holdfast completion zsh)
_holdfast() {
  local -a commands
  commands=(
${listed.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _holdfast holdfast
`;
}

function fishScript({ commands, globalOptions }: CommandTree): string {
  const line = (condition: string, { flag, description, takesValue, choices }: OptionNode) =>
    [
      `complete -c holdfast${condition} -l ${flag.replace(/^--/, '')} -d '${fishQuoted(description)}'`,
      takesValue ? ' -x' : '',
      choices.length > 0 ? ` -a '${choices.join(' ')}'` : '',
    ].join('');
  const lines = commands.flatMap(({ name, description, options, argumentChoices }) => {
    const condition = ` -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c holdfast -n __fish_use_subcommand -a ${name} -d '${fishQuoted(description)}'`,
      ...(argumentChoices.length > 0
        ? [`complete -c holdfast${condition} -a '${argumentChoices.join(' ')}'`]
        : []),
      ...options.map((option) => line(condition, option)),
    ];
  });
  return [
    '# fish completion for holdfast. Load it with: holdfast completion fish | source',
    'complete -c holdfast -f',
    ...lines,
    ...globalOptions.map((option) => line('', option)),
    '',
  ].join('\n');
}

function fishQuoted(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
