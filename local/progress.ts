import * as z from 'zod';
import { displayName } from '#domain/display-text.ts';
import { LOG } from '#runtime/log-events.ts';
import type { TaskLine } from './control-plane/ecs.ts';
import type { ExecutionEvent } from './control-plane/step-functions.ts';
import { formatBytes } from './report.ts';

/** Shows a run while it goes on: a line a state, and one that moves for each dump on a terminal. */
export interface Progress {
  onExecutionEvent(event: ExecutionEvent): void;
  onTaskLine(line: TaskLine): void;
  /** A plain line, above what moves. */
  say(text: string): void;
  stop(): void;
}

/** States that only carry data around, or only pass time. */
const QUIET = /^(Choice|Pass|Succeed|Fail|Parallel|Map|Wait)$/;

export function makeProgress(out: NodeJS.WriteStream, clock: () => number = Date.now): Progress {
  const began = clock();
  const moving = new Map<string, string>();
  /** By label, how a state was last shown to be: a poll is not told again and again. */
  const told = new Map<string, string>();
  let shown = 0;

  const seconds = () => `${((clock() - began) / 1000).toFixed(1).padStart(6)} s  `;
  const erase = () => {
    if (shown > 0) out.write(`\x1b[${shown}A\x1b[J`);
    shown = 0;
  };
  const draw = () => {
    if (!out.isTTY) return;
    for (const text of moving.values()) out.write(`${text.slice(0, (out.columns ?? 80) - 1)}\n`);
    shown = moving.size;
  };
  const say = (text: string) => {
    erase();
    out.write(`${seconds()}${text}\n`);
    draw();
  };

  return {
    say,
    onExecutionEvent(event) {
      if (!('state' in event) || QUIET.test(event.stateType)) return;
      const database = databaseOf(event.input);
      const label = database === undefined ? event.state : `${event.state} (${database})`;
      const before = told.get(label);
      const tell = (mark: string, text = label) => {
        told.set(label, mark);
        if (before !== mark) say(`${mark} ${text}`);
      };
      if (event.type === 'StateEntered' && before === undefined) tell('→');
      if (event.type === 'StateRetried') tell('↻', `${label} is tried again`);
      if (event.type === 'StateFailed') tell('✗', `${label}: ${event.error ?? 'failed'}`);
      // A state whose error was caught is left as well; it has not worked for all that.
      if (event.type === 'StateExited' && before !== '✗') tell('✓');
      if (event.type === 'StateExited' || event.type === 'StateFailed')
        moving.delete(database ?? '');
    },
    onTaskLine({ line }) {
      const entry = parseLine(line);
      if (entry === undefined) return;
      const { database, bytes } = entry;
      if (entry.message === LOG.dumpProgress) {
        const { tablesDone, tablesTotal, bytesPerSecond } = entry;
        const rate = `${formatBytes(bytesPerSecond)}/s`;
        const text = `dumping ${database}: ${tablesDone} of ${tablesTotal} tables, ${formatBytes(bytes)}, ${rate}`;
        if (!out.isTTY) return say(`  ${text}`);
        moving.set(database, `          ${text}`);
        erase();
        draw();
      }
      if (entry.message === LOG.dumpFinished) {
        moving.delete(database);
        say(`  dumped ${database}: ${formatBytes(bytes)}; waiting for its verification`);
      }
    },
    stop() {
      erase();
      moving.clear();
    },
  };
}

/** The lines of a dump task's log that are shown. */
const DumpLine = z.discriminatedUnion('message', [
  z.object({
    message: z.literal(LOG.dumpProgress),
    database: z.string().transform((name) => displayName(name)),
    tablesDone: z.number(),
    tablesTotal: z.number(),
    bytes: z.number(),
    bytesPerSecond: z.number(),
  }),
  z.object({
    message: z.literal(LOG.dumpFinished),
    database: z.string().transform((name) => displayName(name)),
    bytes: z.number(),
  }),
]);

/** A task logs JSON lines; anything else it prints is in its log file. */
function parseLine(line: string): z.infer<typeof DumpLine> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return DumpLine.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function databaseOf(input: unknown): string | undefined {
  const { database: item, archive } = (input ?? {}) as {
    database?: { database?: unknown };
    /** Of a drill. */
    archive?: { restore?: { target?: { database?: unknown } } };
  };
  const database = item?.database ?? archive?.restore?.target?.database;
  return typeof database === 'string' ? displayName(database) : undefined;
}
