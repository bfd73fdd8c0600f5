import { describe, expect, it } from 'vitest';
import { backupKey, jobKey } from '#domain/names.ts';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import { backupIdAt, makeVerification, seedBackup } from '#test/fakes.ts';

const ID = backupIdAt('2026-11-19T03:00:00Z');
const REFERENCE = `orders/shop/${ID}`;

function depsWithBackup(state: Parameters<typeof seedBackup>[2]) {
  const deps = makeCliDeps();
  const ref = seedBackup(deps.objects, { backupId: ID }, state);
  return { deps, ref };
}

describe('holdfast verify', () => {
  it('reports damage, ends with 1, and changes nothing', async () => {
    const { deps, ref } = depsWithBackup('verified');
    deps.objects.seed(backupKey(ref, 'archive.dump'), 'something else');
    const before = deps.objects.keys();
    const { exitCode, stdout } = await runCommand(['verify', REFERENCE], { deps });
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^DAMAGED/);
    expect(stdout).toMatch(/^SizeMismatch: .*\/archive\.dump has 14 bytes/m);
    expect(stdout).toContain('do not restore from it');
    expect(deps.objects.keys()).toEqual(before);
    const { document } = await runCommand(['verify', REFERENCE, '--json'], { deps });
    expect(document).toMatchObject({
      intact: false,
      state: 'verified',
      error: { name: 'SizeMismatch' },
    });
  });

  it('says what is missing where no pg_restore is at hand', async () => {
    const { deps } = depsWithBackup('verified');
    deps.clients.majors = () => Promise.reject(new Error('ENOENT'));
    const { exitCode, stderr } = await runCommand(['verify', REFERENCE], { deps });
    expect(exitCode).toBe(5);
    expect(stderr).toContain('npm run clients');
  });

  it('does not take a failure on the way for damage', async () => {
    const { deps } = depsWithBackup('verified');
    deps.objects.fault = (operation, key) => {
      if (operation === 'head' && key.endsWith('/toc.dump')) throw new Error('the network is gone');
    };
    const { exitCode, stdout, stderr } = await runCommand(['verify', REFERENCE], { deps });
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toContain('the network is gone');
  });
});

describe('holdfast verify --remote', () => {
  it('has the task settle an unverified backup, and waits for the verdict', async () => {
    const { deps, ref } = depsWithBackup('unverified');
    const sleep = deps.clock.sleep.bind(deps.clock);
    deps.clock.sleep = (milliseconds, signal) => {
      deps.objects.seed(backupKey(ref, 'verification.json'), makeVerification(ref));
      return sleep(milliseconds, signal);
    };
    const { exitCode, stdout } = await runCommand(['verify', REFERENCE, '--remote'], { deps });
    expect([exitCode, stdout]).toEqual([0, `backup ${ID} is verified\n`]);
    expect(deps.tasks.started).toMatchObject([{ kind: 'verify-backup', orderKey: jobKey(ref) }]);
  });

  it('ends with 1 when the backup turns out to be bad', async () => {
    const { deps, ref } = depsWithBackup('unverified');
    const sleep = deps.clock.sleep.bind(deps.clock);
    deps.clock.sleep = (milliseconds, signal) => {
      deps.objects.seed(backupKey(ref, 'quarantine.json'), '{}');
      return sleep(milliseconds, signal);
    };
    const argv = ['verify', REFERENCE, '--remote', '--json'];
    const { exitCode, document } = await runCommand(argv, { deps });
    expect([exitCode, document['state']]).toEqual([1, 'quarantined']);
  });

  it('does not wait with --no-wait', async () => {
    const { deps } = depsWithBackup('unverified');
    const { stdout } = await runCommand(['verify', REFERENCE, '--remote', '--no-wait'], { deps });
    expect(stdout).toMatch(/^started: task arn:aws:ecs/);
  });

  it('starts nothing for a backup that has its verdict, or whose job record is gone', async () => {
    const verified = depsWithBackup('verified');
    const again = await runCommand(['verify', REFERENCE, '--remote'], { deps: verified.deps });
    expect(again.exitCode).toBe(2);
    expect(again.stderr).toContain('is verified already');
    const { deps, ref } = depsWithBackup('unverified');
    await deps.objects.delete([jobKey(ref)]);
    const lost = await runCommand(['verify', REFERENCE, '--remote'], { deps });
    expect(lost.exitCode).toBe(3);
    expect([...verified.deps.tasks.started, ...deps.tasks.started]).toEqual([]);
  });
});
