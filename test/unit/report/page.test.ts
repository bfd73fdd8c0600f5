import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takeInventory } from '#domain/backup-inventory.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport } from '#domain/report/report-model.ts';
import { PALETTE, STYLE, TEXT_ON } from '#domain/report/style.ts';
import { executionArnOf, makePlan } from '#test/fakes.ts';
import {
  HISTORY_NOW,
  makeHistory,
  makeHostileSource,
  makeMixedRecords,
} from '#test/report-history.ts';

const page = (sources: Parameters<typeof makeReport>[0]['sources']) =>
  reportPage(
    makeReport({ now: HISTORY_NOW, bucket: 'b', region: 'eu-west-1', sources, unreadable: [] }),
  );

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
