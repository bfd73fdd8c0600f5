/**
 * The role that backups of the sample are made with, as one would make it on a production server.
 *
 * - `pg_read_all_data` (PostgreSQL 14 and newer) reads every table, view and sequence in every schema.
 * - `BYPASSRLS`, as pg_dump refuses tables whose policies apply to its role. Where nobody may grant that,
 *   membership in the tables' owner does as well (unless the table forces its policies on the owner too),
 *   but it also lets the role write.
 * - `SELECT` on each large object: neither of the two above reaches those.
 */
export const backupRole = 'holdfast_backup';

export interface SampleRole {
  readonly name: string;
  readonly login: boolean;
  readonly attributes: string;
}

/** In the order in which they can be created. */
export const sampleRoles: readonly SampleRole[] = [
  { name: 'shop_owner', login: false, attributes: '' },
  { name: 'web_app', login: true, attributes: 'CONNECTION LIMIT 50' },
  { name: 'report_reader', login: true, attributes: "VALID UNTIL '2099-12-31'" },
  { name: 'Sales Team', login: false, attributes: '' },
  { name: backupRole, login: true, attributes: 'BYPASSRLS IN ROLE pg_read_all_data' },
];
