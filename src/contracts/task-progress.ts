import * as z from 'zod';

/**
 * `progress/<source>/<runId>/<database>.json`: how far a task is. Written again and again while it works, for whoever
 * looks on; nothing is decided by it, and it may be missing or old. The bucket's lifecycle removes it.
 */
export const TaskProgress = z.strictObject({
  version: z.literal(1),
  task: z.enum(['dump', 'restore', 'drill']),
  /** Of a drill of a server: the server. */
  database: z.string(),
  /** A phase of `restore.json`, of a drill's report, or of a dump. */
  phase: z.string().max(40),
  /** What the phase is at, where it has several: the database of a server. */
  subject: z.string().nullable(),
  /** How far the phase is; null: it does not count. */
  done: z.number().min(0).nullable(),
  total: z.number().min(0).nullable(),
  unit: z.enum(['entries', 'bytes', 'tables']).nullable(),
  /** Of the archive, read or written so far, where `unit` is another. */
  bytes: z.number().min(0).nullable(),
  startedAt: z.iso.datetime(),
  phaseStartedAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type TaskProgress = z.infer<typeof TaskProgress>;
