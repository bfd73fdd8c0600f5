import type { DrillRecord } from '#contracts/drill.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import { executionLink } from '../console-link.ts';
import { displayBytes, displayCount } from '../display-text.ts';
import { displayUtc, relativeTime } from '../display-time.ts';
import { describeMark, seriesChart, shareBar, targetBar, timelineChart } from './charts.ts';
import { type HtmlValue, html, type Markup } from './html.ts';
import type { BackupMark, DatabaseReport, Point, SourceReport, Tier } from './report-model.ts';
import { cell, count, dollars, duration, nameOf, pill, sourceId } from './words.ts';

/** One source: what it has, how it went, what comes next. */
export function sourceSection(source: SourceReport, now: Date): Markup {
  const id = sourceId(source.source);
  const { databases, furtherDatabases } = source;
  return html`<section class="card" id="${id}" aria-labelledby="${id}-h">
<div class="head"><h2 id="${id}-h"><bdi>${source.source}</bdi></h2>${pill(source.level)}</div>
${facts(source, now)}
${databaseBlocks(databases, id, now)}
${furtherDatabases > 0 && html`<p class="quiet block">And ${count(furtherDatabases, 'further database')}, healthy or smaller than these.</p>`}
${drillsBlock(source, id, now)}
${runsBlock(source, id)}
${snapshotsBlock(source, id)}
${source.foreignObjects > 0 && html`<p class="quiet block">${count(source.foreignObjects, 'object')} among the backups ${source.foreignObjects === 1 ? 'is' : 'are'} not Holdfast's, and never touched.</p>`}
</section>`;
}

/** Laid open; of further ones those that are well are folded. */
const OPEN_DATABASES = 4;

function databaseBlocks(databases: readonly DatabaseReport[], id: string, now: Date): HtmlValue {
  const blocks = databases.map((database, index) => ({
    isOpen: index < OPEN_DATABASES || database.level !== 'green',
    markup: databaseBlock(database, `${id}-${index}`, now),
  }));
  const folded = blocks.filter(({ isOpen }) => !isOpen);
  return [
    blocks.filter(({ isOpen }) => isOpen).map(({ markup }) => markup),
    folded.length > 0 &&
      html`<details class="block"><summary>${count(folded.length, 'further database')}, all protected</summary>${folded.map(({ markup }) => markup)}</details>`,
  ];
}

function facts(source: SourceReport, now: Date): Markup {
  const { newestVerifiedAt, lastRun, running, nextRunAt, drills } = source;
  const cells: (readonly [string, string, string | null])[] = [
    [
      'Newest verified backup',
      newestVerifiedAt ? relativeTime(newestVerifiedAt, now) : 'none',
      newestVerifiedAt ? displayUtc(newestVerifiedAt) : null,
    ],
    ['Last run', ...lastRunWords(lastRun, now)],
    running
      ? ['Now', 'a run goes on', `since ${displayUtc(new Date(running.startedAt))}`]
      : [
          'Next run',
          nextRunAt ? relativeTime(nextRunAt, now) : 'by hand',
          nextRunAt ? displayUtc(nextRunAt) : source.hasPlan ? 'no schedule' : 'no plan',
        ],
    [
      'Last drill that passed',
      drills.lastPassedAt ? relativeTime(drills.lastPassedAt, now) : 'none yet',
      drills.lastPassedAt ? displayUtc(drills.lastPassedAt) : null,
    ],
    ['Backups', displayCount(source.backupCount), `${displayBytes(source.storedBytes)} stored`],
    ['Storage', `${dollars(source.monthlyCostUsd)} a month`, 'estimate, list prices'],
  ];
  return html`<dl class="facts">${cells.map(
    ([name, value, note]) =>
      html`<div><dt>${name}</dt><dd>${value}${note !== null && html`<small>${note}</small>`}</dd></div>`,
  )}</dl>`;
}

function lastRunWords(run: RunSummary | null, now: Date): readonly [string, string | null] {
  if (!run) return ['none recorded', null];
  const word = run.status === 'SUCCEEDED' ? 'worked' : 'failed';
  const took = run.durationSeconds === null ? '' : `, took ${duration(run.durationSeconds)}`;
  return [word, `${relativeTime(new Date(run.endedAt), now)}${took}`];
}

function databaseBlock(database: DatabaseReport, id: string, now: Date): Markup {
  const { newest, archiveBytes, dumpSeconds, marks } = database;
  return html`<div class="block" id="${id}">
<div class="head"><h3>${nameOf(database.database)}</h3>${pill(database.level)}</div>
<p class="quiet wrap">${newestWords(database, now)}</p>
<div class="timeline"><h4 id="${id}-l">Backups, by how long they are kept</h4>
${timelineChart({ id: `${id}-tl`, title: 'Backups over time', marks, now })}
${legend(marks)}
${marksTable(marks)}</div>
<div class="pair">
<div><h4>Size of the archive</h4>${seriesChart({ id: `${id}-sz`, title: 'Size of the archive', points: archiveBytes, display: displayBytes })}${pointsTable('Size of the archive', archiveBytes, displayBytes)}</div>
<div><h4>Time a dump takes</h4>${seriesChart({ id: `${id}-dt`, title: 'Time a dump takes', points: dumpSeconds, display: duration, tone: 'time' })}${pointsTable('Time a dump takes', dumpSeconds, duration)}</div>
</div>
<div class="pair">
${tablesBlock(newest)}
${retentionBlock(database)}
</div>
</div>`;
}

function newestWords({ newest, counts, isOnServer }: DatabaseReport, now: Date): HtmlValue {
  const others = [
    ...(counts.unverified > 0 ? [`${counts.unverified} unverified`] : []),
    ...(counts.quarantined > 0 ? [`${counts.quarantined} quarantined`] : []),
  ];
  const gone = isOnServer ? '' : 'Not on the server any more. ';
  const number = `${gone}${[count(counts.verified, 'verified backup'), ...others].join(', ')}`;
  if (!newest) return html`${number}.`;
  const { backup, facts } = newest;
  const size = displayBytes(backup.files.get('archive.dump')?.sizeBytes ?? 0);
  const from =
    facts?.databaseSizeBytes == null
      ? ''
      : ` of a database of ${displayBytes(facts.databaseSizeBytes)}`;
  const rows = facts?.rows == null ? '' : `, ${displayCount(facts.rows)} rows counted`;
  const server = facts?.serverVersion == null ? '' : `, PostgreSQL ${facts.serverVersion}`;
  return html`${number}. The newest is <code>${backup.backupId}</code>, ${relativeTime(backup.time, now)}: ${size}${from}${rows}${server}${facts?.level && `, verified at level ${facts.level}`}.`;
}

const LEGEND: readonly (readonly [Tier, string])[] = [
  ['yearly', 'years'],
  ['monthly', 'months'],
  ['weekly', 'weeks'],
  ['daily', 'days'],
  ['last', 'last ones'],
  ['none', 'no rule'],
];

function legend(marks: readonly BackupMark[]): Markup {
  const dot = (kind: string) =>
    html`<svg width="12" height="12" aria-hidden="true"><circle class="mark ${kind}" cx="6" cy="6" r="4"/></svg>`;
  const tiers = LEGEND.filter(([tier]) => marks.some((mark) => mark.tier === tier));
  const states = (['unverified', 'quarantined'] as const).filter((state) =>
    marks.some((mark) => mark.state === state),
  );
  return html`<ul class="legend">${tiers.map(([tier, word]) => html`<li>${dot(tier)}${word}</li>`)}${states.map((state) => html`<li>${dot(state)}${state}</li>`)}${marks.some(({ drilled }) => drilled) && html`<li>${dot('last drilled')}rehearsed in a drill</li>`}</ul>`;
}

/** Rows of a table that stands for a chart; the newest ones. */
const ROWS_SHOWN = 60;

function marksTable(marks: readonly BackupMark[]): Markup {
  const shown = marks.slice(0, ROWS_SHOWN);
  return html`<details><summary>As a table${marks.length > shown.length && `: the newest ${shown.length} of ${marks.length}`}</summary>
<table class="stack"><thead><tr><th scope="col">Backup</th><th scope="col">Begun</th><th scope="col">State</th><th scope="col" class="num">Size</th><th scope="col">Kept by</th></tr></thead>
<tbody>${shown.map(
    (mark) =>
      html`<tr><th scope="row"><code>${mark.backupId}</code></th>${cell('Begun', displayUtc(mark.time))}${cell('State', html`${describeMark(mark).split(',')[0]}${mark.drilled && ', drilled'}`)}${cell('Size', displayBytes(mark.sizeBytes), 'num')}${cell('Kept by', mark.reasons.length > 0 ? mark.reasons.join(', ') : 'no rule', 'wrap')}</tr>`,
  )}</tbody></table></details>`;
}

function pointsTable(
  title: string,
  points: readonly Point[],
  display: (value: number) => string,
): Markup | false {
  if (points.length === 0) return false;
  const shown = points.slice(-ROWS_SHOWN).reverse();
  return html`<details><summary>As a table${points.length > shown.length && `: the newest ${shown.length} of ${points.length}`}</summary>
<table><caption>${title}</caption><thead><tr><th scope="col">Begun</th><th scope="col" class="num">Value</th></tr></thead><tbody>${shown.map(
    ({ time, value }) =>
      html`<tr><td>${displayUtc(time)}</td><td class="num">${display(value)}</td></tr>`,
  )}</tbody></table></details>`;
}

function tablesBlock(newest: DatabaseReport['newest']): Markup {
  const tables = newest?.facts?.tables ?? [];
  if (tables.length === 0) {
    return html`<div><h4>Largest tables</h4><p class="quiet">Not known: there is no newest manifest with tables.</p></div>`;
  }
  const largest = Math.max(1, ...tables.map(({ archiveBytes }) => archiveBytes));
  const all = newest?.facts?.tableCount ?? tables.length;
  return html`<div><h4>Largest tables${all > tables.length && html` (${tables.length} of ${displayCount(all)})`}</h4>
<table class="sizes"><thead><tr><th scope="col">Table</th><th scope="col" class="num">Rows</th><th scope="col" class="num">In the archive</th><td></td></tr></thead>
<tbody>${tables.map(
    ({ schema, table, rows, archiveBytes }) =>
      html`<tr><th scope="row">${schema !== 'public' && html`${nameOf(schema)}.`}${nameOf(table)}</th><td class="num">${rows === null ? '–' : displayCount(rows)}</td><td class="num">${displayBytes(archiveBytes)}</td><td class="barcell">${shareBar(archiveBytes / largest, 'size')}</td></tr>`,
  )}</tbody></table></div>`;
}

function retentionBlock({ retention, counts }: DatabaseReport): Markup {
  const { known, kept, deletes, furtherDeletes, deletedBytes, guard } = retention;
  const head = html`<h4>What the next run would delete</h4>`;
  if (!known) {
    return html`<div>${head}<p class="quiet">Not known without a plan: until there is one, nothing is deleted.</p></div>`;
  }
  const all = deletes.length + furtherDeletes;
  if (all === 0) {
    const total = counts.verified + counts.unverified + counts.quarantined;
    return html`<div>${head}<p class="quiet">Nothing: ${total === 1 ? 'its one backup is' : `all ${kept} are`} kept by a rule.</p></div>`;
  }
  return html`<div>${head}
${guard !== null && html`<p class="quiet wrap"><strong>It would refuse:</strong> ${guard}</p>`}
<p class="quiet">${count(all, 'backup')}, ${displayBytes(deletedBytes)}; ${kept} kept.</p>
<table><thead><tr><th scope="col">Backup</th><th scope="col">Why</th><th scope="col" class="num">Size</th></tr></thead><tbody>${deletes.map(
    ({ id, reasons, sizeBytes }) =>
      html`<tr><th scope="row" class="wrap"><code>${id}</code></th><td class="wrap">${reasons.join(', ')}</td><td class="num">${displayBytes(sizeBytes)}</td></tr>`,
  )}</tbody></table>
${furtherDeletes > 0 && html`<p class="quiet">And ${furtherDeletes} more.</p>`}</div>`;
}

function drillsBlock(
  { drills, databases, source }: SourceReport,
  id: string,
  now: Date,
): Markup | false {
  const { records, targets } = drills;
  if (records.length === 0) {
    if (databases.length === 0) return false;
    return html`<div class="block"><h3>Drills</h3><p class="quiet">None yet. A drill restores a backup into a server of its own, checks it, and measures how long that takes: <code>holdfast drill ${source}</code></p></div>`;
  }
  const [last] = records;
  const measured = (pick: (record: DrillRecord) => number | null): Point[] =>
    records
      .flatMap((record) => {
        const value = pick(record);
        return value === null ? [] : [{ time: new Date(record.endedAt), value }];
      })
      .reverse();
  const rto = measured((record) => record.rtoSeconds);
  const rpo = measured((record) => record.rpoSeconds);
  const half = (
    kind: 'rto' | 'rpo',
    name: string,
    points: readonly Point[],
    target: number | undefined,
  ) =>
    html`<div><h4>${name}</h4>${
      target !== undefined && last?.[`${kind}Seconds`] != null
        ? html`<p><strong>${duration(last[`${kind}Seconds`] ?? 0)}</strong> <span class="quiet">in the last drill; the target is ${duration(target)}</span></p>${targetBar({ id: `${id}-${kind}`, title: `${name} in the last drill`, value: last[`${kind}Seconds`] ?? 0, target, display: duration })}`
        : html`<p class="quiet">Not measured in the last drill.</p>`
    }${points.length > 1 && seriesChart({ id: `${id}-${kind}-s`, title: `${name}, drill by drill`, points, display: duration, tone: 'time' })}</div>`;
  return html`<div class="block"><h3>Drills</h3>
<div class="pair">
${half('rto', 'Time to bring the data back (RTO)', rto, targets?.rtoSeconds)}
${half('rpo', 'Age of the newest data that come back (RPO)', rpo, targets?.rpoSeconds)}
</div>
<table class="stack"><thead><tr><th scope="col">Drill</th><th scope="col">Ended</th><th scope="col">Of</th><th scope="col">Result</th><th scope="col" class="num">RTO</th><th scope="col" class="num">RPO</th></tr></thead>
<tbody>${records.map(
    (record) =>
      html`<tr><th scope="row"><code>${record.drill.drillId}</code></th>${cell('Ended', html`${displayUtc(new Date(record.endedAt))}, ${relativeTime(new Date(record.endedAt), now)}`)}${cell('Of', html`${record.drill.kind}: ${drilledNames(record)}`)}${cell('Result', resultOf(record), 'wrap')}${cell('RTO', secondsOrDash(record.rtoSeconds), 'num')}${cell('RPO', secondsOrDash(record.rpoSeconds), 'num')}</tr>`,
  )}</tbody></table></div>`;
}

const NAMES_SHOWN = 3;

function drilledNames({ databases }: DrillRecord): HtmlValue {
  const names = databases.slice(0, NAMES_SHOWN).map(({ database }) => nameOf(database));
  const further = databases.length - names.length;
  return [
    names.map((name, index) => [index > 0 && ', ', name]),
    further > 0 && ` and ${further} more`,
  ];
}

function resultOf({ status, error, databases }: DrillRecord): HtmlValue {
  const level = status === 'PASSED' ? 'green' : 'red';
  const findings = databases.flatMap((it) => it.findings);
  const words = findings.length > 0 ? count(findings.length, 'finding') : (error ?? '');
  return html`<span class="pill ${level}">${status === 'PASSED' ? 'passed' : 'failed'}</span> ${words !== '' && html`<span class="quiet">${words}</span>`}`;
}

function secondsOrDash(seconds: number | null): string {
  return seconds === null ? '–' : duration(seconds);
}

function runsBlock({ runs }: SourceReport, id: string): Markup | false {
  if (runs.length === 0) return false;
  return html`<div class="block"><h3 id="${id}-runs">The last runs</h3>
<table class="stack"><thead><tr><th scope="col">Run</th><th scope="col">Ended</th><th scope="col">Result</th><th scope="col" class="num">Took</th><th scope="col" class="num">Verified</th><th scope="col" class="num">Deleted</th></tr></thead>
<tbody>${runs.map(
    (run) =>
      html`<tr><th scope="row" class="wrap">${runName(run)}</th>${cell('Ended', displayUtc(new Date(run.endedAt)))}${cell('Result', html`<span class="pill ${run.status === 'SUCCEEDED' ? 'green' : 'red'}">${run.status === 'SUCCEEDED' ? 'worked' : 'failed'}</span>${run.error !== null && html` <span class="quiet">${run.error}</span>`}`, 'wrap')}${cell('Took', secondsOrDash(run.durationSeconds), 'num')}${cell('Verified', html`${run.databases.filter(({ status }) => status === 'verified').length} of ${run.databases.length}`, 'num')}${cell('Deleted', run.retention?.archives.deleted ?? '–', 'num')}</tr>`,
  )}</tbody></table></div>`;
}

/** AWS's account for examples, which services on one machine use: it has no console. */
const EXAMPLE_ACCOUNT = ':123456789012:';

/** Leads to the console of AWS where the execution is one of AWS's. */
function runName({ runId, executionArn }: RunSummary): Markup {
  const link = executionArn.includes(EXAMPLE_ACCOUNT) ? undefined : executionLink(executionArn);
  return link === undefined
    ? html`<code>${runId}</code>`
    : html`<a href="${link}" rel="noreferrer"><code>${runId}</code></a>`;
}

function snapshotsBlock({ snapshots, furtherSnapshots }: SourceReport, id: string): Markup | false {
  if (snapshots.length === 0) return false;
  return html`<div class="block"><h3 id="${id}-snapshots">RDS snapshots</h3>
<p class="quiet">As the last runs recorded them.</p>
<table class="stack"><thead><tr><th scope="col">Snapshot</th><th scope="col">Taken</th><th scope="col">State</th><th scope="col">Kept by</th></tr></thead>
<tbody>${snapshots.map(
    ({ snapshotId, time, state, reasons }) =>
      html`<tr><th scope="row" class="wrap"><code>${snapshotId}</code></th>${cell('Taken', displayUtc(time))}${cell('State', state)}${cell('Kept by', reasons.length > 0 ? reasons.join(', ') : '–', 'wrap')}</tr>`,
  )}</tbody></table>
${furtherSnapshots > 0 && html`<p class="quiet">And ${furtherSnapshots} more.</p>`}</div>`;
}
