import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EventPattern, matchesPattern } from './event-pattern.ts';

/** The envelope of EventBridge. */
export interface BusEvent {
  readonly version: '0';
  readonly id: string;
  readonly source: string;
  readonly 'detail-type': string;
  readonly account: string;
  readonly region: string;
  readonly time: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** What a service puts; the rest of the envelope is filled in. */
export type EventEntry = Pick<BusEvent, 'source' | 'detail-type' | 'detail'> & Partial<BusEvent>;

export interface Rule {
  readonly name: string;
  readonly pattern: EventPattern;
  /** Gets a copy of its own. A rejection is retried. */
  readonly target: (event: BusEvent) => Promise<unknown>;
  /** Further attempts after the first; default 2. */
  readonly retries?: number;
  /** Milliseconds before the first retry, doubled each time; default 100. */
  readonly retryDelayMilliseconds?: number;
}

export interface DeadLetter {
  readonly rule: string;
  readonly event: BusEvent;
  readonly error: unknown;
}

/** Something to go wrong with the next events that match. */
export interface Disturbance {
  /** Default: any event. */
  readonly pattern?: EventPattern;
  /** How many events it hits; default 1. */
  readonly times?: number;
  readonly drop?: boolean;
  /** Further deliveries of the same event, with the same id. */
  readonly duplicates?: number;
  readonly delayMilliseconds?: number;
}

/** Delivers events to the targets of matching rules: at least once, in no promised order. */
export class EventBus {
  /** Every event that was put, dropped ones included. */
  readonly history: BusEvent[] = [];
  readonly deadLetters: DeadLetter[] = [];
  readonly #defaults: { readonly account: string; readonly region: string };
  readonly #rules = new Map<string, Rule>();
  readonly #deliveries = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #disturbances: { readonly plan: Disturbance; left: number }[] = [];

  constructor(defaults: { readonly account: string; readonly region: string }) {
    this.#defaults = defaults;
  }

  /** Adds a rule, or replaces the one of the same name. */
  addRule(rule: Rule): void {
    this.#rules.set(rule.name, rule);
  }

  removeRule(name: string): void {
    this.#rules.delete(name);
  }

  disturb(plan: Disturbance): void {
    this.#disturbances.push({ plan, left: plan.times ?? 1 });
  }

  /** Returns at once; deliveries go on in the background. Does nothing after `close`. */
  put(entry: EventEntry): void {
    if (this.#closing.signal.aborted) return;
    const event: BusEvent = structuredClone({
      version: '0',
      id: randomUUID(),
      time: `${new Date().toISOString().slice(0, 19)}Z`,
      resources: [],
      ...this.#defaults,
      ...entry,
    });
    this.history.push(event);
    const disturbance = this.#nextDisturbance(event);
    if (disturbance?.drop) return;
    for (let copy = 0; copy <= (disturbance?.duplicates ?? 0); copy++) {
      for (const rule of this.#rules.values()) {
        if (!matchesPattern(rule.pattern, event)) continue;
        const delivery = this.#deliver(rule, event, disturbance?.delayMilliseconds ?? 0);
        this.#deliveries.add(delivery);
        void delivery.finally(() => this.#deliveries.delete(delivery));
      }
    }
  }

  /** Resolves once nothing is being delivered, delayed or retried. */
  async idle(): Promise<void> {
    while (this.#deliveries.size > 0) await Promise.all(this.#deliveries);
  }

  /** Ends delays and retries. Targets that run may go on; their result is of no interest any more. */
  close(): void {
    this.#closing.abort();
  }

  #nextDisturbance(event: BusEvent): Disturbance | undefined {
    const match = this.#disturbances.find(({ plan }) => matchesPattern(plan.pattern ?? {}, event));
    if (match === undefined) return undefined;
    match.left -= 1;
    this.#disturbances = this.#disturbances.filter(({ left }) => left > 0);
    return match.plan;
  }

  /** Never rejects. */
  async #deliver(rule: Rule, event: BusEvent, delayMilliseconds: number): Promise<void> {
    const retries = rule.retries ?? 2;
    let pause = delayMilliseconds;
    for (let attempt = 0; ; attempt++) {
      if (!(await this.#wait(pause))) return;
      try {
        await rule.target(structuredClone(event));
        return;
      } catch (error) {
        if (attempt >= retries) {
          this.deadLetters.push({ rule: rule.name, event, error });
          return;
        }
        pause = (rule.retryDelayMilliseconds ?? 100) * 2 ** attempt;
      }
    }
  }

  /** False when the bus was closed meanwhile. Also for 0 ms: a target never runs inside of `put`. */
  async #wait(milliseconds: number): Promise<boolean> {
    const { signal } = this.#closing;
    await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  }
}
