import { describe, expect, it } from 'vitest';
import { chooseClientMajor, serverMajor } from '#domain/client-choice.ts';

describe('the client for a server', () => {
  it.each([
    [140_020, [16, 17, 18], 16],
    [150_018, [16, 17, 18], 16],
    [160_010, [16, 17, 18], 16],
    [170_011, [18, 16, 17], 17],
    [180_006, [16, 17, 18], 18],
    [150_018, [17, 18], 17],
    [160_010, [15, 18], 18],
  ])('of version %i among %j is the smallest that can dump it: %i', (version, majors, expected) => {
    expect(chooseClientMajor(version, majors)).toBe(expected);
  });

  it.each([
    [
      180_006,
      [16, 17],
      'the server is PostgreSQL 18, the clients at hand are 16, 17; add client 18',
    ],
    [150_018, [15], 'the server is PostgreSQL 15, the clients at hand are 15; add client 16'],
    [170_011, [], 'the server is PostgreSQL 17, the clients at hand are none; add client 17'],
  ])('of version %i is missing among %j: ClientTooOld', (version, majors, message) => {
    expect(() => chooseClientMajor(version, majors)).toThrow(
      expect.objectContaining({ name: 'ClientTooOld', message: expect.stringContaining(message) }),
    );
  });

  it('goes by the major of server_version_num', () => {
    expect([serverMajor(170_011), serverMajor(180_000), serverMajor(159_999)]).toEqual([
      17, 18, 15,
    ]);
  });
});
