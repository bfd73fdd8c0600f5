import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';

/** Lines of standard error that are kept: the first say what went wrong, the last how it ended. */
const KEPT_LINES = 200;
const LINE_LIMIT = 2_000;
/** Between SIGTERM and SIGKILL. */
const KILL_AFTER_MILLISECONDS = 10_000;

export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard error, line by line; secrets replaced, at most 200 lines. */
  readonly stderr: readonly string[];
}

export interface RunningProgram {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Settles when the process is gone and its streams are closed. Rejects when it never started. */
  readonly ended: Promise<ProgramEnd>;
  readonly pid: number | undefined;
  stop(): void;
  /** Sends it a signal, where it has not ended: what SIGTERM means differs between programs. */
  send(signal: NodeJS.Signals): void;
}

export interface ProgramOptions {
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Replaced by `***` wherever the program prints them. */
  readonly secrets?: readonly string[];
  readonly signal?: AbortSignal;
  /** The user to run it as; default: ours. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * Starts a program with exactly this environment: nothing of ours is inherited but PATH. Stopping it,
 * or aborting the signal, sends SIGTERM and after ten seconds SIGKILL.
 */
export function startProgram(options: ProgramOptions): RunningProgram {
  const { path, args, environment, secrets = [], signal, owner } = options;
  const child = spawn(path, [...args], {
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...owner,
  });
  // A reader that ends early is normal for pg_restore --list; its exit code is what counts.
  child.stdin.on('error', () => {});

  const stop = () => stopChild(child);
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });

  const stderr = collectLines(child.stderr, secrets);
  const ended = new Promise<ProgramEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, childSignal) => {
      signal?.removeEventListener('abort', stop);
      resolve({ exitCode, signal: childSignal, stderr: stderr() });
    });
  });
  // Whoever awaits `ended` later still sees the rejection.
  ended.catch(() => {});
  const send = (name: NodeJS.Signals) => void (isRunning(child) && child.kill(name));
  return { stdin: child.stdin, stdout: child.stdout, ended, pid: child.pid, stop, send };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function stopChild(child: ChildProcess): void {
  if (!isRunning(child)) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MILLISECONDS);
  child.once('exit', () => clearTimeout(timer));
}

/** Keeps the first and the last lines of a stream. Returns the getter of what it has. */
function collectLines(stream: Readable, secrets: readonly string[]): () => readonly string[] {
  const first: string[] = [];
  const last: string[] = [];
  let rest = '';
  const keep = (line: string) => {
    let text = line.slice(0, LINE_LIMIT);
    for (const secret of secrets) if (secret !== '') text = text.replaceAll(secret, '***');
    if (first.length < KEPT_LINES / 2) first.push(text);
    else {
      last.push(text);
      if (last.length > KEPT_LINES / 2) last.shift();
    }
  };
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_LIMIT);
    for (const line of lines) keep(line);
  });
  stream.on('error', () => {});
  return () => [...first, ...last, ...(rest === '' ? [] : [rest])];
}
