import { describe, expect, it } from 'vitest';
import { chooseRestoreMajor } from '#domain/restore/restore-client.ts';

function choose(dumped: [server: string, client: string], target: number, majors = [16, 17, 18]) {
  const [serverVersion, dumpVersion] = dumped;
  return chooseRestoreMajor({ serverVersion, dumpVersion }, target, majors);
}

describe('the client that restores', () => {
  it('is that of the target server, and no older than the one that dumped', () => {
    expect(choose(['16.2', '16.9'], 160_002)).toBe(16);
    expect(choose(['16.2', '16.9'], 170_002)).toBe(17);
    expect(choose(['16.2', '18.1'], 170_002)).toBe(18);
    expect(choose(['15.4', '16.9 (Debian 16.9-1)'], 150_004)).toBe(16);
    expect(choose(['16.2', '16.9'], 190_000)).toBe(18);
    expect(choose(['16.2', '16.9'], 170_002, [16, 18])).toBe(18);
  });

  it('is not there for an archive of a newer one', () => {
    expect(() => choose(['17.1', '19.0'], 190_000)).toThrow(
      expect.objectContaining({ name: 'ArchiveUnsupported' }),
    );
  });

  it('has nothing to do on a server that is older than the one that was dumped', () => {
    expect(() => choose(['17.1', '17.1'], 160_009)).toThrow(
      expect.objectContaining({
        name: 'TargetUnsuitable',
        message:
          'the archive comes from PostgreSQL 17, the target server is PostgreSQL 16; restore to a server of major 17 or newer',
      }),
    );
  });

  it("is the target's where the archive does not say who made it", () => {
    const header = { serverVersion: undefined, dumpVersion: undefined };
    expect(chooseRestoreMajor(header, 170_002, [16, 17, 18])).toBe(17);
  });
});
