import type { DrillRecord } from '#contracts/drill.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import { executionLink } from '../console-link.ts';
import { displayBytes, displayCount } from '../display-text.ts';
import { displayUtc, relativeTime } from '../display-time.ts';
import { isWholeDrill } from '../drill/whole-drill.ts';
import { describeMark, seriesChart, shareBar, targetBar, timelineChart } from './charts.ts';
import {
  ageless,
  allFindings,
  anyUncompared,
  failedBeforeItBegan,
  kindWords,
  outcomeWord,
  partWords,
  timeless,
  timeWords,
} from './drill-outcome.ts';
import { type HtmlValue, html, type Markup } from './html.ts';
import type { BackupMark, DatabaseReport, Point, SourceReport, Tier } from './report-model.ts';
import { maySpeak, type UntoldRun } from './report-records.ts';
import { cell, count, cut, dollars, duration, nameOf, pill, sourceId } from './words.ts';

/** One source: what it has, how it went, what comes next. */
export function sourceSection(source: SourceReport, now: Date): Markup {
  const id = sourceId(source.source);
  const { databases, furtherDatabases } = source;
  return html`<section class="card" id="${id}" aria-labelledby="${id}-h">
<div class="head"><h2 id="${id}-h"><bdi>${source.source}</bdi></h2>${pill(source.level)}</div>
${facts(source, now)}
${databaseBlocks(databases, id, now)}
${furtherDatabases > 0 && html`<p class="quiet block">And ${count(furtherDatabases, 'further database')}, ${furtherWords(source)}.</p>`}
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

function furtherWords({ furtherDatabases, furtherInNeed }: SourceReport): string {
  if (furtherInNeed === 0) return 'all protected';
  return furtherInNeed === furtherDatabases
    ? 'in need as well'
    : `${furtherInNeed} of them in need, the others protected`;
}

function facts(source: SourceReport, now: Date): Markup {
  const { newestVerifiedAt, untold, drills, backedUpBy } = source;
  const cells: (readonly [string, string, string | null])[] = [
    [
      backedUpBy === 'snapshots' ? 'Newest snapshot' : 'Newest verified backup',
      newestVerifiedAt ? relativeTime(newestVerifiedAt, now) : 'none',
      newestVerifiedAt ? toTheMinute(newestVerifiedAt) : null,
    ],
    ['Last run', ...lastRunWords(source, now)],
    untold && maySpeak(untold)
      ? ['Now', untoldWord(untold), `since ${toTheMinute(new Date(untold.startedAt))}`]
      : ['Next run', ...nextRunWords(source, now)],
    [
      'Last drill that passed',
      drills.lastPassedAt ? relativeTime(drills.lastPassedAt, now) : 'none yet',
      drills.lastPassedAt ? toTheMinute(drills.lastPassedAt) : null,
    ],
    ...(backedUpBy === 'snapshots' && source.backupCount === 0
      ? [['Snapshots', snapshotCount(source), 'by RDS, at RDS prices'] as const]
      : [
          [
            'Backups',
            displayCount(source.backupCount),
            `${displayBytes(source.storedBytes)} stored`,
          ] as const,
          [
            'Storage',
            `${dollars(source.monthlyCostUsd)} a month`,
            'estimate, list prices',
          ] as const,
        ]),
  ];
  return html`<dl class="facts">${cells.map(
    ([name, value, note]) =>
      html`<div><dt>${name}</dt><dd>${value}${note !== null && html`<small>${note}</small>`}</dd></div>`,
  )}</dl>`;
}

/** `2026-11-20 03:00 UTC`: fits its column. */
function toTheMinute(time: Date): string {
  return displayUtc(time).replace(/:\d\d UTC$/, ' UTC');
}

function snapshotCount({ snapshots, furtherSnapshots }: SourceReport): string {
  return displayCount(snapshots.length + furtherSnapshots);
}

function nextRunWords(
  { nextRunAt, scheduleState, hasPlan, schedule }: SourceReport,
  now: Date,
): readonly [string, string] {
  switch (scheduleState) {
    case 'disabled':
      return ['none', 'its schedule is disabled'];
    case 'missing':
      return ['none', 'its schedule is not there'];
    case 'none':
      return [
        'by hand',
        hasPlan ? (schedule === null ? 'no schedule' : 'no scheduler here') : 'no plan',
      ];
    default:
      return nextRunAt
        ? [relativeTime(nextRunAt, now), toTheMinute(nextRunAt)]
        : ['never', 'by its schedule'];
  }
}

/** How a run stands that has not told its end. */
function untoldWord({ status }: UntoldRun): string {
  switch (status) {
    case 'RUNNING':
    case 'PENDING_REDRIVE':
      return 'a run goes on';
    case 'ABORTED':
      return 'stopped';
    case 'TIMED_OUT':
      return 'timed out';
    case 'FAILED':
      return 'failed';
    case undefined:
      return 'a run may go on';
    default:
      return 'ended untold';
  }
}

function lastRunWords(
  { lastRun: run, untold }: SourceReport,
  now: Date,
): readonly [string, string | null] {
  if (untold && !maySpeak(untold)) {
    return [untoldWord(untold), `began ${relativeTime(new Date(untold.startedAt), now)}`];
  }
  if (!run) return ['none recorded', null];
  const word = run.status === 'SUCCEEDED' ? 'worked' : 'failed';
  const took =
    run.durationSeconds === null
      ? ''
      : `, took ${duration(run.durationSeconds).replaceAll(' ', '\u00A0')}`;
  return [word, `${relativeTime(new Date(run.endedAt), now)}${took}`];
}

function databaseBlock(database: DatabaseReport, id: string, now: Date): Markup {
  const { newest, archiveBytes, dumpSeconds, marks } = database;
  if (marks.length === 0) {
    return html`<div class="block" id="${id}">
<div class="head"><h3>${nameOf(database.database)}</h3>${pill(database.level)}</div>
<p class="quiet">The last whole run found it on the server, and there is no backup of it.</p></div>`;
  }
  return html`<div class="block" id="${id}">
<div class="head"><h3>${nameOf(database.database)}</h3>${pill(database.level)}</div>
<p class="quiet wrap">${newestWords(database, now)}</p>
<div class="timeline"><h4 id="${id}-l">Backups, by how long they are kept</h4>
${marks.length > 1 ? [timelineChart({ id: `${id}-tl`, title: 'Backups over time', marks, now }), legend(marks)] : html`<p class="quiet">One so far: ${marks.map(describeMark)}.</p>`}
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
  ['last', 'last ones, or for now'],
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
  // One value stands in words already.
  if (points.length <= 1) return false;
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
  const { known, kept, deletes, furtherDeletes, deletedBytes, held } = retention;
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
${held !== null && html`<p class="quiet wrap"><strong>Nothing for now:</strong> ${held}. Without that:</p>`}
<p class="quiet">${count(all, 'backup')}, ${displayBytes(deletedBytes)}; ${kept} kept.</p>
<table><thead><tr><th scope="col">Backup</th><th scope="col">Why</th><th scope="col" class="num">Size</th></tr></thead><tbody>${deletes.map(
    ({ id, reasons, sizeBytes }) =>
      html`<tr><th scope="row" class="wrap"><code>${id}</code></th><td class="wrap">${reasons.join(', ')}</td><td class="num">${displayBytes(sizeBytes)}</td></tr>`,
  )}</tbody></table>
${furtherDeletes > 0 && html`<p class="quiet">And ${furtherDeletes} more.</p>`}</div>`;
}

function drillsBlock(
  { drills, backupCount, source }: SourceReport,
  id: string,
  now: Date,
): Markup | false {
  const { records, targets } = drills;
  if (records.length === 0) {
    if (backupCount === 0) return false;
    return html`<div class="block"><h3>Drills</h3><p class="quiet">None yet. A drill restores a backup into a server of its own, checks it, and measures how long that takes: <code>holdfast drill ${source}</code></p></div>`;
  }
  // The time or the age of one database alone would look as if it were that of all.
  const whole = records.filter(isWholeDrill);
  const [last] = whole;
  const measured = (pick: (record: DrillRecord) => number | null): Point[] =>
    whole
      .flatMap((record) => {
        const value = pick(record);
        return value === null ? [] : [{ time: new Date(record.endedAt), value }];
      })
      .reverse();
  const rto = measured((record) => record.rtoSeconds);
  const rpo = measured((record) => record.rpoSeconds);
  const which = last === records[0] ? 'the last drill' : 'the last drill of all of it';
  const half = (kind: 'rto' | 'rpo', name: string, points: readonly Point[]) => {
    const value = last?.[`${kind}Seconds`] ?? null;
    const target = targets?.[`${kind}Seconds`] ?? null;
    const missed = kind === 'rpo' && last ? ageless(last) : null;
    const all = kind === 'rto' && last ? timeWords(last) : null;
    const aim = target === null ? '' : `; the target is ${duration(target)}`;
    const words =
      value !== null
        ? html`<p><strong>${duration(value)}</strong> <span class="quiet">in ${which}${aim}</span></p>${target !== null && targetBar({ id: `${id}-${kind}`, title: `${name} in ${which}`, value, target, display: duration })}${all !== null && html`<p class="quiet">That is ${all}.</p>`}`
        : missed !== null
          ? html`<p><strong class="bad">${missed.word === 'missed' ? 'Missed' : 'None'}</strong> <span class="quiet">in ${which}</span></p><p class="quiet wrap">${cut(missed.why)}.</p>`
          : html`<p class="quiet wrap">${unmeasuredWords(last, which, kind)}</p>`;
    return html`<div><h4>${name}</h4>${words}${points.length > 1 && seriesChart({ id: `${id}-${kind}-s`, title: `${name}, drill by drill`, points, display: duration, tone: 'time' })}</div>`;
  };
  return html`<div class="block"><h3>Drills</h3>
<div class="pair">
${half('rto', 'Time to bring the data back (RTO)', rto)}
${half('rpo', 'Age of the newest data that come back (RPO)', rpo)}
</div>
<table class="stack drills"><thead><tr><th scope="col">Drill</th><th scope="col">Ended</th><th scope="col">Of</th><th scope="col">Result</th><th scope="col" class="num">RTO</th><th scope="col" class="num">RPO</th></tr></thead>
<tbody>${records.map(
    (record) =>
      html`<tr><th scope="row"><code>${record.drill.drillId}</code></th>${cell('Ended', html`${toTheMinute(new Date(record.endedAt))}, ${relativeTime(new Date(record.endedAt), now)}`)}${cell('Of', html`${kindWords(record)}${drilledNames(record)}`)}${cell('Result', resultOf(record), 'wrap')}${cell('RTO', secondsOrDash(record.rtoSeconds), 'num')}${cell('RPO', ageless(record)?.word ?? secondsOrDash(record.rpoSeconds), 'num')}</tr>`,
  )}</tbody></table></div>`;
}

function unmeasuredWords(
  last: DrillRecord | undefined,
  which: string,
  kind: 'rto' | 'rpo',
): string {
  if (!last) return 'Not measured: no drill of all of it yet.';
  if (failedBeforeItBegan(last)) return `Not measured: ${which} failed before it began.`;
  const why = kind === 'rto' ? timeless(last) : null;
  return why === null ? `Not measured in ${which}.` : `Not measured in ${which}. ${cut(why)}.`;
}

const NAMES_SHOWN = 3;

function drilledNames({ databases }: DrillRecord): HtmlValue {
  const names = databases.slice(0, NAMES_SHOWN).map(({ database }) => nameOf(database));
  const further = databases.length - names.length;
  return [
    names.map((name, index) => [index > 0 ? ', ' : ': ', name]),
    further > 0 && ` and ${further} more`,
  ];
}

/** Of a cause; the list of what needs attention has more of it. */
const CAUSE_IN_ROW = 200;

const RESULT_TONES = { passed: 'green', 'passed in part': 'amber', failed: 'red' } as const;

function resultOf(record: DrillRecord): HtmlValue {
  const word = outcomeWord(record);
  const findings = allFindings(record);
  const words = [
    partWords(record),
    failedBeforeItBegan(record)
      ? `before it began: ${cut([record.error, record.cause].filter((it) => it !== null).join(': '), CAUSE_IN_ROW)}`
      : findings.length > 0
        ? count(findings.length, 'finding')
        : record.error,
    anyUncompared(record),
  ].filter((it) => it !== null);
  return html`<span class="pill ${RESULT_TONES[word]}">${word}</span> ${words.length > 0 && html`<span class="quiet">${words.join(', ')}</span>`}`;
}

function secondsOrDash(seconds: number | null): string {
  return seconds === null ? '–' : duration(seconds);
}

function runsBlock({ runs, untold }: SourceReport, id: string): Markup | false {
  if (runs.length === 0 && !untold) return false;
  return html`<div class="block"><h3 id="${id}-runs">The last runs</h3>
<table class="stack"><thead><tr><th scope="col">Run</th><th scope="col">Ended</th><th scope="col">Result</th><th scope="col" class="num">Took</th><th scope="col" class="num">Verified</th><th scope="col" class="num">Deleted</th></tr></thead>
<tbody>${untold && untoldRow(untold)}${runs.map(
    (run) =>
      html`<tr><th scope="row" class="wrap">${runName(run)}</th>${cell('Ended', displayUtc(new Date(run.endedAt)))}${cell('Result', html`<span class="pill ${run.status === 'SUCCEEDED' ? 'green' : 'red'}">${run.status === 'SUCCEEDED' ? 'worked' : 'failed'}</span>${run.error !== null && html` <span class="quiet">${run.error}</span>`}`, 'wrap')}${cell('Took', secondsOrDash(run.durationSeconds), 'num')}${cell('Verified', verifiedOf(run), 'num')}${cell('Deleted', run.retention?.archives.deleted ?? '–', 'num')}</tr>`,
  )}</tbody></table></div>`;
}

function verifiedOf({ databases, snapshot }: RunSummary): string {
  if (databases.length === 0) return snapshot.status === 'available' ? 'a snapshot' : '–';
  const verified = databases.filter(({ status }) => status === 'verified').length;
  return `${verified} of ${databases.length}`;
}

function untoldRow(untold: UntoldRun): Markup {
  const tone = untold.status === 'TIMED_OUT' || untold.status === 'FAILED' ? 'red' : 'amber';
  const result = html`<span class="pill ${tone}">${untoldWord(untold)}</span>`;
  return html`<tr><th scope="row" class="wrap">${runName(untold)}</th>${cell('Ended', html`– <span class="quiet">began ${displayUtc(new Date(untold.startedAt))}</span>`)}${cell('Result', result, 'wrap')}${cell('Took', '–', 'num')}${cell('Verified', '–', 'num')}${cell('Deleted', '–', 'num')}</tr>`;
}

/** AWS's account for examples, which services on one machine use: it has no console. */
const EXAMPLE_ACCOUNT = ':123456789012:';

/** Leads to the console of AWS where the execution is one of AWS's. */
function runName({ runId, executionArn }: Pick<RunSummary, 'runId' | 'executionArn'>): Markup {
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
