import { readFileSync } from 'node:fs';
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';

/**
 * Holds a CloudFormation template against AWS's own resource specification, offline: unknown types and
 * properties at any depth, missing and ill-typed ones, values that are not allowed, references and
 * attributes that do not exist, and circles of dependencies. CloudFormation itself would find most of
 * these only in the middle of a deployment.
 */
export function checkTemplate(template: unknown): Problem[] {
  return [...new TemplateCheck(template).problems()];
}

export interface Problem {
  /** `Resources.BackupBucket.Properties.VersioningConfiguration.Status` */
  readonly path: string;
  readonly message: string;
}

// --- The part of the specification that is read.

type PropertyType =
  | { readonly type: 'string'; readonly allowedValues?: readonly string[] }
  | { readonly type: 'integer' | 'number' | 'boolean' | 'json' | 'tag' | 'date-time' | 'null' }
  | { readonly type: 'array' | 'map'; readonly element: PropertyType }
  | { readonly type: 'ref'; readonly reference: { readonly $ref: string } }
  | { readonly type: 'union'; readonly types: readonly PropertyType[] };

type Properties = Readonly<
  Record<string, { readonly required?: boolean; readonly type: PropertyType }>
>;

interface ResourceSpec {
  readonly properties: Properties;
  readonly attributes: Readonly<Record<string, unknown>>;
}

class Specification {
  readonly #database = loadAwsServiceSpecSync();

  resource(type: string): ResourceSpec | undefined {
    return this.#database.lookup('resource', 'cloudFormationType', 'equals', type)[0] as
      | ResourceSpec
      | undefined;
  }

  definition(id: string): { readonly name: string; readonly properties: Properties } {
    return this.#database.get('typeDefinition', id) as unknown as {
      name: string;
      properties: Properties;
    };
  }
}

let specification: Specification | undefined;

// --- What CloudFormation itself allows.

type Node = Readonly<Record<string, unknown>>;

const SECTIONS = new Set([
  'AWSTemplateFormatVersion',
  'Description',
  'Metadata',
  'Parameters',
  'Mappings',
  'Conditions',
  'Resources',
  'Outputs',
]);
const RESOURCE_KEYS = new Set([
  'Type',
  'Properties',
  'DependsOn',
  'Condition',
  'DeletionPolicy',
  'UpdateReplacePolicy',
  'Metadata',
]);
const REMOVAL_POLICIES = ['Delete', 'Retain', 'RetainExceptOnCreate', 'Snapshot'];
const PSEUDO_PARAMETERS = new Set(
  'AccountId NotificationARNs NoValue Partition Region StackId StackName URLSuffix'
    .split(' ')
    .map((name) => `AWS::${name}`),
);
const FUNCTIONS = new Set(
  'And Base64 Cidr Equals FindInMap GetAtt GetAZs If ImportValue Join Not Or Select Split Sub'
    .split(' ')
    .map((name) => `Fn::${name}`),
);
const MAX_RESOURCES = 500;
/** CloudFormation takes these as text, too. */
const SCALARS = { integer: /^-?\d+$/, number: /^-?\d+(\.\d+)?$/, boolean: /^(true|false)$/ };
const TAG: Properties = {
  Key: { required: true, type: { type: 'string' } },
  Value: { required: true, type: { type: 'string' } },
};

class TemplateCheck {
  readonly #spec: Specification;
  readonly #root: Node;
  readonly #resources: Readonly<Record<string, Node>>;
  readonly #conditions: ReadonlySet<string>;
  readonly #parameters: ReadonlySet<string>;
  /** Who refers to whom, for the circles. */
  readonly #needs = new Map<string, Set<string>>();

  constructor(template: unknown) {
    specification ??= new Specification();
    this.#spec = specification;
    this.#root = asNode(template);
    this.#resources = asNode(this.#root['Resources']) as Record<string, Node>;
    this.#conditions = new Set(Object.keys(asNode(this.#root['Conditions'])));
    this.#parameters = new Set(Object.keys(asNode(this.#root['Parameters'])));
  }

  *problems(): Generator<Problem> {
    yield* this.#checkStructure();
    for (const [id, resource] of Object.entries(this.#resources)) {
      yield* this.#checkResource(id, resource);
    }
    for (const section of ['Conditions', 'Outputs']) {
      yield* this.#checkReferences(this.#root[section], section, undefined);
    }
    yield* this.#checkCircles();
  }

  *#checkStructure(): Generator<Problem> {
    for (const section of Object.keys(this.#root)) {
      if (!SECTIONS.has(section)) yield { path: section, message: 'is no section of a template' };
    }
    const count = Object.keys(this.#resources).length;
    if (count === 0 || count > MAX_RESOURCES) {
      yield { path: 'Resources', message: `there are ${count}; 1 to ${MAX_RESOURCES} may be` };
    }
    for (const [name, output] of Object.entries(asNode(this.#root['Outputs']))) {
      if (asNode(output)['Value'] === undefined) {
        yield { path: `Outputs.${name}`, message: 'needs Value' };
      }
    }
  }

  *#checkResource(id: string, resource: Node): Generator<Problem> {
    const path = `Resources.${id}`;
    if (!/^[A-Za-z0-9]{1,255}$/.test(id)) {
      yield { path, message: 'a logical id is letters and digits' };
    }
    for (const key of Object.keys(resource)) {
      if (!RESOURCE_KEYS.has(key)) {
        yield { path: `${path}.${key}`, message: 'is no attribute of a resource' };
      }
    }
    for (const key of ['DeletionPolicy', 'UpdateReplacePolicy']) {
      const policy = shown(resource[key] ?? 'Delete');
      if (REMOVAL_POLICIES.includes(policy)) continue;
      const message = `${policy} is not one of ${REMOVAL_POLICIES.join(', ')}`;
      yield { path: `${path}.${key}`, message };
    }
    if (resource['Condition'] !== undefined) {
      yield* this.#checkCondition(resource['Condition'], `${path}.Condition`);
    }
    for (const other of [resource['DependsOn'] ?? []].flat().map(shown)) {
      if (other in this.#resources) this.#need(id, other);
      else yield { path: `${path}.DependsOn`, message: `there is no resource ${other}` };
    }
    const { Properties = {}, Type } = resource;
    yield* this.#checkReferences(Properties, `${path}.Properties`, id);
    const type = shown(Type);
    const spec = this.#spec.resource(type);
    if (spec) {
      yield* this.#checkProperties(Properties, spec.properties, `${path}.Properties`, type);
    } else {
      yield { path: `${path}.Type`, message: `there is no resource type ${type}` };
    }
  }

  // --- Types

  *#checkProperties(
    value: unknown,
    spec: Properties,
    path: string,
    what: string,
  ): Generator<Problem> {
    if (!isNode(value)) {
      yield { path, message: `must be an object, is ${shown(value)}` };
      return;
    }
    for (const key of Object.keys(value)) {
      if (!(key in spec)) yield { path: `${path}.${key}`, message: `is no property of ${what}` };
    }
    for (const [key, { type, required }] of Object.entries(spec)) {
      if (value[key] !== undefined) yield* this.#checkType(value[key], type, `${path}.${key}`);
      else if (required) yield { path, message: `needs ${key}` };
    }
  }

  *#checkType(value: unknown, type: PropertyType, path: string): Generator<Problem> {
    if (isFunction(value)) {
      // The values that an Fn::If can have; of any other function the type is not known.
      const branches = value['Fn::If'];
      for (const [index, branch] of Array.isArray(branches) ? branches.entries() : []) {
        if (index > 0) yield* this.#checkType(branch, type, `${path}.Fn::If.${index}`);
      }
      return;
    }
    switch (type.type) {
      case 'string':
        if (typeof value === 'object') yield { path, message: 'must be a string' };
        else if (type.allowedValues && !type.allowedValues.includes(shown(value))) {
          const message = `${shown(value)} is not one of ${type.allowedValues.join(', ')}`;
          yield { path, message };
        }
        break;
      case 'integer':
      case 'number':
      case 'boolean':
        if (!SCALARS[type.type].test(shown(value))) {
          yield { path, message: `must be of type ${type.type}, is ${shown(value)}` };
        }
        break;
      case 'array':
        if (!Array.isArray(value)) yield { path, message: 'must be a list' };
        else yield* this.#checkItems(value, type.element, path);
        break;
      case 'map':
        if (!isNode(value)) yield { path, message: 'must be a map' };
        else yield* this.#checkItems(value, type.element, path);
        break;
      case 'tag':
        yield* this.#checkProperties(value, TAG, path, 'a tag');
        break;
      case 'ref': {
        const { name, properties } = this.#spec.definition(type.reference.$ref);
        yield* this.#checkProperties(value, properties, path, name);
        break;
      }
      case 'union':
        yield* this.#checkUnion(value, type.types, path);
        break;
      case 'json':
      case 'date-time':
      case 'null':
        break;
    }
  }

  *#checkItems(
    value: Node | readonly unknown[],
    element: PropertyType,
    path: string,
  ): Generator<Problem> {
    for (const [key, item] of Object.entries(value)) {
      yield* this.#checkType(item, element, `${path}.${key}`);
    }
  }

  /** One alternative must fit; else the problems of the one with the fewest are told. */
  *#checkUnion(value: unknown, types: readonly PropertyType[], path: string): Generator<Problem> {
    const attempts = types.map((type) => [...this.#checkType(value, type, path)]);
    yield* attempts.sort((a, b) => a.length - b.length)[0] ?? [];
  }

  // --- References

  *#checkReferences(value: unknown, path: string, from: string | undefined): Generator<Problem> {
    if (value === null) {
      yield { path, message: 'is null, which CloudFormation refuses' };
      return;
    }
    if (typeof value !== 'object') return;
    for (const [key, argument] of Object.entries(value)) {
      if (key === 'Ref') yield* this.#checkRef(shown(argument), path, from);
      else if (key === 'Fn::GetAtt') yield* this.#checkGetAtt(argument, path, from);
      else if (key === 'Fn::Sub') yield* this.#checkSub(argument, path, from);
      else {
        if (key.startsWith('Fn::') && !FUNCTIONS.has(key)) {
          yield { path, message: `there is no ${key}` };
        }
        if (key === 'Fn::If' && Array.isArray(argument)) {
          yield* this.#checkCondition(argument[0], path);
        }
        yield* this.#checkReferences(argument, `${path}.${key}`, from);
      }
    }
  }

  *#checkCondition(name: unknown, path: string): Generator<Problem> {
    if (this.#conditions.has(shown(name))) return;
    yield { path, message: `there is no condition ${shown(name)}` };
  }

  *#checkRef(name: string, path: string, from: string | undefined): Generator<Problem> {
    if (name in this.#resources) this.#need(from, name);
    else if (!this.#parameters.has(name) && !PSEUDO_PARAMETERS.has(name)) {
      yield { path, message: `there is no resource or parameter ${name}` };
    }
  }

  *#checkGetAtt(argument: unknown, path: string, from: string | undefined): Generator<Problem> {
    const parts = Array.isArray(argument) ? argument.map(shown) : shown(argument).split('.');
    const [id = '', ...attribute] = parts;
    const resource = this.#resources[id];
    if (!resource) {
      yield { path, message: `there is no resource ${id}` };
      return;
    }
    this.#need(from, id);
    const type = shown(resource['Type']);
    const spec = this.#spec.resource(type);
    if (spec && !(attribute.join('.') in spec.attributes)) {
      yield { path, message: `${type} has no attribute ${attribute.join('.')}` };
    }
  }

  *#checkSub(argument: unknown, path: string, from: string | undefined): Generator<Problem> {
    const [text, own] = (Array.isArray(argument) ? argument : [argument]) as unknown[];
    for (const [, name = ''] of shown(text).matchAll(/\$\{([^!}][^}]*)\}/g)) {
      if (name in asNode(own)) continue;
      yield* name.includes('.')
        ? this.#checkGetAtt(name, path, from)
        : this.#checkRef(name, path, from);
    }
    yield* this.#checkReferences(own, path, from);
  }

  #need(from: string | undefined, to: string): void {
    if (from === undefined) return;
    const needs = this.#needs.get(from) ?? new Set();
    this.#needs.set(from, needs.add(to));
  }

  /** A resource that needs itself, over others, can be created by nobody. */
  *#checkCircles(): Generator<Problem> {
    const done = new Set<string>();
    const needs = this.#needs;
    function* visit(id: string, trail: readonly string[]): Generator<Problem> {
      const start = trail.indexOf(id);
      if (start >= 0) {
        const circle = [...trail.slice(start), id].join(' -> ');
        yield { path: `Resources.${id}`, message: `a circle: ${circle}` };
        return;
      }
      if (done.has(id)) return;
      for (const next of needs.get(id) ?? []) yield* visit(next, [...trail, id]);
      done.add(id);
    }
    for (const id of needs.keys()) yield* visit(id, []);
  }
}

/** A value in a message, or where CloudFormation takes text, number and boolean alike. */
function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'missing');
}

function asNode(value: unknown): Node {
  return isNode(value) ? value : {};
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `{ Ref: … }`, `{ "Fn::…": … }` */
function isFunction(value: unknown): value is Node {
  if (!isNode(value)) return false;
  const [key = '', ...others] = Object.keys(value);
  return others.length === 0 && (key === 'Ref' || key.startsWith('Fn::'));
}

/** Reads and checks a template file. */
export function checkTemplateFile(file: string): Problem[] {
  return checkTemplate(JSON.parse(readFileSync(file, 'utf8')));
}

if (import.meta.main) {
  const file = process.argv[2] ?? '.serverless/cloudformation-template-update-stack.json';
  const problems = checkTemplateFile(file);
  for (const { path, message } of problems) console.error(`${path}: ${message}`);
  console.log(`${file}: ${problems.length} problems`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
