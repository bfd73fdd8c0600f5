import {
  type CheckId,
  type DoctorReport,
  type Finding,
  FindingGroup,
  GROUP_OF_CHECK,
  SEVERITIES,
  type Severity,
  type Unanswered,
} from '#contracts/posture.ts';

/** What all judgements share. */
export interface Examination {
  readonly now: Date;
  readonly region: string;
  /**
   * Why a part is missing that nobody answers for or that the deployment does not have; undefined: nobody
   * knows why.
   */
  readonly absence: string | undefined;
}

/** Makes findings of one source. */
export type Note = (
  check: CheckId,
  severity: Severity,
  title: string,
  details?: { readonly why?: string; readonly remedy?: string | null },
) => Finding;

export function notesOn(source: string | null): Note {
  return (check, severity, title, { why = '', remedy = null } = {}) => ({
    check,
    group: GROUP_OF_CHECK[check],
    severity,
    source,
    title,
    why,
    remedy,
  });
}

/** A question that was not answered is a finding of its own, which says what is missing to get an answer. */
export function noteUnanswered(
  note: Note,
  check: CheckId,
  what: string,
  answer: Unanswered,
  { absence }: Pick<Examination, 'absence'>,
): Finding {
  const title = `${what}: not known`;
  const { action, detail } = answer;
  switch (answer.reason) {
    case 'denied':
      return note(check, 'unknown', title, {
        why: `AWS refuses ${action}: ${detail}`,
        remedy: `allow ${action} to whoever runs the doctor (docs/doctor.md, "Permissions")`,
      });
    case 'not-served':
      return note(check, 'unknown', title, { why: absence ?? detail });
    case 'failed':
      return note(check, 'unknown', title, {
        why: detail,
        remedy: 'run holdfast doctor again; if it stays so, ask AWS the same by hand',
      });
  }
}

/** A part that the deployment record does not name. */
export function noteAbsent(
  note: Note,
  check: CheckId,
  what: string,
  { absence }: Pick<Examination, 'absence'>,
): Finding {
  return note(check, 'unknown', `${what}: not known`, {
    why: absence ?? 'the deployment does not say that it has one',
    remedy: absence === undefined ? 'deploy the stack again (docs/deploy.md)' : null,
  });
}

/** By group, the group with the worst finding first; the worst first within a group, else as they came. */
export function makeReport(stage: string, now: Date, findings: readonly Finding[]): DoctorReport {
  const rank = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
  const worst = new Map<FindingGroup, number>();
  for (const finding of findings) {
    const known = worst.get(finding.group) ?? SEVERITIES.length;
    worst.set(finding.group, Math.min(known, rank(finding)));
  }
  const groupRank = ({ group }: Finding) =>
    (worst.get(group) ?? 0) * 100 + FindingGroup.options.indexOf(group);
  const counts = { fail: 0, warn: 0, unknown: 0, info: 0, ok: 0 };
  for (const { severity } of findings) counts[severity] += 1;
  return {
    version: 1,
    stage,
    checkedAt: now.toISOString(),
    counts,
    // toSorted is stable: what is said of one source stays together.
    findings: findings.toSorted((a, b) => groupRank(a) - groupRank(b) || rank(a) - rank(b)),
  };
}

/** One word of a POSIX shell's command line. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command of the AWS CLI, to be pasted. */
export function awsCommand(
  { region }: Pick<Examination, 'region'>,
  ...words: readonly string[]
): string {
  return ['aws', ...words, '--region', region].map(shellWord).join(' ');
}

/** `2030-11-14` */
export function displayDay(time: Date): string {
  return time.toISOString().slice(0, 10);
}

export function daysUntil(time: Date, now: Date): number {
  return (time.getTime() - now.getTime()) / 86_400_000;
}
