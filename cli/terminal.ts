import { createInterface } from 'node:readline/promises';

/** Where the command writes, and whom it can ask. Tests have their own. */
export interface Terminal {
  /** Standard output: the result, and nothing else. */
  out(text: string): void;
  /** Standard error: progress, warnings, errors. */
  err(text: string): void;
  readonly outIsTty: boolean;
  readonly errIsTty: boolean;
  /** A person is there to answer. */
  readonly canAsk: boolean;
  ask(question: string, signal: AbortSignal): Promise<string>;
}

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    outIsTty: stdout.isTTY === true,
    errIsTty: stderr.isTTY === true,
    canAsk: stdin.isTTY === true && stderr.isTTY === true,
    async ask(question, signal) {
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return await lines.question(question, { signal });
      } finally {
        lines.close();
      }
    },
  };
}
