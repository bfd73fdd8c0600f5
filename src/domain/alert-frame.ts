import type { AlertMessage } from '#contracts/alert-message.ts';
import { CAUSE_IN_JSON, CAUSE_IN_TEXT } from './alert-text.ts';
import { executionLink } from './console-link.ts';
import { asciiSubject, displayText } from './display-text.ts';
import { nextStep } from './next-steps.ts';

/**
 * The frame of every alert, as SNS takes it: for a person a subject and a text that says what, where, why and
 * what to do next; for a machine JSON; for filter policies attributes:
 *
 * | attribute  | values |
 * |------------|--------|
 * | `event`    | {@link AlertEvent} |
 * | `status`   | {@link AlertStatus} |
 * | `severity` | `error` (failed), `warning` (went well, with something odd), `info` |
 * | `source`   | the source's name, or `unknown` |
 * | `stage`    | of the first problem: {@link AlertStage} |
 * | `error`    | a name of `src/errors.ts`, or of Step Functions; `none` |
 */
export type AlertEvent =
  | 'backup'
  | 'quarantine'
  | 'missed-run'
  | 'verification-overdue'
  | 'restore'
  | 'retrieval'
  | 'server-restore'
  | 'drill'
  | 'drill-leftover';

/** `PASSED` of a drill, `STARTED` of a retrieval. */
export type AlertStatus = 'SUCCEEDED' | 'PASSED' | 'FAILED' | 'STARTED';

export type AlertStage =
  | 'none'
  | 'run'
  | 'plan'
  | 'snapshot'
  | 'discovery'
  | 'database'
  | 'retention'
  | 'verification'
  | 'schedule'
  | 'restore'
  | 'retrieval'
  | 'drill';

/** In the order of reading: what happened, where and why, then what to do, then what can wait. */
const SECTIONS = [
  'What',
  'Against the targets',
  'Where',
  'Why',
  'What was found',
  'What is left',
  'What to do next',
  "Of the drill's own server, which says nothing about the backups",
  'Statements that did not work and need not have',
  'Warnings',
  'Notes',
] as const;

/** What one alert says; the frame does the rest. */
export interface AlertContent {
  readonly event: AlertEvent;
  readonly status: AlertStatus;
  /** It went well, and yet somebody should look. */
  readonly odd?: boolean;
  readonly stage: AlertStage;
  readonly source: string;
  readonly error: string | null;
  readonly cause: string | null;
  /** The first line: what it is about, and its state. */
  readonly headline: string;
  /** Where it is not the headline: its end may be cut off. */
  readonly subject?: string;
  /**
   * Lines a section; one without lines is left out. `Why` is the cause and `What to do next` the error's next
   * step, unless they are given.
   */
  readonly sections: Readonly<Partial<Record<(typeof SECTIONS)[number], readonly string[]>>>;
  readonly executionArn: string | null;
  /** `s3://…`: the object, or the prefix, where the records lie. */
  readonly records?: string;
  /** For machines, beside status, error, cause, source and execution; see {@link fittingFacts}. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/**
 * SNS takes 262,144 bytes: the JSON and the text together, each escaped as it travels (the JSON twice), with
 * subject and attributes, which are below 2 kB.
 */
const TEXT_LIMIT_BYTES = 110_000;
const JSON_LIMIT_BYTES = 140_000;
/** Characters of a line; the shorter ones where the text is too large with the longer ones. */
const LINE_LIMITS = [2_000, 400, 100] as const;
const HEADLINE_LIMIT = 300;
/** Entries of a list in the JSON; the fewer ones where it is too large with the more. */
const LIST_LIMITS = [50, 20, 5] as const;

/**
 * Whatever comes from outside is shown in one line and cut: a message always fits, however many databases
 * there are, whatever they are called and however long the cause is.
 */
export function frameAlert(content: AlertContent): AlertMessage {
  const { event, status, odd = false, stage, source, headline, executionArn } = content;
  const error = content.error === null ? null : displayText(content.error, 80);
  const cause = content.cause === null ? null : displayText(content.cause, CAUSE_IN_JSON);
  return {
    subject: asciiSubject(`Holdfast: ${content.subject ?? headline}`),
    text: fullest(LINE_LIMITS, TEXT_LIMIT_BYTES, (limit) => frameText(content, limit)),
    json: { event, version: 1, status, error, cause, source, executionArn, ...content.facts },
    attributes: {
      event,
      status,
      severity: status === 'FAILED' ? 'error' : odd ? 'warning' : 'info',
      source,
      stage,
      error: attributeValue(error ?? 'none'),
    },
  };
}

/** What ended before there was a plan of it. */
export interface UnplannedFailure {
  /** As the input names it, or `unknown`. */
  readonly source: string;
  readonly error: string;
  readonly cause: string;
  readonly executionArn: string;
}

export function frameUnplanned(
  failed: UnplannedFailure,
  of: Pick<AlertContent, 'event' | 'stage'> & { readonly about: string; readonly what: string },
): AlertMessage {
  const { about, what, ...content } = of;
  return frameAlert({
    ...content,
    ...failed,
    status: 'FAILED',
    headline: `${about} FAILED before it began: ${displayText(failed.error, 80)}`,
    sections: { What: [what] },
    facts: {},
  });
}

/** Facts with lists, made with as many entries of each as the message has room for. */
export function fittingFacts<Facts extends object>(make: (listed: number) => Facts): Facts {
  return fullest(LIST_LIMITS, JSON_LIMIT_BYTES, make);
}

/** What the first limit makes that fits; of the last limit where none does. */
function fullest<Form extends object | string>(
  limits: readonly [number, ...number[]],
  limitBytes: number,
  make: (limit: number) => Form,
): Form {
  const [limit, ...smaller] = limits;
  const form = make(limit);
  const sent = typeof form === 'string' ? form : JSON.stringify(form);
  const [next, ...others] = smaller;
  if (next === undefined || Buffer.byteLength(JSON.stringify(sent)) <= limitBytes) return form;
  return fullest([next, ...others], limitBytes, make);
}

function frameText(content: AlertContent, lineLimit: number): string {
  const { error, cause, executionArn, records } = content;
  const sections: AlertContent['sections'] = {
    Why: cause === null ? [] : [displayText(cause, CAUSE_IN_TEXT)],
    'What to do next': error === null ? [] : [nextStep(error, content.event)],
    ...content.sections,
  };
  const link = executionLink(executionArn ?? '');
  const links = [
    ...(link === undefined ? [] : [`Execution: ${link}`]),
    ...(records === undefined
      ? []
      : [`${records.endsWith('/') ? 'Records' : 'Record'}: ${records}`]),
  ];
  const paragraphs = [
    displayText(content.headline, HEADLINE_LIMIT),
    ...SECTIONS.map((title) => {
      const lines = sections[title] ?? [];
      return section(
        title,
        lines.map((line) => displayText(line, lineLimit)),
      );
    }),
    section('Links', links),
  ];
  return `${paragraphs.filter((paragraph) => paragraph !== '').join('\n\n')}\n`;
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return [title, ...lines.map((line) => `  ${line}`)].join('\n');
}

/** SNS: an attribute is not empty. Error names of Step Functions have dots, nothing else. */
function attributeValue(value: string): string {
  return value.replace(/[^\w.-]/g, '_').slice(0, 100) || 'none';
}
