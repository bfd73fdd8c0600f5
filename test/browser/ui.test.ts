import { get } from 'node:http';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPORT_KEY, reportCopyKey, runSummaryKey } from '#domain/names.ts';
import { LOCAL, readDefinitions } from '#local/stack.ts';
import { readExecutions } from '#local/ui/execution-journal.ts';
import { writeLocalReport } from '#local/ui/local-state.ts';
import { progressOf } from '#local/ui/machine-progress.ts';
import { startUiServer, type UiServer } from '#local/ui/ui-server.ts';
import { CHROMIUM, launchBrowser, WHY_NOT, watchPage } from '#test/browser.ts';
import { usePipeline } from '#test/stack.ts';

/** The pages of `npm run ui`, over a real run of the whole pipeline. */
const pipeline = usePipeline();
let ui: UiServer;

beforeAll(async () => {
  ui = await startUiServer({
    directory: pipeline().directory,
    bucket: LOCAL.bucket,
    definitions: await readDefinitions(),
    pollMilliseconds: 100,
  });
});
afterAll(() => ui.close());

/** Without what a browser would refuse to send: any method, host and path. */
function ask(
  path: string,
  options: { method?: string; host?: string } = {},
): Promise<{ status: number; body: string; type: string }> {
  const { port } = new URL(ui.url);
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    body: string;
    type: string;
  }>();
  const headers = { host: options.host ?? `127.0.0.1:${port}` };
  get({ host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      body += text;
    });
    response.on('end', () => {
      const { statusCode: status = 0, headers: answered } = response;
      resolve({ status, body, type: answered['content-type'] ?? '' });
    });
  }).once('error', reject);
  return promise;
}

describe('the pages over the local state', () => {
  it('say that nothing has run before anything has', async () => {
    expect((await ask('/')).body).toContain('Nothing has run yet');
    expect(await ask('/report')).toMatchObject({ status: 200 });
  });

  it('show the run that has ended, state by state, and its report', async () => {
    const { execution, summary } = await pipeline().run();
    expect(execution.status).toBe('SUCCEEDED');
    const [journaled] = await readExecutions(pipeline().directory);
    if (!journaled) throw new Error('nothing was journaled');
    const progress = progressOf(journaled);
    expect(journaled).toMatchObject({ name: execution.name, machine: 'backup' });
    expect(progress.status).toBe('SUCCEEDED');
    expect(progress.states.get('Dump Database')).toMatchObject({ status: 'succeeded', entered: 1 });
    expect(progress.states.get('Dump Databases')?.iterations).toEqual({
      begun: 1,
      done: 1,
      failed: 0,
    });
    expect(progress.states.has('Notify Failure')).toBe(false);

    const page = await ask(`/executions/${execution.name}`);
    expect(page.status).toBe(200);
    expect(page.body).toContain('<g class="state succeeded task"><title>Dump Database: done');
    expect(page.body).toContain('<g class="state waiting task"><title>Notify Failure: waiting');
    const report = await ask('/report');
    expect(report.body).toContain(summary?.runId ?? 'no run');
    expect(report.body).toMatch(/order_lines|orders/);
  });

  it('is what Write Report left in the bucket, beside the summary too', async () => {
    const { objects } = pipeline().stack;
    const [journaled] = await readExecutions(pipeline().directory);
    const summaryKey = runSummaryKey('orders', journaled?.name ?? '');
    const written = await Promise.all(
      [REPORT_KEY, reportCopyKey(summaryKey) ?? ''].map((key) => objects.get(key)),
    );
    const [newest, copy] = written.map((it) => it?.body.toString('utf8') ?? '');
    expect(newest).toContain('<h1>Holdfast backup report</h1>');
    expect(newest).toContain('1 of 1');
    expect(copy).toBe(newest);
    expect(await writeLocalReport(pipeline().directory, LOCAL.bucket)).toMatch(/report\.html$/);
  });

  it('keep no task token and no state data in the journal', async () => {
    const lines = (await readExecutions(pipeline().directory)).flatMap((it) => it.lines);
    expect(lines.length).toBeGreaterThan(20);
    const known = [
      'time',
      'machine',
      'name',
      'type',
      'status',
      'state',
      'stateType',
      'path',
      'index',
      'error',
    ];
    expect(
      lines.flatMap((line) => Object.keys(line)).filter((key) => !known.includes(key)),
    ).toEqual([]);
  });

  it.each(['evil.example', '127.0.0.1', 'localhost', '169.254.169.254'])(
    'are refused to a page that calls us %s',
    async (host) => {
      expect(await ask('/', { host })).toMatchObject({ status: 421 });
      expect(await ask('/report', { host })).toMatchObject({ status: 421 });
    },
  );

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('change nothing on %s', async (method) => {
    expect(await ask('/', { method })).toMatchObject({ status: 405 });
  });

  it('answer who asks for the head of the changes alone, and keep no place for it', async () => {
    expect(await ask('/changes', { method: 'HEAD' })).toMatchObject({ status: 200 });
  });

  it.each([
    '/../package.json',
    '/executions/../../pid',
    '/executions/..%2f..%2fpid',
    '/executions/',
    '/s3/holdfast-backups/reports/report.html',
    '//evil.example/',
    '/%00',
  ])('lead nowhere else: %s', async (path) => {
    expect(await ask(path)).toMatchObject({ status: 404, type: 'text/plain; charset=utf-8' });
  });

  it('tell which port is taken', async () => {
    const { port } = new URL(ui.url);
    const options = {
      directory: pipeline().directory,
      bucket: LOCAL.bucket,
      definitions: new Map(),
    };
    await expect(startUiServer({ ...options, port: Number(port) })).rejects.toThrow(
      `port ${port} cannot be used (EADDRINUSE)`,
    );
  });
});

describe.skipIf(CHROMIUM === undefined)(
  `the pages over the local state, in a browser${WHY_NOT},`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await launchBrowser();
    });
    afterAll(() => browser?.close());

    it('follow a run while it goes on, without being loaded again', async () => {
      const page = await browser.newPage();
      const misdeeds = watchPage(page, ui.url);
      await page.goto(ui.url, { waitUntil: 'load' });
      await page.evaluate('window.stayed = true');
      const rows = 'document.querySelectorAll("main section:first-child tbody tr").length';
      const before = Number(await page.evaluate(rows));
      const run = pipeline().run();
      await page.waitForSelector('svg.machine .state.running', { timeout: 120_000 });
      expect(await page.evaluate('document.querySelector("h1").textContent')).toBe('A run goes on');
      await run;
      await page.waitForFunction(
        '!document.querySelector(".state.running") && document.querySelector(".state.succeeded.succeed")',
        { timeout: 120_000 },
      );
      expect(await page.evaluate('window.stayed')).toBe(true);
      expect(await page.evaluate(rows)).toBe(before + 1);
      expect(misdeeds).toEqual({ console: [], dialogs: [], requests: [] });
      await page.close();
    });

    it('has the report with its tabs, at the width of a phone too', async () => {
      const page = await browser.newPage();
      const misdeeds = watchPage(page, ui.url);
      await page.setViewport({ width: 375, height: 800 });
      for (const path of ['', 'report']) {
        await page.goto(`${ui.url}${path}`, { waitUntil: 'load' });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(
          375,
        );
      }
      expect(misdeeds).toEqual({ console: [], dialogs: [], requests: [] });
      await page.close();
    });
  },
);
