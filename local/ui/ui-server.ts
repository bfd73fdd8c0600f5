import { readdir, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { InvalidInput } from '#errors';
import type { AslDefinition } from '../control-plane/scoped-definition.ts';
import { readExecutions } from './execution-journal.ts';
import { claimedSince, localReport } from './local-state.ts';
import { UI_CLIENT } from './ui-client.ts';
import { executionPage, executionPath, reportTab, runsPage, type UiState } from './ui-pages.ts';

export interface UiOptions {
  /** Where `npm start` left its state. */
  readonly directory: string;
  readonly bucket: string;
  readonly definitions: ReadonlyMap<string, AslDefinition>;
  /** 0 or nothing: any that is free. */
  readonly port?: number;
  /** Between two looks for changes; default 400. */
  readonly pollMilliseconds?: number;
}

export interface UiServer {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const HTML = 'text/html; charset=utf-8';
const EVENTS = 'text/event-stream';
const plain = (status: number, body: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

/**
 * Serves the local state to browsers of this machine: read only, on the loopback address, and to requests for
 * this very host only, so that no page from elsewhere can read it under a name of its own (DNS rebinding). Paths
 * never become file names. Throws InvalidInput when the port is taken.
 */
export async function startUiServer(options: UiOptions): Promise<UiServer> {
  const listeners = new Set<ServerResponse>();
  let hosts: readonly string[] = [];
  const server = createServer((request, response) => {
    answer(request, options, hosts).then(
      (it) => (it === 'changes' ? subscribe(response, listeners) : send(request, response, it)),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        send(request, response, plain(500, `the local state could not be read: ${message}`));
      },
    );
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const stopWatching = watch(options, listeners);
  return {
    url: `http://127.0.0.1:${port}/`,
    async close() {
      stopWatching();
      for (const listener of listeners) listener.end();
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject).listen(port, '127.0.0.1', resolve);
  try {
    await promise;
  } catch (cause) {
    throw new InvalidInput(
      `port ${port} cannot be used (${(cause as NodeJS.ErrnoException).code})`,
      {
        remedy: 'name another one, or none',
        cause,
      },
    );
  }
}

async function answer(
  { method, headers, url = '/' }: IncomingMessage,
  options: UiOptions,
  hosts: readonly string[],
): Promise<Answer | 'changes'> {
  if (!hosts.includes(headers.host ?? '')) return plain(421, 'this is not the host you asked for');
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'there is nothing to change here');
  const [path = '/'] = url.split('?');
  switch (path) {
    case '/ui.js':
      return { status: 200, type: 'text/javascript; charset=utf-8', body: UI_CLIENT };
    case '/changes':
      // Who asks for the head alone does not listen.
      return method === 'HEAD' ? { status: 200, type: EVENTS, body: '' } : 'changes';
    case '/favicon.ico':
      return { status: 204, type: 'image/x-icon', body: '' };
    case '/report': {
      const model = await localReport(options.directory, options.bucket);
      return { status: 200, type: HTML, body: reportTab(model) };
    }
    default:
      return runs(path, options);
  }
}

async function runs(path: string, options: UiOptions): Promise<Answer> {
  const { directory, definitions } = options;
  const [executions, aliveSince] = await Promise.all([
    readExecutions(directory),
    claimedSince(directory),
  ]);
  const state: UiState = { now: new Date(), directory, aliveSince, executions, definitions };
  if (path === '/') return { status: 200, type: HTML, body: runsPage(state) };
  // What there is, is compared with the path; the path itself is never followed.
  const execution = executions.find(({ name }) => executionPath(name) === path);
  if (!execution) return plain(404, 'there is no such page');
  return { status: 200, type: HTML, body: executionPage(execution, state) };
}

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer) {
  response.writeHead(status, { ...HEADERS, 'content-type': type });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** A browser opens one or two; more are somebody's mistake. */
const MAX_LISTENERS = 50;

function subscribe(response: ServerResponse, listeners: Set<ServerResponse>): void {
  if (listeners.size >= MAX_LISTENERS) {
    response.writeHead(503, HEADERS).end();
    return;
  }
  response.writeHead(200, { ...HEADERS, 'content-type': EVENTS });
  response.write('retry: 1000\n\nevent: change\ndata: now\n\n');
  listeners.add(response);
  response.on('close', () => listeners.delete(response));
}

/** Looks for changes while somebody listens, and tells them. Returns what ends it. */
function watch(options: UiOptions, listeners: ReadonlySet<ServerResponse>): () => void {
  let before = '';
  let isLooking = false;
  const look = async () => {
    if (isLooking || listeners.size === 0) return;
    isLooking = true;
    try {
      const now = await fingerprint(options);
      if (now !== before) for (const it of listeners) it.write('event: change\ndata: now\n\n');
      before = now;
    } finally {
      isLooking = false;
    }
  };
  const timer = setInterval(() => {
    // A folder that cannot be looked into now is looked into again.
    look().catch(() => {});
  }, options.pollMilliseconds ?? 400);
  return () => clearInterval(timer);
}

/** Changes whenever an event was journaled, an object written or deleted, or the process ended. */
async function fingerprint({ directory, bucket }: UiOptions): Promise<string> {
  const executions = join(directory, 'executions');
  const files = await readdir(executions).catch(() => []);
  const watched = [
    ...files.map((file) => join(executions, file)),
    join(directory, 's3/.store/buckets', bucket, 'keys'),
    join(directory, 'pid'),
  ];
  const marks = watched.map(async (file) => {
    const found = await stat(file).catch(() => undefined);
    return found ? `${found.size}:${found.mtimeMs}` : '-';
  });
  return (await Promise.all(marks)).join();
}
