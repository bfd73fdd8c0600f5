import { makeThrowawayServers } from '#adapters/throwaway-servers.ts';
import { readVariable } from '../environment.ts';
import type { ThrowawayServers } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideThrowawayServers(environment: Environment): ThrowawayServers {
  return makeThrowawayServers({
    programs: readVariable('HOLDFAST_POSTGRES_SERVERS', environment),
    directory: readVariable('HOLDFAST_DRILL_DIRECTORY', environment),
  });
}
