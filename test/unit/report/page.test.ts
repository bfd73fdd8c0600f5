import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takeInventory } from '#domain/backup-inventory.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport } from '#domain/report/report-model.ts';
import type { SourceRecords } from '#domain/report/report-records.ts';
import { PALETTE, STYLE, TEXT_ON } from '#domain/report/style.ts';
import { makeDrillReport } from '#test/fakes/drills.ts';
import { executionArnOf, makePlan } from '#test/fakes.ts';
import {
  HISTORY_NOW,
  makeDrill,
  makeHistory,
  makeHostileSource,
  makeMixedRecords,
} from '#test/report-history.ts';

const page = (sources: Parameters<typeof makeReport>[0]['sources']) =>
  reportPage(
    makeReport({ now: HISTORY_NOW, bucket: 'b', region: 'eu-west-1', sources, unreadable: [] }),
  );

const PLAN = { drill: { targets: { rtoMinutes: 240, rpoMinutes: 1440 } } };
const LAST_DRILL = new Date('2026-11-19T02:00:00Z');
const { version: _version, database: _database, backupId: _backupId, ...FACTS } = makeDrillReport();

/** What the page says of these drills of `orders`, newest first. */
function drillsOf(...drills: SourceRecords['drills']): string {
  const [, block = ''] = page([{ ...makeHistory({ plan: PLAN }), drills }]).split(
    '<h3>Drills</h3>',
  );
  return block.split('<h3', 1)[0] ?? '';
}

/** WCAG 2: relative luminance of an sRGB colour. */
function luminance(color: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

function contrast(a: string, b: string): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

describe('the colours', () => {
  it.each(TEXT_ON)('%s is legible on %s, light and dark', (text, surface) => {
    expect(contrast(PALETTE[text][0], PALETTE[surface][0])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(PALETTE[text][1], PALETTE[surface][1])).toBeGreaterThanOrEqual(4.5);
  });

  it.each([
    'size',
    'time',
    'tierYearly',
    'tierMonthly',
    'tierWeekly',
    'tierDaily',
    'tierLast',
  ] as const)('%s can be told from the card it is drawn on', (name) => {
    expect(contrast(PALETTE[name][0], PALETTE.card[0])).toBeGreaterThanOrEqual(3);
    expect(contrast(PALETTE[name][1], PALETTE.card[1])).toBeGreaterThanOrEqual(3);
  });
});

describe('the page', () => {
  it('is one file: no script, nothing that is loaded, and a policy that says so', () => {
    const text = page([makeHistory()]);
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(text.replaceAll('&#39;', "'")).toContain(
      `content="default-src 'none'; style-src 'unsafe-inline';`,
    );
    expect(text).not.toMatch(/<script|<img|<link|<iframe|@import|url\(|\bsrc=|\son\w+=/i);
    expect(STYLE).not.toMatch(/<\/|url\(|@import/);
  });

  it('says in its title and its first words how things stand', () => {
    expect(page([makeHistory()])).toContain('<title>Backups: protected</title>');
    const mixed = reportPage(makeReport(makeMixedRecords()));
    expect(mixed).toContain('<title>Backups: 2 sources in danger</title>');
    expect(mixed.indexOf('id="attention"')).toBeLessThan(mixed.indexOf('id="source-billing"'));
  });

  it('calls the one source by its name, and says where to begin', () => {
    const text = page([makeHistory({ databases: ['shop'], staleDays: 2 })]);
    expect(text).toContain('<h2 id="verdict-h">orders needs help now</h2>');
    expect(text).toMatch(
      /<strong>First:<\/strong> <bdi>orders<\/bdi> \/ <bdi>shop<\/bdi>: Its newest verified backup is 2 days old/,
    );
  });

  it('calls snapshots neither verified nor proved', () => {
    const snapshots = {
      ...makeHistory({ days: 0, drills: 0 }),
      plan: makePlan({ kinds: ['snapshot'], drill: { schedule: 'none' } }),
      inventory: takeInventory('orders', []),
      extent: {
        version: 1 as const,
        source: 'orders',
        runId: 'r',
        writtenAt: '2026-11-20T02:00:00.000Z',
        databases: null,
        snapshotAt: '2026-11-20T02:00:00.000Z',
      },
    };
    const text = page([snapshots]);
    expect(text).toContain('>Everything is backed up</h2>');
    expect(text).toMatch(/<dt>Newest snapshot<\/dt><dd>7 h ago/);
    expect(text).not.toMatch(/Newest verified backup|\$0\.00/);
    expect(page([snapshots, makeHistory({ source: 'billing' })])).toContain(
      '>All 2 sources are backed up</h2>',
    );
  });

  it.each([
    ['RUNNING', /<dt>Now<\/dt><dd>a run goes on<small>since 2026-11-20 07:00 UTC/],
    [undefined, /<dt>Now<\/dt><dd>a run may go on</],
    ['ABORTED', /<dt>Last run<\/dt><dd>stopped<small>began 2 h ago/],
    ['TIMED_OUT', /<dt>Last run<\/dt><dd>timed out<small>began 2 h ago/],
  ])('says how the run stands that did not tell its end: %s', (status, words) => {
    const runId = 'orders-20261120T070000Z-abcdef';
    const startedAt = '2026-11-20T07:00:00.000Z';
    const untold = { runId, executionArn: executionArnOf(runId), startedAt, status };
    const text = page([{ ...makeHistory(), untold }]);
    expect(text).toMatch(words);
    expect(text).toContain(`<code>${runId}</code>`);
  });

  it('calls proved only what drills have brought back, and tells of the source that is worst off', () => {
    const undrilled = makeHistory({
      source: 'billing',
      drills: 0,
      plan: { drill: { schedule: 'none' } },
    });
    expect(page([makeHistory()])).toContain('Everything is backed up and proved');
    const both = page([makeHistory(), undrilled]);
    expect(both).toContain('All 2 sources are backed up and verified');
    expect(both).toMatch(/<dt>Last drill that passed<\/dt><dd>none yet<small>of the source/);
  });

  it('says missed where nothing of a database can be brought back, with the words of the finding', () => {
    const rpo = {
      class: 'target',
      check: 'rpo',
      subject: null,
      message: 'nothing of it can be brought back, <i>whatever</i> its age',
      advice: 'Make a backup.',
    } as const;
    const drill = makeDrill('orders', ['shop', 'audit'], LAST_DRILL, 0, { rpoSeconds: null });
    const databases = drill.databases.map((it, index) =>
      index === 0 ? it : { ...it, rpoSeconds: null, findings: [rpo] },
    );
    const failed = { ...drill, status: 'FAILED', error: 'BackupNotFound', databases } as const;
    const text = drillsOf(failed);
    expect(text).toContain(
      '<strong class="bad">Missed</strong> <span class="quiet">in the last drill</span></p><p class="quiet wrap">audit: nothing of it can be brought back, &lt;i&gt;whatever&lt;/i&gt; its age.</p>',
    );
    expect(text).toContain('<td class="num" data-label="RPO"><div>missed</div></td>');
    expect(text).not.toContain('Not measured');
    expect(drillsOf({ ...drill, rtoSeconds: null })).toMatch(
      /Not measured in the last drill\..*Not measured in the last drill\./s,
    );
  });

  it('has the times of drills of all of the source, and lists those of a part as such', () => {
    const whole = makeDrill('orders', ['shop', 'audit'], new Date('2026-11-10T02:00:00Z'));
    const times = { rtoSeconds: 7, rpoSeconds: 8 };
    const ofShop = makeDrill('orders', ['shop'], LAST_DRILL, 0, times);
    const part = { ...ofShop, drill: { ...ofShop.drill, part: true } } as const;
    const text = drillsOf(part, whole);
    expect(text).toContain(
      '<strong>31 min 40 s</strong> <span class="quiet">in the last drill of all of it; the target is 4 h</span>',
    );
    expect(text).toContain(
      '<span class="pill amber">passed in part</span> <span class="quiet">of a part of the source</span>',
    );
    // One value makes no line.
    expect(text).not.toContain('drill by drill');
    const leftOut = makeDrill('orders', ['shop', 'audit'], LAST_DRILL, 0, {
      ...times,
      databases: whole.databases.map((it) => ({ ...it, report: { ...FACTS, tablesLeftOut: 3 } })),
    });
    expect(drillsOf(leftOut)).toContain('<span class="quiet">6 tables left out</span>');
    expect(drillsOf(leftOut)).toContain('Not measured: no drill of all of it yet.');
    expect(page([{ ...makeHistory(), drills: [leftOut] }])).not.toContain('and proved');
  });

  it('says of a drill that failed before it began why it did', () => {
    const ended = makeDrill('orders', [], LAST_DRILL, 0, {
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: `drill.server.securityGroups is missing ${'x'.repeat(500)}`,
      rtoSeconds: null,
      rpoSeconds: null,
    });
    const text = drillsOf({ ...ended, drill: { ...ended.drill, unplanned: true } });
    expect(text).toContain('Not measured: the last drill failed before it began.');
    expect(text).toMatch(
      /failed<\/span> <span class="quiet">before it began: InvalidPlan: drill\.server\.securityGroups is missing x+…<\/span>/,
    );
    expect(text).toContain('<div>not planned</div>');
    expect(text).not.toContain('x'.repeat(200));
  });

  it('says why there is no time, what all databases took together, and which rows were not compared', () => {
    const drill = makeDrill('orders', ['shop', 'audit'], LAST_DRILL);
    const of = (changes: Partial<typeof FACTS>, rtoSeconds: number | null) =>
      drillsOf({
        ...drill,
        rtoSeconds,
        databases: drill.databases.map((it) => ({ ...it, report: { ...FACTS, ...changes } })),
      });
    expect(of({ rtoSeconds: null, rtoUnknown: '25 bytes came back' }, null)).toContain(
      'Not measured in the last drill. shop: 25 bytes came back.',
    );
    const text = of({ rowsCompared: false }, 200);
    expect(text).toContain(
      'That is until all 2 databases were back; the slowest alone took 2 min 0 s.',
    );
    expect(text).toContain(
      '<span class="quiet">rows not compared: verified by structure only</span>',
    );
    expect(of({}, 200)).not.toContain('not compared');
  });

  it('has no element and no attribute that a hostile name made', () => {
    const text = page([makeHostileSource()]);
    expect(text).not.toMatch(/<script|<img|<h1>in|onerror="/i);
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(text).not.toContain('\u202E');
  });

  it('has a closing tag for each that opens, whatever the names are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 3 }),
        (names) => {
          const history = makeHistory({ days: 3, drills: 1 });
          const [, backups = []] = [...history.inventory.databases][0] ?? [];
          const databases = new Map(names.map((name) => [name, backups]));
          const text = page([{ ...history, inventory: { databases, foreignObjects: 0 } }]);
          const open = text.match(
            /<(table|tr|td|th|div|section|svg|bdi|details|code)\b(?![^>]*\/>)/g,
          );
          const close = text.match(/<\/(table|tr|td|th|div|section|svg|bdi|details|code)>/g);
          expect(open?.length).toBe(close?.length);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('stays readable with many databases and many sources', () => {
    const databases = Array.from({ length: 60 }, (_, index) => `db${index}`);
    const text = page([makeHistory({ databases, days: 20, drills: 2 })]);
    expect(text).toContain('And 36 further databases, all protected.');
    const stale = page([makeHistory({ databases, days: 20, drills: 2, staleDays: 2 })]);
    expect(stale).toContain('And 36 further databases, in need as well.');
    expect(text).toContain('20 further databases, all protected');
    expect(text.length).toBeLessThan(2_000_000);
  });
});
