import pc from 'picocolors';
import { displayText } from '#domain/display-text.ts';
import type { Terminal } from './terminal.ts';

type Colors = ReturnType<typeof pc.createColors>;
export type Paint = (colors: Colors) => (text: string) => string;

/** Of a line that was not made by us: an error's message, a reason. */
const LINE_CHARACTERS = 4_000;

/**
 * What a command shows. Its result goes to standard output, once: as JSON one document, else as lines.
 * Everything else goes to standard error, so that a result can be piped.
 */
export interface Output {
  readonly json: boolean;
  /** Of standard output; without effect where that is no terminal. */
  readonly colors: Colors;
  result(document: object, lines: () => readonly string[]): void;
  /** Progress. */
  note(line: string): void;
  warn(line: string): void;
}

export function makeOutput(
  terminal: Terminal,
  options: { json: boolean; environment: Readonly<Record<string, string | undefined>> },
): Output {
  const { json, environment } = options;
  const mayPaint = environment['NO_COLOR'] === undefined && environment['TERM'] !== 'dumb';
  const colors = pc.createColors(mayPaint && terminal.outIsTty && !json);
  const errColors = pc.createColors(mayPaint && terminal.errIsTty);
  return {
    json,
    colors,
    result(document, lines) {
      const text = json ? JSON.stringify(document, null, 2) : lines().join('\n');
      if (text !== '') terminal.out(`${text}\n`);
    },
    note: (line) => terminal.err(`${line}\n`),
    warn: (line) => terminal.err(`${errColors.yellow('warning:')} ${line}\n`),
  };
}

/** Text from outside, line by line, with nothing in it that a terminal obeys. */
export function safeLines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => displayText(line, LINE_CHARACTERS))
    .filter((line) => line !== '');
}

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly cell: (row: Row) => string;
  readonly paint?: (row: Row) => Paint | undefined;
}

/** A table with a heading, columns two spaces apart. Cells must be fit for a terminal. */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  colors: Colors,
): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  const widths = columns.map(({ title }, index) =>
    Math.max(width(title), ...cells.map((line) => width(line[index] ?? ''))),
  );
  const pad = (text: string, index: number) => {
    const space = ' '.repeat((widths[index] ?? 0) - width(text));
    return columns[index]?.align === 'right' ? space + text : text + space;
  };
  const heading = columns.map(({ title }, index) => colors.dim(pad(title, index)));
  const lines = cells.map((line, row) =>
    line.map((text, index) => {
      const paint = columns[index]?.paint?.(rows[row] as Row);
      const padded = pad(text, index);
      return paint ? paint(colors)(padded) : padded;
    }),
  );
  return [heading, ...lines].map((line) => line.join('  ').trimEnd());
}

/** Two columns for characters that East Asian fonts draw wide (the ranges of Unicode's EAW "W" and "F"). */
function width(text: string): number {
  let columns = 0;
  for (const char of text) columns += WIDE.test(char) ? 2 : /\p{M}/u.test(char) ? 0 : 1;
  return columns;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** `name  value` lines, the names in one width. Undefined values are left out. */
export function formatFacts(
  facts: readonly (readonly [name: string, value: string | undefined])[],
  colors: Colors,
): string[] {
  const known = facts.filter(([, value]) => value !== undefined);
  const longest = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${colors.dim(name.padEnd(longest))}  ${value}`);
}
