import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, isAbsolute } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface TaskProcess {
  readonly pid: number | undefined;
  /** 128 + n for a signal n, as containers report it; undefined where it could not be started. */
  readonly exitCode: Promise<number | undefined>;
  readonly hasEnded: boolean;
  /** SIGTERM to the process itself, as to process 1 of a container. */
  terminate(): void;
  /** SIGKILL to the process and all that it started. */
  kill(): void;
}

/** The kernel ends the task when we were killed and could not: util-linux has the program for that. */
const endWithParent = existsSync('/usr/bin/setpriv')
  ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--']
  : [];

/**
 * Runs a command as a container would be run: nothing of our environment, a process group of its own
 * that ends when its main process does. What it prints goes to `logFile` and, line by line, to `onLine`.
 * Rejects with ECS's words where there is no such program.
 */
export async function startTaskProcess(options: {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly onLine?: ((line: string) => void) | undefined;
}): Promise<TaskProcess> {
  const [wanted = ''] = options.command;
  if (isAbsolute(wanted) && !existsSync(wanted)) {
    throw new Error(`CannotStartContainerError: ${wanted}: no such file or directory`);
  }
  await mkdir(dirname(options.logFile), { recursive: true });
  const log = await open(options.logFile, 'a', 0o600);
  const [program = '', ...args] = [...endWithParent, ...options.command];
  const child = spawn(program, args, {
    env: options.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const killOnExit = () => killGroup(child);
  process.on('exit', killOnExit);
  const writing = Promise.all(
    [child.stdout, child.stderr].map(async (stream) => {
      for await (const line of createInterface({ input: stream as Readable })) {
        await log.appendFile(`${line}\n`);
        options.onLine?.(line);
      }
    }),
  );
  const ended = Promise.withResolvers<number | undefined>();
  child.once('error', () => ended.resolve(undefined));
  child.once('exit', (code, signal) =>
    ended.resolve(code ?? (signal ? 128 + constants.signals[signal] : undefined)),
  );
  const exitCode = ended.promise.then(async (code) => {
    killGroup(child); // what it left behind ends with its container
    process.off('exit', killOnExit);
    await writing;
    await log.close();
    return code;
  });
  return {
    pid: child.pid,
    exitCode,
    get hasEnded() {
      return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
    },
    terminate: () => {
      child.kill('SIGTERM');
    },
    kill: () => killGroup(child),
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended.
  }
}
