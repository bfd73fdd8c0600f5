import type { PlannedRestore } from '#contracts/restore.ts';

/** What is said of a restore wherever it is named, when nobody vouches for what was restored; else nothing. */
export function doubtWords({ trust }: Pick<PlannedRestore, 'trust'>): string {
  if (trust === 'verified') return '';
  if (trust === 'foreign') return ', from an archive that nobody verified';
  return `, from a backup that is ${trust.toUpperCase()}`;
}
