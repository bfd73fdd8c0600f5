import { existsSync } from 'node:fs';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

/** Debian's Chromium; undefined: there is none on this machine. */
export const CHROMIUM = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((file) => file !== '' && existsSync(file));

const NO_CHROMIUM = 'no Chromium on this machine: apt-get install chromium';

/** For the title of browser tests: why they are left out, or nothing. */
export const WHY_NOT = CHROMIUM === undefined ? ` (${NO_CHROMIUM})` : '';

export function launchBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error(NO_CHROMIUM);
  return puppeteer.launch({
    executablePath: CHROMIUM,
    // Containers have neither a sandbox to make nor much shared memory.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    timeout: 120_000,
  });
}

/** What a page did that it should not have: errors, dialogs, requests beyond its own address. */
export interface Misdeeds {
  readonly console: string[];
  readonly dialogs: string[];
  readonly requests: string[];
}

export function watchPage(page: Page, ownUrl: string): Misdeeds {
  const misdeeds: Misdeeds = { console: [], dialogs: [], requests: [] };
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') {
      misdeeds.console.push(message.text());
    }
  });
  page.on('pageerror', (error) => misdeeds.console.push(String(error)));
  page.on('dialog', (dialog) => {
    misdeeds.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(ownUrl)) misdeeds.requests.push(request.url());
  });
  return misdeeds;
}
