import type { Command } from 'commander';
import { DrillRecord } from '#contracts/drill.ts';
import { displayName, displaySeconds, displayText } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { failsDrill } from '#domain/drill/findings.ts';
import { drillRecordKey, parseBackupId } from '#domain/names.ts';
import {
  ageless,
  allFindings,
  failedBeforeItBegan,
  kindWords,
  outcomeWord,
  partWords,
} from '#domain/report/drill-outcome.ts';
import { InvalidInput, ObjectMissing } from '#errors';
import { pastDrills } from '#operations/past-drills.ts';
import { parseRecord } from '#operations/records.ts';
import { addExamples, type CliContext, parseCount } from '../context.ts';
import { drillText } from '../drill-text.ts';
import { formatTable, type Output } from '../output.ts';

interface DrillsOptions {
  readonly limit: number;
}

/** Shown unless more are asked for: a year of monthly ones. */
const NEWEST = 12;

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('drills')
    .description('the drills of a source: what came back, how fast, how old; or one in full')
    .argument('<source>', 'as it is called in the plan file')
    .argument('[drill]', 'its id: shows what it found')
    .option('--limit <n>', 'so many of the newest', parseCount, NEWEST)
    .action(drills);
  addExamples(command, [
    'holdfast drills orders',
    'holdfast drills orders --limit 100 --json',
    'holdfast drills orders 20261120T050000Z-k3v9qd',
  ]);

  async function drills(
    source: string,
    drillId: string | undefined,
    { limit }: DrillsOptions,
    self: Command,
  ): Promise<void> {
    const { out, open } = context.begin(self);
    if (drillId !== undefined && !parseBackupId(drillId)) {
      throw new InvalidInput(`${JSON.stringify(drillId)} is no id of a drill`, {
        remedy: `holdfast drills ${source} lists them`,
      });
    }
    const { deps } = await open();
    await deps.plans.load(source);
    if (drillId !== undefined) {
      const key = drillRecordKey({ source, drillId });
      const found = await deps.objects.get(key);
      if (!found) {
        throw new ObjectMissing(`there is no record of drill ${drillId} of ${source}`, {
          remedy: `holdfast drills ${source} lists them`,
        });
      }
      const record = parseRecord(DrillRecord, found.body, key);
      out.result(record, () => drillText(record, deps.objects.bucket).trimEnd().split('\n'));
      return;
    }
    // What cannot be read is told where the command's other notes go.
    const log = {
      info() {},
      warn: (_event: string, fields: Record<string, unknown> = {}) =>
        out.note(`cannot be read: ${String(fields['key'])} (${String(fields['error'])})`),
      error() {},
    };
    const records = await pastDrills({ objects: deps.objects, log }, source, limit);
    const now = deps.clock.now();
    out.result({ drills: records }, () => drillLines(records, now, out));
  }
}

function drillLines(records: readonly DrillRecord[], now: Date, out: Output): string[] {
  if (records.length === 0) return ['There is no record of a drill.'];
  return formatTable(
    [
      { title: 'DRILL', cell: ({ drill }) => drill.drillId },
      { title: 'TIME', cell: ({ drill }) => displayUtc(new Date(drill.startedAt)) },
      {
        title: 'AGE',
        align: 'right',
        cell: ({ drill }) => relativeTime(new Date(drill.startedAt), now),
      },
      { title: 'KIND', cell: kindWords },
      {
        title: 'STATUS',
        cell: (record) => outcomeWord(record).toUpperCase(),
        paint: (record) => (colors) => colors[TONES[outcomeWord(record)]],
      },
      { title: 'RTO', align: 'right', cell: (it) => against(it.rtoSeconds) },
      {
        title: 'RPO',
        align: 'right',
        cell: (it) => ageless(it)?.word.toUpperCase() ?? against(it.rpoSeconds),
      },
      {
        title: 'DATABASES',
        cell: databasesCell,
      },
      {
        title: 'FINDINGS',
        align: 'right',
        cell: (record) =>
          String(allFindings(record).filter(({ finding }) => failsDrill(finding)).length),
      },
    ],
    records,
    out.colors,
  );
}

const TONES = { passed: 'green', 'passed in part': 'yellow', failed: 'red' } as const;

/** One that did not begin has no database: why it did not stands in their place. */
function databasesCell(record: DrillRecord): string {
  if (failedBeforeItBegan(record)) {
    return `none: failed before it began: ${displayText(record.error ?? '', ERROR_CHARACTERS)}`;
  }
  const names = record.databases.map(({ database }) => displayName(database)).join(', ');
  const left = partWords(record);
  return left === null ? names : `${names} (${left})`;
}

const ERROR_CHARACTERS = 80;

function against(seconds: number | null): string {
  return seconds === null ? '-' : displaySeconds(seconds);
}
