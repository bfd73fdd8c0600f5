import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath } from 'node:url';

/**
 * Runs the bundled functions in one child process with exactly the environment that a deployment gives
 * them, as Lambda would: nothing of the caller's own environment or memory is theirs to use.
 */
export interface LambdaHost {
  /** Rejects with a {@link FunctionError} that carries the name of what the handler threw. */
  invoke(functionName: string, payload: unknown): Promise<unknown>;
  close(): Promise<void>;
}

/** What Lambda reports of a handler's error: its name and message, and the trace for the log. */
export class FunctionError extends Error {
  override readonly name: string;
  constructor(name: string, message: string, trace: string | undefined) {
    super(message);
    this.name = name;
    if (trace !== undefined) this.stack = trace;
  }
}

export interface InvokeRequest {
  readonly id: number;
  readonly functionName: string;
  readonly payload: unknown;
}

export type InvokeReply = { readonly id: number } & (
  | { readonly result: unknown }
  | { readonly error: { name: string; message: string; trace?: string } }
);

export function startLambdaHost(options: {
  /** With one folder a function: `<directory>/<name>/index.mjs`. */
  directory: string;
  environment: Readonly<Record<string, string>>;
  logFile: string;
  /** Gets a copy of what they write to standard output. */
  onOutput?: (text: string) => void;
}): LambdaHost {
  const worker = fileURLToPath(new URL('./lambda-worker.ts', import.meta.url));
  const child: ChildProcess = fork(worker, [options.directory], {
    env: { PATH: process.env['PATH'] ?? '', ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
  });
  const log = createWriteStream(options.logFile, { flags: 'a' });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const { onOutput } = options;
  if (onOutput) {
    const decoder = new StringDecoder('utf8');
    child.stdout?.on('data', (chunk: Buffer) => onOutput(decoder.write(chunk)));
  }

  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let nextId = 1;
  child.on('message', (reply: InvokeReply) => {
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (!call) return;
    if ('result' in reply) call.resolve(reply.result);
    else call.reject(new FunctionError(reply.error.name, reply.error.message, reply.error.trace));
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void gone.then(() => {
    for (const call of waiting.values()) {
      call.reject(new FunctionError('Runtime.ExitError', 'the function host has ended', undefined));
    }
    waiting.clear();
    log.end();
  });

  return {
    invoke(functionName, payload) {
      const id = nextId++;
      const call = Promise.withResolvers<unknown>();
      waiting.set(id, call);
      const request: InvokeRequest = { id, functionName, payload };
      child.send(request, (error) => {
        if (error && waiting.delete(id)) call.reject(error);
      });
      return call.promise;
    },
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
        await gone;
        clearTimeout(hard);
      }
    },
  };
}
