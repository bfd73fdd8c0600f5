import { isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from 'yaml';
import * as z from 'zod';
import { Deployment, type ParsedPlanFile, PlanFile, PlanFileSchema } from '#contracts/plan-file.ts';
import { SourceName, SourcePlan } from '#contracts/source-plan.ts';
import { type HoldfastError, InvalidPlan } from '#errors';
import { closest } from './closest.ts';

/** A plan file of a thousand sources has less; more is not a plan. */
const MAX_FILE_BYTES = 1024 * 1024;
/** How often anchors may be expanded, so that a small file cannot become gigabytes in memory. */
const MAX_ALIASES = 100;
/** SSM: 4 KiB a standard parameter, 8 KiB an advanced one (which costs money). */
const STANDARD_PARAMETER_BYTES = 4096;
const ADVANCED_PARAMETER_BYTES = 8192;

type Path = readonly PropertyKey[];

/** What is wrong where, with what to write instead. */
interface Problem {
  readonly path: Path;
  readonly text: string;
  readonly line: number | undefined;
}

/**
 * The sources of a plan file (YAML, or JSON, which is YAML), with every default filled in.
 * Throws one InvalidPlan that lists every problem with its line, its path and its remedy.
 */
export function parsePlanFile(text: string, fileName: string): ParsedPlanFile {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    throw new InvalidPlan(`${fileName} is larger than ${MAX_FILE_BYTES} bytes`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const problems: Problem[] = document.errors.map(({ code, message, pos }) => ({
    path: [],
    text:
      code === 'DUPLICATE_KEY'
        ? `${keyAt(text, pos[0])} is written twice; keep one of the two`
        : `is not valid YAML: ${message.split('\n')[0]}`,
    line: lines.linePos(pos[0]).line,
  }));
  // A duplicated key leaves the rest readable; after other faults, further problems would mislead.
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY'))
    throw asError(fileName, problems);

  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    throw new InvalidPlan(`${fileName} cannot be expanded: ${(cause as Error).message}`, {
      remedy: 'write the settings out instead of repeating an anchor',
      cause,
    });
  }
  const checked = checkContent(content);
  problems.push(
    ...checked.problems.map((problem) => ({
      ...problem,
      line: lineOf(document.contents, problem.path, lines),
    })),
  );
  if (problems.length > 0 || !checked.file) throw asError(fileName, problems);
  return checked.file;
}

/** Everything that is wrong with the content, or the file when nothing is. */
function checkContent(content: unknown): {
  file?: ParsedPlanFile;
  problems: Omit<Problem, 'line'>[];
} {
  const top = PlanFile.omit({ sources: true, deployment: true })
    .extend({ deployment: z.unknown().optional(), sources: z.unknown().optional() })
    .safeParse(content, { reportInput: true });
  const problems = problemsOf(top, [], content);
  if (!isRecord(content)) return { problems };

  const deployment = Deployment.prefault({}).safeParse(content['deployment'], {
    reportInput: true,
  });
  problems.push(...problemsOf(deployment, ['deployment'], content));

  const sources: SourcePlan[] = [];
  const entries = isRecord(content['sources']) ? Object.entries(content['sources']) : [];
  if (entries.length === 0) {
    problems.push({ path: ['sources'], text: 'names no source; write at least one below it' });
  }
  for (const [name, value] of entries) {
    const path = ['sources', name];
    if (!SourceName.safeParse(name).success) {
      problems.push(...problemsOf(SourceName.safeParse(name), path, content));
    } else if (!isRecord(value)) {
      problems.push({ path, text: `is ${show(value)}; write the settings of the source below it` });
    } else if ('source' in value) {
      problems.push({ path: [...path, 'source'], text: 'is the key above already; leave it out' });
    } else {
      const plan = SourcePlan.safeParse({ ...value, source: name }, { reportInput: true });
      if (plan.success) sources.push(plan.data);
      problems.push(...problemsOf(plan, path, content));
    }
  }
  if (problems.length > 0 || !deployment.success) return { problems };
  return { file: { deployment: deployment.data, sources }, problems };
}

/** One problem a path: where several rules fail, the first says most. */
function problemsOf(
  result: z.ZodSafeParseResult<unknown>,
  base: Path,
  content: unknown,
): Omit<Problem, 'line'>[] {
  const seen = new Set<string>();
  return (result.error?.issues ?? [])
    .flatMap((issue) => explain(issue, base, content))
    .filter(({ path }) => {
      const name = path.join('\0');
      return !seen.has(name) && seen.add(name);
    });
}

/** A zod issue in the operator's words. */
function explain(issue: z.core.$ZodIssue, base: Path, content: unknown): Omit<Problem, 'line'>[] {
  // The plan's own name is not in the file: it is the key.
  const inner = issue.path[0] === 'source' ? [] : issue.path;
  const path = [...base, ...inner];
  const value = valueAt(content, path);
  const hint = descriptionAt(path, content);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(path, content);
      return issue.keys.map((key) => {
        const meant = closest(key, known);
        const remedy = meant ? `did you mean ${meant}?` : `known here: ${known.join(', ')}`;
        return { path: [...path, key], text: `is not known; ${remedy}` };
      });
    }
    case 'invalid_type':
      if (value === undefined)
        return [
          {
            path,
            text: `is missing; write ${hint ?? TYPE_NAMES[issue.expected] ?? issue.expected}`,
          },
        ];
      return [
        { path, text: `is ${show(value)}; write ${TYPE_NAMES[issue.expected] ?? issue.expected}` },
      ];
    case 'invalid_value':
      return [{ path, text: choose(value, issue.values.map(String)) }];
    case 'invalid_union': {
      const options = 'options' in issue ? (issue.options as unknown[]) : undefined;
      if (options) return [{ path, text: choose(value, options.map(String)) }];
      return [{ path, text: `is ${show(value)}; write ${hint ?? 'something else'}` }];
    }
    case 'too_small':
    case 'too_big': {
      const limit = issue.code === 'too_small' ? issue.minimum : issue.maximum;
      const bound = issue.code === 'too_small' ? 'at least' : 'at most';
      const unit = LENGTH_UNITS[issue.origin] ?? '';
      const plural = unit === '' || Number(limit) === 1 ? '' : 's';
      return [{ path, text: `is ${show(value)}; write ${bound} ${limit}${unit}${plural}` }];
    }
    default:
      return [
        { path, text: value === undefined ? issue.message : `${show(value)}: ${issue.message}` },
      ];
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list: [a, b]',
  object: 'settings below it',
};

const LENGTH_UNITS: Readonly<Record<string, string>> = {
  string: ' character',
  array: ' item',
};

function choose(value: unknown, options: readonly string[]): string {
  const remedy =
    options.length === 1 ? `write ${options[0]}` : `write one of ${options.join(', ')}`;
  if (value === undefined) return `is missing; ${remedy}`;
  const meant = typeof value === 'string' ? closest(value, options) : undefined;
  return `is ${show(value)}; ${meant ? `did you mean ${meant}?` : remedy}`;
}

/** A value as the operator wrote it, shortened. */
function show(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a group of settings';
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** A node of the JSON Schema of plan files, which knows every key and its description. */
interface SchemaNode {
  readonly description?: string;
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly oneOf?: readonly SchemaNode[];
  readonly anyOf?: readonly SchemaNode[];
}

/** The JSON Schema of plan files, for editors; no rule that spans several settings is in it. */
export function planFileJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(PlanFileSchema, {
    io: 'input',
    // The bounds that zod adds to every integer say nothing to a reader.
    override: ({ jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  });
  return { $schema, title: 'Holdfast plan file', ...schema };
}

let schemaOfFiles: SchemaNode | undefined;

/** The alternatives that the value at a path may follow, as far as the value itself tells. */
function schemasAt(path: Path, content: unknown): SchemaNode[] {
  schemaOfFiles ??= planFileJsonSchema() as SchemaNode;
  let nodes = alternatives(schemaOfFiles, content);
  for (const [depth, key] of path.entries()) {
    const value = valueAt(content, path.slice(0, depth + 1));
    nodes = nodes.flatMap((node) => {
      const named = Object.hasOwn(node.properties ?? {}, key)
        ? node.properties?.[String(key)]
        : undefined;
      const other =
        typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
      const next = typeof key === 'number' ? node.items : (named ?? other);
      return next ? alternatives(next, value) : [];
    });
  }
  return nodes;
}

/** Of a union, the members whose discriminating constants the value carries; all when it has none. */
function alternatives(node: SchemaNode, value: unknown): SchemaNode[] {
  const members = node.oneOf ?? node.anyOf;
  if (!members) return [node];
  const fitting = members.filter((member) =>
    Object.entries(member.properties ?? {}).some(
      ([key, { const: constant }]) => constant !== undefined && valueAt(value, [key]) === constant,
    ),
  );
  return [...(fitting.length > 0 ? fitting : members), { description: node.description ?? '' }];
}

function keysAt(path: Path, content: unknown): string[] {
  const keys = schemasAt(path, content).flatMap((node) => Object.keys(node.properties ?? {}));
  return [...new Set(keys)];
}

function descriptionAt(path: Path, content: unknown): string | undefined {
  return schemasAt(path, content).find((node) => node.description)?.description;
}

function valueAt(content: unknown, path: Path): unknown {
  let value = content;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** The line of the last key on the path that is in the file. */
function lineOf(contents: ParsedNode | null, path: Path, lines: LineCounter): number | undefined {
  let node: unknown = contents;
  let line: number | undefined;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key: name }) => isScalar(name) && String(name.value) === key);
      if (!pair) return line;
      const start = (pair.key as ParsedNode).range?.[0];
      if (start !== undefined) line = lines.linePos(start).line;
      node = pair.value;
    } else if (isSeq(node) && typeof key === 'number') {
      node = node.items[key];
      const start = (node as ParsedNode | undefined)?.range?.[0];
      if (start !== undefined) line = lines.linePos(start).line;
    } else {
      return line;
    }
  }
  return line;
}

function keyAt(text: string, offset: number): string {
  return /^[^:\n]*/.exec(text.slice(offset))?.[0].trim() || 'a key';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asError(fileName: string, problems: readonly Problem[]): HoldfastError {
  const sorted = [...problems].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const list = sorted.map(({ path, text, line }) => {
    const where = [line === undefined ? [] : `line ${line}`, path.map(String).join('.')];
    return `  ${where.flat().filter(Boolean).join(', ')}: ${text}`;
  });
  const count = list.length === 1 ? 'a problem' : `${list.length} problems`;
  return new InvalidPlan(`${fileName} has ${count}:\n${list.join('\n')}`);
}

/** The value of the source's SSM parameter. Throws InvalidPlan when it is more than 8 KiB. */
export function serializeSourcePlan(plan: SourcePlan): string {
  const value = JSON.stringify(plan);
  if (Buffer.byteLength(value) > ADVANCED_PARAMETER_BYTES) {
    throw new InvalidPlan(
      `the plan of ${plan.source} has ${Buffer.byteLength(value)} bytes, an SSM parameter holds ${ADVANCED_PARAMETER_BYTES}`,
      { remedy: 'use patterns instead of long lists of databases, or split the source in two' },
    );
  }
  return value;
}

/** The cheapest tier of SSM parameter that holds a value of {@link serializeSourcePlan}. */
export function parameterTier(value: string): 'Standard' | 'Advanced' {
  return Buffer.byteLength(value) > STANDARD_PARAMETER_BYTES ? 'Advanced' : 'Standard';
}
