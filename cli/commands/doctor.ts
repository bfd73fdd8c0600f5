import type { Command } from 'commander';
import type { DoctorReport, Finding, Severity } from '#contracts/posture.ts';
import { SEVERITIES } from '#contracts/posture.ts';
import { SourceName } from '#contracts/source-plan.ts';
import { InvalidInput } from '#errors';
import { examine } from '#operations/doctor.ts';
import { addExamples, type CliContext } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { type Output, type Paint, safeLines } from '../output.ts';

interface DoctorOptions {
  readonly problems?: boolean;
}

const COLORS: Readonly<Record<Severity, Paint>> = {
  fail: (colors) => colors.red,
  warn: (colors) => colors.yellow,
  unknown: (colors) => colors.magenta,
  info: (colors) => colors.cyan,
  ok: (colors) => colors.green,
};
const PROBLEMS: ReadonlySet<Severity> = new Set(['fail', 'warn', 'unknown']);
const INDENT = ' '.repeat('unknown'.length + 4);

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .description('checks what backups depend on, changes nothing, and says how to repair it')
    .argument('[source]', 'default: every source')
    .option('--problems', 'leaves out what is well')
    .addHelpText(
      'after',
      '\nEnds with 1 when a check fails. docs/doctor.md has every check and what it may read.',
    )
    .action(doctor);
  addExamples(command, [
    'holdfast doctor',
    'holdfast doctor orders --problems',
    `holdfast doctor --json | jq -r '.findings[] | select(.severity == "fail") | .remedy'`,
  ]);

  async function doctor(
    source: string | undefined,
    options: DoctorOptions,
    self: Command,
  ): Promise<void> {
    const invocation = context.begin(self);
    const { out } = invocation;
    if (source !== undefined && !SourceName.safeParse(source).success) {
      throw new InvalidInput(`${JSON.stringify(source)} is no name of a source`);
    }
    const { record, deps, region, isLocal } = await invocation.open();
    out.note(`looking at ${source ?? 'every source'} of stage ${record.stage} …`);
    const report = await examine(deps, {
      record,
      region,
      source,
      absence: isLocal ? 'not on this machine' : undefined,
    });
    const shown = options.problems
      ? report.findings.filter(({ severity }) => PROBLEMS.has(severity))
      : report.findings;
    out.result({ ...report, findings: shown }, () => [
      ...findingLines(shown, out),
      summaryLine(report, out),
    ]);
    if (report.counts.fail > 0) invocation.end(EXIT.failed);
  }
}

function findingLines(findings: readonly Finding[], out: Output): string[] {
  const { colors } = out;
  return findings.flatMap((finding, index) => {
    const isFirst = findings[index - 1]?.group !== finding.group;
    const heading = isFirst ? [...(index > 0 ? [''] : []), colors.bold(finding.group)] : [];
    return [...heading, ...linesOf(finding, out)];
  });
}

function linesOf({ severity, source, title, why, remedy }: Finding, { colors }: Output): string[] {
  const mark = COLORS[severity](colors)(severity.padEnd('unknown'.length));
  const about = source === null ? '' : `${source}: `;
  return [
    `  ${mark}  ${about}${safeLines(title).join(' ')}`,
    ...safeLines(why).map((line) => `${INDENT}${colors.dim(line)}`),
    ...safeLines(remedy ?? '').map((line) => `${INDENT}→ ${line}`),
  ];
}

/** `2 fail, 1 warn, 20 ok` */
function summaryLine({ counts }: DoctorReport, { colors }: Output): string {
  const told = SEVERITIES.filter((severity) => counts[severity] > 0);
  const words = told.map((severity) => COLORS[severity](colors)(`${counts[severity]} ${severity}`));
  return `\n${words.join(', ')}`;
}
