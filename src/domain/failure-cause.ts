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
 * The words in a failed state's cause. A Lambda's failure has for its cause JSON
 * `{errorType, errorMessage, trace}`; a task's is plain text.
 */
function causeText(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause) as { errorMessage?: unknown };
    if (typeof errorMessage === 'string') return errorMessage.slice(0, CAUSE_LIMIT);
  } catch {
    // Plain text.
  }
  return cause.slice(0, CAUSE_LIMIT);
}
