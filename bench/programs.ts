import type { Command } from './measure.ts';

/** The bundles, and the Node that runs them, as they are deployed. */
export interface Programs {
  readonly dumpTask: string;
  readonly verifyTask: string;
  readonly restoreTask: string;
  /** Of Node, from the image's entry point. */
  readonly nodeFlags: readonly string[];
  /** Makes Node write a CPU profile of the tasks there. */
  readonly profileDirectory: string | undefined;
}

/** Starts one of our tasks as its container does. */
export function taskCommand(
  programs: Programs,
  name: 'dumpTask' | 'verifyTask' | 'restoreTask',
  environment: Readonly<Record<string, string>>,
  directory: string,
): Command {
  const { nodeFlags, profileDirectory } = programs;
  const profile = profileDirectory ? ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`] : [];
  const argv = [process.execPath, ...nodeFlags, ...profile, programs[name]] as const;
  return { argv: [...argv], environment, directory };
}
