import { describe, expect, it } from 'vitest';
import { buildDeps } from '#runtime/deps.ts';
import { wireDeps } from '#runtime/wire-deps.ts';
import { makeClients, makeClock } from '#test/fakes.ts';

describe('the side effects of a slice', () => {
  it('are made when they are first used, once, from the given environment', () => {
    const made: unknown[] = [];
    const deps = wireDeps<'clock' | 'clients'>(
      {
        clock: (environment) => {
          made.push(environment);
          return makeClock();
        },
        clients: () => {
          throw new Error('nobody asked for the clients');
        },
      },
      { HOLDFAST_BUCKET: 'b-1' },
    );
    expect(made).toEqual([]);
    const { clock } = deps;
    expect(deps.clock).toBe(clock);
    expect(made).toEqual([{ HOLDFAST_BUCKET: 'b-1' }]);
    expect(() => deps.clients).toThrow('nobody asked');
  });

  it('are tried again when they could not be made', () => {
    let times = 0;
    const deps = wireDeps<'clients'>(
      {
        clients: () => {
          if (++times === 1) throw new Error('not yet');
          return makeClients();
        },
      },
      {},
    );
    expect(() => deps.clients).toThrow('not yet');
    expect(deps.clients).toBe(deps.clients);
    expect(times).toBe(2);
  });

  it('need their own variables only, and name the one that is missing', () => {
    const deps = buildDeps({ HOLDFAST_PLAN_PREFIX: '/holdfast/test/sources/' });
    expect(deps.plans).toBeDefined();
    expect(() => deps.objects).toThrow(
      expect.objectContaining({
        name: 'InvalidEnvironment',
        message: expect.stringContaining('HOLDFAST_BUCKET'),
      }),
    );
  });
});
