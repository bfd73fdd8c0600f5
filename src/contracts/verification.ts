import * as z from 'zod';

/**
 * `verification.json`: exists only for a verified backup, written once with `If-None-Match: *`.
 * Its presence in a listing is the proof that retention, restores and freshness count on.
 */
export const VerificationLevel = z.enum(['structure', 'full']);
export type VerificationLevel = z.infer<typeof VerificationLevel>;

export const TableRows = z.strictObject({
  schema: z.string(),
  table: z.string(),
  rows: z.int().min(0),
});

export const Verification = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  database: z.string(),
  backupId: z.string(),
  level: VerificationLevel,
  verifiedAt: z.iso.datetime(),
  durationSeconds: z.number().min(0),
  manifest: z.strictObject({ sha256: z.string(), versionId: z.string().optional() }),
  archiveBytes: z.int().min(0),
  blocks: z.int().min(0),
  /** Empty at level `structure`. */
  tables: z.array(TableRows),
  warnings: z.array(z.string()),
});
export type Verification = z.infer<typeof Verification>;

/** `quarantine.json`: why a backup does not count. Written once; the objects are tagged as well. */
export const Quarantine = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  database: z.string(),
  backupId: z.string(),
  quarantinedAt: z.iso.datetime(),
  error: z.string(),
  cause: z.string(),
});
export type Quarantine = z.infer<typeof Quarantine>;

/** Object tags. Lifecycle rules and the operator's policies match them. */
export const TAG_STATE = 'holdfast-state';
export const TAG_KIND = 'holdfast-kind';
export const STATES = ['unverified', 'verified', 'quarantined'] as const;
export type BackupState = (typeof STATES)[number];
