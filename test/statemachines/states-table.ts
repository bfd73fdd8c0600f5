import { readFileSync } from 'node:fs';

/** One row of the table in `docs/states.md`. */
export interface StateRow {
  readonly state: string;
  readonly function: string;
  readonly timeout: string;
  /** What is retried on top of {@link retriedEverywhere}. */
  readonly alsoRetried: readonly string[];
  readonly failureGoesTo: string;
}

/** What the sentence above the table calls "Lambda's own transient errors", and the two of ours. */
export const retriedEverywhere: readonly string[] = [
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
  'Lambda.ClientExecutionTimeoutException',
  'Throttled',
  'ServiceUnavailable',
];

/**
 * The table of one state machine as a reader of the document has it: in the section that names its file.
 * Throws when it is not there.
 */
export function readStatesTable(machine: string): StateRow[] {
  const text = readFileSync(new URL('../../docs/states.md', import.meta.url), 'utf8');
  const part = text.split(/^## /m).find((it) => it.includes(`statemachines/${machine}.asl.json`));
  const [, body] = (part ?? '').split(/^\| State \| Function \|.*\n\|[-|]+\|\n/m);
  if (body === undefined) throw new Error(`docs/states.md has no table of ${machine}`);
  const lines = body.split('\n').slice(0, body.split('\n').indexOf(''));
  return lines.map((line) => {
    const [state = '', verb = '', timeout = '', retried = '', failureGoesTo = ''] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    const alsoRetried = retried === '–' ? [] : retried.split(', ');
    return { state, function: verb, timeout, alsoRetried, failureGoesTo };
  });
}
