import { describe, expect, it } from 'vitest';
import { TaskStoppedEvent } from '#contracts/events.ts';
import { classifyTaskStop } from '#domain/task-exit.ts';

function makeDetail(
  container: { exitCode?: number; reason?: string } | undefined,
  stop: { stopCode?: string; stoppedReason?: string } = {},
) {
  return TaskStoppedEvent.parse({
    'detail-type': 'ECS Task State Change',
    detail: {
      taskArn: 'arn:aws:ecs:eu-west-1:123456789012:task/c/1',
      clusterArn: 'arn:aws:ecs:eu-west-1:123456789012:cluster/c',
      lastStatus: 'STOPPED',
      ...stop,
      containers: container ? [{ name: 'holdfast', ...container }] : [],
      overrides: {},
    },
  }).detail;
}

describe('a stopped task is classified by its exit code and stop code', () => {
  it.each([
    ['exit 0', makeDetail({ exitCode: 0 }, { stopCode: 'EssentialContainerExited' }), undefined],
    ['exit 1', makeDetail({ exitCode: 1 }), 'TaskFailed'],
    ['exit 64', makeDetail({ exitCode: 64 }), 'TaskFailed'],
    ['exit 75', makeDetail({ exitCode: 75 }), 'TaskFailed'],
    ['exit 137', makeDetail({ exitCode: 137, reason: 'OutOfMemoryError' }), 'TaskKilled'],
    ['exit 143', makeDetail({ exitCode: 143 }, { stopCode: 'UserInitiated' }), 'TaskInterrupted'],
    [
      'Spot reclaim with 137',
      makeDetail({ exitCode: 137 }, { stopCode: 'SpotInterruption' }),
      'TaskInterrupted',
    ],
    [
      'termination notice without exit code',
      makeDetail({}, { stopCode: 'TerminationNotice' }),
      'TaskInterrupted',
    ],
    [
      'image that cannot be pulled',
      makeDetail(
        { reason: 'CannotPullContainerError' },
        { stopCode: 'TaskFailedToStart', stoppedReason: 'pull image manifest has been retried' },
      ),
      'TaskNeverStarted',
    ],
    [
      'no container at all',
      makeDetail(undefined, { stopCode: 'TaskFailedToStart' }),
      'TaskNeverStarted',
    ],
  ])('%s', (_title, detail, expected) => {
    expect(classifyTaskStop(detail)?.errorClass.errorName).toBe(expected);
  });

  it('keeps what ECS said in the cause, so that nobody has to look it up', () => {
    const stop = classifyTaskStop(
      makeDetail(
        { reason: 'CannotPullContainerError: no basic auth' },
        { stopCode: 'TaskFailedToStart' },
      ),
    );
    expect(stop?.cause).toContain('TaskFailedToStart');
    expect(stop?.cause).toContain('no basic auth');
  });
});
