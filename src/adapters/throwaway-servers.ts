import { DrillServerFailed } from '#errors';
import type { ThrowawayServers } from '#runtime/ports.ts';

export interface ThrowawayServersOptions {
  /** Folder with one folder a major: <dir>/18/bin/postgres. */
  readonly programs: string;
  /** Where data directories are made; it has the room. */
  readonly directory: string;
}

export function makeThrowawayServers(_options: ThrowawayServersOptions): ThrowawayServers {
  return {
    majors: async () => [],
    start: async () => {
      throw new DrillServerFailed('not built yet');
    },
  };
}
