import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { METRIC_NAMESPACE, METRIC_SERVICE, METRICS, type MetricName } from '#contracts/metrics.ts';
import type { Datapoint } from '#domain/monitoring/evaluate-alarm.ts';

/**
 * What CloudWatch does with a log group, for one machine: lines in the embedded metric format become values, a line of
 * JSON each in a file that later runs add to. Source of the format: Amazon CloudWatch User Guide, "Specification:
 * Embedded metric format".
 */
const EmbeddedLine = z.looseObject({
  _aws: z.object({
    Timestamp: z.int(),
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string() })),
      }),
    ),
  }),
});

const StoredValue = z.object({
  time: z.iso.datetime(),
  dimensions: z.record(z.string(), z.string()),
  name: z.enum(Object.keys(METRICS) as [MetricName, ...MetricName[]]),
  value: z.number(),
});
export type StoredValue = z.infer<typeof StoredValue>;

/** The values in one line of a log; none where it is any other line. */
export function valuesOfLine(line: string): StoredValue[] {
  if (!line.includes('"_aws"')) return [];
  const parsed = EmbeddedLine.safeParse(parseJson(line));
  if (!parsed.success) return [];
  const { _aws: header, ...members } = parsed.data;
  const time = new Date(header.Timestamp).toISOString();
  return header.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) => {
    if (Namespace !== METRIC_NAMESPACE) return [];
    return Dimensions.flatMap((names) => {
      const dimensions = Object.fromEntries(names.map((name) => [name, members[name]]));
      return Metrics.flatMap(({ Name }) => {
        // As CloudWatch does: a metric may have one value or a list of them.
        const values = [members[Name]].flat();
        return values.flatMap((value) => {
          const stored = StoredValue.safeParse({ time, dimensions, name: Name, value });
          return stored.success ? stored.data : [];
        });
      });
    });
  });
}

export interface MetricsFile {
  /** Takes a part of what a process writes to its standard output, whole lines or not. */
  readonly write: (text: string) => void;
}

/** Adds the values in what one stream says to the file. */
export function collectMetrics(file: string): MetricsFile {
  let rest = '';
  return {
    write(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      const values = lines.flatMap(valuesOfLine);
      if (values.length === 0) return;
      // At once, so that whoever waited for a function finds what it recorded.
      appendFileSync(file, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    },
  };
}

/** All values of the file, oldest first; none where there is no file. */
export async function readDatapoints(file: string): Promise<Datapoint[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text
    .split('\n')
    .flatMap((line) => StoredValue.safeParse(parseJson(line)).data ?? [])
    .flatMap(datapointOf)
    .sort((a, b) => a.time.getTime() - b.time.getTime());
}

/** As an alarm looks for it: by all of its dimensions. */
function datapointOf({ time, dimensions, name, value }: StoredValue): Datapoint[] {
  const { service, Stage, Source, Database, ...others } = dimensions;
  if (service !== METRIC_SERVICE || Stage === undefined || Source === undefined) return [];
  if (Object.keys(others).length > 0) return [];
  return [{ time: new Date(time), source: Source, database: Database, metric: name, value }];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
