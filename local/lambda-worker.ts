import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { InvokeReply, InvokeRequest } from './lambda-host.ts';

/** The child process of lambda-host.ts: imports a bundle when it is first called, as a cold start does. */
const directory = process.argv[2] ?? '';
const handlers = new Map<string, Promise<(event: unknown, context: object) => Promise<unknown>>>();

function load(functionName: string) {
  const known = handlers.get(functionName);
  if (known) return known;
  const url = pathToFileURL(join(directory, functionName, 'index.mjs')).href;
  const loading = import(url).then((bundle) => bundle.handler);
  handlers.set(functionName, loading);
  return loading;
}

async function invoke({ id, functionName, payload }: InvokeRequest): Promise<InvokeReply> {
  try {
    const handler = await load(functionName);
    // Through JSON both ways: what Lambda would not carry must not get through here either.
    const event: unknown = JSON.parse(JSON.stringify(payload));
    const context = { functionName, awsRequestId: crypto.randomUUID() };
    const result = await handler(event, context);
    return { id, result: JSON.parse(JSON.stringify(result ?? null)) };
  } catch (error) {
    const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
    return { id, error: { name, message, ...(stack === undefined ? {} : { trace: stack }) } };
  }
}

process.on('message', (request: InvokeRequest) => {
  void invoke(request).then((reply) => process.send?.(reply));
});
process.on('disconnect', () => process.exit());
