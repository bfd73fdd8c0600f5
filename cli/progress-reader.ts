import { TaskProgress } from '#contracts/task-progress.ts';
import { displaySeconds } from '#domain/display-text.ts';
import { taskProgressPrefix } from '#domain/names.ts';
import {
  describeTaskProgress,
  STATES_WITH_PROGRESS,
  stepsOfTask,
} from '#domain/task-progress-text.ts';
import { parseRecord } from '#operations/records.ts';
import type { OperatorDeps } from '#runtime/operator-ports.ts';

/** Between two looks into the bucket: a listing, and an object for each task at work. */
const LOOK_MILLISECONDS = 5_000;
/** Between two lines of one task in the same phase: soon at first, and for hours not one every few seconds. */
const FIRST_PAUSE_MILLISECONDS = 10_000;
const LONGEST_PAUSE_MILLISECONDS = 60_000;
/** Tasks write every 15 seconds; one that has not for so long may be dead. */
const SILENT_MILLISECONDS = 90_000;
/** Whoever may not read the bucket follows all the same. */
const MOST_FAILURES = 3;

interface Told {
  readonly phase: string;
  readonly at: number;
  readonly pause: number;
}

/** Reads how far the tasks of one execution are. What cannot be read is not told; nothing is thrown. */
export class ProgressReader {
  readonly #deps: Pick<OperatorDeps, 'objects' | 'clock'>;
  readonly #source: string;
  readonly #runId: string;
  /** By key. */
  readonly #told = new Map<string, Told>();
  /** By key: what it was last changed to, and when that was seen first, by this machine's clock. */
  readonly #seen = new Map<string, { readonly updatedAt: string; readonly at: number }>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #failures = 0;

  constructor(deps: Pick<OperatorDeps, 'objects' | 'clock'>, source: string, runId: string) {
    this.#deps = deps;
    this.#source = source;
    this.#runId = runId;
  }

  /** The lines that are due, of tasks whose step is open; mostly none. */
  async lines(openSteps: ReadonlySet<string>): Promise<string[]> {
    const now = this.#deps.clock.now();
    const isWorthwhile = [...openSteps].some((step) =>
      STATES_WITH_PROGRESS.some((state) => step === state || step.startsWith(`${state} (`)),
    );
    if (!isWorthwhile || this.#failures >= MOST_FAILURES) return [];
    if (now.getTime() - this.#lookedAt < LOOK_MILLISECONDS) return [];
    this.#lookedAt = now.getTime();
    try {
      const lines = await this.#read(openSteps, now);
      this.#failures = 0;
      return lines;
    } catch {
      this.#failures += 1;
      return [];
    }
  }

  async #read(openSteps: ReadonlySet<string>, now: Date): Promise<string[]> {
    const lines: string[] = [];
    const prefix = taskProgressPrefix({ source: this.#source, runId: this.#runId });
    for await (const { key } of this.#deps.objects.list(prefix)) {
      const found = await this.#deps.objects.get(key);
      if (!found) continue;
      const progress = parseRecord(TaskProgress, found.body, key);
      if (!stepsOfTask(progress).some((step) => openSteps.has(step))) continue;
      if (this.#isDue(key, progress, now)) lines.push(this.#describe(key, progress, now));
    }
    return lines;
  }

  #isDue(key: string, progress: TaskProgress, now: Date): boolean {
    const phase = JSON.stringify([progress.phase, progress.subject]);
    const at = now.getTime();
    const before = this.#told.get(key);
    if (before?.phase !== phase) {
      this.#told.set(key, { phase, at, pause: FIRST_PAUSE_MILLISECONDS });
      return true;
    }
    // Another program's work, which tells nothing of itself.
    if (progress.phase === 'verification' || at - before.at < before.pause) return false;
    const pause = Math.min(before.pause * 1.5, LONGEST_PAUSE_MILLISECONDS);
    this.#told.set(key, { phase, at, pause });
    return true;
  }

  #describe(key: string, progress: TaskProgress, now: Date): string {
    const text = describeTaskProgress(progress, now);
    const before = this.#seen.get(key);
    if (before?.updatedAt !== progress.updatedAt) {
      this.#seen.set(key, { updatedAt: progress.updatedAt, at: now.getTime() });
      return text;
    }
    const silent = now.getTime() - before.at;
    if (silent < SILENT_MILLISECONDS) return text;
    return `${text}; no news of its task for ${displaySeconds(silent / 1000)}`;
  }
}
