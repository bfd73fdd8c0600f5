import { Metrics as EmbeddedMetrics } from '@aws-lambda-powertools/metrics';
import { METRIC_NAMESPACE, METRIC_SERVICE, METRICS, type MetricName } from '#contracts/metrics.ts';
import type { Metrics } from '#runtime/ports.ts';

/**
 * CloudWatch's embedded metric format on standard output: whatever reaches a log group becomes metrics, without
 * a call that could fail. Dimensions: `service` (the library's own, `holdfast`), `Stage`, `Source`, `Database`.
 */
export function makeMetrics({ stage }: { stage: string }): Metrics {
  const metrics = new EmbeddedMetrics({ namespace: METRIC_NAMESPACE, serviceName: METRIC_SERVICE });
  return {
    record({ source, database }, values) {
      const known = Object.entries(values) as [MetricName, number][];
      if (known.length === 0) return;
      metrics.addDimensions({
        Stage: stage,
        Source: source,
        ...(database === undefined ? {} : { Database: database }),
      });
      for (const [name, value] of known) metrics.addMetric(name, METRICS[name], value);
      metrics.publishStoredMetrics();
    },
  };
}
