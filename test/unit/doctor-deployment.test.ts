import { describe, expect, it } from 'vitest';
import { type CheckId, DoctorReport, type Severity } from '#contracts/posture.ts';
import {
  judgeDeadLetterQueue,
  judgeSchedule,
  judgeStateMachine,
  judgeTopic,
} from '#domain/doctor/deployment-checks.ts';
import { makeReport, notesOn, shellWord } from '#domain/doctor/finding.ts';
import { denied, known, notServed } from '#test/fakes/posture.ts';
import { makePlan } from '#test/fakes.ts';

const now = new Date('2026-11-20T12:00:00Z');
const examination = { now, region: 'eu-west-1', absence: undefined };
const local = { ...examination, absence: 'not on this machine' };
const GROUP = 'holdfast-test';
const asPlanned = { enabled: true, expression: 'cron(0 3 * * ? *)', timezone: 'Europe/Berlin' };

describe('the schedule of a source', () => {
  it('that is there tells when it runs next, in its own zone', () => {
    const finding = judgeSchedule(examination, makePlan(), GROUP, known(asPlanned), undefined);
    expect(finding).toMatchObject({ check: 'schedule', severity: 'ok', source: 'orders' });
    expect(finding.title).toBe('runs next at 2026-11-21 02:00:00 UTC (in 14 h)');
  });

  it('that is a rate counts from the last run, where there was one', () => {
    const schedule = { expression: 'rate(6 hours)', timezone: 'UTC' };
    const answer = known({ ...schedule, enabled: true });
    const plan = makePlan({ schedule });
    const last = new Date('2026-11-20T08:00:00Z');
    expect(judgeSchedule(examination, plan, GROUP, answer, last).title).toContain('14:00:00 UTC');
    expect(judgeSchedule(examination, plan, GROUP, answer, undefined).title).toBe(
      'runs by rate(6 hours)',
    );
  });

  it.each([
    ['is gone', known(undefined), 'fail'],
    ['is disabled', known({ ...asPlanned, enabled: false }), 'fail'],
    ['has another time', known({ ...asPlanned, expression: 'cron(0 4 * * ? *)' }), 'warn'],
    ['has another zone', known({ ...asPlanned, timezone: 'UTC' }), 'warn'],
    ['may not be read', denied('scheduler:GetSchedule'), 'unknown'],
    ['is of a deployment without schedules', undefined, 'unknown'],
  ] as const)('that %s is judged %s', (_what, answer, severity) => {
    const finding = judgeSchedule(examination, makePlan(), GROUP, answer, undefined);
    expect(finding.severity).toBe(severity);
    expect(finding.remedy).not.toBeNull();
  });

  it('is not missed where the plan has none', () => {
    const { schedule: _none, ...plan } = makePlan();
    expect(judgeSchedule(examination, plan, GROUP, undefined, undefined).severity).toBe('info');
  });
});

describe('the dead-letter queue', () => {
  const url = 'https://sqs.eu-west-1.amazonaws.com/123456789012/holdfast-test-undelivered';

  it.each([
    [known(0), 'ok'],
    [known(1), 'fail'],
    [known(undefined), 'fail'],
    [denied('sqs:GetQueueAttributes'), 'unknown'],
  ] as const)('that answers %o is judged %s', (answer, severity) => {
    expect(judgeDeadLetterQueue(examination, url, answer).severity).toBe(severity);
  });

  it('is read by the command that is shown', () => {
    expect(judgeDeadLetterQueue(examination, url, known(3)).remedy).toContain(
      `aws sqs receive-message --queue-url ${url} --max-number-of-messages 10`,
    );
  });

  it('that the deployment does not have is not known, on one machine for good', () => {
    const absent = judgeDeadLetterQueue(examination, undefined, undefined);
    expect(absent).toMatchObject({ severity: 'unknown' });
    expect(absent.remedy).toContain('deploy');
    expect(judgeDeadLetterQueue(local, undefined, undefined)).toMatchObject({
      severity: 'unknown',
      why: 'not on this machine',
      remedy: null,
    });
  });
});

describe('the subscriptions to alerts', () => {
  const arn = 'arn:aws:sns:eu-west-1:123456789012:holdfast-test-alerts';

  it.each([
    [known({ confirmed: 1, pending: 0 }), 'ok'],
    [known({ confirmed: 1, pending: 1 }), 'warn'],
    [known({ confirmed: 0, pending: 1 }), 'fail'],
    [known({ confirmed: 0, pending: 0 }), 'fail'],
    [known(undefined), 'fail'],
    [denied('sns:ListSubscriptionsByTopic'), 'unknown'],
  ] as const)('%o are judged %s', (answer, severity) => {
    const finding = judgeTopic(examination, arn, answer);
    expect(finding.severity).toBe(severity);
    expect(finding.remedy === null).toBe(severity === 'ok');
  });
});

describe('a state machine', () => {
  const arn = 'arn:aws:states:eu-west-1:123456789012:stateMachine:holdfast-test-backup';
  const severities = (answer: Parameters<typeof judgeStateMachine>[3], where = examination) =>
    judgeStateMachine(where, 'backups', arn, answer).map(({ severity }) => severity);

  it.each([
    ['is logged', known({ status: 'ACTIVE', logLevel: 'ALL' }), ['ok']],
    ['is not logged', known({ status: 'ACTIVE', logLevel: 'OFF' }), ['warn']],
    ['does not say', known({ status: 'ACTIVE', logLevel: undefined }), ['ok', 'unknown']],
    ['is being deleted', known({ status: 'DELETING', logLevel: 'ALL' }), ['fail']],
    ['is gone', known(undefined), ['fail']],
    ['may not be read', denied('states:DescribeStateMachine'), ['unknown']],
  ] as const)('that %s is judged so', (_what, answer, expected) => {
    expect(severities(answer)).toEqual(expected);
  });

  it('that nobody answers for says so, on one machine in its own words', () => {
    const [finding] = judgeStateMachine(local, 'backups', arn, notServed('states:Describe'));
    expect(finding).toMatchObject({ severity: 'unknown', why: 'not on this machine' });
    const [other] = judgeStateMachine(examination, 'backups', arn, notServed('states:Describe'));
    expect(other?.why).toBe('nobody answers states:Describe here');
  });
});

describe('a report', () => {
  const note = (check: CheckId, severity: Severity, title: string) =>
    notesOn(null)(check, severity, title);

  it('begins with the group that is worst, and in it with what is worst', () => {
    const report = makeReport('test', now, [
      note('quarantine', 'ok', 'a'),
      note('quarantine', 'warn', 'b'),
      note('server', 'ok', 'c'),
      note('plan', 'info', 'd'),
      note('plan', 'fail', 'e'),
      note('bucket', 'unknown', 'f'),
      note('plan', 'fail', 'g'),
      note('plan', 'ok', 'h'),
    ]);
    expect(report.findings.map(({ title }) => title).join('')).toBe('egdhbafc');
    expect(report.counts).toEqual({ fail: 2, warn: 1, unknown: 1, info: 1, ok: 3 });
    expect(DoctorReport.parse(report)).toEqual(report);
  });

  it('has words that a shell does not take apart', () => {
    expect(['a-b_c.1/2:3=4', 'a b', '$(x)', "it's", ''].map(shellWord)).toEqual([
      'a-b_c.1/2:3=4',
      "'a b'",
      "'$(x)'",
      `'it'\\''s'`,
      "''",
    ]);
  });
});
