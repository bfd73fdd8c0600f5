import type { DrillFinding, DrillReport } from '#contracts/drill.ts';
import { displayCount } from '../display-text.ts';

type Facts = Omit<DrillReport, 'version' | 'database' | 'backupId'>;

/**
 * Of each list in `drill.json`. With the rows of every table that record was 5.7 MB for 20 databases of 2,000 tables,
 * and whoever plans a drill or makes the page reads one or two dozen of them at a time.
 */
const RECORDED = 50;

/** A report as `drill.json` has it: of tables those that are not as they were, and no list without end. */
export function recordedReport({
  version: _version,
  database: _database,
  backupId: _backup,
  ...facts
}: DrillReport): Facts {
  const { restore, checks, findings } = facts;
  const { restored, smokeQueries, amcheck } = checks;
  return {
    ...facts,
    restore: restore && {
      ...restore,
      tolerated: restore.tolerated.slice(0, RECORDED),
      warnings: restore.warnings.slice(0, RECORDED),
      createdRoles: restore.createdRoles.slice(0, RECORDED),
    },
    checks: {
      ...checks,
      smokeQueries,
      amcheck: { ...amcheck, damage: amcheck.damage.slice(0, RECORDED) },
      restored: restored && {
        ...restored,
        rows: restored.rows
          .filter(({ expected, actual }) => expected !== null && expected !== actual)
          .slice(0, RECORDED),
        sequences: {
          ...restored.sequences,
          behind: restored.sequences.behind.slice(0, RECORDED),
        },
        invalidIndexes: restored.invalidIndexes.slice(0, RECORDED),
        invalidConstraints: restored.invalidConstraints.slice(0, RECORDED),
        problems: restored.problems.slice(0, RECORDED),
      },
    },
    findings: recordedFindings(findings),
  };
}

/** What says most of the whole comes first; metrics and alert go by the targets' findings. */
const RANK = { target: 0, data: 1, environment: 2 } as const;

/** All, or those that fail the drill before the others; how many are left out is a finding itself. */
export function recordedFindings(findings: readonly DrillFinding[]): DrillFinding[] {
  if (findings.length <= RECORDED) return [...findings];
  const ordered = findings.toSorted((a, b) => RANK[a.class] - RANK[b.class]);
  const [first, ...others] = ordered.slice(RECORDED - 1);
  if (!first) return ordered;
  const left: DrillFinding = {
    ...first,
    subject: null,
    message: `${displayCount(others.length + 1)} more findings are in report.json`,
    advice: 'read them there, once the first of them are understood',
  };
  return [...ordered.slice(0, RECORDED - 1), left];
}
