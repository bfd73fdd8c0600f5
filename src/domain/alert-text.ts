import { executionLink } from './console-link.ts';
import { displayCount } from './display-text.ts';

/** The pieces of which every alert's text is made. */

/** So many of a list are written out. */
const LISTED_IN_TEXT = 20;
/** Of a cause, in the text. */
export const CAUSE_IN_TEXT = 600;
/** Of a cause, in the JSON. */
export const CAUSE_IN_JSON = 400;

export function consoleLine(executionArn: string): string[] {
  const link = executionLink(executionArn);
  return link === undefined ? [] : [`Execution: ${link}`];
}

export function counted(count: number, noun: string): string {
  return `${displayCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function cutList<Item>(items: readonly Item[], describe: (item: Item) => string): string[] {
  const lines = items.slice(0, LISTED_IN_TEXT).map(describe);
  const more = items.length - lines.length;
  return more > 0 ? [...lines, `and ${displayCount(more)} more`] : lines;
}

export function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return [title, ...lines.map((line) => `  ${line}`)].join('\n');
}

export function joinSections(sections: readonly string[]): string {
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

/** SNS: an attribute is not empty. Error names of Step Functions have dots, nothing else. */
export function attributeValue(value: string): string {
  return value.replace(/[^\w.-]/g, '_').slice(0, 100) || 'none';
}
