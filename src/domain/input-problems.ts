import type * as z from 'zod';
import { closest } from './closest.ts';

/**
 * What is wrong with the input of an execution, in words for whoever typed it into the console.
 * `fields` are those of the top level: an unknown one gets the nearest as a suggestion.
 */
export function describeInputProblems(
  input: unknown,
  error: z.ZodError,
  fields: Readonly<Record<string, unknown>>,
): string {
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
  if (!isObject) return 'the input is not a JSON object';
  return error.issues.map((issue) => explain(issue, Object.keys(fields))).join('; ');
}

function explain(issue: z.core.$ZodIssue, fields: readonly string[]): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .map((key) => {
        const meant = path === '' ? closest(key, fields) : undefined;
        const where = path === '' ? 'the input' : path;
        return `${where} has an unknown field ${key}${meant ? ` (did you mean ${meant}?)` : ''}`;
      })
      .join('; ');
  }
  // A rule about the whole of the input says all of it itself.
  if (issue.code === 'custom' && typeof issue.input === 'object') return issue.message;
  if (issue.input === undefined) return `the input has no ${path}`;
  const value = JSON.stringify(issue.input).slice(0, 100);
  if (issue.code === 'invalid_value') {
    return `${path} is ${value}, not one of ${issue.values.map((option) => JSON.stringify(option)).join(', ')}`;
  }
  return `${path} is ${value}: ${issue.message}`;
}
