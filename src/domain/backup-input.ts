import { ObjectCreatedEvent } from '#contracts/events.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { BackupKind, defaultKinds } from '#contracts/source-plan.ts';
import { BackupInput } from '#contracts/workflow.ts';
import { InvalidInput } from '#errors';
import { describeInputProblems } from './input-problems.ts';
import { parseRequestKey } from './names.ts';

/** A request is a few lines; what is larger was put there by mistake. */
export const MAX_REQUEST_BYTES = 64 * 1024;

const EXAMPLE =
  'write {"source":"orders"}; optional are "databases":["shop"], "kinds":["snapshot","logical"] and "reason":"before release 4.2"';

/** Where a request object is, and the source that its key names. */
export interface BackupRequest {
  readonly source: string;
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | undefined;
}

/** The request object that an S3 event tells of; undefined when the input is no such event. */
export function requestOfEvent(input: unknown): BackupRequest | undefined {
  const isEvent = typeof input === 'object' && input !== null && 'detail-type' in input;
  if (!isEvent) return undefined;
  const event = ObjectCreatedEvent.safeParse(input);
  if (!event.success) {
    throw new InvalidInput('the event is none of an object that was created', { remedy: EXAMPLE });
  }
  const { bucket, object } = event.data.detail;
  const named = parseRequestKey(object.key);
  if (!named) {
    throw new InvalidInput(`the object ${object.key} is no request for a backup`, {
      remedy: 'put requests at requests/<source>/<name>.json',
    });
  }
  if (object.size > MAX_REQUEST_BYTES) {
    throw new InvalidInput(
      `the request ${object.key} has ${object.size} bytes, more than ${MAX_REQUEST_BYTES}`,
      { remedy: 'leave it empty, or write {"databases":["shop"]} into it' },
    );
  }
  const versionId = object['version-id'];
  return { source: named.source, bucket: bucket.name, key: object.key, versionId };
}

/** The input that a request object stands for; an empty one asks for what the plan says. */
export function parseRequestBody(request: BackupRequest, body: string): BackupInput {
  const content = body.trim() === '' ? {} : parseJson(body);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new InvalidInput(`the request ${request.key} is not a JSON object`, {
      remedy: 'leave it empty, or write {"databases":["shop"]} into it',
    });
  }
  return parseBackupInput({ ...content, source: request.source, trigger: 'request' });
}

/** The input of the console, the CLI or a schedule. Throws InvalidInput, which says what to write. */
export function parseBackupInput(input: unknown): BackupInput {
  const result = BackupInput.safeParse(input, { reportInput: true });
  if (result.success) return result.data;
  throw new InvalidInput(describeInputProblems(input, result.error, BackupInput.shape), {
    remedy: EXAMPLE,
    cause: result.error,
  });
}

/** The kinds of a run. Throws InvalidInput when the source cannot have one that was asked for. */
export function kindsOfRun(input: BackupInput, plan: SourcePlan): BackupKind[] {
  const kinds = [...new Set(input.kinds ?? defaultKinds(plan))];
  if (plan.engine.type === 'postgres' && kinds.includes('snapshot')) {
    throw new InvalidInput(`${plan.source} is a plain PostgreSQL server, which has no snapshots`, {
      remedy: 'leave out "kinds", or write "kinds":["logical"]',
    });
  }
  if (input.databases && !kinds.includes('logical')) {
    throw new InvalidInput('"databases" are asked for, but no logical backup', {
      remedy: 'add "logical" to "kinds"; a snapshot always holds every database',
    });
  }
  return BackupKind.options.filter((kind) => kinds.includes(kind));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
