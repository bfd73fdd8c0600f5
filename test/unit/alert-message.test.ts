import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlertMessage } from '#contracts/alert-message.ts';
import type { NotifyEvent } from '#contracts/workflow.ts';
import {
  missedRunAlert,
  quarantineAlert,
  runAlert,
  verificationOverdueAlert,
} from '#domain/alert-message.ts';
import { executionLink } from '#domain/console-link.ts';
import {
  asciiSubject,
  displayBytes,
  displayName,
  displaySeconds,
  displayText,
} from '#domain/display-text.ts';
import { hasNextStep, nextStep } from '#domain/next-steps.ts';
import { summarizeRun } from '#domain/run-summary.ts';
import { errorCatalogue } from '#errors';
import { backupIdAt, makeResults, makeRun, makeVerifiedDatabase } from '#test/fakes.ts';

const endedAt = new Date('2026-11-20T02:05:00Z');

function alertOf(event: Partial<NotifyEvent> = {}): AlertMessage {
  const run = makeRun();
  const whole = {
    executionArn: run.executionArn,
    input: {},
    run,
    results: makeResults(),
    ...event,
  };
  return runAlert(summarizeRun(whole, endedAt), 'holdfast-backups');
}

/** A run in which every database failed, each in its own words. */
function failedRun(failures: { database: string; error: string; cause: string }[]): AlertMessage {
  const results = makeResults({ snapshot: { status: 'skipped' } });
  if (results.logical.status !== 'done') throw new Error('the builder makes a finished branch');
  results.logical.discovery.databases = [];
  results.logical.databases = failures.map(({ database, error, cause }) => ({
    status: 'failed',
    database,
    failure: { Error: error, Cause: cause },
  }));
  return alertOf({ run: makeRun({ kinds: ['logical'] }), results });
}

/** As SNS counts: all forms of the message together. */
const publishedBytes = ({ subject, text, json }: AlertMessage) =>
  Buffer.byteLength(JSON.stringify({ default: JSON.stringify(json), email: text, sms: subject }));

describe('the alert of a verified run', () => {
  it('says what there is now, for people', () => {
    const { subject, text } = alertOf();
    expect(subject).toBe('Holdfast: backup of orders verified: 1 database, 1 snapshot');
    expect(text).toContain(
      'Database shop: verified (full), 4.2 MB, 12 tables, 340,000 rows, dumped in 10 s, verified in 5 s',
    );
    expect(text).toContain('Snapshot holdfast-orders-20261120t020000z-k3v9qd: available');
    expect(text).toContain(
      'https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#',
    );
    expect(text).toContain('s3://holdfast-backups/runs/orders/orders-20261120T020000Z-k3v9qd/');
    expect(text).not.toContain('What to do next');
  });

  it('carries the facts for machines, and attributes for filters', () => {
    const { json, attributes } = alertOf();
    expect(json).toMatchObject({
      event: 'backup',
      status: 'SUCCEEDED',
      databases: [{ database: 'shop', rows: 340_000 }],
    });
    expect(attributes).toEqual({
      event: 'backup',
      status: 'SUCCEEDED',
      severity: 'info',
      source: 'orders',
      stage: 'none',
      error: 'none',
    });
  });

  it('is a warning when something was odd', () => {
    const results = makeResults();
    if (results.logical.status === 'done') {
      results.logical.databases = [makeVerifiedDatabase({ warnings: 2 })];
    }
    const { attributes, text } = alertOf({ results });
    expect(attributes['severity']).toBe('warning');
    expect(text).toContain('shop: 2 warnings, see its verification.json');
  });
});

describe('the alert of a failed run', () => {
  it('says what, where, why and what to do next', () => {
    const { subject, text, attributes } = failedRun([
      { database: 'shop', error: 'LockTimeout', cause: 'table public.orders is locked' },
    ]);
    expect(subject).toBe('Holdfast: backup of orders FAILED: LockTimeout');
    expect(text).toContain('Database shop: failed: LockTimeout');
    expect(text).toContain(
      'Source orders, run orders-20261120T020000Z-k3v9qd, started by schedule',
    );
    expect(text).toContain('database shop: LockTimeout: table public.orders is locked');
    expect(text).toContain(nextStep('LockTimeout'));
    expect(attributes).toMatchObject({
      status: 'FAILED',
      severity: 'error',
      stage: 'database',
      error: 'LockTimeout',
    });
  });

  it('lists failures before successes, and cuts a long list with a count', () => {
    const failures = Array.from({ length: 32 }, (_, i) => ({
      database: `db${i}`,
      error: 'LockTimeout',
      cause: 'x',
    }));
    const { text, json } = failedRun(failures);
    expect(text).toContain('and 12 more');
    const results = makeResults();
    if (results.logical.status === 'done') {
      results.logical.databases = [
        ...Array.from({ length: 40 }, (_, i) => makeVerifiedDatabase({ database: `ok${i}` })),
        { status: 'failed', database: 'last', failure: { Error: 'LockTimeout', Cause: '' } },
      ];
    }
    expect(alertOf({ results }).text).toContain('Database last: failed: LockTimeout');
    expect(json['omitted']).toMatchObject({ databases: 0, problems: 0 });
  });

  it('knows a next step for every error that we raise', () => {
    const without = [...errorCatalogue.keys()].filter((name) => !hasNextStep(name));
    expect(without).toEqual([]);
    expect(nextStep('toString')).toContain('Nobody foresaw');
  });

  it('sends people to the run that could not be planned without naming a source', () => {
    const run = makeRun();
    const summary = summarizeRun(
      {
        executionArn: run.executionArn,
        input: 'orders',
        failure: { Error: 'InvalidInput', Cause: 'x' },
      },
      endedAt,
    );
    const { attributes, text } = runAlert(summary, 'holdfast-backups');
    expect(attributes).toMatchObject({ source: 'unknown', stage: 'run', error: 'InvalidInput' });
    expect(text).toContain('{"source":"orders"}');
    expect(text).not.toContain('s3://');
  });
});

describe('alerts outside of a run', () => {
  const ref = { source: 'orders', database: 'shop', backupId: backupIdAt('2026-11-20T02:01:00Z') };

  it('tell of a run that was missed', () => {
    const { subject, text, attributes } = missedRunAlert({
      source: 'orders',
      due: new Date('2026-11-20T02:00:00Z'),
      schedule: 'cron(0 3 * * ? *) Europe/Berlin',
      lastStart: new Date('2026-11-19T02:00:00Z'),
    });
    expect(subject).toContain('due at 2026-11-20T02:00:00.000Z did not run');
    expect(text).toContain('The last run started 2026-11-19T02:00:00.000Z');
    expect(text).toContain(nextStep('MissedRun'));
    expect(attributes).toMatchObject({
      event: 'missed-run',
      error: 'MissedRun',
      severity: 'error',
    });
  });

  it('tell of a backup that was quarantined', () => {
    const { text, attributes, json } = quarantineAlert({
      quarantine: {
        version: 1,
        ...ref,
        quarantinedAt: '2026-11-20T03:00:00.000Z',
        error: 'ChecksumMismatch',
        cause: 'the archive has other bytes',
      },
      executionArn: undefined,
    });
    expect(text).toContain('the archive has other bytes');
    expect(text).toContain(`backups/orders/shop/${ref.backupId}/`);
    expect(attributes).toMatchObject({ event: 'quarantine', error: 'ChecksumMismatch' });
    expect(json).toMatchObject({ database: 'shop', executionArn: null });
  });

  it('tell of a verification that is overdue', () => {
    const { subject, attributes } = verificationOverdueAlert({
      ref,
      manifestWrittenAt: endedAt,
      why: 'the event was lost',
      executionArn: makeRun().executionArn,
    });
    expect(subject).toBe('Holdfast: a backup of orders is still not verified');
    expect(attributes['error']).toBe('VerificationOverdue');
  });
});

describe('hostile names and causes', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom(
      'a\r\nSubject: you won',
      '\u202Egnp.exe',
      '\0\u001b[2J',
      'x'.repeat(200),
      '😀'.repeat(200),
      'Za\u0301'.repeat(80),
      '\u2028\u2029\u0085',
      '\ud800',
    ),
  );

  it('never break the limits of SNS nor the lines of the text', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 70 }), (texts) => {
        const message = failedRun(
          texts.map((text) => ({ database: text, error: text, cause: text.repeat(20) })),
        );
        expect(message.subject).toMatch(/^[A-Za-z0-9][ -~]{0,98}$/);
        expect(message.text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
        expect(publishedBytes(message)).toBeLessThan(256 * 1024);
        for (const value of Object.values(message.attributes)) expect(value).toMatch(/^[\w.-]+$/);
        // Each database is one line: what it is called adds none.
        expect(
          message.text.split('\n').filter((line) => line.startsWith('  Database ')),
        ).toHaveLength(Math.min(texts.length, 20));
      }),
      { numRuns: 60 },
    );
  });

  it('leave room when there are as many databases as a run can have', () => {
    const name = '\u202e'.repeat(60);
    const failures = Array.from({ length: 5_000 }, () => ({
      database: name,
      error: name,
      cause: '"\\\u0001'.repeat(1_000),
    }));
    expect(publishedBytes(failedRun(failures))).toBeLessThan(256 * 1024);
  });
});

describe('text for display', () => {
  it.each([
    ['shop', 'shop'],
    ['my shop', '"my shop"'],
    ['a\nb', '"a\\nb"'],
    ['\u202Eabc', '"\\u{202e}abc"'],
    ['Łódź', '"Łódź"'],
  ])('shows the name %j as %s', (name, shown) => expect(displayName(name)).toBe(shown));

  it('is cut by characters, never through one', () => {
    expect(displayText('😀😀😀😀', 3)).toBe('😀😀…');
    expect(displayText('abc', 3)).toBe('abc');
  });

  it.each([
    ['backup of Łódź', 'backup of ?odz'],
    ['naïve café', 'naive cafe'],
    ['  two\nlines', 'two?lines'],
  ])('becomes the ASCII subject of %j', (text, subject) =>
    expect(asciiSubject(text)).toBe(subject),
  );

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [4_200_000, '4.2 MB'],
    [457_000_000, '457 MB'],
    [999_600_000, '1.0 GB'],
  ])('of %d bytes is %s', (bytes, shown) => expect(displayBytes(bytes)).toBe(shown));

  it.each([
    [0.4, '0 s'],
    [200, '3 min 20 s'],
    [7_500, '2 h 5 min'],
  ])('of %d seconds is %s', (seconds, shown) => expect(displaySeconds(seconds)).toBe(shown));
});

describe('a link to the console', () => {
  const arn = (partition: string, region: string) =>
    `arn:${partition}:states:${region}:123456789012:execution:backup:orders-1`;

  it.each([
    ['aws', 'eu-west-1', 'eu-west-1.console.aws.amazon.com'],
    ['aws-cn', 'cn-north-1', 'cn-north-1.console.amazonaws.cn'],
    ['aws-us-gov', 'us-gov-west-1', 'console.amazonaws-us-gov.com'],
  ])('is in the partition %s', (partition, region, host) => {
    const link = executionLink(arn(partition, region));
    expect(link).toBe(
      `https://${host}/states/home?region=${region}#/v2/executions/details/${arn(partition, region)}`,
    );
  });

  it('is left out where there is no public console, or no execution', () => {
    expect(executionLink(arn('aws-iso', 'us-iso-east-1'))).toBeUndefined();
    expect(executionLink('arn:aws:s3:::bucket')).toBeUndefined();
    expect(executionLink('')).toBeUndefined();
  });
});
