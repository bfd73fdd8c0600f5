import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planSchedules } from '#domain/monitoring/plan-schedules.ts';
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
      'db-1',
      'db1',
      'db-x1',
      'db-x-1',
      'x',
      'x-x',
      'xx',
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

  it('are the schedules that the heartbeat asks for, by their names', () => {
    const { schedule: _, ...unscheduled } = makePlan();
    const plans = [makePlan(), unscheduled, makePlan({ kinds: ['snapshot'] })].flatMap((plan) => [
      plan,
      { ...plan, drill: { ...plan.drill, schedule: 'none' as const } },
    ]);
    const deployed = plans.map((plan) =>
      Object.values(sources([plan], { stage: 'test', state: 'ENABLED' })).flatMap((resource) => {
        const { Type, Properties } = resource as { Type: string; Properties: { Name: string } };
        return Type === 'AWS::Scheduler::Schedule' ? [Properties.Name] : [];
      }),
    );

    expect(plans.map((plan) => planSchedules(plan).map(({ name }) => name))).toEqual(deployed);
    expect(deployed[0]).toEqual(['orders', 'orders.drill']);
    expect(deployed[3]).toEqual([]);
  });
});
