import type { Failure } from '#contracts/workflow.ts';

/** Room for a cause in the Fail state, which takes 32,768 characters, and in a readable console. */
export const CAUSE_LIMIT = 4_000;

/** A timeout comes without a cause: nobody was there to tell it. */
const UNTOLD: Readonly<Record<string, string>> = {
  'States.Timeout': 'it was not done when its time was up',
  'States.HeartbeatTimeout': "its task was silent for longer than the plan's heartbeatSeconds",
};

/** Why a state failed, as a sentence; never empty. */
export function describeFailure({ Error: error, Cause }: Failure): string {
  return causeText(Cause) || (UNTOLD[error] ?? 'no cause was given');
}

/**
 * Of a clean-up that threw, the state machine gives `<Error>: <Cause>`. States.Format may have taken the inner
 * quotes of a cause in JSON for its own escapes: then it cannot be parsed any more.
 */
export function describeThrown(detail: string): string {
  const [, name, cause = ''] = /^([\w.]+): (\{.*)$/s.exec(detail) ?? [];
  if (name === undefined) return detail;
  const [, spoilt] = /"errorMessage":"(.*)","trace":\[/s.exec(cause) ?? [];
  return `${name}: ${errorMessage(cause) ?? spoilt?.replaceAll('\\"', '"') ?? cause}`;
}

/**
 * The words in a failed state's cause. A Lambda's failure has for its cause JSON
 * `{errorType, errorMessage, trace}`; a task's is plain text.
 */
function causeText(cause: string): string {
  return (errorMessage(cause) ?? cause).slice(0, CAUSE_LIMIT);
}

function errorMessage(cause: string): string | undefined {
  try {
    const { errorMessage: message } = JSON.parse(cause) as { errorMessage?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
