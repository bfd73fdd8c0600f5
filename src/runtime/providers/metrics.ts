import { makeMetrics } from '#adapters/metrics.ts';
import { readVariable } from '../environment.ts';
import type { Metrics } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideMetrics(environment: Environment): Metrics {
  return makeMetrics({ stage: readVariable('HOLDFAST_STAGE', environment) });
}
