import type { DrillPhase, DrillReport } from '#contracts/drill.ts';
import type { RestorePhase } from '#contracts/restore.ts';
import { displayBytes } from '../display-text.ts';

export interface MeasuredTimes {
  /** From when the drill began to the end of the checks. */
  readonly measuredSeconds: number;
  readonly restore: readonly { readonly phase: RestorePhase; readonly seconds: number }[];
  readonly drill: readonly { readonly phase: DrillPhase; readonly seconds: number }[];
  /** Of the archive's data: what was restored, and all there are. */
  readonly restoredBytes: number;
  readonly totalBytes: number;
}

export type RecoveryTime = Pick<DrillReport, 'rtoSeconds' | 'extrapolated' | 'rtoUnknown'>;

/** What takes longer the more data there are. The rest is the same for a part and for the whole. */
const GROWS: ReadonlySet<RestorePhase> = new Set(['data', 'post-data', 'analyze']);
const GROWS_IN_DRILL: ReadonlySet<DrillPhase> = new Set(['row-checks', 'amcheck']);

/**
 * Of all bytes: of less, what a table costs however small it is would be multiplied by a thousand and more, which
 * comes to years.
 */
const LEAST_SHARE = 0.001;

/**
 * How long bringing the whole database back takes. Where a part of the archive was restored, what grows with the
 * data is scaled by its bytes: as if the rest were like it, which one time or another it is not. Where next to
 * nothing was restored, nobody knows.
 */
export function recoveryTime(times: MeasuredTimes): RecoveryTime {
  const { measuredSeconds, restore, drill, restoredBytes, totalBytes } = times;
  if (restoredBytes >= totalBytes) return { rtoSeconds: measuredSeconds, extrapolated: false };
  if (restoredBytes < totalBytes * LEAST_SHARE) {
    return {
      rtoSeconds: null,
      extrapolated: false,
      rtoUnknown: `${displayBytes(restoredBytes)} of ${displayBytes(totalBytes)} of data were restored, too little to tell how long the whole takes`,
    };
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

export type TimedReport = Pick<DrillReport, 'begunAt' | 'measuredSeconds' | 'rtoSeconds'>;

/**
 * How long it takes until all databases of a drill are back: one after the other as they were begun, as many at a time
 * as were under way at a time. What was waited for a database that never came back is not in it. Null: there is none,
 * or of one of them nobody knows how long it takes.
 */
export function recoveryTimeOfAll(reports: readonly TimedReport[]): number | null {
  const known = reports.flatMap(({ begunAt, measuredSeconds, rtoSeconds }) =>
    rtoSeconds === null
      ? []
      : [{ begun: Date.parse(begunAt ?? '') / 1000, measuredSeconds, rtoSeconds }],
  );
  if (known.length === 0 || known.length < reports.length) return null;
  // Those of older versions do not say when they began: then it is at least as long as the slowest.
  if (known.some(({ begun }) => Number.isNaN(begun))) {
    return Math.max(...known.map(({ rtoSeconds }) => rtoSeconds));
  }
  const inTurn = known.toSorted((a, b) => a.begun - b.begun);
  const atATime = inTurn.map(
    ({ begun }) =>
      inTurn.filter((it) => it.begun <= begun && begun < it.begun + it.measuredSeconds).length,
  );
  const ends = Array.from({ length: Math.max(1, ...atATime) }, () => 0);
  for (const { rtoSeconds } of inTurn) {
    const free = ends.indexOf(Math.min(...ends));
    ends[free] = (ends[free] ?? 0) + rtoSeconds;
  }
  return round(Math.max(...ends));
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
