import type { DrillChecks, DrillFinding, SmokeResult } from '#contracts/drill.ts';
import { displayCount, displayText } from '../display-text.ts';

type Check = DrillFinding['check'];

const ADVICE: Readonly<Record<Check, string>> = {
  restore: 'restore the backup by hand (holdfast restore) and compare it with the source',
  rows: 'the archive and what came out of it differ: verify the backup (holdfast verify), make a new one, and drill that',
  amcheck:
    'where the server itself is sound, the data came back damaged: run pg_amcheck on the source, and drill an older backup',
  checksums:
    "of an archive, the drill's own disk lost what was written to it: start the drill again; of a temporary RDS server, the snapshot or the storage is damaged: drill an older one, check the original with pg_amcheck, and ask AWS",
  constraints:
    'the data break a rule of the source: look for the rows there with ALTER TABLE … VALIDATE CONSTRAINT',
  indexes: 'REINDEX it on the source, make a backup and drill that',
  sequences: 'new rows would collide: set the sequence after a restore, and report what happened',
  extensions: 'create the extension by hand after a restore, before the application starts',
  'large-objects': 'compare the large objects of the source with the backup, and make a new one',
  'smoke-query':
    'run the query on the source: the data are wrong, or the expectation in the plan (drill.smokeQueries) is',
  rto: 'see which phase took the time in report.json; raise drill.targets.rtoMinutes only if the business agrees',
  rpo: 'back up more often, or find out why the last backups failed',
};

/** It is not what was backed up: fails the drill. */
export function dataFinding(check: Check, subject: string | null, message: string): DrillFinding {
  return { class: 'data', check, subject, message, advice: ADVICE[check] };
}

/** Says something about the drill's server alone: fails nothing. */
export function environmentFinding(
  check: Check,
  subject: string | null,
  message: string,
  advice: string,
): DrillFinding {
  return { class: 'environment', check, subject, message, advice };
}

export function failsDrill({ class: kind }: DrillFinding): boolean {
  return kind !== 'environment';
}

/** Of damage, and of what could not be looked at. */
export function integrityFindings(
  { amcheck, dataChecksums }: Pick<DrillChecks, 'amcheck' | 'dataChecksums'>,
  unchecked: readonly { readonly relation: string; readonly reason: string }[],
  mode: 'full' | 'quick' | 'off',
): DrillFinding[] {
  const byRelation = Map.groupBy(amcheck.damage, ({ relation }) => relation);
  const findings = Array.from(byRelation, ([relation, messages]) => {
    const more = messages.length > 1 ? ` (and ${messages.length - 1} more)` : '';
    return dataFinding('amcheck', relation, `${relation}: ${messages[0]?.message ?? ''}${more}`);
  });
  if (dataChecksums.state === 'failures') {
    findings.push(
      dataFinding(
        'checksums',
        null,
        `${displayCount(dataChecksums.failures)} pages did not have their checksums`,
      ),
    );
  }
  if (amcheck.state === 'skipped' && mode !== 'off') {
    findings.push(
      environmentFinding(
        'amcheck',
        null,
        `tables and indexes were not checked for damage: ${amcheck.reason ?? 'no reason was given'}`,
        'make amcheck available on the server, or set drill.checks.amcheck to off',
      ),
    );
  }
  const [first] = unchecked;
  if (first && amcheck.state !== 'skipped') {
    findings.push(
      environmentFinding(
        'amcheck',
        first.relation,
        `${displayCount(unchecked.length)} relations could not be checked for damage, the first of them ${first.relation}: ${first.reason}`,
        'check them on the source with pg_amcheck',
      ),
    );
  }
  return findings;
}

/** SQLSTATEs of what is not there: table, column, function, type, schema. */
const ABSENT = new Set(['42P01', '42703', '42883', '42704', '3F000']);
/** PostgreSQL's parse_relation.c, in English: the drill's server speaks no other language. */
const ABSENT_RELATION = /relation "(.+)" does not exist/;

/**
 * `isPart`: not all of the database was restored, so that a query may miss what it is about. What not even the
 * backup has (`inArchive`) is missing nevertheless: a table that was dropped.
 */
export function smokeFindings(
  outcomes: readonly {
    readonly result: SmokeResult;
    readonly sqlState?: string | undefined;
    readonly reason?: string | undefined;
  }[],
  isPart: boolean,
  inArchive: (relation: string) => boolean = () => true,
): DrillFinding[] {
  const isLeftOut = ({ actual }: SmokeResult) => {
    const relation = ABSENT_RELATION.exec(actual ?? '')?.[1];
    return relation === undefined || inArchive(relation);
  };
  return outcomes.flatMap(({ result, sqlState, reason }) => {
    if (result.state === 'passed') return [];
    const name = displayText(result.name, 100);
    if (result.state === 'error' && isPart && ABSENT.has(sqlState ?? '') && isLeftOut(result)) {
      return [
        environmentFinding(
          'smoke-query',
          result.name,
          `${name} could not run: ${result.actual ?? ''}; this drill restored a part of the database`,
          'let drill.tables have the tables of the query, or take the query out of the plan',
        ),
      ];
    }
    const why = reason === undefined ? '' : ` (${reason})`;
    return [dataFinding('smoke-query', result.name, `${name}: ${outcomeText(result)}${why}`)];
  });
}

function outcomeText({ state, expected, actual, seconds }: SmokeResult): string {
  if (state === 'timeout') return `no answer after ${Math.round(seconds)} s`;
  if (state === 'error') return `failed: ${actual ?? ''}`;
  return `is ${actual ?? 'NULL, or has no row'}, expected ${expected}`;
}
