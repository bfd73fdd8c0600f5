import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportPage } from '#domain/report/page.ts';
import { makeReport } from '#domain/report/report-model.ts';
import { CHROMIUM, launchBrowser, type Misdeeds, WHY_NOT, watchPage } from '#test/browser.ts';
import {
  HISTORY_NOW,
  HOSTILE_NAMES,
  makeHistory,
  makeHostileSource,
  makeMixedRecords,
} from '#test/report-history.ts';

const records = {
  now: HISTORY_NOW,
  bucket: 'holdfast-prod-backups',
  region: 'eu-west-1',
  unreadable: [],
};
const PAGES = {
  mixed: reportPage(makeReport(makeMixedRecords())),
  'all well': reportPage(makeReport({ ...records, sources: [makeHistory()] })),
  hostile: reportPage(makeReport({ ...records, sources: [makeHostileSource()] })),
  empty: reportPage(makeReport({ ...records, sources: [] })),
};
type PageName = keyof typeof PAGES;
const NAMES = Object.keys(PAGES) as PageName[];
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe.skipIf(CHROMIUM === undefined)(`the report in a browser${WHY_NOT}`, () => {
  let browser: Browser;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-browser-'));
    for (const name of NAMES) await writeFile(fileOf(name), PAGES[name]);
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const fileOf = (name: PageName) => join(directory, `${name.replace(' ', '-')}.html`);

  async function open(
    name: PageName,
    { width = 1280, scheme = 'light' }: { width?: number; scheme?: 'light' | 'dark' } = {},
  ): Promise<{ page: Page; misdeeds: Misdeeds }> {
    const url = pathToFileURL(fileOf(name)).href;
    const page = await browser.newPage();
    const misdeeds = watchPage(page, url);
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.goto(url, { waitUntil: 'load' });
    return { page, misdeeds };
  }

  it.each(NAMES)('loads nothing, runs nothing and complains of nothing: %s', async (name) => {
    const { page, misdeeds } = await open(name);
    expect(misdeeds).toEqual({ console: [], dialogs: [], requests: [] });
    expect(await page.evaluate('document.scripts.length')).toBe(0);
    expect(await page.evaluate('document.querySelectorAll("img,iframe,object,link").length')).toBe(
      0,
    );
    await page.close();
  });

  it.each(
    NAMES.flatMap((name) =>
      [320, 360, 375, 641, 703, 768, 1280].map((width) => [name, width] as const),
    ),
  )('fits its width without a scroll bar: %s at %i pixels', async (name, width) => {
    const { page } = await open(name, { width });
    const reach = 'document.documentElement.scrollWidth';
    expect(await page.evaluate(reach)).toBeLessThanOrEqual(width);
    await page.evaluate('document.querySelectorAll("details").forEach((it) => (it.open = true))');
    expect(await page.evaluate(reach)).toBeLessThanOrEqual(width);
    await page.close();
  });

  it.each(
    (['mixed', 'hostile'] as const).flatMap((name) =>
      (['light', 'dark'] as const).flatMap((scheme) =>
        [375, 1280].map((width) => [name, scheme, width] as const),
      ),
    ),
  )('has no barrier that axe finds: %s, %s, %i pixels', async (name, scheme, width) => {
    const { page } = await open(name, { scheme, width });
    await page.evaluate('document.querySelectorAll("details").forEach((it) => (it.open = true))');
    // As if from the browser's own tools: the page's policy keeps scripts of the page out.
    await page.evaluate(axe);
    const found = (await page.evaluate(
      'axe.run(document, { resultTypes: ["violations"] }).then((it) => it.violations.map(({ id, nodes }) => id + ": " + nodes[0].html.slice(0, 160)))',
    )) as string[];
    expect(found).toEqual([]);
    await page.close();
  });

  it('would show a barrier to axe, were there one', async () => {
    const { page } = await open('empty');
    await page.evaluate('document.querySelector("h2").style.color = "#c9d8cc"');
    await page.evaluate(axe);
    const found = await page.evaluate(
      'axe.run(document).then((it) => it.violations.map(({ id }) => id))',
    );
    expect(found).toEqual(['color-contrast']);
    await page.close();
  });

  // 718: what a sheet of A4 has between its margins.
  it.each([641, 718, 800, 900, 1280])(
    'keeps every half of a pair in its place at %i pixels',
    async (width) => {
      const { page } = await open('mixed', { width });
      const beyond =
        '[...document.querySelectorAll(".pair>*>table")].filter((it) => it.offsetWidth > it.parentElement.clientWidth + 1).length';
      expect(
        await page.evaluate('document.querySelectorAll(".pair>*>table").length'),
      ).toBeGreaterThan(5);
      expect(await page.evaluate(beyond)).toBe(0);
      await page.emulateMediaType('print');
      expect(await page.evaluate(beyond)).toBe(0);
      await page.close();
    },
  );

  it('leads every link to something that is there', async () => {
    const { page } = await open('mixed');
    const links = (await page.evaluate(
      '[...document.links].map((it) => it.getAttribute("href"))',
    )) as string[];
    const ids = (await page.evaluate(
      '[...document.querySelectorAll("[id]")].map((it) => it.id)',
    )) as string[];
    expect(new Set(ids).size).toBe(ids.length);
    const inside = links.filter((it) => it.startsWith('#')).map((it) => it.slice(1));
    expect(inside.length).toBeGreaterThan(5);
    expect(inside.filter((id) => !ids.includes(id))).toEqual([]);
    const outside = links.filter((it) => !it.startsWith('#'));
    expect(
      outside.filter((it) => !/^https:\/\/[\w-]+\.console\.aws\.amazon\.com\//.test(it)),
    ).toEqual([]);
    await page.close();
  });

  it('comes to a source when its link is followed', async () => {
    const { page } = await open('mixed', { width: 375 });
    await page.click('#attention a[href="#source-billing"]');
    await page.waitForFunction(
      'Math.abs(document.querySelector("#source-billing").getBoundingClientRect().top) < 60',
      { timeout: 60_000 },
    );
    expect(await page.evaluate('location.hash')).toBe('#source-billing');
    await page.close();
  });

  it('shows hostile names as text, and lets none of them do anything', async () => {
    const { page, misdeeds } = await open('hostile');
    const text = (await page.evaluate('document.body.textContent')) as string;
    for (const name of [HOSTILE_NAMES[0], HOSTILE_NAMES[1], HOSTILE_NAMES[2], HOSTILE_NAMES[5]]) {
      expect(text).toContain(name);
    }
    // What turns the direction of reading is told, not obeyed.
    expect(text).not.toContain('\u202E');
    expect(text).toContain('\\u{202e}gnp.exe');
    expect(await page.evaluate('document.querySelectorAll("h1").length')).toBe(1);
    expect(misdeeds).toEqual({ console: [], dialogs: [], requests: [] });
    await page.close();
  });

  it('says red or green, and what to do, on the first screen of a phone', async () => {
    const { page } = await open('mixed', { width: 375 });
    const bottom = await page.evaluate(
      'document.querySelector("#verdict p").getBoundingClientRect().bottom',
    );
    expect(bottom).toBeLessThan(667);
    const words = await page.evaluate('document.querySelector("#verdict").innerText');
    expect(words).toMatch(/^2 of 4 sources need help now\n+First: billing: .*\n+Do: /);
    await page.close();
  });

  it('gives every chart a name, a description and a table beside it', async () => {
    const { page } = await open('all well');
    const charts = (await page.evaluate(
      `[...document.querySelectorAll('svg.chart')].map((it) => ({
        name: document.getElementById(it.getAttribute('aria-labelledby').split(' ')[0])?.textContent,
        description: document.getElementById(it.getAttribute('aria-labelledby').split(' ')[1])?.textContent,
        hasTable: it.closest('.block').querySelector('table') !== null,
      }))`,
    )) as { name: string; description: string; hasTable: boolean }[];
    expect(charts.length).toBeGreaterThan(6);
    expect(charts.filter((it) => !it.name || !it.description || !it.hasTable)).toEqual([]);
    await page.close();
  });

  it('prints in light colours on pages', async () => {
    const { page } = await open('mixed', { scheme: 'dark' });
    const pdf = Buffer.from(await page.pdf({ format: 'A4' }));
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g) ?? [];
    expect(pages.length).toBeGreaterThan(1);
    await page.emulateMediaType('print');
    const color = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(color).toBe('rgb(255, 255, 255)');
    const shown = 'document.querySelector("nav[aria-labelledby=overview-h]").offsetHeight';
    expect(await page.evaluate(shown)).toBeGreaterThan(50);
    await page.close();
  });
});
