import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DrillRecord } from '#contracts/drill.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { summarizeRun } from '#domain/run-summary.ts';
import { makePastDrill } from '#test/fakes/drills.ts';
import { executionArnOf, makeResults, makeRun, makeVerifiedDatabase } from '#test/fakes.ts';
import { jobSummary, literal } from '../../scripts/job-summary.ts';

const HOSTILE = [
  '<script>alert(1)</script>',
  '| a | b |\n| --- | --- |',
  '`code` **bold** _it_ ~~no~~ [text](javascript:alert(1)) ![x](https://evil.example/x.png)',
  '</code></td></table><h1>x',
  '@everyone #1 :tada: https://evil.example www.evil.example a@evil.example',
  '<!-- hidden',
  '\u202egnp.exe\u0000\r\n\r\n# heading',
  '&lt;b&gt; &#60;b&#62; \\| \\`',
  '\ud800 lone, \u{1f600} and 日本語',
];

const consoleUrl =
  'https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/arn:aws:states:eu-west-1:123456789012:execution:holdfast-test-backup:orders-1';

function makeDocument(changes: Record<string, unknown> = {}) {
  return {
    executionArn: executionArnOf('orders-1'),
    runId: 'orders-1',
    startedAt: '2026-11-20T02:00:00.000Z',
    consoleUrl,
    input: { source: 'orders' },
    status: 'SUCCEEDED',
    endedAt: '2026-11-20T02:05:00.000Z',
    record: null as unknown,
    ...changes,
  };
}

function makeSummary(databases: unknown[] = [makeVerifiedDatabase()]): RunSummary {
  const results = makeResults();
  const run = makeRun();
  return RunSummary.parse(
    summarizeRun(
      {
        executionArn: run.executionArn,
        input: {},
        run,
        results: { ...results, logical: { ...results.logical, databases } as never },
      },
      new Date('2026-11-20T02:05:00Z'),
    ),
  );
}

const failed = (database: string, error: string, cause: string) => ({
  status: 'failed',
  database,
  failure: { Error: error, Cause: cause },
});

const finding = {
  class: 'data',
  check: 'rows',
  subject: 'public.orders',
  message: 'the table has 0 rows, verification counted 1,200',
  advice: 'look at the backup before it',
};

function makeDrillRecord(changes: Record<string, unknown> = {}): DrillRecord {
  return DrillRecord.parse({
    version: 1,
    status: 'PASSED',
    error: null,
    cause: null,
    drill: {
      drillId: '20261120T020000Z-k3v9qd',
      source: 'orders',
      planVersion: 1,
      executionArn: executionArnOf('orders-1'),
      startedAt: '2026-11-20T02:00:00.000Z',
      trigger: 'manual',
      reason: 'before release 4.2',
      kind: 'archive',
      targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
      notes: [],
    },
    endedAt: '2026-11-20T02:05:00.000Z',
    durationSeconds: 300,
    rtoSeconds: 260,
    rpoSeconds: 3_600,
    databases: [
      {
        database: 'shop',
        backupId: '20261120T010000Z-55ppda',
        chosenBy: 'latest',
        status: 'PASSED',
        report: null,
        rpoSeconds: null,
        findings: [],
        error: null,
        cause: null,
      },
    ],
    server: null,
    ...changes,
  });
}

/** The text that a reader sees: the numbers are characters again. */
function shown(markdown: string): string {
  return markdown.replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
}

/** Every line is one that the program means to write, whatever was put into it. */
function expectWellFormed(markdown: string): void {
  const value = '(?:[\\p{L}\\p{M}\\p{N} ]|&#\\d+;)*';
  const code = `<code>${value}</code>`;
  const link = '\\[execution\\]\\(https://[\\w.-]+/[\\w/?=&#:.%-]*\\)';
  const words = "[\\w ,;:().'-]*";
  const cell = `(?:${words}|&#\\d+;|${code}|${link})*`;
  const line = new RegExp(
    `^(?:|#{2,3} (?:(?:✅|❌|⚠️) )?${cell}|(?:\\| ${cell} )+\\||${cell}|and [\\d,]+ more)$`,
    'u',
  );
  expect(markdown.split('\n').filter((text) => !line.test(text))).toEqual([]);
  // A table's rows all have its heading's number of cells.
  const tables = markdown
    .trimEnd()
    .split('\n\n')
    .filter((block) => block.startsWith('|'));
  const widths = tables.map(
    (block) => new Set(block.split('\n').map((row) => row.split('|').length)),
  );
  expect(widths.filter(({ size }) => size !== 1)).toEqual([]);
}

describe('the summary of a backup', () => {
  it('says what was verified, how large it is, and where the run is to be seen', () => {
    const markdown = jobSummary(makeDocument({ record: makeSummary() })) ?? '';
    const text = shown(markdown);
    expect(text).toMatch(/^## ✅ Backup of <code>orders<\/code>: verified\n/);
    expect(text).toContain(`[execution](${consoleUrl})`);
    expect(text).toMatch(/^\| <code>shop<\/code> \| verified \(<code>full<\/code>\) \| /m);
    expect(text).not.toContain('### Problems');
    expectWellFormed(markdown);
  });

  it('says of each problem what to do, and puts what failed first', () => {
    const record = makeSummary([
      makeVerifiedDatabase(),
      failed('crm', 'LockTimeout', 'waited 60 s for a lock'),
    ]);
    const markdown = jobSummary(makeDocument({ status: 'FAILED', record })) ?? '';
    const text = shown(markdown);
    expect(text).toMatch(/^## ❌ Backup of <code>orders<\/code>: FAILED\n/);
    expect(text.indexOf('<code>crm</code>')).toBeLessThan(text.indexOf('<code>shop</code>'));
    expect(text).toMatch(
      /^\| <code>crm<\/code> \| <code>LockTimeout<\/code> \| <code>waited 60 s for a lock<\/code> \| <code>\S/m,
    );
    expectWellFormed(markdown);
  });

  it('is no success where the record is one and the execution failed afterwards', () => {
    const error = { name: 'AlertNotSent', message: 'no topic', remedy: 'look at the topic' };
    const text = shown(
      jobSummary(makeDocument({ status: 'FAILED', record: makeSummary(), error })) ?? '',
    );
    expect(text).toMatch(/^## ❌ Backup of <code>orders<\/code>: FAILED\n/);
    expect(text).toContain('<code>AlertNotSent</code>: <code>no topic</code>');
  });

  it('has no link where no console shows the run', () => {
    const local = jobSummary(makeDocument({ consoleUrl: null, record: makeSummary() })) ?? '';
    expect(local).not.toContain('](');
    const hostile = 'https://a.example/x) [y](https://evil.example';
    const other = jobSummary(makeDocument({ consoleUrl: hostile, record: makeSummary() })) ?? '';
    expect(other).not.toContain('](');
  });
});

describe('the summary of a drill', () => {
  it('names RTO and RPO against their targets', () => {
    const markdown = jobSummary(makeDocument({ record: makeDrillRecord() })) ?? '';
    const text = shown(markdown);
    expect(text).toMatch(/^## ✅ Drill of <code>orders<\/code>: passed\n/);
    expect(text).toMatch(/\(RTO\) \| 4 min 20 s; target 4 h 0 min met \|/);
    expect(text).toMatch(/\(RPO\) \| 1 h 0 min; target 24 h 0 min met \|/);
    expectWellFormed(markdown);
  });

  it('says what was found, and which target was missed', () => {
    const [database] = makeDrillRecord().databases;
    const record = makeDrillRecord({
      status: 'FAILED',
      error: 'DrillFailed',
      cause: 'shop: rows',
      rtoSeconds: 20_000,
      rpoSeconds: null,
      databases: [{ ...database, status: 'FAILED', findings: [finding] }],
    });
    const markdown = jobSummary(makeDocument({ status: 'FAILED', record })) ?? '';
    const text = shown(markdown);
    expect(text).toMatch(/^## ❌ Drill of <code>orders<\/code>: FAILED\n/);
    expect(text).toContain('target 4 h 0 min MISSED');
    expect(text).toContain('not measured; target 24 h 0 min');
    expect(text).toContain(
      '| <code>shop</code> | data | rows | <code>public.orders</code> | <code>the table has 0 rows, verification counted 1,200</code> |',
    );
    expectWellFormed(markdown);
  });

  it('says missed where nothing of a database can be brought back, whose age nobody can measure', () => {
    const [database] = makeDrillRecord().databases;
    const message = 'nothing of it can be brought back, whatever its age; the target is 24 h 0 min';
    const rpo = { ...finding, class: 'target', check: 'rpo', subject: null, message };
    const changes = {
      status: 'FAILED',
      error: 'BackupNotFound',
      cause: 'c',
      rpoSeconds: null,
      databases: [{ ...database, status: 'FAILED', findings: [rpo] }],
    };
    const of = (record: DrillRecord) => {
      const markdown = jobSummary(makeDocument({ status: 'FAILED', record })) ?? '';
      expectWellFormed(markdown);
      return shown(markdown);
    };
    const text = of(makeDrillRecord(changes));
    expect(text).toContain(`(RPO) | MISSED; target 24 h 0 min: <code>shop: ${message}</code> |`);
    expect(text).toMatch(/^\| <code>shop<\/code> \| FAILED \| .* \| {2}\| MISSED \|/m);
    const { drill } = makeDrillRecord();
    const unjudged = { ...drill, targets: { rtoSeconds: null, rpoSeconds: null } };
    const without = of(makeDrillRecord({ ...changes, drill: unjudged }));
    expect(without).toContain('(RPO) | NONE; no target: ');
    expect(without).toContain('(RTO) | 4 min 20 s; no target |');
  });

  it('says why there is no time, what all databases took together, and which rows were not compared', () => {
    const [database] = makeDrillRecord().databases;
    const report = makePastDrill().databases[0]?.report;
    const of = (changes: Record<string, unknown>) => {
      const markdown = jobSummary(makeDocument({ record: makeDrillRecord(changes) })) ?? '';
      expectWellFormed(markdown);
      return shown(markdown);
    };
    const unknown = { ...report, rtoSeconds: null, rtoUnknown: '25 bytes of 500 GB came back' };
    expect(of({ rtoSeconds: null, databases: [{ ...database, report: unknown }] })).toContain(
      '(RTO) | not measured; target 4 h 0 min: <code>shop: 25 bytes of 500 GB came back</code> |',
    );
    const two = [
      { ...database, report: { ...report, rowsCompared: false } },
      { ...database, database: 'audit', report: { ...report, rtoSeconds: 240 } },
    ];
    const text = of({ databases: two });
    expect(text).toContain(
      '(RTO) | 4 min 20 s; target 4 h 0 min met (until all 2 databases were back; the slowest alone took 4 min 0 s) |',
    );
    expect(text).toContain('| 4,600; rows not compared: verified by structure only |');
    expect(text).toContain('| 4,600 |');
  });

  it('does not call passed what passed in part', () => {
    const { drill, databases } = makeDrillRecord();
    const [database] = databases;
    const report = { ...makePastDrill().databases[0]?.report, tablesLeftOut: 1 };
    const of = (changes: Record<string, unknown>) => {
      const markdown = jobSummary(makeDocument({ record: makeDrillRecord(changes) })) ?? '';
      expectWellFormed(markdown);
      return shown(markdown);
    };
    const left = of({ databases: [{ ...database, report }] });
    expect(left).toMatch(/^## ⚠️ Drill of <code>orders<\/code>: passed in part\n/);
    expect(left).toContain('| Does not count for the source | <code>1 table left out</code> |');
    const part = of({ drill: { ...drill, part: true } });
    expect(part).toMatch(/^## ⚠️ Drill of <code>orders<\/code>: passed in part\n/);
    expect(part).toContain('<code>of a part of the source</code>');
  });

  it('says of one that failed before it began why, and what to do', () => {
    const { drill } = makeDrillRecord();
    const record = makeDrillRecord({
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: 'drill.server.securityGroups is missing',
      rtoSeconds: null,
      rpoSeconds: null,
      drill: { ...drill, unplanned: true, targets: { rtoSeconds: null, rpoSeconds: null } },
      databases: [],
    });
    const markdown = jobSummary(makeDocument({ status: 'FAILED', record })) ?? '';
    const text = shown(markdown);
    expect(text).toMatch(/^## ❌ Drill of <code>orders<\/code>: FAILED before it began\n/);
    expect(text).toContain('| Rehearsed | <code>not planned</code> |');
    expect(text).toContain(
      '<code>InvalidPlan</code>: <code>drill.server.securityGroups is missing</code>',
    );
    expect(text).toContain('What to do: <code>');
    expectWellFormed(markdown);
  });

  it('tells what was found of all databases together', () => {
    const message = 'each of 2 databases came back in time, all of them took 5 h 0 min';
    const rto = { ...finding, class: 'target', check: 'rto', subject: null, message };
    const record = makeDrillRecord({ status: 'FAILED', error: 'DrillFailed', findings: [rto] });
    const markdown = jobSummary(makeDocument({ status: 'FAILED', record })) ?? '';
    expect(shown(markdown)).toContain(`| all together | target | rto |  | <code>${message}</code>`);
    expectWellFormed(markdown);
  });

  it('is no success where the record is one and the execution failed afterwards', () => {
    const record = makeDrillRecord();
    const error = { name: 'AlertNotSent', message: 'no topic', remedy: 'look at the topic' };
    const text = shown(jobSummary(makeDocument({ status: 'FAILED', record, error })) ?? '');
    expect(text).toMatch(/^## ❌ Drill of <code>orders<\/code>: FAILED\n/);
    expect(text).toContain('<code>AlertNotSent</code>: <code>no topic</code>');
  });
});

describe('the summary of what has no record', () => {
  it('says what stopped the command, and what to do', () => {
    const error = { name: 'UnknownSource', message: 'no plan for "x"', remedy: 'known are orders' };
    const markdown = jobSummary({ error }) ?? '';
    expect(shown(markdown)).toBe(
      '## ❌ Not done\n\n<code>UnknownSource</code>: <code>no plan for "x"</code>\n\nWhat to do: <code>known are orders</code>\n',
    );
    expectWellFormed(markdown);
  });

  it('says how the execution ended where nobody could write a record', () => {
    const error = { name: 'States.Timeout', message: 'too long', remedy: null };
    const markdown = jobSummary(makeDocument({ status: 'TIMED_OUT', error })) ?? '';
    expect(shown(markdown)).toMatch(
      /^## ❌ Execution for <code>orders<\/code>: <code>TIMED_OUT<\/code>\n/,
    );
    expect(shown(markdown)).toContain('<code>States.Timeout</code>: <code>too long</code>');
    expectWellFormed(markdown);
  });

  it.each([[undefined], [null], ['text'], [[]], [{}], [{ error: 'x' }]])(
    'is none for %j, which the command does not print',
    (document) => {
      expect(jobSummary(document)).toBeUndefined();
    },
  );
});

describe('text from outside', () => {
  it('has no mark left that Markdown, HTML or GitHub could take for its own', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        expect(literal(text)).toMatch(/^<code>(?:[\p{L}\p{M}\p{N} ]|&#\d+;)*<\/code>$/u);
      }),
    );
    for (const text of HOSTILE) {
      expect(literal(text)).toMatch(/^<code>(?:[\p{L}\p{M}\p{N} ]|&#\d+;)*<\/code>$/u);
    }
  });

  it('is shown as it is where it is harmless', () => {
    expect(shown(literal('a <b> | `c` @d 日本語'))).toBe('<code>a <b> | `c` @d 日本語</code>');
  });

  it.each(HOSTILE)('changes nothing of the page when a backup is full of %j', (text) => {
    const summary = makeSummary([
      { ...makeVerifiedDatabase(), database: text, level: text },
      failed(text, text, text),
    ]);
    const record = { ...summary, reason: text, warnings: [text], cause: text };
    const error = { name: text, message: text, remedy: text };
    const document = { input: { source: text }, runId: text, startedAt: text, consoleUrl: text };
    expectWellFormed(jobSummary(makeDocument({ ...document, status: 'FAILED', record })) ?? '-');
    expectWellFormed(jobSummary(makeDocument({ ...document, status: text, error })) ?? '-');
    expectWellFormed(jobSummary({ error }) ?? '-');
  });

  it.each(HOSTILE)('changes nothing of the page when a drill is full of %j', (text) => {
    const plain = makeDrillRecord();
    const [database] = plain.databases;
    const hostile = { ...finding, subject: text, message: text, advice: text };
    const record = makeDrillRecord({
      status: 'FAILED',
      error: text,
      cause: text,
      drill: { ...plain.drill, reason: text, notes: [text, text] },
      databases: [
        {
          ...database,
          database: text,
          backupId: text,
          error: text,
          cause: text,
          findings: [hostile],
        },
      ],
    });
    const error = { name: text, message: text, remedy: text };
    const markdown = jobSummary(makeDocument({ status: 'FAILED', record, error })) ?? '-';
    expect(shown(markdown)).toMatch(/^## ❌ Drill of <code>orders<\/code>: FAILED\n/);
    expectWellFormed(markdown);
  });

  it('stays below what GitHub takes for a step, however much there is', () => {
    const text = '\u{1f600}'.repeat(2_000);
    const [database] = makeDrillRecord().databases;
    const findings = Array.from({ length: 300 }, () => ({
      ...finding,
      subject: text,
      message: text,
      advice: text,
    }));
    const databases = Array.from({ length: 300 }, () => ({
      ...database,
      database: text,
      backupId: text,
      error: text,
      cause: text,
      findings,
    }));
    const { drill } = makeDrillRecord();
    const notes = Array.from({ length: 300 }, () => text);
    const record = makeDrillRecord({ databases, drill: { ...drill, notes } });
    const markdown = jobSummary(makeDocument({ record })) ?? '';
    expect(Buffer.byteLength(markdown)).toBeLessThan(1024 * 1024);
    expect(markdown).toContain('\n\nand 89,950 more');
  });
});

describe('the program', () => {
  const run = (input: string) =>
    spawnSync(process.execPath, [join(import.meta.dirname, '../../scripts/job-summary.ts')], {
      input,
      encoding: 'utf8',
      timeout: 120_000,
    });

  it('reads the document from standard input and writes the page', () => {
    const { status, stdout, stderr } = run(JSON.stringify(makeDocument({ record: makeSummary() })));
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^## ✅ Backup of <code>orders<\/code>: verified\n/);
  });

  it.each(['', 'not JSON', '{"status":'])('ends with 1 when it gets %j', (input) => {
    const { status, stdout } = run(input);
    expect([status, stdout]).toEqual([1, '## ❌ The command printed no result; see its step\n\n']);
  });
});
