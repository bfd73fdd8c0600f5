import type { TaskProgress } from '#contracts/task-progress.ts';
import {
  displayBytes,
  displayCount,
  displayName,
  displaySeconds,
  displayText,
} from './display-text.ts';

/** States whose tasks tell how far they are. */
const STATES = {
  dump: ['Dump Database'],
  restore: ['Restore Database'],
  drill: ['Drill Database', 'Drill Server'],
} as const satisfies Record<TaskProgress['task'], readonly string[]>;

export const STATES_WITH_PROGRESS: readonly string[] = Object.values(STATES).flat();

/** The steps of an execution that the task may belong to, as domain/execution-progress.ts labels them. */
export function stepsOfTask({ task, database }: TaskProgress): string[] {
  return STATES[task].flatMap((state) => [state, `${state} (${displayName(database)})`]);
}

/** `shop: data, 1.2 GB of 4.0 GB (30 %), for 2 min 5 s`. `at`: by the clock of whoever reads. */
export function describeTaskProgress(progress: TaskProgress, at: Date): string {
  const { database, phase, subject, unit, done, total, bytes, phaseStartedAt } = progress;
  const show = (count: number) => (unit === 'bytes' ? displayBytes(count) : displayCount(count));
  const parts = [
    `${displayText(phase, 40)}${subject === null ? '' : ` of ${displayName(subject)}`}`,
  ];
  if (done !== null && unit !== null) {
    const noun = unit === 'bytes' ? '' : ` ${unit}`;
    // A dump knows of no total while it writes what comes before the data.
    if (total === null || total === 0) parts.push(`${show(done)}${noun}`);
    else {
      const percent = Math.floor((Math.min(done, total) / total) * 100);
      parts.push(`${show(done)} of ${show(total)}${noun} (${percent} %)`);
    }
  }
  if (bytes !== null) parts.push(displayBytes(bytes));
  const seconds = Math.max(0, (at.getTime() - Date.parse(phaseStartedAt)) / 1000);
  return `${displayName(database)}: ${[...parts, `for ${displaySeconds(seconds)}`].join(', ')}`;
}
