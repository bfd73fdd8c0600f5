import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makePlan } from '#test/fakes.ts';
import { alarms } from '../../resources/alarms.ts';
import { sources } from '../../resources/from-plan.ts';
import { roles } from '../../resources/roles.ts';

const folder = resolve(import.meta.dirname, '../../resources');
const ofFiles = globSync('*.yml', { cwd: folder }).flatMap((file) => {
  const [, resources = ''] = readFileSync(join(folder, file), 'utf8').split(/^Resources:$/m);
  return [...resources.matchAll(/^ {2}(\w+):$/gm)].map(([, id = '']) => id);
});
const context = { stage: 'test', sources: [], furtherSecrets: [], inVpc: false };
const fixed = new Set([...ofFiles, ...Object.keys(roles(context))]);

describe('the resources of a source', () => {
  it('take the name of no other resource, whatever the source is called', () => {
    const names = [
      'group',
      'role',
      'state-machine',
      'failed',
      'topic',
      'schedule',
      'alarm',
      'drill',
    ];
    const plans = names.map((source) => makePlan({ source }));
    const made = [
      ...Object.keys(sources(plans, { stage: 'test', state: 'ENABLED' })),
      ...Object.keys(alarms(plans, { stage: 'test', state: 'ENABLED', actionsEnabled: true })),
    ];

    expect(fixed.size).toBeGreaterThan(50);
    expect(new Set(made).size).toBe(made.length);
    expect(made.filter((id) => fixed.has(id))).toEqual([]);
  });
});
