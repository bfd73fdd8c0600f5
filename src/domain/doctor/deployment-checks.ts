import type {
  Answer,
  Finding,
  SchedulePosture,
  StateMachinePosture,
  TopicPosture,
} from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { displayUtc, relativeTime } from '../display-time.ts';
import { nextDue } from '../schedule.ts';
import { awsCommand, type Examination, noteAbsent, notesOn, noteUnanswered } from './finding.ts';

/**
 * Whether the source runs by itself, and when next. `answer` undefined: the deployment has no schedules.
 * `lastStart` is what a rate counts from.
 */
export function judgeSchedule(
  examination: Examination,
  { source, schedule }: Pick<SourcePlan, 'source' | 'schedule'>,
  group: string | undefined,
  answer: Answer<SchedulePosture | undefined> | undefined,
  lastStart: Date | undefined,
): Finding {
  const note = notesOn(source);
  if (!schedule) {
    return note('schedule', 'info', 'nothing is scheduled: backups start by hand or by a request', {
      remedy: `write a schedule for ${source} in the plan file, and deploy`,
    });
  }
  const { expression, timezone } = schedule;
  if (!answer || group === undefined)
    return noteAbsent(note, 'schedule', 'the schedule', examination);
  if (!answer.known) {
    return noteUnanswered(note, 'schedule', 'the schedule', answer, examination);
  }
  const found = answer.fact;
  if (!found) {
    return note('schedule', 'fail', `there is no schedule ${group}/${source}`, {
      why: `the plan says ${expression} ${timezone}: no backup starts by itself`,
      remedy: 'deploy the stack again, or make it as docs/deploy.md, "Another source", says',
    });
  }
  if (!found.enabled) {
    return note('schedule', 'fail', 'the schedule is disabled', {
      why: `the plan says ${expression} ${timezone}: no backup starts by itself`,
      remedy: `EventBridge console, Scheduler, Schedules, group ${group}, ${source}: Enable`,
    });
  }
  if (found.expression !== expression || found.timezone !== timezone) {
    const deployed = `${found.expression} ${found.timezone}`;
    const title = `the schedule is ${deployed}, the plan says ${expression} ${timezone}`;
    return note('schedule', 'warn', title, {
      why: 'missed runs are noticed by the plan: false alarms, or none',
      remedy: `${awsCommand(examination, 'scheduler', 'get-schedule', '--group-name', group, '--name', source)} shows it; deploy the stack again`,
    });
  }
  const next = nextDue(schedule, examination.now, lastStart);
  return next
    ? note(
        'schedule',
        'ok',
        `runs next at ${displayUtc(next)} (${relativeTime(next, examination.now)})`,
      )
    : note('schedule', 'ok', `runs by ${expression}`);
}

/** Messages that could not be delivered. `answer` undefined: the deployment has no queue. */
export function judgeDeadLetterQueue(
  examination: Examination,
  queueUrl: string | undefined,
  answer: Answer<number | undefined> | undefined,
): Finding {
  const note = notesOn(null);
  const what = 'the dead-letter queue';
  if (!answer || queueUrl === undefined) {
    return noteAbsent(note, 'dead-letter-queue', what, examination);
  }
  if (!answer.known) return noteUnanswered(note, 'dead-letter-queue', what, answer, examination);
  const messages = answer.fact;
  if (messages === undefined) {
    return note('dead-letter-queue', 'fail', 'the dead-letter queue is gone', {
      why: 'events that cannot be delivered are lost without a trace',
      remedy: 'deploy the stack again (docs/deploy.md)',
    });
  }
  if (messages === 0) return note('dead-letter-queue', 'ok', 'the dead-letter queue is empty');
  const words = [
    ...['receive-message', '--queue-url', queueUrl, '--max-number-of-messages', '10'],
    ...['--visibility-timeout', '0', '--message-attribute-names', 'All'],
  ];
  const title = `${messages} message${messages === 1 ? '' : 's'} in the dead-letter queue`;
  return note('dead-letter-queue', 'fail', title, {
    why: 'a backup was not started, not verified or not noticed; each message says which',
    remedy: `${awsCommand(examination, 'sqs', ...words)}, then repair, start the run again, and purge the queue`,
  });
}

/** Whether somebody hears of a failure. */
export function judgeTopic(
  examination: Examination,
  topicArn: string,
  answer: Answer<TopicPosture | undefined>,
): Finding {
  const note = notesOn(null);
  const check = 'alert-subscription';
  if (!answer.known) return noteUnanswered(note, check, 'who gets alerts', answer, examination);
  if (!answer.fact) {
    return note(check, 'fail', `there is no topic ${topicArn}`, {
      why: 'no alert is sent, and every run fails at its end',
      remedy: 'deploy the stack again (docs/deploy.md)',
    });
  }
  const { confirmed, pending } = answer.fact;
  const people = (count: number) => `${count} subscription${count === 1 ? '' : 's'}`;
  const subscribe = awsCommand(
    examination,
    ...['sns', 'subscribe', '--topic-arn', topicArn, '--protocol', 'email'],
    ...['--notification-endpoint', 'ADDRESS'],
  );
  const confirm = 'open the link in the mail from AWS Notifications';
  if (confirmed === 0) {
    return note(
      check,
      'fail',
      `nobody gets alerts${pending > 0 ? `: ${people(pending)} not confirmed` : ''}`,
      {
        why: 'a backup that fails, fails in silence',
        remedy: pending > 0 ? `${confirm}, or ${subscribe}` : `${subscribe}, then ${confirm}`,
      },
    );
  }
  return pending > 0
    ? note(check, 'warn', `${people(pending)} to alerts not confirmed, ${confirmed} confirmed`, {
        why: 'somebody believes to be told, and is not',
        remedy: confirm,
      })
    : note(check, 'ok', `alerts go to ${people(confirmed)}`);
}

/** `name`: what it is for, such as `backup`. */
export function judgeStateMachine(
  examination: Examination,
  name: string,
  arn: string,
  answer: Answer<StateMachinePosture | undefined>,
): Finding[] {
  const note = notesOn(null);
  const check = 'state-machine';
  const what = `the state machine for ${name}`;
  if (!answer.known) return [noteUnanswered(note, check, what, answer, examination)];
  const found = answer.fact;
  if (found?.status !== 'ACTIVE') {
    const state = found ? `is ${found.status.toLowerCase()}` : 'is gone';
    return [
      note(check, 'fail', `${what} ${state}`, {
        why: `the deployment names ${arn}`,
        remedy: 'deploy the stack again (docs/deploy.md)',
      }),
    ];
  }
  if (found.logLevel === undefined) {
    return [
      note(check, 'ok', `${what} is there`),
      note(check, 'unknown', `${what}: whether it is logged is not known`, {
        why: examination.absence ?? 'Step Functions does not say',
      }),
    ];
  }
  return found.logLevel === 'OFF'
    ? [
        note(check, 'warn', `${what} is not logged`, {
          why: 'after 90 days nobody can tell what a run did',
          remedy: `Step Functions console, ${arn.split(':').at(-1)}, Edit, Config, Logging: ALL, without execution data; or deploy the stack again`,
        }),
      ]
    : [note(check, 'ok', `${what} is there, and logged (${found.logLevel})`)];
}
