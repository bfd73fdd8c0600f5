import * as z from 'zod';
import { ServiceError } from './service-error.ts';

/** One call of a service's API: decoded input in, output to encode. Throws ServiceError. */
export type Operation = (input: unknown) => Promise<object>;
export type Operations = Readonly<Record<string, Operation>>;

/**
 * An operation whose input is held against a schema. Schemas are strict: a parameter that we do not
 * know is refused rather than ignored, as ignoring a filter or a limit would be a quiet lie.
 */
export function operation<Schema extends z.ZodType>(
  schema: Schema,
  handle: (input: z.infer<Schema>) => object | Promise<object>,
): Operation {
  return async (input) => {
    const parsed = schema.safeParse(input);
    if (parsed.success) return handle(parsed.data);
    throw new ServiceError('ValidationException', z.prettifyError(parsed.error));
  };
}

/** A slice of a list and the token of the next one, as every List and Describe call gives them. */
export function page<Item>(
  items: readonly Item[],
  token: string | undefined,
  size: number,
): { items: Item[]; next: string | undefined } {
  const start = token === undefined ? 0 : Number(Buffer.from(token, 'base64url').toString());
  if (!Number.isInteger(start) || start < 0) {
    throw new ServiceError('InvalidToken', `the page token ${JSON.stringify(token)} is not ours`);
  }
  const end = start + size;
  const next = end < items.length ? Buffer.from(String(end)).toString('base64url') : undefined;
  return { items: items.slice(start, end), next };
}
