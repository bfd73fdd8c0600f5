import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { makeLinks } from '#adapters/links.ts';
import { backupKey } from '#domain/names.ts';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import { backupIdAt, makeClock, makeManifest, seedBackup } from '#test/fakes.ts';

const ID = backupIdAt('2026-11-19T03:00:00Z');
const REFERENCE = `orders/shop/${ID}`;

function depsWithBackup(state: Parameters<typeof seedBackup>[2] = 'verified') {
  const deps = makeCliDeps();
  const ref = seedBackup(deps.objects, { backupId: ID }, state);
  return { deps, ref };
}

describe('holdfast link', () => {
  it('prints the link alone, and beside it until when it works', async () => {
    const { deps, ref } = depsWithBackup();
    const { exitCode, stdout, stderr } = await runCommand(['link', REFERENCE], { deps });
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`https://bucket.example/${backupKey(ref, 'archive.dump')}?signed\n`);
    expect(stderr).toContain('works until 2026-11-20 03:15:00 UTC, in 15 min\n');
    expect(stderr).not.toContain('warning');
    expect(deps.links.made).toEqual([
      {
        key: backupKey(ref, 'archive.dump'),
        versionId: undefined,
        fileName: `orders-shop-${ID}-archive.dump`,
        expiresSeconds: 900,
      },
    ]);
  });

  it('is to the very version that was verified', async () => {
    const { deps, ref } = depsWithBackup();
    const { versionId = '' } = (await deps.objects.head(backupKey(ref, 'archive.dump'))) ?? {};
    const archive = { ...makeManifest(ref).objects.archive, versionId };
    deps.objects.seed(
      backupKey(ref, 'manifest.json'),
      makeManifest({ ...ref, objects: { archive } }),
    );
    deps.objects.seed(backupKey(ref, 'archive.dump'), 'put there later by somebody else');
    const { document } = await runCommand(['link', REFERENCE, '--json'], { deps });
    expect(deps.links.made[0]?.versionId).toBe(versionId);
    expect(document['sizeBytes']).toBe(archive.sizeBytes);
  });

  it.each(['toc.dump', 'globals.sql', 'manifest.json', 'verification.json'])(
    'can be to %s as well',
    async (file) => {
      const { deps } = depsWithBackup();
      await runCommand(['link', 'orders/shop', '--file', file, '--expires', '12h'], { deps });
      expect(deps.links.made[0]).toMatchObject({
        key: expect.stringMatching(new RegExp(`/${ID}/${file}$`)),
        expiresSeconds: 43_200,
      });
    },
  );

  it('warns when the credentials that sign it end sooner than the link', async () => {
    const { deps } = depsWithBackup();
    deps.links.credentialsEndAt = new Date('2026-11-20T03:10:00.000Z');
    const { stderr } = await runCommand(['link', REFERENCE], { deps });
    expect(stderr).toContain('works until 2026-11-20 03:10:00 UTC, in 10 min');
    expect(stderr).toContain(
      'warning: the credentials that signed it end in 10 min, and the link with them',
    );
    const { document } = await runCommand(['link', REFERENCE, '--json'], { deps });
    expect(document).toMatchObject({
      expiresAt: '2026-11-20T03:15:00.000Z',
      worksUntil: '2026-11-20T03:10:00.000Z',
      credentialsEndAt: '2026-11-20T03:10:00.000Z',
    });
    deps.links.credentialsEndAt = new Date('2026-11-20T04:00:00.000Z');
    expect((await runCommand(['link', REFERENCE], { deps })).stderr).not.toContain('warning');
  });

  it.each(['unverified', 'quarantined'] as const)('is refused to one that is %s', async (state) => {
    const { deps } = depsWithBackup(state);
    const { exitCode, stdout, stderr } = await runCommand(['link', REFERENCE], { deps });
    expect([exitCode, stdout]).toEqual([4, '']);
    expect(stderr).toContain('links to verified backups only');
    expect((await runCommand(['link', 'orders/shop'], { deps })).exitCode).toBe(3);
    expect(deps.links.made).toEqual([]);
  });

  it('is refused to an archive in Glacier, and not when that has been brought back', async () => {
    const { deps } = depsWithBackup();
    const head = deps.objects.head.bind(deps.objects);
    let retrieval: 'none' | 'done' = 'none';
    deps.objects.head = async (key, version) => {
      const found = await head(key, version);
      return found && { ...found, storageClass: 'GLACIER', retrieval };
    };
    const { exitCode, stderr } = await runCommand(['link', REFERENCE], { deps });
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/^RetrievalNeeded: .* lies in GLACIER/);
    retrieval = 'done';
    expect((await runCommand(['link', REFERENCE], { deps })).exitCode).toBe(0);
  });

  it.each([
    ['--expires', '12h1s', 'more than 12 hours'],
    ['--expires', '0s', 'is no time'],
    ['--expires', '15', 'is no time'],
    ['--file', 'quarantine.json', 'Allowed choices'],
  ])('is refused with %s %s', async (option, value, words) => {
    const { deps } = depsWithBackup();
    const { exitCode, stderr } = await runCommand(['link', REFERENCE, option, value], { deps });
    expect(exitCode).toBe(2);
    expect(stderr).toContain(words);
  });
});

describe('the signer of links', () => {
  const make = (expiration?: Date) =>
    makeLinks({
      bucket: 'holdfast-test',
      clock: makeClock('2026-11-20T03:00:00.400Z'),
      client: new S3Client({
        region: 'eu-west-1',
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
        credentials: {
          accessKeyId: 'AKIA',
          secretAccessKey: 'very-secret',
          ...(expiration ? { expiration } : {}),
        },
      }),
    });
  const request = {
    key: 'backups/a/archive.dump',
    versionId: 'v1',
    fileName: 'a.dump',
    expiresSeconds: 900,
  };

  it('names object, version, file name and life time, and nothing secret', async () => {
    const { url, expiresAt, credentialsEndAt } = await make().create(request);
    const { host, pathname, searchParams } = new URL(url);
    expect([host, pathname]).toEqual([
      'holdfast-test.s3.eu-west-1.amazonaws.com',
      '/backups/a/archive.dump',
    ]);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      versionId: 'v1',
      'X-Amz-Expires': '900',
      'X-Amz-Date': '20261120T030000Z',
      'response-content-disposition': 'attachment; filename="a.dump"',
    });
    // With a checksum of nothing in the query S3 would take the request for a malformed one.
    expect([...searchParams.keys()].filter((name) => /checksum/i.test(name))).toEqual([]);
    expect(url).not.toContain('very-secret');
    expect(expiresAt).toEqual(new Date('2026-11-20T03:15:00.000Z'));
    expect(credentialsEndAt).toBeUndefined();
  });

  it('tells when the credentials end', async () => {
    const end = new Date('2026-11-20T03:05:00.000Z');
    expect((await make(end).create(request)).credentialsEndAt).toEqual(end);
  });
});
