import { expect, it } from 'vitest';
import { classifyLaunchFailure } from '#domain/launch-failure.ts';

it.each([
  ['RESOURCE:CPU', 'TaskLaunchFailed'],
  ['RESOURCE:MEMORY', 'TaskLaunchFailed'],
  ['RESOURCE:ENI', 'TaskLaunchFailed'],
  ['AGENT', 'TaskLaunchFailed'],
  ['LOCATION', 'TaskLaunchFailed'],
  [
    'Capacity is unavailable at this time. Please try again later or in a different availability zone',
    'TaskLaunchFailed',
  ],
  ["You've reached the limit on the number of vCPUs you can run concurrently", 'TaskLaunchFailed'],
  ['MISSING', 'TaskRejected'],
  ['INACTIVE', 'TaskRejected'],
  ['ATTRIBUTE', 'TaskRejected'],
  ['The requested CPU configuration is above your limit', 'TaskRejected'],
  ['something new', 'TaskRejected'],
])('a task that ECS did not place with %s is %s', (reason, name) => {
  expect(classifyLaunchFailure(reason).errorName).toBe(name);
});
