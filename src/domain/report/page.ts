import { displayBytes, displayCount } from '../display-text.ts';
import { displayUtc, relativeTime } from '../display-time.ts';
import type { Attention, Level } from './attention.ts';
import { html, Markup } from './html.ts';
import type { ReportModel, SourceReport } from './report-model.ts';
import { sourceSection } from './source-section.ts';
import { STYLE } from './style.ts';
import { cell, count, cut, dollars, LEVEL_WORDS, nameOf, pill, sourceId } from './words.ts';

/** Nothing is loaded and nothing runs; the style is in the document. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** A whole document in the style of the report; `head` and `policy` are for pages that do more. */
export function documentOf(
  title: string,
  body: Markup,
  { head, policy = POLICY }: { head?: Markup; policy?: string } = {},
): string {
  // STYLE is ours and has nothing in it that ends a style element.
  const style = new Markup(`<style>${STYLE}</style>`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>${title}</title>
${head}${style}
</head>
<body>
${body}
</body>
</html>
`.text;
}

/**
 * The report as one document that needs no network and no script. `before` stands above it; see {@link documentOf}
 * for the others.
 */
export function reportPage(
  model: ReportModel,
  { before, ...options }: { before?: Markup; head?: Markup; policy?: string } = {},
): string {
  const red = model.sources.filter(({ level }) => level === 'red').length;
  const state = red > 0 ? `${count(red, 'source')} in danger` : LEVEL_WORDS[model.level];
  const several = model.sources.length > 1;
  const body = html`<a class="skip" href="#verdict">To the verdict</a>
${before}<header class="top"><h1>Holdfast backup report</h1><p>${displayUtc(model.generatedAt)}</p></header>
<main>
${verdict(model)}
${attentionList(model)}
${several && overview(model)}
${model.sources.map((source) => sourceSection(source, model.generatedAt))}
${unreadable(model)}
</main>
<footer>Made of the records in <bdi>${model.bucket}</bdi> as they were at ${displayUtc(model.generatedAt)}; ages are counted to then. All times are UTC. Cost is an estimate: all objects that are current, each in its storage class, by S3's list prices in ${model.pricedAs}${model.pricedAs !== model.region && ` (those of ${model.region} are not known here)`}, without requests and RDS snapshots.</footer>`;
  return documentOf(`Backups: ${state}`, body, options);
}

function verdict(model: ReportModel): Markup {
  const { level, sources, attention } = model;
  return html`<section class="card verdict ${level}" id="verdict" aria-labelledby="verdict-h">
<h2 id="verdict-h">${headline(model)}</h2>
${advice(level, attention)}
<dl class="facts">
${fact('Sources', String(sources.length), healthOf(sources))}
${backupsFact(model)}
${fact(sources.some(isBySnapshots) ? 'Newest backup' : 'Newest verified backup', oldestOf(model), isOne(model) ? null : 'of what is worst off')}
${fact('Last drill that passed', lastDrillOf(model), sources.length > 1 && 'of the source that is worst off')}
${!sources.every(isBySnapshots) && fact('Storage', `${dollars(model.monthlyCostUsd)} a month`, 'estimate, list prices')}
</dl>
</section>`;
}

function headline({ level, sources }: ReportModel): string {
  const of = (wanted: Level) => sources.filter((it) => it.level === wanted).length;
  if (sources.length === 0) return 'Nothing is backed up';
  if (level === 'red') {
    const red = of('red');
    const [only] = sources;
    if (only && sources.length === 1) return `${only.source} needs help now`;
    return `${red} of ${count(sources.length, 'source')} ${red === 1 ? 'needs' : 'need'} help now`;
  }
  if (level === 'amber') return 'Backups are there; something wants a look';
  const all = sources.length === 1 ? 'Everything is' : `All ${sources.length} sources are`;
  return `${all} backed up${proofOf(sources)}`;
}

/** A backup that nobody has brought back yet is verified, and not proved; a snapshot is not even that. */
function proofOf(sources: readonly SourceReport[]): string {
  if (sources.every(({ drills }) => drills.lastPassedAt)) return ' and proved';
  return sources.some(isBySnapshots) ? '' : ' and verified';
}

function isBySnapshots({ backedUpBy }: SourceReport): boolean {
  return backedUpBy === 'snapshots';
}

/** What comes first, and where: the list below it has the same as its first item. */
function advice(level: Level, attention: readonly Attention[]): Markup | false {
  if (level === 'green') return html`<p>Nothing needs to be done.</p>`;
  const [group] = groupsOf(attention);
  if (!group) return false;
  const [{ source, database, what, toDo }, ...others] = group;
  const place = [
    source !== null && html`<bdi>${source}</bdi>`,
    database !== null && html` / ${nameOf(database)}`,
    database !== null && others.length > 0 && ` and ${others.length} more`,
    source !== null && ': ',
  ];
  return html`<p class="wrap"><strong>First:</strong> ${place}${what}.</p><p class="wrap"><strong>Do:</strong> ${toDo}</p>`;
}

function fact(name: string, value: string | Markup, note: string | null | false): Markup {
  return html`<div><dt>${name}</dt><dd>${value}${typeof note === 'string' && html`<small>${note}</small>`}</dd></div>`;
}

function healthOf(sources: readonly SourceReport[]): string {
  return (['red', 'amber', 'green'] as const)
    .flatMap((level) => {
      const number = sources.filter((it) => it.level === level).length;
      return number > 0 ? `${number} ${level}` : [];
    })
    .join(', ');
}

function backupsFact({ sources, storedBytes }: ReportModel): Markup {
  const total = (pick: (source: SourceReport) => number) =>
    sources.reduce((sum, it) => sum + pick(it), 0);
  const snapshots = total((it) => it.snapshots.length + it.furtherSnapshots);
  const archives = total((it) => it.backupCount);
  if (archives === 0 && snapshots > 0) return fact('Snapshots', displayCount(snapshots), 'by RDS');
  const further = snapshots > 0 ? `, and ${count(snapshots, 'RDS snapshot')}` : '';
  return fact('Backups', displayCount(archives), `${displayBytes(storedBytes)} stored${further}`);
}

function isOne({ sources: [first, ...others] }: ReportModel): boolean {
  return others.length === 0 && (first?.databases.length ?? 0) <= 1;
}

function oldestOf({ sources, generatedAt }: ReportModel): string {
  const times = sources.map((it) => it.newestVerifiedAt);
  if (times.length === 0 || times.includes(null)) return 'none';
  return relativeTime(new Date(Math.min(...times.map(Number))), generatedAt);
}

function lastDrillOf({ sources, generatedAt }: ReportModel): string {
  const times = sources.map((it) => it.drills.lastPassedAt);
  if (times.length === 0 || times.includes(null)) return 'none yet';
  return relativeTime(new Date(Math.min(...times.map(Number))), generatedAt);
}

/** What is listed; the rest is counted. */
const ATTENTION_SHOWN = 40;

function attentionList({ attention }: ReportModel): Markup | false {
  if (attention.length === 0) return false;
  const groups = groupsOf(attention);
  const further = groups.length - ATTENTION_SHOWN;
  return html`<section class="card" id="attention" aria-labelledby="attention-h">
<h2 id="attention-h">What needs attention, and what to do</h2>
<ol class="todo">
${groups.slice(0, ATTENTION_SHOWN).map(
  ([first, ...others]) => html`<li class="${first.level}">
<div class="where"><span class="pill ${first.level}">${first.level === 'red' ? 'Now' : 'Soon'}</span> ${whereOf([first, ...others])}</div>
<div class="what wrap">${first.what}</div>
${first.why !== null && html`<div class="why wrap">${cut(first.why)}${others.length > 0 && html` <em>(${others.length} more like it)</em>`}</div>`}
<div class="do wrap"><strong>Do:</strong> ${first.toDo}</div>
</li>`,
)}
</ol>
${further > 0 && html`<p class="quiet">And ${further} more, which the sources below show.</p>`}
</section>`;
}

type Group = readonly [Attention, ...Attention[]];

/** The same trouble with several databases of a source is told once. */
function groupsOf(attention: readonly Attention[]): Group[] {
  const groups = new Map<string, [Attention, ...Attention[]]>();
  for (const it of attention) {
    const key = JSON.stringify([
      it.level,
      it.source,
      it.what,
      it.toDo,
      it.database === null && it.why,
    ]);
    const known = groups.get(key);
    if (known) known.push(it);
    else groups.set(key, [it]);
  }
  return [...groups.values()];
}

const NAMES_SHOWN = 5;

function whereOf(group: Group): Markup | false {
  const { source } = group[0];
  if (source === null) return false;
  const names = group.flatMap(({ database }) => (database === null ? [] : [nameOf(database)]));
  const further = names.length - NAMES_SHOWN;
  return html`<a href="#${sourceId(source)}"><bdi>${source}</bdi></a>${names.slice(0, NAMES_SHOWN).map((name, index) => [index === 0 ? ' / ' : ', ', name])}${further > 0 && ` and ${further} more`}`;
}

function overview({ sources, generatedAt }: ReportModel): Markup {
  return html`<nav class="card" aria-labelledby="overview-h">
<h2 id="overview-h">Sources</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="overview-h"><table class="stack">
<thead><tr><th scope="col">Source</th><th scope="col">State</th><th scope="col" class="num">Newest backup</th><th scope="col" class="num">Databases</th><th scope="col" class="num">Stored</th><th scope="col" class="num">Last drill passed</th></tr></thead>
<tbody>${sources.map(
    (it) => html`<tr>
<th scope="row"><a href="#${sourceId(it.source)}"><bdi>${it.source}</bdi></a></th>
${cell('State', pill(it.level))}
${cell('Newest backup', it.newestVerifiedAt ? relativeTime(it.newestVerifiedAt, generatedAt) : 'none', 'num')}
${cell('Databases', isBySnapshots(it) ? '–' : it.databases.length + it.furtherDatabases, 'num')}
${cell('Stored', storedWords(it), 'num')}
${cell('Last drill', it.drills.lastPassedAt ? relativeTime(it.drills.lastPassedAt, generatedAt) : 'none yet', 'num')}
</tr>`,
  )}</tbody></table></div>
</nav>`;
}

function storedWords(source: SourceReport): string {
  const { storedBytes, snapshots, furtherSnapshots } = source;
  return isBySnapshots(source) && storedBytes === 0
    ? count(snapshots.length + furtherSnapshots, 'snapshot')
    : displayBytes(storedBytes);
}

function unreadable({ unreadable: records }: ReportModel): Markup | false {
  if (records.length === 0) return false;
  return html`<section class="card" aria-labelledby="unreadable-h">
<h2 id="unreadable-h">Records that could not be read</h2>
<p class="quiet">What they say is missing above.</p>
<ul>${records.slice(0, ATTENTION_SHOWN).map(({ key, problem }) => html`<li class="wrap"><code>${key}</code><br><span class="quiet">${cut(problem)}</span></li>`)}</ul>
</section>`;
}
