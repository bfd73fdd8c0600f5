import type { Context } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { UnknownSource } from '#errors';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { makeClients, makeClock, makeDeps } from '#test/fakes.ts';

const context = {} as Context;
const Event = z.object({ source: z.string() });
const tellTime: Handle<z.infer<typeof Event>, string, 'clock' | 'log'> = async (
  { source },
  { clock, log },
) => {
  log.info('told', { source });
  return `${source} at ${clock.now().toISOString()}`;
};

describe('a function', () => {
  it('gives its handle the parsed event, the log and what was provided, made once per warm start', async () => {
    let made = 0;
    const handler = lambdaHandler(Event, tellTime, {
      clock: () => {
        made++;
        return makeClock('2026-11-20T03:00:00Z');
      },
    });
    for (let start = 0; start < 2; start++) {
      const answer = await handler({ source: 'orders' }, context);
      expect(answer).toBe('orders at 2026-11-20T03:00:00.000Z');
    }
    expect(made).toBe(1);
  });

  it('refuses an event that its schema does not know, and makes nothing for it', async () => {
    const handler = lambdaHandler(Event, tellTime, {
      clock: () => {
        throw new Error('not to be made');
      },
    });
    await expect(handler({ sourc: 'orders' }, context)).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringContaining('source'),
    });
  });

  it('fails under the name of the error and without its stack', async () => {
    const fail: Handle<unknown, never, never> = async () => {
      throw new UnknownSource('no plan of orders');
    };
    const outcome = lambdaHandler(z.unknown(), fail, {})({}, context);
    await expect(outcome).rejects.toMatchObject({ name: 'UnknownSource', stack: '' });
  });

  it('does not compile without a provider of each side effect, or with one too many', () => {
    const { objects } = makeDeps();
    const programs = [
      // @ts-expect-error: the clock is not provided
      lambdaHandler(Event, tellTime, {}),
      // @ts-expect-error: nobody asked for the clients
      lambdaHandler(Event, tellTime, { clock: makeClock, clients: makeClients }),
      // @ts-expect-error: that is no clock
      lambdaHandler(Event, tellTime, { clock: () => objects }),
    ];
    expect(programs.map((program) => typeof program)).toEqual(Array(3).fill('function'));
  });
});
