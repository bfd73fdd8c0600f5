import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';

export interface Command {
  readonly argv: readonly [program: string, ...args: string[]];
  /** Nothing else is inherited but PATH. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
}

/** Commands that run at the same time, each one's output the next one's input. */
export interface Step {
  readonly pipe: readonly Command[];
  /** Gets the output of the last command; without it, it is thrown away unless something failed. */
  readonly outputFile?: string;
}

export interface ProcessUsage {
  readonly name: string;
  /** Most memory that was resident at once, shared pages included (VmHWM). */
  readonly peakMemoryBytes: number;
}

export interface Usage {
  readonly wallSeconds: number;
  /** User and system time of every process of the steps, and of what they started. */
  readonly cpuSeconds: number;
  /** Of the processes that ran at the same time, added up; the largest such sum. */
  readonly peakMemoryBytes: number;
  /** Sent towards a disk; page cache counts, pipes and sockets do not. */
  readonly diskBytes: number;
  readonly processes: readonly ProcessUsage[];
}

/** Linux tells times to programs in hundredths of a second on every machine of today (USER_HZ). */
const TICKS_PER_SECOND = 100;
/** Memory and disk only miss what the last moments before the end added. */
const POLL_MILLISECONDS = 20;
const LIMIT_MILLISECONDS = 3600 * 1000;

/** Runs the steps one after the other and measures them together. Throws when one fails. */
export async function measure(steps: readonly Step[]): Promise<Usage> {
  const cpuBefore = cpuSecondsOfChildren();
  const began = performance.now();
  const perStep: StepUsage[] = [];
  for (const step of steps) perStep.push(await runStep(step));
  const wallSeconds = (performance.now() - began) / 1000;
  return {
    wallSeconds,
    cpuSeconds: cpuSecondsOfChildren() - cpuBefore,
    peakMemoryBytes: Math.max(...perStep.map(({ peakMemoryBytes }) => peakMemoryBytes)),
    diskBytes: perStep.reduce((total, { diskBytes }) => total + diskBytes, 0),
    processes: perStep.flatMap(({ processes }) => processes),
  };
}

type StepUsage = Pick<Usage, 'diskBytes' | 'peakMemoryBytes' | 'processes'>;

async function runStep({ pipe, outputFile }: Step): Promise<StepUsage> {
  const output = outputFile === undefined ? undefined : await open(outputFile, 'w');
  const children: ChildProcess[] = [];
  try {
    const ends: Promise<void>[] = [];
    // From the last to the first, so that each finds the input of the next.
    let next: ChildProcess | undefined;
    for (const command of pipe.toReversed()) {
      const child = start(command, next, { output, isFirst: command === pipe[0] });
      ends.push(ending(child, command));
      next?.stdin?.destroy(); // ours; the writer has its own
      children.push(child);
      next = child;
    }
    const seen = new Map<number, ProcessUsage>();
    const pids = children.flatMap(({ pid }) => pid ?? []);
    let diskBytes = 0;
    let peakMemoryBytes = 0;
    const lookAgain = () => {
      const now = look(pids, seen);
      diskBytes = Math.max(diskBytes, now.diskBytes);
      peakMemoryBytes = Math.max(peakMemoryBytes, now.peakMemoryBytes);
    };
    const timer = setInterval(lookAgain, POLL_MILLISECONDS);
    const limit = setTimeout(() => stopAll(children), LIMIT_MILLISECONDS);
    lookAgain();
    try {
      await Promise.all(ends);
    } finally {
      clearInterval(timer);
      clearTimeout(limit);
    }
    return { diskBytes, peakMemoryBytes, processes: [...seen.values()] };
  } finally {
    stopAll(children);
    await output?.close();
  }
}

function start(
  { argv, environment, directory }: Command,
  next: ChildProcess | undefined,
  { output, isFirst }: { output: FileHandle | undefined; isFirst: boolean },
): ChildProcess {
  const [program, ...args] = argv;
  return spawn(program, args, {
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...environment },
    ...(directory === undefined ? {} : { cwd: directory }),
    stdio: [isFirst ? 'ignore' : 'pipe', next?.stdin ?? output?.fd ?? 'pipe', 'pipe'],
  });
}

/** Resolves when the process has ended with 0; else rejects with the end of what it printed. */
function ending(child: ChildProcess, { argv }: Command): Promise<void> {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (more: string) => {
      text = (text + more).slice(-2000);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${argv[0]} ended with ${code ?? signal}: ${text.trim()}`));
    });
  });
}

function stopAll(children: readonly ChildProcess[]): void {
  for (const child of children) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
}

interface Look {
  /** Sent to a disk so far, ended children included: a process has theirs among its own. */
  diskBytes: number;
  /** Peaks of those that run now, added up. */
  peakMemoryBytes: number;
}

/** Notes the latest figures of the processes and of those that they started. */
function look(pids: readonly number[], seen: Map<number, ProcessUsage>): Look {
  const sum: Look = { diskBytes: 0, peakMemoryBytes: 0 };
  for (const pid of pids) {
    const peakKilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
    // A process that has ended but was not waited for has no memory.
    if (peakKilobytes !== undefined) {
      const peakMemoryBytes = Number(peakKilobytes) * 1024;
      seen.set(pid, { name: nameOf(pid), peakMemoryBytes });
      sum.peakMemoryBytes += peakMemoryBytes;
    }
    const written = /^write_bytes: (\d+)$/m.exec(read(`/proc/${pid}/io`))?.[1];
    const children = look(childrenOf(pid), seen);
    sum.diskBytes += Number(written ?? 0) + children.diskBytes;
    sum.peakMemoryBytes += children.peakMemoryBytes;
  }
  return sum;
}

/** `pg_dump`, and `dump-database.mjs` for a Node program. */
function nameOf(pid: number): string {
  const argv = read(`/proc/${pid}/cmdline`).split('\0');
  const script = argv.slice(1).find((word) => /\.(ts|mjs)$/.test(word));
  return basename(script ?? argv[0] ?? '');
}

function childrenOf(pid: number): number[] {
  const list = read(`/proc/${pid}/task/${pid}/children`);
  return list.split(' ').filter(Boolean).map(Number);
}

/** CPU time of a running process and of everything that it started, running or not. */
export function cpuSecondsOf(pid: number): number {
  const [user, system, childrenUser, childrenSystem] = cpuTicks(pid);
  const ended = (user + system + childrenUser + childrenSystem) / TICKS_PER_SECOND;
  return childrenOf(pid).reduce((total, child) => total + cpuSecondsOf(child), ended);
}

/** CPU time of our children that have ended, and of theirs. */
function cpuSecondsOfChildren(): number {
  const [, , user, system] = cpuTicks(process.pid);
  return (user + system) / TICKS_PER_SECOND;
}

/** utime, stime, cutime and cstime of proc_pid_stat(5): fields 14 to 17, the name is the second. */
function cpuTicks(pid: number): [number, number, number, number] {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields
    .slice(11, 15)
    .map(Number);
  return [user, system, childrenUser, childrenSystem];
}

/** Empty where the process is gone. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
