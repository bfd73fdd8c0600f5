import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { makeMetrics } from '#adapters/metrics.ts';
import { AlarmDefinition, METRICS, type MetricName } from '#contracts/metrics.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { valuesOfLine } from '#local/metrics.ts';
import { makePlan } from '#test/fakes.ts';
import { alarms, deployedAlarms, metricDimensions } from '../../resources/alarms.ts';
import { dashboard } from '../../resources/dashboard.ts';
import { loadPlanFile } from '../../scripts/deployment-values.ts';

const example = loadPlanFile(
  path.resolve(import.meta.dirname, '../../config/holdfast.example.yml'),
).sources;
const many = Array.from({ length: 60 }, (_, index) => makePlan({ source: `source-${index}` }));
const context = {
  stage: 'prod',
  state: 'ENABLED',
  deploymentAlarms: ['RunFailedAlarm', 'UndeliveredAlarm'],
};
const alarmContext = { stage: 'prod', state: 'ENABLED', actionsEnabled: true };

/**
 * The body as CloudWatch takes it, as far as we use it. Source: Amazon CloudWatch API Reference, "Dashboard Body Structure
 * and Syntax".
 */
const placed = {
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  width: z.int().min(1).max(24),
  height: z.int().min(1).max(1000),
};
const Rendering = z.strictObject({
  label: z.string().optional(),
  stat: z.enum(['Maximum', 'Minimum', 'Sum', 'Average']).optional(),
  period: z.int().multipleOf(60).optional(),
  id: z
    .string()
    .regex(/^[a-z][A-Za-z0-9_]*$/)
    .optional(),
  visible: z.boolean().optional(),
  expression: z.string().max(1024).optional(),
});
const Series = z.array(z.union([z.string(), Rendering])).min(1);
const MetricProperties = z.strictObject({
  title: z.string(),
  region: z.literal(`\${AWS::Region}`),
  view: z.enum(['timeSeries', 'singleValue', 'bar']),
  stacked: z.boolean().optional(),
  setPeriodToTimeRange: z.boolean().optional(),
  metrics: z.array(Series).min(1).max(500),
  yAxis: z.strictObject({ left: z.strictObject({ min: z.number(), max: z.number() }) }).optional(),
  annotations: z
    .strictObject({
      horizontal: z.array(z.strictObject({ label: z.string(), value: z.number() })).min(1),
    })
    .optional(),
});
const Body = z.strictObject({
  start: z.string().regex(/^-P\d+D$/),
  periodOverride: z.enum(['auto', 'inherit']),
  widgets: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({ type: z.literal('metric'), ...placed, properties: MetricProperties }),
        z.strictObject({
          type: z.literal('alarm'),
          ...placed,
          properties: z.strictObject({
            title: z.string(),
            sortBy: z.enum(['default', 'stateUpdatedTimestamp', 'timestamp']),
            alarms: z.array(z.string()).min(1).max(100),
          }),
        }),
      ]),
    )
    .max(500),
});
type Body = z.infer<typeof Body>;

function bodyOf(plans: readonly SourcePlan[], state = 'ENABLED'): Body {
  const made = dashboard(plans, { ...context, state }) as {
    Dashboard: { Properties: { DashboardBody: { 'Fn::Sub': string } } };
  };
  return Body.parse(JSON.parse(made.Dashboard.Properties.DashboardBody['Fn::Sub']));
}
const seriesOf = ({ widgets }: Body) =>
  widgets.flatMap((widget) => (widget.type === 'metric' ? widget.properties.metrics : []));
const expressionsOf = (body: Body) =>
  seriesOf(body).flatMap(([first]) => (typeof first === 'object' && first.expression) || []);

describe.each([
  ['the example', example],
  ['60 sources', many],
] as const)('the dashboard of %s', (_, plans) => {
  const body = bodyOf(plans);

  it('has no widget over another or beside the page', () => {
    const cells = new Set<string>();
    for (const { x, y, width, height } of body.widgets) {
      expect(x + width).toBeLessThanOrEqual(24);
      for (let row = y; row < y + height; row += 1) {
        for (let column = x; column < x + width; column += 1) {
          expect(cells.has(`${column} ${row}`), `${column} ${row}`).toBe(false);
          cells.add(`${column} ${row}`);
        }
      }
    }
  });

  it('begins with what is red: every alarm that there is, once', () => {
    const [first] = body.widgets;
    expect(first).toMatchObject({ type: 'alarm', x: 0, y: 0, width: 24 });
    const shown = body.widgets.flatMap((it) => (it.type === 'alarm' ? it.properties.alarms : []));
    const ids = [...Object.keys(alarms(plans, alarmContext)), ...context.deploymentAlarms];
    expect(shown.toSorted()).toEqual(ids.map((id) => `\${${id}.Arn}`).sort());
    const firstMetric = body.widgets.findIndex(({ type }) => type === 'metric');
    const lastAlarm = body.widgets.findLastIndex(({ type }) => type === 'alarm');
    expect(lastAlarm).toBeLessThan(firstMetric);
  });

  it('shows metrics that exist, by the dimensions they are recorded with', () => {
    const own = seriesOf(body).filter(([namespace]) => namespace === 'Holdfast');
    expect(own.length).toBeGreaterThan(plans.length * 10);
    const sources = new Set<string>();
    for (const [, metric, ...rest] of own) {
      expect(Object.keys(METRICS)).toContain(metric);
      const dimensions = rest.filter((it) => typeof it === 'string');
      const source = dimensions.at(-1) ?? '';
      expect(dimensions).toEqual(metricDimensions({ stage: 'prod', source }).flat());
      sources.add(source);
    }
    expect(sources).toEqual(new Set(plans.map(({ source }) => source)));
  });

  it('searches for what is of databases by the dimensions it is recorded with', () => {
    const searches = expressionsOf(body).filter((it) => it.includes('{Holdfast'));
    expect(searches.length).toBeGreaterThan(3);
    for (const search of searches) {
      const [, metric] =
        /^SEARCH\('\{Holdfast,service,Stage,Source,Database\} MetricName="(\w+)" Stage="prod"', '\w+', \d+\)$/.exec(
          search,
        ) ?? [];
      expect(Object.keys(METRICS), search).toContain(metric);
    }
  });

  it('has ids once a widget, and refers to no other', () => {
    for (const widget of body.widgets) {
      if (widget.type !== 'metric') continue;
      const renderings = widget.properties.metrics.flatMap((it) =>
        it.filter((part) => typeof part === 'object'),
      );
      const ids = renderings.flatMap(({ id }) => id ?? []);
      expect(new Set(ids).size).toBe(ids.length);
      const used = renderings.flatMap(
        ({ expression = '' }) => /^(m\d+)\//.exec(expression)?.[1] ?? [],
      );
      expect(ids).toEqual(expect.arrayContaining(used));
    }
  });

  it('shows every metric but those that alarms alone look at', () => {
    // Names of alarms and titles are like names of metrics: series and searches alone count.
    const searched = expressionsOf(body).flatMap((it) => /MetricName="(\w+)"/.exec(it)?.[1] ?? []);
    const shown = new Set([...seriesOf(body).map(([, metric]) => metric), ...searched]);
    const missing = Object.keys(METRICS).filter((name) => !shown.has(name));
    expect(missing.sort()).toEqual(
      [
        'DrillFailed',
        'RpoMissed',
        'RtoMissed',
        'ScheduleEnabled',
        'VerificationLevel',
        'VerifyDuration',
      ].sort(),
    );
  });
});

describe('the dashboard', () => {
  it('shows ages beside what is too old, and targets as lines', () => {
    const text = JSON.stringify(bodyOf([makePlan({ drill: { targets: { rtoMinutes: 90 } } })]));
    expect(text).toContain('"orders, hours (alarm at 31)"');
    expect(text).toContain('{"label":"target 90 min","value":5400}');
  });
});

describe('the alarms of a stage', () => {
  it('stand on metrics as they are recorded, and call when they are bad and when they are well, or never', () => {
    const resources = Object.values(alarms(example, alarmContext)) as {
      Properties: Record<string, unknown>;
    }[];
    const definitions = deployedAlarms(example, alarmContext);
    expect(resources.length).toBeGreaterThan(example.length * 5);
    const names = resources.map(({ Properties }) => Properties['AlarmName']);
    expect(new Set(names).size).toBe(names.length);
    for (const [index, { Properties }] of resources.entries()) {
      const actionsOf = (state: 'ALARM' | 'OK') =>
        definitions[index]?.calls.includes(state) ? [{ Ref: 'AlertTopic' }] : undefined;
      expect([Properties['AlarmActions'], Properties['OKActions']]).toEqual([
        actionsOf('ALARM'),
        actionsOf('OK'),
      ]);
      expect(Properties).toMatchObject({
        ActionsEnabled: true,
        Namespace: 'Holdfast',
        Dimensions: [
          { Name: 'service', Value: 'holdfast' },
          { Name: 'Stage', Value: 'prod' },
          { Name: 'Source', Value: expect.any(String) },
        ],
      });
    }
  });

  it('say nothing of schedules where the stage has them disabled', () => {
    const kinds = new Set(
      deployedAlarms([makePlan()], { state: 'DISABLED' }).map(({ kind }) => kind),
    );
    const dependent = ['BackupStale', 'DrillStale', 'RpoMissed', 'ScheduleDisabled'] as const;
    expect([...kinds].sort()).toEqual(
      AlarmDefinition.shape.kind.options
        .filter((kind) => !(dependent as readonly string[]).includes(kind))
        .sort(),
    );
    const wanted = makePlan({
      monitoring: { freshnessHours: 48 },
      drill: { targets: { rpoMinutes: 90 } },
    });
    const asked = deployedAlarms([wanted], { state: 'DISABLED' });
    expect(asked.find(({ kind }) => kind === 'BackupStale')?.threshold).toBe(48 * 3600);
    expect(asked.find(({ kind }) => kind === 'RpoMissed')?.description).toContain('of 90 min');
  });
});

describe('what the functions write', () => {
  let written = '';
  beforeEach(() => {
    written = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      written += String(chunk);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('has the dimensions that alarms and dashboard look for, and the units of the table', () => {
    const values = Object.fromEntries(
      Object.keys(METRICS).map((name, index) => [name, index]),
    ) as Record<MetricName, number>;
    const metrics = makeMetrics({ stage: 'prod' });
    metrics.record({ source: 'orders' }, values);
    metrics.record({ source: 'orders', database: 'shop' }, { Rows: 7 });
    metrics.record({ source: 'orders' }, {});
    vi.restoreAllMocks();
    const stored = written.split('\n').flatMap(valuesOfLine);
    const dimensions = Object.fromEntries(metricDimensions({ stage: 'prod', source: 'orders' }));
    expect(stored.map(({ name, value }) => [name, value])).toEqual([
      ...Object.entries(values),
      ['Rows', 7],
    ]);
    expect(stored[0]?.dimensions).toEqual(dimensions);
    expect(stored.at(-1)?.dimensions).toEqual({ ...dimensions, Database: 'shop' });
    for (const [name, unit] of Object.entries(METRICS)) {
      expect(written).toContain(`{"Name":"${name}","Unit":"${unit}"}`);
    }
  });
});
