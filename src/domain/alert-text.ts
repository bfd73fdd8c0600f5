import { displayCount, displaySeconds, displayText } from './display-text.ts';

/** Words for lists, counts and causes, in alerts and wherever else a list may be long. */

/** So many of a list are written out. */
const LISTED_IN_TEXT = 20;
/** Of a cause, in the text. */
export const CAUSE_IN_TEXT = 600;
/** Of a cause, in the JSON. */
export const CAUSE_IN_JSON = 400;

export function counted(count: number, noun: string): string {
  return `${displayCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function cutList<Item>(items: readonly Item[], describe: (item: Item) => string): string[] {
  const lines = items.slice(0, LISTED_IN_TEXT).map(describe);
  const more = items.length - lines.length;
  return more > 0 ? [...lines, `and ${displayCount(more)} more`] : lines;
}

/** Failures come first, so that a long list never cuts them off. */
export function failuresFirst<Item>(
  items: readonly Item[],
  failed: (item: Item) => boolean,
): Item[] {
  return [...items.filter(failed), ...items.filter((item) => !failed(item))];
}

/** When a restore began, at whose wish, and how long it took. */
export function whenLines(
  { startedAt, reason }: { readonly startedAt: string; readonly reason: string | null },
  { endedAt, durationSeconds }: { readonly endedAt: string; readonly durationSeconds: number },
): string[] {
  return [
    `Started ${startedAt}${reason === null ? '' : ` (${displayText(reason, 200)})`}`,
    `Ended ${endedAt}, after ${displaySeconds(durationSeconds)}`,
  ];
}
