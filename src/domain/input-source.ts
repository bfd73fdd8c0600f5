import { SOURCE_NAME } from './names.ts';

/** The source that an execution's input names, were it only to say whose plan could not be made. */
export function sourceOfInput(input: unknown): string | undefined {
  const { source } = (input ?? {}) as { source?: unknown };
  return typeof source === 'string' && SOURCE_NAME.test(source) ? source : undefined;
}
