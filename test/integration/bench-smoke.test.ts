import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONTENDERS, type Sample } from '../../bench/contenders.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const LIMIT_MILLISECONDS = 60_000;

describe('the benchmark on 20 MB', () => {
  let directory: string;
  let exitCode: number | null;
  let output: string;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'bench-smoke-'));
    await chmod(directory, 0o755); // the server runs as another user when we are root
    const json = path.join(directory, 'results.json');
    const sizes = ['--size-gb', '0.02', '--rounds', '1', '--no-warm-up'];
    const child = spawn(process.execPath, ['bench/main.ts', ...sizes, '--json', json], {
      cwd: ROOT,
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MILLISECONDS,
    });
    const streams = Promise.all([text(child.stdout), text(child.stderr)]);
    [exitCode] = (await once(child, 'exit')) as [number | null];
    output = (await streams).join('\n');
  }, LIMIT_MILLISECONDS + 5000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('measures every contender and says which targets are met', async () => {
    expect(exitCode, output).toBe(0);
    const results = JSON.parse(await readFile(path.join(directory, 'results.json'), 'utf8'));
    const samples: Record<string, Sample[]> = results.samples;
    expect(Object.keys(samples).sort()).toEqual(Object.keys(CONTENDERS).sort());
    for (const [contender, [sample]] of Object.entries(samples)) {
      expect(sample?.wallSeconds, contender).toBeGreaterThan(0);
      expect(sample?.cpuSeconds, contender).toBeGreaterThan(0);
    }
    // What ended between two looks of 20 ms may not have been seen at its size.
    const unseen = Object.entries(samples).filter(
      ([, [sample]]) => sample && sample.wallSeconds > 0.2 && sample.peakMemoryBytes < 1_000_000,
    );
    expect(unseen).toEqual([]);
    expect(samples['task']?.[0]?.peakMemoryBytes).toBeGreaterThan(50_000_000);
    expect(results.data.tableBytes).toBeGreaterThan(15_000_000);
    expect(output).toMatch(/^(PASS|MISS) {2}dump task, of the limit/m);
  });

  it('tells what goes to disk from what is streamed', async () => {
    const { samples } = JSON.parse(await readFile(path.join(directory, 'results.json'), 'utf8'));
    const [script] = samples.script as [Sample];
    expect(script.diskBytes).toBeGreaterThan(script.archiveBytes / 2);
    expect(samples.task[0].diskBytes).toBe(0);
  });

  it('leaves nothing behind but the results', async () => {
    expect(await readdir(directory)).toEqual(['results.json']);
  });
});
