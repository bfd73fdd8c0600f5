import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { AlarmDefinition, METRICS } from '#contracts/metrics.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import { alarmsOf } from '#domain/monitoring/alarms.ts';
import { makePlan } from '#test/fakes.ts';

const text = readFileSync(path.resolve(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');

/** The names in the first column of the table whose heading begins so. */
function namesIn(heading: string): string[] {
  const rows = text
    .slice(text.indexOf(`| ${heading} |`))
    .split('\n\n')[0]
    ?.split('\n')
    .slice(2);
  return (rows ?? []).flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  );
}

describe('docs/monitoring.md', () => {
  it('says what every metric is, and names no other', () => {
    expect(namesIn('Metric').toSorted()).toEqual(Object.keys(METRICS).toSorted());
  });

  it('says when every alarm goes off, and names no other', () => {
    expect(namesIn('Alarm').toSorted()).toEqual(AlarmDefinition.shape.kind.options.toSorted());
  });

  it('has an example that the plan understands, and whose alarms follow it', () => {
    const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
    const { orders } = parse(yaml).sources;
    const plan = SourcePlan.parse({ ...makePlan(), ...orders });
    const thresholds = Object.fromEntries(alarmsOf(plan).map((it) => [it.kind, it.threshold]));
    expect(thresholds).toMatchObject({
      BackupStale: 26 * 3600,
      DurationAnomaly: 5,
      SizeAnomaly: 1.5,
    });
  });
});
