import { AccessDenied, ServiceUnavailable, Throttled } from '#errors';

/** What an exception of the AWS SDK carries; read loosely, as network errors have only a part. */
interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $retryable?: { readonly throttling?: boolean };
}

const THROTTLES =
  /^(Throttl\w*|TooManyRequests\w*|RequestLimitExceeded|SlowDown|ProvisionedThroughputExceeded\w*|BandwidthLimitExceeded|RequestThrottled\w*)$/;
const DENIED = /^(AccessDenied\w*|UnauthorizedOperation|AuthorizationError\w*|KMSAccessDenied\w*)$/;
/** Also where no status comes with it: the errors that DeleteObjects lists key by key. */
const OUTAGES = /^(InternalError|InternalFailure|ServiceUnavailable\w*)$/;
const NETWORK =
  /^(ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|TimeoutError|RequestTimeout|NetworkingError|AbortError|IncompleteBody)$/;

/** The exception's name as AWS wrote it, e.g. `DBSnapshotAlreadyExistsFault`. */
export function awsErrorName(error: unknown): string {
  return (error as SdkError | undefined)?.name ?? '';
}

export function awsStatus(error: unknown): number | undefined {
  return (error as SdkError | undefined)?.$metadata?.httpStatusCode;
}

/**
 * AWS's throttles, outages and refusals under our names; anything else comes back as it is, for the
 * adapter to name. `what` says which call it was: "put backups/…/manifest.json".
 */
export function translateAwsError(error: unknown, what: string): unknown {
  const { name = '', code = '', message = '', $retryable } = (error ?? {}) as SdkError;
  const status = awsStatus(error);
  if (THROTTLES.test(name) || $retryable?.throttling || status === 429) {
    return new Throttled(`AWS throttled ${what}: ${name}`, { cause: error });
  }
  if (DENIED.test(name) || status === 403) {
    return new AccessDenied(`AWS refused ${what}: ${name}: ${message}`, {
      remedy: "compare the role's policy with the deployed template",
      cause: error,
    });
  }
  const broken = OUTAGES.test(name) || NETWORK.test(name) || NETWORK.test(code);
  if ((status !== undefined && status >= 500) || broken) {
    return new ServiceUnavailable(`AWS did not do ${what}: ${name} ${code}`.trimEnd(), {
      cause: error,
    });
  }
  return error;
}
