import type { JournaledExecution, JournalLine } from './execution-journal.ts';

/** `caught`: it failed, and the run went on. */
export type StateStatus = 'waiting' | 'running' | 'succeeded' | 'failed' | 'caught';

export interface StateProgress {
  readonly status: StateStatus;
  /** How often it was entered: more than once in a Map, and where something is polled. */
  readonly entered: number;
  readonly retried: number;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly error: string | null;
  /** Of a Map. */
  readonly iterations: { readonly begun: number; readonly done: number; readonly failed: number };
}

export interface ExecutionProgress {
  /** `RUNNING` until its last event; RUNNING for ever where the process was killed. */
  readonly status: string;
  readonly startedAt: Date;
  readonly lastAt: Date;
  /** By name; a state that is not there waits. */
  readonly states: ReadonlyMap<string, StateProgress>;
}

type Mutable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] };

interface Tally extends Mutable<Omit<StateProgress, 'status' | 'iterations'>> {
  active: number;
  failed: number;
  caught: number;
  iterations: Mutable<StateProgress['iterations']>;
}

/** How far an execution is, state by state. Pure: of its journal alone. */
export function progressOf({ lines }: JournaledExecution): ExecutionProgress {
  const tallies = new Map<string, Tally>();
  let status = 'RUNNING';
  for (const line of lines) {
    if (line.status !== undefined) status = line.status;
    if (line.state !== undefined) count(tallies, line.state, line);
  }
  const isOver = status !== 'RUNNING';
  return {
    status,
    startedAt: new Date(lines[0]?.time ?? 0),
    lastAt: new Date(lines.at(-1)?.time ?? 0),
    states: new Map(
      [...tallies].map(([state, { active, failed, caught, ...shown }]) => [
        state,
        { ...shown, status: statusOf({ active, failed, caught }, isOver) },
      ]),
    ),
  };
}

function count(tallies: Map<string, Tally>, state: string, line: JournalLine): void {
  const at = new Date(line.time);
  const tally = tallies.get(state) ?? newTally(at);
  tallies.set(state, tally);
  tally.lastAt = at;
  switch (line.type) {
    case 'StateEntered':
      tally.entered += 1;
      tally.active += 1;
      break;
    case 'StateExited':
      tally.active -= 1;
      break;
    case 'StateRetried':
      tally.retried += 1;
      break;
    case 'StateFailed':
      tally.failed += 1;
      tally.error = line.error ?? 'failed';
      break;
    case 'StateCaught':
      tally.caught += 1;
      break;
    case 'MapIterationStarted':
      tally.iterations.begun += 1;
      break;
    case 'MapIterationSucceeded':
      tally.iterations.done += 1;
      break;
    case 'MapIterationFailed':
      tally.iterations.failed += 1;
      break;
  }
}

function newTally(firstAt: Date): Tally {
  const iterations = { begun: 0, done: 0, failed: 0 };
  return {
    entered: 0,
    retried: 0,
    active: 0,
    failed: 0,
    caught: 0,
    firstAt,
    lastAt: firstAt,
    error: null,
    iterations,
  };
}

function statusOf(
  { active, failed, caught }: Pick<Tally, 'active' | 'failed' | 'caught'>,
  isOver: boolean,
): StateStatus {
  if (failed > 0 && caught === 0) return 'failed';
  if (caught > 0 && active <= 0) return 'caught';
  if (active > 0) return isOver ? (caught > 0 ? 'caught' : 'failed') : 'running';
  return 'succeeded';
}
