import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { register as completion } from './completion.ts';
import { register as doctor } from './doctor.ts';
import { register as drill } from './drill.ts';
import { register as drills } from './drills.ts';
import { register as link } from './link.ts';
import { register as list } from './list.ts';
import { register as report } from './report.ts';
import { register as restore } from './restore.ts';
import { register as restoreServer } from './restore-server.ts';
import { register as retention } from './retention.ts';
import { register as show } from './show.ts';
import { register as start } from './start.ts';
import { register as tables } from './tables.ts';
import { register as verify } from './verify.ts';

/** Every command, in the order of the help: one file each. */
export const COMMANDS: readonly ((program: Command, context: CliContext) => void)[] = [
  start,
  list,
  show,
  tables,
  restore,
  restoreServer,
  drill,
  drills,
  retention,
  link,
  verify,
  report,
  doctor,
  completion,
];
