import type { Deps } from '#runtime/ports.ts';

/** How long each phase took, in the order in which they began. */
export class PhaseTimes<Phase extends string> {
  readonly #deps: Pick<Deps, 'clock'>;
  readonly #times: { phase: Phase; seconds: number }[] = [];

  readonly #onBegin: ((phase: Phase) => void) | undefined;

  constructor(deps: Pick<Deps, 'clock'>, onBegin?: (phase: Phase) => void) {
    this.#deps = deps;
    this.#onBegin = onBegin;
  }

  async time<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    this.#onBegin?.(phase);
    const began = this.#deps.clock.now().getTime();
    const result = await work();
    const seconds = (this.#deps.clock.now().getTime() - began) / 1000;
    this.#times.push({ phase, seconds });
    return result;
  }

  add(...times: readonly { phase: Phase; seconds: number }[]): void {
    this.#times.push(...times);
  }

  all(): { phase: Phase; seconds: number }[] {
    return [...this.#times];
  }
}
