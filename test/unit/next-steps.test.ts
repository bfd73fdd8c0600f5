import { describe, expect, it } from 'vitest';
import { parseBackupInput } from '#domain/backup-input.ts';
import { parseDrillInput } from '#domain/drill/drill-input.ts';
import { nextStep } from '#domain/next-steps.ts';
import { parseRestoreInput } from '#domain/restore/restore-input.ts';
import { parseServerRestoreInput } from '#domain/restore/server-restore-input.ts';

/** The input that the next step tells to start with. */
function toldInput(where: string): unknown {
  const json = /\{.*\}/.exec(nextStep('InvalidInput', where))?.[0];
  return JSON.parse(json ?? 'null');
}

describe('the next step of an input that was refused', () => {
  it.each([
    ['backup', parseBackupInput],
    ['restore', parseRestoreInput],
    ['import', parseRestoreInput],
    ['server-restore', parseServerRestoreInput],
    ['drill', parseDrillInput],
  ])('is an input that a %s takes', (where, parse) => {
    expect(() => parse(toldInput(where))).not.toThrow();
  });

  it('is of the options on the command line', () => {
    expect(nextStep('InvalidInput', 'command-line')).toContain('--help');
  });
});

describe('the next step of an archive that is damaged', () => {
  it('of a backup is another backup, of an import another file', () => {
    expect(nextStep('ArchiveCorrupt', 'restore')).toBe(nextStep('ArchiveCorrupt'));
    const ofImport = nextStep('ArchiveCorrupt', 'import');
    expect(ofImport).toContain('pg_dump --format=custom --file=');
    expect(ofImport).not.toContain('Start the source again');
  });

  it('is the general one where nothing else is known', () => {
    expect(nextStep('LockTimeout', 'import')).toBe(nextStep('LockTimeout'));
    expect(nextStep('toString', 'restore')).toBe(nextStep('Nobody'));
    expect(nextStep('LockTimeout', 'toString')).toBe(nextStep('LockTimeout'));
  });
});
