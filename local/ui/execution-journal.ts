import { appendFileSync, mkdirSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { runIdOfExecution } from '#domain/names.ts';
import type { ExecutionEvent } from '../control-plane/step-functions.ts';

/**
 * `<directory>/executions/<name>.jsonl`: what happened in one execution, a line an event, for those who look on
 * from another process. Without the states' data: those have task tokens.
 */
const JournalLine = z.object({
  time: z.iso.datetime(),
  /** The file of the state machine in `statemachines/`, without its ending. */
  machine: z.string(),
  name: z.string(),
  type: z.string(),
  status: z.string().optional(),
  state: z.string().optional(),
  stateType: z.string().optional(),
  path: z.array(z.string()).optional(),
  index: z.number().optional(),
  error: z.string().optional(),
});
export type JournalLine = z.infer<typeof JournalLine>;

export interface JournaledExecution {
  readonly name: string;
  readonly machine: string;
  /** Oldest first. */
  readonly lines: readonly JournalLine[];
}

/** Names of executions as the files have them; others are told by their escaped form. */
const PLAIN_NAME = /^[A-Za-z0-9_-]{1,80}$/;

function journalFile(name: string): string {
  return `${PLAIN_NAME.test(name) ? name : encodeURIComponent(name).replaceAll('.', '%2E')}.jsonl`;
}

/** Writes one line an event, at once: the reader is another process, and this one may be killed. */
export function makeExecutionJournal(
  directory: string,
  machinePrefix: string,
): (event: ExecutionEvent) => void {
  const folder = join(directory, 'executions');
  mkdirSync(folder, { recursive: true });
  return (event) => {
    const name = runIdOfExecution(event.executionArn);
    const machine = (event.executionArn.split(':')[6] ?? '').replace(machinePrefix, '');
    const line: JournalLine = {
      time: event.timestamp.toISOString(),
      machine,
      name,
      type: event.type,
      ...('status' in event ? { status: event.status } : {}),
      ...('state' in event
        ? { state: event.state, stateType: event.stateType, path: [...event.path] }
        : {}),
      ...('index' in event && event.index !== undefined ? { index: event.index } : {}),
      ...(event.error === undefined ? {} : { error: event.error }),
    };
    appendFileSync(join(folder, journalFile(name)), `${JSON.stringify(line)}\n`);
  };
}

/** Every execution that was journaled, newest first. A line that is not whole yet is left out. */
export async function readExecutions(directory: string): Promise<JournaledExecution[]> {
  const folder = join(directory, 'executions');
  const files = await readdir(folder).catch(() => []);
  const executions: JournaledExecution[] = [];
  for (const file of files.filter((it) => it.endsWith('.jsonl'))) {
    const text = await readFile(join(folder, file), 'utf8').catch(() => '');
    const lines = text.split('\n').flatMap((line) => parseLine(line) ?? []);
    const [first] = lines;
    if (first) executions.push({ name: first.name, machine: first.machine, lines });
  }
  const begun = ({ lines }: JournaledExecution) => lines[0]?.time ?? '';
  return executions.sort((a, b) => (begun(a) < begun(b) ? 1 : -1));
}

function parseLine(line: string): JournalLine | undefined {
  if (line === '') return undefined;
  try {
    return JournalLine.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
