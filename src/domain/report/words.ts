import { displaySeconds, displayText } from '../display-text.ts';
import type { Level } from './attention.ts';
import { type HtmlValue, html, type Markup } from './html.ts';

/** Words and small marks that several parts of the page use. */

export const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  red: 'in danger',
  amber: 'needs a look',
  green: 'protected',
};

export function pill(level: Level): Markup {
  return html`<span class="pill ${level}">${LEVEL_WORDS[level]}</span>`;
}

/** PostgreSQL's names have at most 63 bytes; what is longer was not one. */
const NAME_CHARACTERS = 260;

/** A name from a database, apart from the direction of the text around it; what hides is shown as its code point. */
export function nameOf(name: string): Markup {
  const shown = displayText(name, NAME_CHARACTERS);
  return html`<bdi>${shown === '' ? '(no name)' : shown}</bdi>`;
}

/** An element's id; a source's name has letters, digits and hyphens only. */
export function sourceId(source: string): string {
  return `source-${source.replace(/[^a-z0-9-]/g, '_')}`;
}

/** `1 source`, `2 sources`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`;
}

/** `$0.42`, `$1,204` */
export function dollars(amount: number): string {
  if (amount > 0 && amount < 0.01) return 'under $0.01';
  const digits = amount < 100 ? 2 : 0;
  const number = amount.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return `$${number}`;
}

/** `4 h`, where displaySeconds has `4 h 0 min`. */
export function duration(seconds: number): string {
  return displaySeconds(seconds).replace(/ 0 (s|min)$/, '');
}

/** A cell of a table that becomes lines on a phone, where its heading stands before it. */
export function cell(label: string, content: HtmlValue, kind: '' | 'num' | 'wrap' = ''): Markup {
  return html`<td class="${kind}" data-label="${label}"><div>${content}</div></td>`;
}

/** Of a cause; the execution and the log have it all. */
const CAUSE_CHARACTERS = 600;

/** Text from outside, so long that it fits its place. */
export function cut(text: string, characters = CAUSE_CHARACTERS): string {
  const points = Array.from(text.slice(0, characters * 2));
  return points.length <= characters && text.length <= characters * 2
    ? text
    : `${points.slice(0, characters).join('')}…`;
}
