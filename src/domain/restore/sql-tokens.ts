import { ArchiveCorrupt } from '#errors';

/**
 * SQL as pg_dump and pg_dumpall write it, taken apart. What comes from an archive is never sent as it is
 * where its meaning matters: it is read into tokens, judged, and written again from these.
 */
export type SqlToken =
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'symbol'; readonly text: string };

export interface SqlTextOptions {
  /** What `standard_conforming_strings` is for the text: whether a backslash in '…' is only that. */
  readonly standardStrings?: boolean;
}

/** White space, line comments, and psql's own commands, which stand at the start of a line. */
const SKIPPED = /(?:\s+|--[^\n]*|(?<=^|\n)\\[^\n]*)+/y;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const NAME = /"((?:[^"]|"")+)"/y;
const PLAIN_STRING = /'((?:[^']|'')*)'/y;
const ESCAPE_STRING = /[Ee]'((?:[^'\\]|''|\\.)*)'/sy;
const BACKSLASH_STRING = /'((?:[^'\\]|''|\\.)*)'/sy;
const DOLLAR_STRING = /\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$(.*?)\$\1\$/sy;
const NUMBER = /\d+(?:\.\d*)?(?:[eE][+-]?\d+)?/y;

/**
 * The tokens, read as far as they are asked for.
 *
 * @throws ArchiveCorrupt at a quote without its end.
 */
export function* sqlTokens(
  text: string,
  { standardStrings = true }: SqlTextOptions = {},
): Generator<SqlToken> {
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? undefined;
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    match(SKIPPED);
    if (at >= text.length) return;
    const start = at;
    if (text.startsWith('/*', at)) {
      at = endOfComment(text, at);
      continue;
    }
    const escaped = match(ESCAPE_STRING);
    if (escaped) {
      yield { kind: 'string', text: unescapeString(escaped[1] ?? '') };
      continue;
    }
    const string = match(standardStrings ? PLAIN_STRING : BACKSLASH_STRING);
    if (string) {
      const inner = string[1] ?? '';
      yield {
        kind: 'string',
        text: standardStrings ? inner.replaceAll("''", "'") : unescapeString(inner),
      };
      continue;
    }
    const name = match(NAME);
    if (name) {
      yield { kind: 'name', text: (name[1] ?? '').replaceAll('""', '"') };
      continue;
    }
    const dollar = match(DOLLAR_STRING);
    if (dollar) {
      yield { kind: 'string', text: dollar[2] ?? '' };
      continue;
    }
    const word = match(WORD);
    if (word) {
      yield { kind: 'word', text: word[0] };
      continue;
    }
    const number = match(NUMBER);
    if (number) {
      yield { kind: 'number', text: number[0] };
      continue;
    }
    const symbol = text[at] as string;
    if (symbol === "'" || symbol === '"') {
      throw new ArchiveCorrupt(`SQL text of the backup has a quote without its end at ${start}`);
    }
    at += 1;
    yield { kind: 'symbol', text: symbol };
  }
}

/** Block comments nest. */
function endOfComment(text: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(text); mark; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  throw new ArchiveCorrupt(`SQL text of the backup has a comment without its end at ${start}`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** pg_dump doubles backslashes and quotes; the other escapes are those of the manual, 4.1.2.2. */
function unescapeString(inner: string): string {
  return inner.replaceAll(/''|\\(.)/gs, (all, char: string | undefined) =>
    all === "''" ? "'" : (ESCAPES[char ?? ''] ?? char ?? ''),
  );
}

/** The statements of a text, each without its semicolon. */
export function* sqlStatements(text: string, options: SqlTextOptions = {}): Generator<SqlToken[]> {
  let statement: SqlToken[] = [];
  for (const token of sqlTokens(text, options)) {
    if (token.kind !== 'symbol' || token.text !== ';') {
      statement.push(token);
      continue;
    }
    if (statement.length > 0) yield statement;
    statement = [];
  }
  if (statement.length > 0) yield statement;
}

/** Reads one statement from its start; `undefined` and `false` say that something else stands there. */
export class StatementReader {
  readonly #tokens: readonly SqlToken[];
  #at = 0;

  constructor(tokens: readonly SqlToken[]) {
    this.#tokens = tokens;
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** What was not read yet. */
  get rest(): readonly SqlToken[] {
    return this.#tokens.slice(this.#at);
  }

  /** Moves past these keywords or symbols if they all stand here. */
  take(...words: readonly string[]): boolean {
    const stand = words.every((word, i) => isWord(this.#tokens[this.#at + i], word));
    if (stand) this.#at += words.length;
    return stand;
  }

  /** A name, quoted or not. */
  name(): string | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'name' && token?.kind !== 'word') return undefined;
    this.#at += 1;
    return nameOf(token);
  }

  /** The text of a string. */
  string(): string | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'string') return undefined;
    this.#at += 1;
    return token.text;
  }

  /** A whole number, with its sign. */
  integer(): number | undefined {
    const sign = this.take('-') ? -1 : 1;
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'number' || !/^\d+$/.test(token.text)) return undefined;
    this.#at += 1;
    return sign * Number(token.text);
  }

  /** Moves on to the first of these keywords that stands outside of parentheses; false: there is none. */
  skipTo(...words: readonly string[]): boolean {
    let depth = 0;
    for (let at = this.#at; at < this.#tokens.length; at += 1) {
      const token = this.#tokens[at];
      if (depth === 0 && words.some((word) => isWord(token, word))) {
        this.#at = at;
        return true;
      }
      if (token?.kind === 'symbol' && token.text === '(') depth += 1;
      if (token?.kind === 'symbol' && token.text === ')') depth -= 1;
    }
    return false;
  }
}

function isWord(token: SqlToken | undefined, word: string): boolean {
  if (token?.kind === 'word') return token.text.toUpperCase() === word;
  return token?.kind === 'symbol' && token.text === word;
}

/** What an unquoted word names: the server folds A to Z. */
function nameOf(token: SqlToken): string {
  if (token.kind !== 'word') return token.text;
  return token.text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A name as it stands in SQL, whatever is in it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as it stands in SQL, for statements that take no bound values. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** Tokens as SQL again: the same meaning, in our own quotes. */
export function renderTokens(tokens: readonly SqlToken[]): string {
  return tokens
    .map(({ kind, text }) => {
      if (kind === 'name') return quoteIdentifier(text);
      return kind === 'string' ? quoteLiteral(text) : text;
    })
    .join(' ');
}
