import type { DrillPhase } from '#contracts/drill.ts';
import type { RestorePhase } from '#contracts/restore.ts';

export interface MeasuredTimes {
  /** From when the drill began to the end of the checks. */
  readonly measuredSeconds: number;
  readonly restore: readonly { readonly phase: RestorePhase; readonly seconds: number }[];
  readonly drill: readonly { readonly phase: DrillPhase; readonly seconds: number }[];
  /** Of the archive's data: what was restored, and all there are. */
  readonly restoredBytes: number;
  readonly totalBytes: number;
}

export interface RecoveryTime {
  readonly rtoSeconds: number;
  readonly extrapolated: boolean;
}

/** What takes longer the more data there are. The rest is the same for a part and for the whole. */
const GROWS: ReadonlySet<RestorePhase> = new Set(['data', 'post-data', 'analyze']);
const GROWS_IN_DRILL: ReadonlySet<DrillPhase> = new Set(['row-checks', 'amcheck']);

/**
 * How long bringing the whole database back takes. Where a part of the archive was restored, what grows with the
 * data is scaled by its bytes: as if the rest were like it, which one time or another it is not.
 */
export function recoveryTime(times: MeasuredTimes): RecoveryTime {
  const { measuredSeconds, restore, drill, restoredBytes, totalBytes } = times;
  if (restoredBytes <= 0 || restoredBytes >= totalBytes) {
    return { rtoSeconds: measuredSeconds, extrapolated: false };
  }
  const sum = (phases: readonly { seconds: number }[]) =>
    phases.reduce((total, { seconds }) => total + seconds, 0);
  const growing =
    sum(restore.filter(({ phase }) => GROWS.has(phase))) +
    sum(drill.filter(({ phase }) => GROWS_IN_DRILL.has(phase)));
  const ratio = totalBytes / restoredBytes;
  return {
    rtoSeconds: round(measuredSeconds + growing * (ratio - 1)),
    extrapolated: true,
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
