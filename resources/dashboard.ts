import { METRIC_NAMESPACE, type MetricName } from '#contracts/metrics.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { drillTargets } from '#domain/drill/drill-targets.ts';
import { type AlarmContext, alarmLogicalId, deployedAlarms, metricDimensions } from './alarms.ts';

/**
 * The dashboard of a stage, for someone at 3 a.m.: what is red, how old the backups are, then why. Source of the body's
 * format: Amazon CloudWatch API Reference, "Dashboard Body Structure and Syntax".
 */

const COLUMNS = 24;
/** CloudWatch: at most 100 alarms in a widget. */
const ALARMS_A_WIDGET = 100;
/** CloudWatch: at most 500 metrics in a widget; more than these nobody can read. */
const SERIES_A_WIDGET = 50;
const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3600;

interface Widget {
  readonly type: 'alarm' | 'metric' | 'text';
  readonly width: number;
  readonly height: number;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface DashboardContext extends Omit<AlarmContext, 'actionsEnabled'> {
  /** Logical ids of the alarms in monitoring.yml. */
  readonly deploymentAlarms: readonly string[];
}

/** `AWS::CloudWatch::Dashboard`, by its logical id. */
export function dashboard(
  plans: readonly SourcePlan[],
  context: DashboardContext,
): Record<string, unknown> {
  const body = {
    start: '-P14D',
    periodOverride: 'inherit',
    widgets: inRows(rows(plans, context)),
  };
  return {
    Dashboard: {
      Type: 'AWS::CloudWatch::Dashboard',
      Properties: {
        DashboardName: `holdfast-${context.stage}`,
        DashboardBody: { 'Fn::Sub': JSON.stringify(body) },
      },
    },
  };
}

/** From left to right and from top to bottom; a row that is full goes on below. */
function inRows(all: readonly (readonly Widget[])[]) {
  const placed = [];
  let y = 0;
  for (const row of all) {
    let x = 0;
    let height = 0;
    for (const widget of row) {
      if (x + widget.width > COLUMNS) {
        y += height;
        x = 0;
        height = 0;
      }
      const { type, width, properties } = widget;
      placed.push({ type, x, y, width, height: widget.height, properties });
      x += width;
      height = Math.max(height, widget.height);
    }
    y += height;
  }
  return placed;
}

function rows(plans: readonly SourcePlan[], context: DashboardContext): Widget[][] {
  const { stage, deploymentAlarms } = context;
  const alarms = deployedAlarms(plans, context);
  const sources = plans.map(({ source }) => source);
  const each = (metric: MetricName, stat: string, period: number) =>
    sources.map((source) => [...seriesOf(metric, stage, source), { label: source, stat, period }]);
  const databases = (metric: MetricName, stat: string, period: number) => [
    [{ expression: searchOf(metric, stage, stat, period), id: 'e1', label: '', period }],
  ];
  const graph = (title: string, metrics: unknown[][], more: object = {}) =>
    chunks(metrics, SERIES_A_WIDGET).map((some) =>
      metricWidget(title, some, { view: 'timeSeries', stacked: false, ...more }),
    );
  const targets = (pick: (plan: SourcePlan) => number | null, unit: string) => ({
    annotations: {
      horizontal: [...new Set(plans.flatMap((plan) => pick(plan) ?? []))].map((value) => ({
        label: `target ${value / unitSeconds(unit)} ${unit}`,
        value,
      })),
    },
  });
  const awsSearch = (namespace: string, dimension: string, metric: string) => [
    [
      {
        expression: `SEARCH('{${namespace},${dimension}} MetricName="${metric}" holdfast "${stage}"', 'Sum', ${HOUR_SECONDS})`,
        id: metric.charAt(0).toLowerCase() + metric.slice(1),
        label: metric,
        period: HOUR_SECONDS,
      },
    ],
  ];
  return [
    // Red or green.
    [
      ...alarmWidgets(
        'Sources',
        alarms.map((alarm) => alarmLogicalId(alarm)),
      ),
      ...alarmWidgets('Deployment', deploymentAlarms),
    ],
    chunks(plans, SERIES_A_WIDGET / 2).map((some) => ages(some, context)),
    // Why: the last runs.
    [
      ...graph('Backups that failed, a run', each('FailedBackups', 'Maximum', HOUR_SECONDS), {
        view: 'bar',
      }),
      ...graph('Age of the newest verified backup', each('BackupAge', 'Maximum', HOUR_SECONDS)),
      ...graph('Duration of runs', each('RunDuration', 'Maximum', HOUR_SECONDS)),
    ],
    [
      ...graph('Size of archives', databases('BackupSize', 'Maximum', HOUR_SECONDS)),
      ...graph('Rows', databases('Rows', 'Maximum', HOUR_SECONDS)),
      ...graph('Size to the median', each('SizeRatio', 'Maximum', HOUR_SECONDS)),
    ],
    [
      ...graph('Duration of dumps', databases('DumpDuration', 'Maximum', HOUR_SECONDS)),
      ...graph('Throughput of dumps', databases('DumpThroughput', 'Minimum', HOUR_SECONDS)),
      ...graph('Duration to the median', each('DurationRatio', 'Maximum', HOUR_SECONDS)),
    ],
    // Can it be brought back?
    [
      ...graph(
        'Time to bring the data back, in drills (RTO)',
        each('DrillRto', 'Maximum', DAY_SECONDS),
        {
          ...targets((plan) => drillTargets(plan).rtoSeconds, 'min'),
        },
      ),
      ...graph(
        'Age of the newest data, in drills (RPO)',
        each('DrillRpo', 'Maximum', DAY_SECONDS),
        {
          ...targets((plan) => drillTargets(plan).rpoSeconds, 'min'),
        },
      ),
      ...graph('Since the last drill that passed', each('DrillAge', 'Maximum', HOUR_SECONDS)),
    ],
    [
      ...graph('Duration of restores', each('RestoreDuration', 'Maximum', DAY_SECONDS)),
      ...graph('Backups kept', each('KeptBackups', 'Maximum', DAY_SECONDS)),
      ...graph('Backups deleted', each('DeletedBackups', 'Sum', DAY_SECONDS)),
    ],
    // What it costs.
    [
      ...graph('Stored bytes', each('StoredBytes', 'Maximum', DAY_SECONDS), { stacked: true }),
      ...graph(
        'Cost of storage, US dollars a month (estimate)',
        each('MonthlyCost', 'Maximum', DAY_SECONDS),
        {
          stacked: true,
        },
      ),
      ...graph(
        "Snapshots, of the region's quota",
        each('SnapshotQuotaUsed', 'Maximum', HOUR_SECONDS),
        {
          yAxis: { left: { min: 0, max: 100 } },
          annotations: {
            horizontal: [
              ...new Set(plans.map(({ monitoring }) => monitoring.snapshotQuotaPercent)),
            ].map((value) => ({ label: `alarm at ${value} %`, value })),
          },
        },
      ),
    ],
    // The machinery.
    [
      ...graph('State machines', [
        ...awsSearch('AWS/States', 'StateMachineArn', 'ExecutionsFailed'),
        ...awsSearch('AWS/States', 'StateMachineArn', 'ExecutionsTimedOut'),
        ...awsSearch('AWS/States', 'StateMachineArn', 'ExecutionsAborted'),
        ...awsSearch('AWS/States', 'StateMachineArn', 'ExecutionThrottled'),
      ]),
      ...graph('Functions', [
        ...awsSearch('AWS/Lambda', 'FunctionName', 'Errors'),
        ...awsSearch('AWS/Lambda', 'FunctionName', 'Throttles'),
      ]),
      ...graph('Messages that could not be delivered', [
        [
          'AWS/SQS',
          'ApproximateNumberOfMessagesVisible',
          'QueueName',
          `\${DeadLetterQueue.QueueName}`,
          { stat: 'Maximum', period: HOUR_SECONDS },
        ],
      ]),
    ],
  ];
}

function alarmWidgets(title: string, logicalIds: readonly string[]): Widget[] {
  return chunks(logicalIds, ALARMS_A_WIDGET).map((ids) => ({
    type: 'alarm',
    width: COLUMNS,
    // Six names beside each other.
    height: 2 + Math.ceil(ids.length / 6),
    properties: {
      title,
      sortBy: 'stateUpdatedTimestamp',
      alarms: ids.map((id) => `\${${id}.Arn}`),
    },
  }));
}

/** Hours since the newest verified backup, beside what is too many. */
function ages(plans: readonly SourcePlan[], context: DashboardContext): Widget {
  const thresholds = new Map(
    deployedAlarms(plans, context)
      .filter(({ kind }) => kind === 'BackupStale')
      .map(({ source, threshold }) => [source, threshold / HOUR_SECONDS]),
  );
  const metrics = plans.flatMap(({ source }, index) => {
    const limit = thresholds.get(source);
    const against = limit === undefined ? 'no alarm' : `alarm at ${Number(limit.toPrecision(3))}`;
    const id = `m${index}`;
    return [
      [
        ...seriesOf('BackupAge', context.stage, source),
        { id, visible: false, stat: 'Maximum', period: HOUR_SECONDS },
      ],
      [{ expression: `${id}/3600`, id: `h${index}`, label: `${source}, hours (${against})` }],
    ];
  });
  return {
    ...metricWidget('Hours since the newest verified backup began', metrics, {
      view: 'singleValue',
      setPeriodToTimeRange: false,
    }),
    width: COLUMNS,
    height: 2 + 2 * Math.ceil(plans.length / 4),
  };
}

function metricWidget(title: string, metrics: unknown[][], more: object): Widget {
  return {
    type: 'metric',
    width: 8,
    height: 6,
    properties: { title, metrics, region: `\${AWS::Region}`, ...more },
  };
}

function seriesOf(metric: MetricName, stage: string, source: string): string[] {
  return [METRIC_NAMESPACE, metric, ...metricDimensions({ stage, source }).flat()];
}

/** Of every database: which there are is known when they were backed up. */
function searchOf(metric: MetricName, stage: string, stat: string, period: number): string {
  const names = [...metricDimensions({ stage, source: '' }).map(([name]) => name), 'Database'];
  return `SEARCH('{${METRIC_NAMESPACE},${names.join(',')}} MetricName="${metric}" Stage="${stage}"', '${stat}', ${period})`;
}

function unitSeconds(unit: string): number {
  return unit === 'min' ? 60 : HOUR_SECONDS;
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
