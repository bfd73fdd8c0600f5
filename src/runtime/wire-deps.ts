import type { Deps } from './ports.ts';

/** `process.env`, or what stands for it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How each side effect of a slice is made from the environment. The real ones are in `providers/`, a file
 * each: what imports one of them does not load the SDK clients of the others.
 */
export type Providers<Needs extends keyof Deps> = {
  readonly [Port in Needs]: (environment: Environment) => Deps[Port];
};

/**
 * The slice that the providers make. Each side effect is made when it is first used, and once: a variable
 * is only required by those who use it. Throws InvalidEnvironment then.
 */
export function wireDeps<Needs extends keyof Deps>(
  providers: Providers<Needs>,
  environment: Environment,
): Pick<Deps, Needs> {
  const deps = {} as Pick<Deps, Needs>;
  for (const port of Object.keys(providers) as Needs[]) {
    Object.defineProperty(deps, port, {
      enumerable: true,
      configurable: true,
      get() {
        const value = providers[port](environment);
        Object.defineProperty(deps, port, { value, enumerable: true });
        return value;
      },
    });
  }
  return deps;
}
