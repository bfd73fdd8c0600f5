import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlertMessage } from '#contracts/alert-message.ts';
import {
  type AlertContent,
  fittingFacts,
  frameAlert,
  frameUnplanned,
} from '#domain/alert-frame.ts';
import { runAlert } from '#domain/alert-message.ts';
import { drillAlert } from '#domain/drill/drill-alert.ts';
import { nextStep } from '#domain/next-steps.ts';
import { summarizeRun } from '#domain/run-summary.ts';
import { makePastDrill } from '#test/fakes/drills.ts';
import { makeResults, makeRun } from '#test/fakes.ts';

const executionArn =
  'arn:aws:states:eu-west-1:123456789012:execution:holdfast-test-backup:orders-1';

function makeContent(changes: Partial<AlertContent> = {}): AlertContent {
  return {
    event: 'backup',
    status: 'FAILED',
    stage: 'run',
    source: 'orders',
    error: 'LockTimeout',
    cause: 'table public.orders is locked',
    headline: 'backup of orders FAILED',
    sections: { Notes: ['a note'], What: ['nothing was backed up'] },
    executionArn,
    records: 's3://bucket/runs/orders/1/',
    facts: { databases: 3 },
    ...changes,
  };
}

/** As SNS counts: all forms of the message, its subject and its attributes. */
function sentBytes({ subject, text, json, attributes }: AlertMessage): number {
  const body = JSON.stringify({ default: JSON.stringify(json), email: text, sms: subject });
  return Buffer.byteLength(`${body}${subject}${JSON.stringify(attributes)}`);
}

const SNS_LIMIT_BYTES = 262_144;

describe('the frame of an alert', () => {
  it('puts what, why and what to do before what can wait, and links last', () => {
    const { text } = frameAlert(makeContent());
    expect(text).toBe(
      [
        'backup of orders FAILED',
        'What\n  nothing was backed up',
        'Why\n  table public.orders is locked',
        `What to do next\n  ${nextStep('LockTimeout')}`,
        'Notes\n  a note',
        `Links\n  Execution: https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/${executionArn}\n  Records: s3://bucket/runs/orders/1/\n`,
      ].join('\n\n'),
    );
  });

  it('carries status, error and cause beside the facts of the event', () => {
    const { json, attributes } = frameAlert(makeContent());
    expect(json).toEqual({
      event: 'backup',
      version: 1,
      status: 'FAILED',
      error: 'LockTimeout',
      cause: 'table public.orders is locked',
      source: 'orders',
      executionArn,
      databases: 3,
    });
    expect(attributes).toEqual({
      event: 'backup',
      status: 'FAILED',
      severity: 'error',
      source: 'orders',
      stage: 'run',
      error: 'LockTimeout',
    });
  });

  it.each([
    ['SUCCEEDED', false, 'info'],
    ['SUCCEEDED', true, 'warning'],
    ['PASSED', true, 'warning'],
    ['STARTED', false, 'info'],
    ['FAILED', false, 'error'],
    ['FAILED', true, 'error'],
  ] as const)('of status %s, odd: %s, has the severity %s', (status, odd, severity) => {
    const { attributes } = frameAlert(makeContent({ status, odd }));
    expect(attributes['severity']).toBe(severity);
  });

  it.each([
    ['States.TaskFailed', 'States.TaskFailed'],
    ['not a name!', 'not_a_name_'],
    ['', 'none'],
  ])('makes of the error %j an attribute that SNS takes: %s', (error, value) => {
    expect(frameAlert(makeContent({ error })).attributes['error']).toBe(value);
  });

  it('gives no reason and no advice where nothing failed', () => {
    const { text, json, attributes } = frameAlert(
      makeContent({ status: 'SUCCEEDED', error: null, cause: null }),
    );
    expect(text).not.toMatch(/^(Why|What to do next)$/m);
    expect(json).toMatchObject({ error: null, cause: null });
    expect(attributes['error']).toBe('none');
  });

  it('says of what was never planned that it never began', () => {
    const failed = { source: 'orders', error: 'InvalidInput', cause: 'no such key', executionArn };
    const of = {
      event: 'drill',
      stage: 'plan',
      about: 'drill of orders',
      what: 'Nothing.',
    } as const;
    const { subject, text, json } = frameUnplanned(failed, of);
    expect(subject).toBe('Holdfast: drill of orders FAILED before it began: InvalidInput');
    expect(text).toContain('Why\n  no such key');
    expect(json).toMatchObject({ event: 'drill', status: 'FAILED', error: 'InvalidInput' });
  });

  it('fits into what SNS takes, in lines that are lines, whatever it is given', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom('a\r\nSubject: you won', '\u202E\0\u001b', '\ud800', '\u2028'),
      fc.constantFrom('😀', '"', '\\', '错', '\u0001').map((unit) => unit.repeat(5_000)),
    );
    fc.assert(
      fc.property(hostile, fc.array(hostile, { maxLength: 25 }), (text, lines) => {
        const facts = fittingFacts((listed) => ({
          lines: Array.from({ length: 2_000 }, () => text.slice(0, 400)).slice(0, listed),
        }));
        const message = frameAlert(
          makeContent({
            error: text,
            cause: text,
            headline: text,
            sections: {
              What: lines,
              Where: lines,
              'What was found': lines,
              Warnings: lines,
              Notes: lines,
            },
            facts,
          }),
        );
        expect(sentBytes(message)).toBeLessThan(SNS_LIMIT_BYTES);
        expect(message.subject).toMatch(/^Holdfast:[ -~]{0,90}$/);
        expect(message.text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
        expect(message.text.split('\n').filter((line) => /^What$/.test(line))).toHaveLength(
          lines.length > 0 ? 1 : 0,
        );
        expect(message.text).toContain('\n  Records: s3://bucket/runs/orders/1/\n');
        for (const value of Object.values(message.attributes)) expect(value).toMatch(/^[\w.-]+$/);
      }),
      { numRuns: 25 },
    );
  });

  it('cuts long lines only where the message would not fit with them', () => {
    const line = 'x'.repeat(1_900);
    const lines = (count: number) => Array.from({ length: count }, () => line);
    const few = frameAlert(makeContent({ sections: { What: lines(20) } }));
    const many = frameAlert(makeContent({ sections: { What: lines(80) } }));
    expect(few.text).toContain(line);
    expect(many.text).not.toContain(line);
    expect(many.text.match(/^ {2}x{300,}…$/gm)).toHaveLength(80);
  });
});

describe('an alert of two thousand databases', () => {
  it('of which all failed, with warnings, in the widest of characters, can be sent', () => {
    const wide = '😀'.repeat(900);
    const results = makeResults({ snapshot: { status: 'skipped' } });
    if (results.logical.status !== 'done') throw new Error('the builder makes a finished branch');
    results.logical.discovery.databases = [];
    results.logical.discovery.warnings = Array.from({ length: 60 }, () => wide);
    results.logical.databases = Array.from({ length: 2_000 }, (_, i) => ({
      status: 'failed',
      database: `${i}${wide}`,
      failure: { Error: 'LockTimeout', Cause: wide },
    }));
    const run = makeRun({ kinds: ['logical'] });
    const event = { executionArn, input: {}, run, results };
    const message = runAlert(summarizeRun(event, new Date('2026-11-20T02:05:00Z')), 'bucket');
    expect(sentBytes(message)).toBeLessThan(SNS_LIMIT_BYTES);
    const { databases, problems, omitted } = message.json as {
      databases: unknown[];
      problems: unknown[];
      omitted: unknown;
    };
    expect(databases.length).toBeGreaterThan(0);
    expect(omitted).toEqual({
      databases: 2_000 - databases.length,
      problems: 2_000 - problems.length,
      warnings: 60 - databases.length,
    });
  });

  it('of plain names keeps fifty of each list for machines', () => {
    const results = makeResults({ snapshot: { status: 'skipped' } });
    if (results.logical.status !== 'done') throw new Error('the builder makes a finished branch');
    results.logical.discovery.databases = [];
    results.logical.databases = Array.from({ length: 2_000 }, (_, i) => ({
      status: 'failed',
      database: `shop${i}`,
      failure: { Error: 'LockTimeout', Cause: 'canceling statement due to lock timeout' },
    }));
    const run = makeRun({ kinds: ['logical'] });
    const event = { executionArn, input: {}, run, results };
    const { json, text } = runAlert(
      summarizeRun(event, new Date('2026-11-20T02:05:00Z')),
      'bucket',
    );
    expect(json['databases']).toHaveLength(50);
    expect(json['omitted']).toEqual({ databases: 1_950, problems: 1_950, warnings: 0 });
    expect(text).toContain('and 1,980 more');
  });

  it('that were drilled names the few that failed first, with what was found in them', () => {
    const past = makePastDrill();
    const [one] = past.databases;
    if (!one) throw new Error('the builder makes a drill of one database');
    const finding = {
      class: 'data',
      check: 'amcheck',
      subject: 'public.t',
      message: 'the heap is damaged',
      advice: 'Look.',
    } as const;
    const environment = {
      ...finding,
      class: 'environment',
      message: 'amcheck is missing',
    } as const;
    const databases = Array.from({ length: 2_000 }, (_, i) => ({
      ...one,
      database: `shop${i}`,
      ...(i === 1_999
        ? { status: 'FAILED' as const, error: 'DrillFailed', cause: 'x', findings: [finding] }
        : { findings: [environment] }),
    }));
    const message = drillAlert(
      { ...past, status: 'FAILED', error: 'DrillFailed', cause: 'the heap is damaged', databases },
      'bucket',
    );
    expect(message.text).toMatch(/^What\n.*, 1 of 2000 not good:\n {2}FAILED shop1999 /m);
    expect(message.text).toContain('shop1999 public.t: amcheck: the heap is damaged. Look.');
    expect(message.text).toContain('and 1,979 more');
    expect(sentBytes(message)).toBeLessThan(SNS_LIMIT_BYTES);
  });
});
