import { ServiceError } from './service-error.ts';

/**
 * The two wire protocols that our SDK clients speak. awsJson (Step Functions, ECS, SSM, Secrets
 * Manager): the operation is in `X-Amz-Target`, times are epoch seconds. awsQuery (SNS, RDS): a form
 * with dotted names in, XML out. Both are described at https://smithy.io/2.0/aws/protocols/.
 */
export type ServiceName = 'states' | 'ecs' | 'ssm' | 'secretsmanager' | 'sns' | 'rds';

export interface ApiCall {
  readonly protocol: 'json' | 'query';
  readonly service: ServiceName;
  readonly operation: string;
  readonly input: unknown;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const serviceOfTarget: Readonly<Record<string, ServiceName>> = {
  AWSStepFunctions: 'states',
  AmazonEC2ContainerServiceV20141113: 'ecs',
  AmazonSSM: 'ssm',
  secretsmanager: 'secretsmanager',
};

/** The query protocol names no service in the body, but each service has its own API version. */
const serviceOfVersion: Readonly<Record<string, { name: ServiceName; namespace: string }>> = {
  '2010-03-31': { name: 'sns', namespace: 'http://sns.amazonaws.com/doc/2010-03-31/' },
  '2014-10-31': { name: 'rds', namespace: 'http://rds.amazonaws.com/doc/2014-10-31/' },
};

/** @throws ServiceError where the request names no service or operation that exists here. */
export function decodeCall(target: string | undefined, body: string): ApiCall {
  if (target !== undefined) {
    const [prefix = '', operation = ''] = target.split('.');
    const service = serviceOfTarget[prefix];
    if (!service) throw new ServiceError('UnknownOperationException', `no service ${target}`);
    return { protocol: 'json', service, operation, input: parseJson(body) };
  }
  const { Action, Version, ...input } = decodeForm(body);
  const service = serviceOfVersion[String(Version)];
  if (typeof Action !== 'string' || !service) {
    throw new ServiceError('InvalidAction', `no action ${String(Action)} of ${String(Version)}`);
  }
  return { protocol: 'query', service: service.name, operation: Action, input };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body === '' ? '{}' : body);
  } catch (cause) {
    throw new ServiceError('SerializationException', `the body is not JSON: ${String(cause)}`);
  }
}

type Tree = { [name: string]: string | Tree };

/** `Tags.Tag.1.Key=a` becomes `{ Tags: [{ Key: 'a' }] }`; every value stays a string. */
export function decodeForm(body: string): Record<string, unknown> {
  const root: Tree = Object.create(null);
  for (const [path, value] of new URLSearchParams(body)) {
    const names = path.split('.');
    const last = names.pop() ?? '';
    let node = root;
    for (const name of names) {
      const child = node[name];
      const next: Tree = typeof child === 'object' ? child : Object.create(null);
      node[name] = next;
      node = next;
    }
    node[last] = value;
  }
  return collapse(root) as Record<string, unknown>;
}

/** Numbered members become a list, and so does the element name (`Tag`, `member`, …) around them. */
function collapse(node: string | Tree): unknown {
  if (typeof node === 'string') return node;
  const names = Object.keys(node);
  if (names.length > 0 && names.every((name) => /^\d+$/.test(name))) {
    return names.sort((a, b) => Number(a) - Number(b)).map((name) => collapse(node[name] ?? ''));
  }
  const members = names.map((name) => [name, collapse(node[name] ?? '')] as const);
  const [only] = members;
  return members.length === 1 && Array.isArray(only?.[1]) && isListWrapper(only[0])
    ? only[1]
    : Object.fromEntries(members);
}

function isListWrapper(name: string): boolean {
  return ['Tag', 'Filter', 'Value', 'VpcSecurityGroupId', 'member', 'entry'].includes(name);
}

export function encodeResult(call: ApiCall, output: object, requestId: string): HttpAnswer {
  if (call.protocol === 'json') return jsonAnswer(200, withEpochSeconds(output), requestId);
  const name = call.operation;
  const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
  const result = `<${name}Result>${xmlMembers(output)}</${name}Result>`;
  const namespace = Object.values(serviceOfVersion).find((it) => it.name === call.service);
  const root = `${name}Response`;
  return xmlAnswer(
    200,
    `<${root} xmlns="${namespace?.namespace}">${result}${metadata}</${root}>`,
    requestId,
  );
}

export function encodeError(
  protocol: ApiCall['protocol'],
  error: ServiceError,
  requestId: string,
): HttpAnswer {
  const { code, message, httpStatus } = error;
  if (protocol === 'json') {
    return jsonAnswer(httpStatus, { __type: code, message }, requestId);
  }
  const type = httpStatus < 500 ? 'Sender' : 'Receiver';
  const members = xmlMembers({ Type: type, Code: code, Message: message });
  const body = `<ErrorResponse><Error>${members}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
  return xmlAnswer(httpStatus, body, requestId);
}

function jsonAnswer(status: number, value: unknown, requestId: string): HttpAnswer {
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    'x-amzn-requestid': requestId,
  };
  return { status, headers, body: JSON.stringify(value) };
}

function xmlAnswer(status: number, body: string, requestId: string): HttpAnswer {
  const headers = { 'content-type': 'text/xml', 'x-amzn-requestid': requestId };
  return { status, headers, body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}` };
}

function withEpochSeconds(value: unknown): unknown {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(withEpochSeconds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withEpochSeconds(member)]),
  );
}

/** RDS names the elements of its lists; elsewhere they are called `member`. */
const elementOfList: Readonly<Record<string, string>> = {
  DBInstances: 'DBInstance',
  DBClusters: 'DBCluster',
  DBSnapshots: 'DBSnapshot',
  DBClusterSnapshots: 'DBClusterSnapshot',
  DBClusterMembers: 'DBClusterMember',
  DBInstanceAutomatedBackups: 'DBInstanceAutomatedBackup',
  DBClusterAutomatedBackups: 'DBClusterAutomatedBackup',
  DBParameterGroups: 'DBParameterGroup',
  OptionGroupMemberships: 'OptionGroupMembership',
  VpcSecurityGroups: 'VpcSecurityGroupMembership',
  TagList: 'Tag',
};

function xmlMembers(value: object): string {
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `<${name}>${xmlValue(name, member)}</${name}>`)
    .join('');
}

function xmlValue(name: string, value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) {
    const element = elementOfList[name] ?? 'member';
    return value.map((item) => `<${element}>${xmlValue(element, item)}</${element}>`).join('');
  }
  if (typeof value === 'object' && value !== null) return xmlMembers(value);
  return escapeXml(String(value));
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};

/** Control characters cannot be written in XML 1.0 at all. */
function escapeXml(text: string): string {
  return text
    .replace(/(?![\t\n\r])\p{Cc}|[\ufffe\uffff]/gu, '\ufffd')
    .replace(/[&<>"\r]/g, (char) => escapes[char] ?? char);
}
