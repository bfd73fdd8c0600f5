import { readFileSync } from 'node:fs';
import type { Package } from '../../scripts/package.ts';

/** A packaged stack, as the tests read it. */
export interface Template {
  readonly Resources: Readonly<Record<string, Resource>>;
  readonly Outputs: Readonly<Record<string, unknown>>;
}

export interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  // biome-ignore lint/suspicious/noExplicitAny: resources differ; a test fails where it finds other than it expects
  readonly Properties: any; // oxlint-disable-line typescript/no-explicit-any
}

export interface Statement {
  readonly Effect: string;
  readonly Sid?: string;
  readonly Action: readonly string[];
  readonly Resource: readonly unknown[];
  readonly Condition?: Readonly<Record<string, unknown>>;
}

export function readTemplate({ templateFile }: Package): Template {
  return JSON.parse(readFileSync(templateFile, 'utf8')) as Template;
}

export function ofType(template: Template, type: string): [id: string, resource: Resource][] {
  return Object.entries(template.Resources).filter(([, resource]) => resource.Type === type);
}

/** Every statement of every policy, of roles and of resources, with the logical id of its owner. */
export function everyStatement(template: Template): { owner: string; statement: Statement }[] {
  return Object.entries(template.Resources).flatMap(([owner, { Properties: properties = {} }]) => {
    const documents = [
      ...(properties.Policies ?? []).map(
        (policy: { PolicyDocument: unknown }) => policy.PolicyDocument,
      ),
      properties.PolicyDocument,
      properties.KeyPolicy,
    ].filter((document) => document !== undefined) as { Statement: Statement[] }[];
    return documents.flatMap(({ Statement }) =>
      Statement.map((statement) => ({
        owner,
        statement: {
          ...statement,
          Action: [statement.Action].flat(),
          Resource: [statement.Resource].flat(),
        },
      })),
    );
  });
}

/**
 * A resource of a statement in short: `BackupBucket/jobs/*`, `rds:db:*`. The stage becomes STAGE, the
 * function's verb VERB, and what an operator names NAME.
 */
export function shorten(resource: unknown, stage: string): string {
  if (typeof resource === 'string') return resource.replace(/^arn:[^:]*:([^:]+):[^:]*:\d*:/, '$1:');
  const { Ref, 'Fn::GetAtt': attribute, 'Fn::Sub': text } = resource as Record<string, unknown>;
  if (typeof Ref === 'string') return Ref;
  if (Array.isArray(attribute)) return String(attribute[0]);
  return String(text)
    .replace(/^arn:\$\{AWS::Partition\}:([\w-]+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:/, '$1:')
    .replace(/\$\{(\w+)(\.Arn)?\}/g, '$1')
    .replace(`holdfast-${stage}`, 'holdfast-STAGE')
    .replace(new RegExp(`(holdfast(-restore)?)/${stage}/`), '$1/STAGE/')
    .replace(/(\/aws\/lambda\/holdfast-STAGE)-[\w-]+/, '$1-VERB')
    .replace(/(:secret:).+(-\?{6})$/, '$1NAME$2')
    .replace(/(dbuser:\*\/).+$/, '$1NAME');
}

/** Environment variables with a plausible value in the place of each intrinsic function. */
export function resolveEnvironment(variables: Record<string, unknown>): Record<string, string> {
  const arn = 'arn:aws:test:eu-west-1:123456789012:';
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => {
      if (typeof value !== 'object' || value === null) return [name, String(value)];
      const [id = ''] = Object.values(value).flat().map(String);
      return [name, name === 'HOLDFAST_BUCKET' ? 'a-bucket' : `${arn}${id.split(':').at(-1)}`];
    }),
  );
}
