import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { writePrivateFile } from '#adapters/private-file.ts';
import { displayName, displayText } from '#domain/display-text.ts';
import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { REPORT_KEY } from '#domain/names.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport, type ReportModel } from '#domain/report/report-model.ts';
import { InvalidInput, ObjectMissing } from '#errors';
import { gatherReport } from '#operations/report/gather-report.ts';
import { addExamples, type CliContext } from '../context.ts';
import type { OpenDeployment } from '../deployment.ts';
import { readExpiry } from '../link-expiry.ts';
import { openFile } from '../open-file.ts';
import type { Output } from '../output.ts';

interface ReportOptions {
  readonly out?: string;
  readonly open?: boolean;
  readonly link?: boolean;
  readonly expires: string;
}

const FILE = 'holdfast-report.html';

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('report')
    .description('a page with the state of every source, and what needs attention')
    .option('--out <file>', `where it is saved; default: ${FILE} in this folder`)
    .option('--open', 'opens it in the browser')
    .addOption(
      new Option(
        '--link',
        'a link to the page that the last run or drill left in the bucket',
      ).conflicts(['out', 'open']),
    )
    .option('--expires <time>', 'with --link: how long it works, at most 12h', '15m')
    .action(report);
  addExamples(command, [
    'holdfast report --open',
    'holdfast report --out state.html',
    'holdfast report --link --expires 1h',
  ]);

  async function report(options: ReportOptions, self: Command): Promise<void> {
    const { out, open } = context.begin(self);
    if (options.link) {
      const expiresSeconds = readExpiry(options.expires);
      return linkTo((await open()).deps, expiresSeconds, out);
    }
    const { deps } = await open();
    const model = makeReport(await gatherReport(deps));
    const file = await fileFor(options);
    await save(file, reportPage(model));
    out.result(documentOf(model, file), () => [file]);
    tell(model, out);
    if (options.open) await openFile(file, context.world.environment);
  }
}

/** Where nobody said so and it is only looked at, it leaves nothing in the folder. */
async function fileFor({ out, open }: ReportOptions): Promise<string> {
  if (out !== undefined) return resolve(out);
  return open ? join(await mkdtemp(join(tmpdir(), 'holdfast-')), FILE) : resolve(FILE);
}

/** Names of databases and hosts are for those who may see the backups. */
async function save(file: string, page: string): Promise<void> {
  try {
    await writePrivateFile(file, page);
  } catch (error) {
    throw new InvalidInput(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`, {
      remedy: 'name another file with --out',
      cause: error,
    });
  }
}

function documentOf({ level, generatedAt, attention, sources }: ReportModel, file: string) {
  return {
    file,
    level,
    generatedAt: generatedAt.toISOString(),
    sources: sources.map(({ source, level: state, newestVerifiedAt }) => ({
      source,
      level: state,
      newestVerifiedAt: newestVerifiedAt?.toISOString() ?? null,
    })),
    attention,
  };
}

const TOLD = 10;

function tell({ level, attention }: ReportModel, out: Output): void {
  if (level === 'green') out.note('green: nothing needs attention');
  for (const { level: urgency, source, database, what } of attention.slice(0, TOLD)) {
    const place = [source ?? '', ...(database === null ? [] : [displayName(database)])].join('/');
    out.note(`${urgency}: ${place === '' ? '' : `${place}: `}${displayLine(what)}`);
  }
  if (attention.length > TOLD) out.note(`and ${attention.length - TOLD} more`);
}

/** Nothing that a terminal obeys: an error's name may come from outside. */
function displayLine(text: string): string {
  return displayText(text, 300);
}

async function linkTo(
  { objects, links, clock }: OpenDeployment['deps'],
  expiresSeconds: number,
  out: Output,
): Promise<void> {
  const head = await objects.head(REPORT_KEY);
  if (!head) {
    throw new ObjectMissing(`there is no ${REPORT_KEY} yet`, {
      remedy: 'it is written at the end of a run: start one, or leave out --link',
    });
  }
  const { url, expiresAt, credentialsEndAt } = await links.create({
    key: REPORT_KEY,
    versionId: head.versionId,
    fileName: FILE,
    expiresSeconds,
  });
  const endsSooner = credentialsEndAt !== undefined && credentialsEndAt < expiresAt;
  const worksUntil = endsSooner ? credentialsEndAt : expiresAt;
  out.result(
    { url, writtenAt: head.lastModified.toISOString(), worksUntil: worksUntil.toISOString() },
    () => [url],
  );
  const now = clock.now();
  out.note(
    `written ${relativeTime(head.lastModified, now)}; works until ${displayUtc(worksUntil)}, ${relativeTime(worksUntil, now)}`,
  );
  if (endsSooner) out.warn('the credentials that signed it end then');
  out.note('Whoever has it can read the names and sizes of your databases.');
}
