import type { Answer, Finding, LifecycleRulePosture } from '#contracts/posture.ts';
import type { RetentionRules, SourcePlan } from '#contracts/source-plan.ts';
import { TAG_KIND } from '#contracts/verification.ts';
import { sourcePrefix } from '../names.ts';
import { nextDue } from '../schedule.ts';
import { type Examination, type Note, notesOn, noteUnanswered } from './finding.ts';

/** Classes from which an object must be brought back before it can be read. */
const GLACIER = new Set(['GLACIER', 'DEEP_ARCHIVE']);
const BACKUPS = 'backups/';
const DAY_MILLISECONDS = 86_400_000;

type Plan = Pick<SourcePlan, 'source' | 'retention' | 'schedule'>;

/** What S3 does to the backups by itself, held against what the plans want. */
export function judgeLifecycle(
  examination: Examination,
  plans: readonly Plan[],
  answer: Answer<readonly LifecycleRulePosture[]>,
): Finding[] {
  const note = notesOn(null);
  if (!answer.known) {
    return [noteUnanswered(note, 'bucket-lifecycle', 'the lifecycle rules', answer, examination)];
  }
  const rules = answer.fact.filter(({ enabled }) => enabled);
  return [
    incompleteUploads(note, rules),
    oldVersions(note, rules),
    ...expiry(note, rules, plans),
    ...glacier(examination, note, rules, plans),
  ];
}

/** How the plan file has it; a change by hand is undone by nobody, and known to nobody. */
const setting = (name: string, value: string) =>
  `write deployment.lifecycle.${name}: ${value} in the plan file and deploy; where the stack's rules were changed by hand: S3 console, the bucket, Management, Lifecycle rules`;

function incompleteUploads(note: Note, rules: readonly LifecycleRulePosture[]): Finding {
  const rule = rules.find(
    ({ abortUploadsAfterDays, ...filter }) =>
      abortUploadsAfterDays !== undefined && isForAll(filter),
  );
  if (rule) {
    const title = `incomplete uploads are removed after ${rule.abortUploadsAfterDays} days`;
    return note('bucket-lifecycle', 'ok', title);
  }
  return note('bucket-lifecycle', 'warn', 'incomplete uploads are never removed', {
    why: 'what a killed task had uploaded is paid for, and no listing of objects shows it',
    remedy: setting('abortIncompleteUploadsAfterDays', '2'),
  });
}

function oldVersions(note: Note, rules: readonly LifecycleRulePosture[]): Finding {
  const rule = rules.find(
    ({ expireOldVersionsAfterDays, ...filter }) =>
      expireOldVersionsAfterDays !== undefined && isForAll(filter),
  );
  if (rule) {
    const title = `deleted backups can be brought back for ${rule.expireOldVersionsAfterDays} days`;
    return note('bucket-lifecycle', 'ok', title);
  }
  return note('bucket-lifecycle', 'warn', 'old versions never expire', {
    why: 'what retention deletes stays as an old version, and is paid for, for ever',
    remedy: setting('expireOldVersionsAfterDays', '30'),
  });
}

/** The whole of `backups/`, at least. */
function isForAll({
  prefix,
  tags,
  bySize,
}: Pick<LifecycleRulePosture, 'prefix' | 'tags' | 'bySize'>) {
  return BACKUPS.startsWith(prefix) && Object.keys(tags).length === 0 && !bySize;
}

/** Some objects of a source's backups, if not all. */
function touches({ prefix }: LifecycleRulePosture, source: string): boolean {
  const own = sourcePrefix(source);
  return own.startsWith(prefix) || prefix.startsWith(own);
}

function expiry(
  note: Note,
  rules: readonly LifecycleRulePosture[],
  plans: readonly Plan[],
): Finding[] {
  const expiring = rules.flatMap((rule) =>
    rule.expireAfterDays === undefined ? [] : [{ rule, days: rule.expireAfterDays }],
  );
  const tooEarly = plans.flatMap(({ source, retention }) => {
    const keptDays = retentionReachDays(retention.archives);
    return expiring
      .filter(({ rule, days }) => touches(rule, source) && days < keptDays)
      .map(({ rule, days }) =>
        notesOn(source)(
          'bucket-lifecycle',
          'warn',
          `${rule.id || 'a rule'} deletes backups of ${source} after ${days} days`,
          {
            why: `its retention keeps some for up to ${keptDays} days, and would not be asked`,
            remedy: setting('expireAfterDays', String(keptDays)),
          },
        ),
      );
  });
  if (tooEarly.length > 0) return tooEarly;
  const ofBackups = expiring.filter(
    ({ rule }) => BACKUPS.startsWith(rule.prefix) || rule.prefix.startsWith(BACKUPS),
  );
  if (ofBackups.length === 0) {
    const title = 'no rule deletes backups: retention alone does';
    return [
      note('bucket-lifecycle', 'info', title, {
        why: 'those of a source that left the plan are kept, and paid for, for ever',
      }),
    ];
  }
  const first = Math.min(...ofBackups.map(({ days }) => days));
  const title = `no rule deletes backups before ${first} days, and retention keeps none longer`;
  return [note('bucket-lifecycle', 'ok', title)];
}

/** How old a backup can become under the rules; a month as 30 days, a year as 365. */
export function retentionReachDays({ daily, weekly, monthly, yearly }: RetentionRules): number {
  return Math.max(daily, weekly * 7, monthly * 30, yearly * 365);
}

function glacier(
  { now }: Examination,
  note: Note,
  rules: readonly LifecycleRulePosture[],
  plans: readonly Plan[],
): Finding[] {
  const moves = rules.flatMap((rule) =>
    BACKUPS.startsWith(rule.prefix) || rule.prefix.startsWith(BACKUPS)
      ? rule.transitions
          .filter(({ storageClass }) => GLACIER.has(storageClass))
          .map((transition) => ({ rule, ...transition }))
      : [],
  );
  const records = moves.filter(({ rule }) => rule.tags[TAG_KIND] !== 'archive');
  const remedy = 'S3 console, the bucket, Management, Lifecycle rules; or deploy the stack again';
  const findings = records.map(({ rule, storageClass }) =>
    note(
      'bucket-lifecycle',
      'fail',
      `${rule.id || 'a rule'} moves more than archives to ${storageClass}`,
      {
        why: 'manifests and tables of contents must be readable at any time: without them nothing is listed, verified or restored',
        remedy: `limit the rule to the tag ${TAG_KIND}=archive: ${remedy}`,
      },
    ),
  );
  for (const { source, schedule } of plans) {
    const period = schedule && periodDays(schedule, now);
    if (period === undefined) continue;
    const early = moves.find(({ rule, afterDays }) => touches(rule, source) && afterDays < period);
    if (!early) continue;
    findings.push(
      notesOn(source)(
        'bucket-lifecycle',
        'warn',
        `the newest backup of ${source} may lie in ${early.storageClass}`,
        {
          why: `archives go there after ${early.afterDays} days, and there is one every ${Math.round(period)} days: a restore begins with hours of waiting`,
          remedy: setting('glacierAfterDays', String(Math.ceil(period * 2))),
        },
      ),
    );
  }
  if (findings.length > 0) return findings;
  if (moves.length === 0) return [note('bucket-lifecycle', 'ok', 'no backup goes to Glacier')];
  const first = moves.reduce((a, b) => (b.afterDays < a.afterDays ? b : a));
  return [
    note(
      'bucket-lifecycle',
      'ok',
      `archives go to ${first.storageClass} after ${first.afterDays} days`,
    ),
  ];
}

/** From one run to the next. */
function periodDays(schedule: NonNullable<Plan['schedule']>, now: Date): number | undefined {
  const next = nextDue(schedule, now, now);
  const afterNext = next && nextDue(schedule, next, next);
  return afterNext && (afterNext.getTime() - next.getTime()) / DAY_MILLISECONDS;
}
