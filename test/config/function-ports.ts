import { readFileSync } from 'node:fs';
import path from 'node:path';

const readRoot = (file: string) =>
  readFileSync(path.resolve(import.meta.dirname, '../..', file), 'utf8');

/**
 * The slice of Deps that a handler asks for: the third type argument of Handle, or the alias `Needs` there.
 * One that takes all (`keyof Deps`) is judged by what it uses and what the operation of its name needs.
 */
export function portsOf(verb: string): string[] {
  const source = readRoot(`functions/${verb}.ts`);
  const alias = (text: string) => /type Needs =([\s\S]*?);/.exec(text)?.[1] ?? '';
  const slice = /Handle<[\s\S]*?,\s*((?:'\w+'[\s|]*)+|Needs|keyof Deps)\s*,?\s*>/.exec(source)?.[1];
  if (slice === 'keyof Deps') {
    const used = [...source.matchAll(/\bdeps\.(\w+)/g)].map(([, port]) => `'${port}'`);
    return quoted(used.join() + alias(readRoot(`src/operations/${verb}.ts`)));
  }
  return quoted(slice === 'Needs' ? alias(source) : (slice ?? ''));
}

function quoted(text: string): string[] {
  return [...text.matchAll(/'(\w+)'/g)].map(([, word = '']) => word);
}
