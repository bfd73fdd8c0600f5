import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execFileAsync = promisify(execFile);

export interface RunOptions {
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Default 60. */
  readonly timeoutSeconds?: number | undefined;
  /** Stops the program with SIGTERM. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program to its end and returns its standard output.
 * @throws {Error} with the end of its output, when it cannot start, fails, or outlives its time.
 */
export async function run(
  program: string,
  argv: readonly string[],
  { timeoutSeconds = 60, ...options }: RunOptions = {},
): Promise<string> {
  try {
    const { stdout } = await execFileAsync(program, argv, {
      ...options,
      timeout: timeoutSeconds * 1000,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (cause) {
    throw new Error(describeFailure(program, timeoutSeconds, cause as ExecFileError), { cause });
  }
}

interface ExecFileError extends Error {
  readonly code?: number | string | null;
  readonly signal?: NodeJS.Signals | null;
  readonly killed?: boolean;
  readonly stdout?: string;
  readonly stderr?: string;
}

function describeFailure(program: string, timeoutSeconds: number, error: ExecFileError): string {
  const what =
    error.name === 'AbortError'
      ? 'was stopped'
      : error.killed
        ? `did not end within ${timeoutSeconds} seconds`
        : typeof error.code === 'number'
          ? `failed with exit code ${error.code}`
          : `cannot run (${error.signal ?? error.code})`;
  // 2,000 characters hold a compiler's last error. The URI of a package archive may hold a password.
  const output = `${error.stdout ?? ''}${error.stderr ?? ''}`.slice(-2000).trim();
  return `${program} ${what}${output && `:\n${output.replaceAll(/\/\/[^/@\s]+@/g, '//')}`}`;
}
