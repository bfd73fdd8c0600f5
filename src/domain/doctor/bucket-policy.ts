import * as z from 'zod';

/** What of a bucket policy matters to whether plain HTTP is refused. Source: "Grammar of the IAM JSON policy language". */
const Texts = z.union([z.string(), z.array(z.string())]).transform((it) => [it].flat());
const Statement = z.object({
  Effect: z.string(),
  Principal: z.unknown().optional(),
  Action: Texts.optional(),
  Resource: Texts.optional(),
  Condition: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});
const Policy = z.object({
  Statement: z.union([Statement, z.array(Statement)]).transform((it) => [it].flat()),
});
type Statement = z.infer<typeof Statement>;

/**
 * Whether every request to the bucket and its objects that does not come over TLS is denied. A statement
 * counts when it denies everything to everybody under that one condition; one that is narrower, or that we do
 * not understand, does not. Undefined: the text is no policy.
 */
export function refusesPlainHttp(policy: string, bucket: string): boolean | undefined {
  const parsed = Policy.safeParse(parseJson(policy));
  if (!parsed.success) return undefined;
  const denied = parsed.data.Statement.filter(
    (statement) =>
      statement.Effect === 'Deny' &&
      isEverybody(statement.Principal) &&
      (statement.Action ?? []).some(
        (action) => action === '*' || action.toLowerCase() === 's3:*',
      ) &&
      isPlainHttp(statement.Condition),
  ).flatMap(({ Resource = [] }) => Resource);
  const covers = (suffix: string) => denied.some((resource) => isCovered(resource, bucket, suffix));
  return covers('') && covers('/*');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `"*"`, `{"AWS":"*"}`, `{"AWS":["*"]}`; a NotPrincipal or an account is not everybody. */
function isEverybody(principal: unknown): boolean {
  if (principal === '*') return true;
  if (typeof principal !== 'object' || principal === null) return false;
  return [(principal as { AWS?: unknown }).AWS].flat().includes('*');
}

/** Exactly `Bool: { "aws:SecureTransport": "false" }`; names of operators' keys ignore case. */
function isPlainHttp(condition: Statement['Condition']): boolean {
  const tests = Object.entries(condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, value]) => ({ operator, key: key.toLowerCase(), value })),
  );
  const [only] = tests;
  return (
    tests.length === 1 &&
    only !== undefined &&
    /^Bool(IfExists)?$/.test(only.operator) &&
    only.key === 'aws:securetransport' &&
    [only.value].flat().every((value) => String(value).toLowerCase() === 'false')
  );
}

function isCovered(resource: string, bucket: string, suffix: string): boolean {
  if (resource === '*') return true;
  const [, path] = /^arn:[\w-]+:s3:::(.*)$/.exec(resource) ?? [];
  // `bucket*` is both the bucket and everything in it.
  return path === '*' || path === `${bucket}*` || path === `${bucket}${suffix}`;
}
