import { CommanderError } from 'commander';
import { nextStep } from '#domain/next-steps.ts';
import {
  CredentialsUnusable,
  errorName,
  HoldfastError,
  InvalidEnvironment,
  InvalidInput,
} from '#errors';
import { EXIT, exitCodeOf } from './exit-codes.ts';

/** What went wrong, as the command shows it. */
export interface DescribedError {
  readonly name: string;
  /** A fact, without the remedy. */
  readonly message: string;
  readonly remedy: string | null;
  readonly exitCode: number;
}

/**
 * Names that the SDK and the services give to credentials that are missing, expired or unknown to AWS.
 * Sources: the API reference, "Common errors"; S3, "Error responses"; the SDK's credential providers.
 */
const CREDENTIAL_ERRORS =
  /^(CredentialsProviderError|TokenProviderError|ExpiredToken\w*|UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId|InvalidSignature\w*|SignatureDoesNotMatch|IncompleteSignature\w*|MissingAuthenticationToken\w*|AuthFailure|InvalidToken|RequestExpired|SSOTokenProviderFailure)$/;

/** An error of any kind under one of our names, where it has one. */
export function describeError(thrown: unknown): DescribedError {
  const error = translate(thrown);
  if (error instanceof HoldfastError) {
    const { name, remedy } = error;
    const message = remedy === undefined ? error.message : error.message.replace(`; ${remedy}`, '');
    return {
      name,
      message,
      remedy: remedy ?? nextStep(name, 'command-line'),
      exitCode: exitCodeOf(name),
    };
  }
  const name = errorName(error);
  if (name === 'AbortError') {
    const message = 'it was stopped before its end';
    return { name: 'Interrupted', message, remedy: null, exitCode: EXIT.interrupted };
  }
  return {
    name,
    message: error instanceof Error ? error.message : String(error),
    remedy: 'nobody foresaw this error: run the command again with --debug, and report it',
    exitCode: exitCodeOf(name),
  };
}

function translate(thrown: unknown): unknown {
  if (thrown instanceof CommanderError) {
    const message = thrown.message
      .replace(/^error: /, '')
      .replace(/\n\(Did you mean/, ' (did you mean');
    return new InvalidInput(message, { remedy: 'holdfast --help shows how it is used' });
  }
  const credentials = findCause(thrown, ({ name }) => CREDENTIAL_ERRORS.test(name));
  if (credentials) {
    return new CredentialsUnusable(`AWS does not take our credentials: ${credentials.message}`, {
      remedy: 'sign in again (aws sso login), or set AWS_PROFILE',
      cause: thrown,
    });
  }
  if (thrown instanceof Error && /^Region is missing$/i.test(thrown.message)) {
    return new InvalidEnvironment('no AWS region is set', {
      remedy: 'give --region eu-west-1, or set AWS_REGION',
      cause: thrown,
    });
  }
  return thrown;
}

/** The first of the error and its causes that the test takes. */
function findCause(thrown: unknown, test: (error: Error) => boolean): Error | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (test(error)) return error;
  }
  return undefined;
}

/** Whether commander ended with what was asked for: help, or the version. */
export function isCleanEnd(thrown: unknown): boolean {
  return thrown instanceof CommanderError && thrown.exitCode === EXIT.ok;
}
