import { S3Error } from './s3-error.ts';

export type RetentionMode = 'GOVERNANCE' | 'COMPLIANCE';

export interface Retention {
  readonly mode: RetentionMode;
  /** ISO 8601. */
  readonly until: string;
}

export interface LockState {
  readonly retention: Retention | undefined;
  readonly legalHold: boolean;
}

export const UNLOCKED: LockState = { retention: undefined, legalHold: false };

/** Throws AccessDenied for a version that is still held. */
export function assertDeletable(lock: LockState, now: Date, bypassGovernance: boolean): void {
  const { retention } = lock;
  const retained = retention !== undefined && Date.parse(retention.until) > now.getTime();
  const released = retention?.mode === 'GOVERNANCE' && bypassGovernance;
  if (lock.legalHold || (retained && !released)) {
    throw new S3Error('AccessDenied', 'Access Denied because object protected by object lock.');
  }
}

/** Throws AccessDenied when a change would weaken a retention that still runs. */
export function assertRetentionChange(
  from: Retention | undefined,
  to: Retention,
  now: Date,
  bypassGovernance: boolean,
): void {
  if (!from || Date.parse(from.until) <= now.getTime()) return;
  const weaker =
    Date.parse(to.until) < Date.parse(from.until) ||
    (from.mode === 'COMPLIANCE' && to.mode === 'GOVERNANCE');
  if (weaker && !(from.mode === 'GOVERNANCE' && bypassGovernance)) {
    throw new S3Error('AccessDenied', 'Access Denied because object protected by object lock.');
  }
}

/** Throws InvalidArgument for an unknown mode or a date that is not in the future. */
export function parseRetention(
  mode: string | undefined,
  until: string | undefined,
  now: Date,
): Retention | undefined {
  if (mode === undefined && until === undefined) return undefined;
  const time = Date.parse(until ?? '');
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') {
    throw new S3Error('InvalidArgument', 'The retention mode must be GOVERNANCE or COMPLIANCE.');
  }
  if (!(time > now.getTime())) {
    throw new S3Error('InvalidArgument', 'The retain until date must be in the future!');
  }
  return { mode, until: new Date(time).toISOString() };
}
