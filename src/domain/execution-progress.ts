import { displayName, displayText } from './display-text.ts';
import { describeFailure } from './failure-cause.ts';

/** A state that was entered or left, as Step Functions' history tells it. */
export interface ProgressEvent {
  readonly time: Date;
  readonly type: 'entered' | 'exited';
  readonly state: string;
  readonly stateType: string;
  readonly data: unknown;
}

export interface ProgressLine {
  readonly mark: 'begun' | 'done' | 'failed';
  readonly text: string;
}

/** Of a cause, in one line. */
const CAUSE_CHARACTERS = 200;

/**
 * Tells an execution while it goes on: a line when a step begins, ends or fails. States that only carry data
 * around or pass time are left out; a step that is repeated (a poll) is told once.
 */
export class ExecutionProgress {
  /** Steps by label, as they were last told. */
  readonly #steps = new Map<string, 'begun' | 'done'>();
  readonly #failures = new Set<string>();

  /** Steps that go on, by label: the state's name, of a Map's item `state (database)`. */
  open(): ReadonlySet<string> {
    return new Set([...this.#steps].flatMap(([label, step]) => (step === 'begun' ? [label] : [])));
  }

  /** The lines of an event, often none. */
  next(event: ProgressEvent): ProgressLine[] {
    const lines: ProgressLine[] = [];
    const { type, state } = event;
    const database = databaseOf(event);
    const label = database === undefined ? state : `${state} (${database})`;
    // A failure that was caught is in the data of every state from there on: it is told once.
    const failure = failureOf(event.data);
    const failed = failure === undefined ? undefined : `${database ?? ''} ${failure}`;
    const isNew = failed !== undefined && !this.#failures.has(failed);
    if (isNew) {
      this.#failures.add(failed);
      // Also where it is carried on without the database that it is of.
      this.#failures.add(` ${failure}`);
      lines.push({ mark: 'failed', text: `${label}: ${failure}` });
    }
    if (event.stateType !== 'Task') return lines;
    if (type === 'entered' && !this.#steps.has(label)) {
      this.#steps.set(label, 'begun');
      lines.push({ mark: 'begun', text: label });
    }
    // What leaves a state is its output, which need not name the database.
    const open = [label, state].find((it) => this.#steps.get(it) === 'begun');
    if (type === 'exited' && open !== undefined) {
      this.#steps.set(open, 'done');
      // The state that failed is left as well.
      if (!isNew) lines.push({ mark: 'done', text: open });
    }
    return lines;
  }
}

/**
 * Of a Map's item: `database.database`, of a drill's `archive.restore.target.database`; of its result:
 * `database`, which in an input is no item's.
 */
function databaseOf({ type, data }: ProgressEvent): string | undefined {
  const {
    database: plain,
    archive,
    drilled,
  } = (data ?? {}) as {
    database?: unknown;
    archive?: { restore?: { target?: unknown } };
    drilled?: unknown;
  };
  const [result, ...others] = Array.isArray(drilled) ? (drilled as unknown[]) : [];
  const database = archive?.restore?.target ?? (others.length === 0 ? result : undefined) ?? plain;
  const name =
    typeof database === 'object' && database !== null
      ? (database as { database?: unknown }).database
      : type === 'exited'
        ? database
        : undefined;
  return typeof name === 'string' ? displayName(name) : undefined;
}

/** What a Catch put there. */
function failureOf(data: unknown): string | undefined {
  const { failure } = (data ?? {}) as { failure?: { Error?: unknown; Cause?: unknown } };
  if (typeof failure?.Error !== 'string') return undefined;
  const cause = typeof failure.Cause === 'string' ? failure.Cause : '';
  const words = describeFailure({ Error: failure.Error, Cause: cause });
  return displayText(`${failure.Error}: ${words}`, CAUSE_CHARACTERS);
}
