import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AlarmDefinition } from '#contracts/metrics.ts';
import { nextStep } from '#domain/next-steps.ts';
import { errorCatalogue } from '#errors';

const root = resolve(import.meta.dirname, '../..');
const document = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const monitoring = readFileSync(join(root, 'resources/monitoring.yml'), 'utf8');

/** Raised by Step Functions itself; our table of next steps has them too. */
const STEP_FUNCTIONS_ERRORS = [
  'States.Timeout',
  'States.HeartbeatTimeout',
  'States.DataLimitExceeded',
];

/** By heading, the text up to the next heading of any depth. */
function sections(depth: number): Map<string, string> {
  const heading = new RegExp(`^${'#'.repeat(depth)} \`([\\w.]+)\`$`, 'm');
  const found = new Map<string, string>();
  for (const part of document.split(/^(?=#+ )/m)) {
    const name = heading.exec(part)?.[1];
    if (name !== undefined) found.set(name, part);
  }
  return found;
}

const byName = (a = '', b = '') => (a < b ? -1 : 1);
const alarms = sections(3);
const errors = sections(4);

describe('docs/operations.md', () => {
  it('has a section for every alarm of a source and of the deployment, and none besides', () => {
    const ofDeployment = [
      ...monitoring.matchAll(/^ {2}(\w+):\n {4}Type: AWS::CloudWatch::Alarm$/gm),
    ];
    const names = [...AlarmDefinition.shape.kind.options, ...ofDeployment.map(([, name]) => name)];

    expect(ofDeployment.length).toBeGreaterThan(15);
    expect([...alarms.keys()].toSorted(byName)).toEqual(names.toSorted(byName));
  });

  it('has a section for every named error, and none besides', () => {
    const names = [...errorCatalogue.keys(), ...STEP_FUNCTIONS_ERRORS];

    expect([...errors.keys()].toSorted(byName)).toEqual(names.toSorted(byName));
  });

  it.each([...alarms, ...errors])('%s: says where to look and what to do', (_name, section) => {
    expect(section).toMatch(/^- \*\*Look\*\*: .{10}/m);
    expect(section).toMatch(/^- \*\*Do\*\*: .{10}/m);
  });

  it.each([...errors])('%s: what to do is what the alert says', (name, section) => {
    expect(section).toContain(`- **Do**: ${nextStep(name)}\n`);
  });
});
