import { createHash } from 'node:crypto';
import type { S3ObjectEvent } from './events.ts';
import type { S3Operation, S3Request } from './request.ts';

/**
 * Where a connection is cut: before anything happened, after the effect but before the answer (the
 * client cannot know), or in the middle of the body of a read.
 */
export type Cut = 'before-effect' | 'after-effect' | 'in-body';

/** Shares of requests, 0 to 1, that fail in a way; their sum must not exceed 1. */
export interface FaultShares {
  /** 500 InternalError. */
  readonly internalError?: number;
  /** 503 SlowDown. */
  readonly slowDown?: number;
  readonly cutBeforeEffect?: number;
  readonly cutAfterEffect?: number;
  /** Only where an object is read. */
  readonly cutInBody?: number;
}

/** A share of events, or a choice among them. */
export type EventChoice = number | ((event: S3ObjectEvent) => boolean);

export interface EventFaults {
  readonly drop?: EventChoice;
  /** Delivered twice. */
  readonly duplicate?: EventChoice;
  /** Delivered after the next one, or after a second when there is none. */
  readonly reorder?: EventChoice;
  readonly delay?: { readonly events: EventChoice; readonly milliseconds: number };
}

export interface FaultPlan {
  /** The same seed gives the n-th request of an operation the same fate. Default 1. */
  readonly seed?: number;
  readonly shares?: FaultShares;
  /** Every request waits this long. */
  readonly delayMilliseconds?: number;
  /** Only these operations; default all. */
  readonly operations?: readonly S3Operation[];
  /** Only keys that match; default all, and requests without a key. */
  readonly key?: RegExp;
  readonly events?: EventFaults;
}

/** A fault for the next requests of an operation. */
export interface ScriptedFault {
  /** How many requests; default 1. */
  readonly times?: number;
  /** Answered instead of doing anything: 500, 503, 409, 403, 404, 412, or 200 with an error inside. */
  readonly status?: number;
  /** Default by status: 503 SlowDown, 409 ConditionalRequestConflict, … */
  readonly code?: string;
  readonly cut?: Cut;
  readonly delayMilliseconds?: number;
  /** The request is held back until this settles: a test has all the time it needs. */
  readonly until?: Promise<unknown>;
  readonly key?: RegExp;
}

/** What happens to one request. */
export interface Fault {
  readonly answer: { readonly status: number; readonly code: string } | undefined;
  readonly cut: Cut | undefined;
  readonly delayMilliseconds: number;
  readonly until?: Promise<unknown> | undefined;
}

const CODE_BY_STATUS: Readonly<Record<number, string>> = {
  403: 'AccessDenied',
  404: 'NoSuchKey',
  409: 'ConditionalRequestConflict',
  412: 'PreconditionFailed',
  503: 'SlowDown',
};

/** Decides which requests and events go wrong. Scripted faults come before those by chance. */
export class FaultInjector {
  /** May be replaced at any time. */
  plan: FaultPlan;
  /** Requests that were made to fail (delays not counted). */
  injected = 0;
  readonly #scripted: { operation: S3Operation | '*'; fault: ScriptedFault; left: number }[] = [];
  readonly #ordinals = new Map<string, number>();

  constructor(plan: FaultPlan = {}) {
    this.plan = plan;
  }

  /** Returns how many requests it has met so far. */
  failNext(operation: S3Operation | '*', fault: ScriptedFault): () => number {
    const times = fault.times ?? 1;
    const script = { operation, fault, left: times };
    this.#scripted.push(script);
    return () => times - script.left;
  }

  /** No more faults, scripted or planned. */
  clear(): void {
    this.plan = {};
    this.#scripted.length = 0;
  }

  forRequest(request: Pick<S3Request, 'operation' | 'key'>): Fault {
    const fault = this.#scriptedFault(request) ?? this.#chanceFault(request);
    if (fault.answer || fault.cut) this.injected += 1;
    return fault;
  }

  #scriptedFault({ operation, key }: Pick<S3Request, 'operation' | 'key'>): Fault | undefined {
    const script = this.#scripted.find(
      (s) =>
        s.left > 0 &&
        (s.operation === '*' || s.operation === operation) &&
        (s.fault.key?.test(key) ?? true),
    );
    if (!script) return undefined;
    script.left -= 1;
    const { cut, delayMilliseconds = 0, status, until } = script.fault;
    const code = script.fault.code ?? CODE_BY_STATUS[status ?? 500] ?? 'InternalError';
    const answer = status === undefined ? undefined : { status, code };
    return { answer, cut, delayMilliseconds, until };
  }

  #chanceFault({ operation, key }: Pick<S3Request, 'operation' | 'key'>): Fault {
    const { shares = {}, delayMilliseconds = 0, operations, key: pattern } = this.plan;
    const none: Fault = { answer: undefined, cut: undefined, delayMilliseconds: 0 };
    if (operations && !operations.includes(operation)) return none;
    if (pattern && !pattern.test(key)) return none;
    let chance = this.#chance(operation);
    const hit = (share = 0): boolean => {
      chance -= share;
      return chance < 0;
    };
    const fail = (change: Partial<Fault>): Fault => ({ ...none, delayMilliseconds, ...change });
    if (hit(shares.internalError)) return fail({ answer: { status: 500, code: 'InternalError' } });
    if (hit(shares.slowDown)) return fail({ answer: { status: 503, code: 'SlowDown' } });
    if (hit(shares.cutBeforeEffect)) return fail({ cut: 'before-effect' });
    if (hit(shares.cutAfterEffect)) return fail({ cut: 'after-effect' });
    if (operation === 'GetObject' && hit(shares.cutInBody)) return fail({ cut: 'in-body' });
    return fail({});
  }

  /** How many times the event is delivered, how late, and whether the next one overtakes it. */
  forEvent(event: S3ObjectEvent): { copies: number; delayMilliseconds: number; reorder: boolean } {
    const { drop, duplicate, reorder, delay } = this.plan.events ?? {};
    const chosen = (choice: EventChoice | undefined, fault: string): boolean =>
      typeof choice === 'function'
        ? choice(event)
        : choice !== undefined && this.#chance(`event ${fault}`) < choice;
    return {
      copies: chosen(drop, 'drop') ? 0 : chosen(duplicate, 'duplicate') ? 2 : 1,
      delayMilliseconds: delay && chosen(delay.events, 'delay') ? delay.milliseconds : 0,
      reorder: chosen(reorder, 'reorder'),
    };
  }

  /**
   * A number from 0 to below 1 that depends on the seed, the subject and how often it was asked for:
   * requests of other operations, which may come in any order, do not change it.
   */
  #chance(subject: string): number {
    const ordinal = this.#ordinals.get(subject) ?? 0;
    this.#ordinals.set(subject, ordinal + 1);
    const digest = createHash('sha256').update(`${this.plan.seed ?? 1} ${subject} ${ordinal}`);
    return digest.digest().readUInt32BE() / 2 ** 32;
  }
}
