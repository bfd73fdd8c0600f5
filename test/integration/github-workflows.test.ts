import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { LOCAL_SERVICES_FILE, LocalServices } from '#contracts/local-services.ts';
import { publishServices } from '#local/services-record.ts';
import { LOCAL } from '#local/stack.ts';
import { sharedProgram } from '#test/shared-build.ts';
import { usePipeline } from '#test/stack.ts';

/**
 * The last step of a workflow as GitHub runs it, against the local services. What it asks of them goes through
 * a proxy that holds each request against the policy in docs/github-actions.md.
 */

const LIMIT_MILLISECONDS = 240_000;
const root = resolve(import.meta.dirname, '../..');
const pipeline = usePipeline({
  plan: {
    databases: ['shop'],
    kinds: ['logical'],
    schedule: { expression: 'rate(1 day)', timezone: 'UTC' },
  },
});
let directory = '';
let environment: Record<string, string> = {};
let withdraw = async () => {};
const proxies: Server[] = [];
const asked: { action: string; resource: string }[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-workflow-'));
  const program = await sharedProgram();
  withdraw = await publishServices(pipeline().stack, pipeline().directory);
  const file = join(pipeline().directory, LOCAL_SERVICES_FILE);
  const services = LocalServices.parse(JSON.parse(await readFile(file, 'utf8')));
  environment = { ...services.environment };
  for (const [name, endpoint] of Object.entries(environment)) {
    if (name.startsWith('AWS_ENDPOINT_URL')) environment[name] = await startProxy(endpoint);
  }
  // The command of these sources, rather than of the build that the checkout may have; a checkout's Node.
  const npx = `#!/bin/bash\n[[ $1 == holdfast ]] || exit 97\nshift\nexec '${process.execPath}' '${program}' "$@"\n`;
  await writeFile(join(directory, 'npx'), npx, { mode: 0o755 });
  const node = `#!/bin/bash\nexec '${process.execPath}' "$@"\n`;
  await writeFile(join(directory, 'node'), node, { mode: 0o755 });
});
afterAll(async () => {
  for (const proxy of proxies) proxy.close();
  await withdraw();
  await rm(directory, { recursive: true, force: true });
});

async function startProxy(endpoint: string): Promise<string> {
  const proxy = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      asked.push(readRequest(incoming, body));
      const { method, url = '/', headers } = incoming;
      const forwarded = request(new URL(url, endpoint), { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      forwarded.on('error', () => outgoing.writeHead(502).end());
      forwarded.end(body);
    });
  });
  proxies.push(proxy);
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

/** The action and the resource for which AWS would want a permission. */
function readRequest(incoming: IncomingMessage, body: Buffer) {
  const [service, call] = String(incoming.headers['x-amz-target'] ?? '').split('.');
  if (call !== undefined) {
    const parameters = JSON.parse(body.toString()) as Record<string, string>;
    const { Name, Path, stateMachineArn, executionArn } = parameters;
    const parameter = (Name ?? Path ?? '').replace(
      /^/,
      'arn:aws:ssm:eu-west-1:123456789012:parameter',
    );
    return {
      action: `${service === 'AmazonSSM' ? 'ssm' : 'states'}:${call}`,
      resource: stateMachineArn ?? executionArn ?? parameter,
    };
  }
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://store');
  if (searchParams.has('list-type')) {
    return {
      action: 's3:ListBucket',
      resource: `arn:aws:s3:::${pathname.replaceAll('/', '')}`,
    };
  }
  const verb = { GET: 'GetObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[
    incoming.method ?? ''
  ];
  return {
    action: `s3:${verb}`,
    resource: `arn:aws:s3::${decodeURIComponent(pathname).replace('/', ':')}`,
  };
}

interface PolicyStatement {
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
}

/** The operator role's policy, for the stage, the account and the bucket of the local services. */
async function readOperatorPolicy(): Promise<PolicyStatement[]> {
  const guide = await readFile(join(root, 'docs/github-actions.md'), 'utf8');
  const [, json = ''] = guide.split('<!-- operator.json -->\n```json\n');
  const text = (json.split('\n```')[0] ?? '')
    .replaceAll('REGION', 'eu-west-1')
    .replaceAll('ACCOUNT', '123456789012')
    .replaceAll('BUCKET', LOCAL.bucket)
    .replaceAll('holdfast-prod-', 'holdfast-local-')
    .replaceAll('holdfast/prod/', 'holdfast/local/');
  return (JSON.parse(text) as { Statement: PolicyStatement[] }).Statement;
}

function isAllowed(
  policy: readonly PolicyStatement[],
  { action, resource }: { action: string; resource: string },
): boolean {
  const matches = (pattern: string) =>
    new RegExp(`^${pattern.replaceAll(/[.$]/g, '\\$&').replaceAll('*', '.*')}$`).test(resource);
  return policy.some(({ Action, Resource }) => Action.includes(action) && Resource.some(matches));
}

interface End {
  readonly exitCode: number | null;
  readonly stderr: string;
  /** What the job's page shows, with its numbers as characters. */
  readonly summary: string;
}

async function follow(workflow: string, inputs: Record<string, string>): Promise<End> {
  const { jobs } = parse(await readFile(join(root, '.github/workflows', workflow), 'utf8')) as {
    jobs: Record<string, { steps: { run?: string }[] }>;
  };
  const script = Object.values(jobs)[0]?.steps.at(-1)?.run ?? '';
  const summaryFile = join(directory, 'summary.md');
  await writeFile(join(directory, 'step.sh'), script);
  await writeFile(summaryFile, '');
  const child = spawn(
    'bash',
    ['--noprofile', '--norc', '-eo', 'pipefail', join(directory, 'step.sh')],
    {
      cwd: root,
      env: {
        ...environment,
        PATH: `${directory}:${process.env['PATH']}`,
        RUNNER_TEMP: directory,
        GITHUB_STEP_SUMMARY: summaryFile,
        STAGE: 'local',
        DATABASE: '',
        ...inputs,
      },
      stdio: ['ignore', 'inherit', 'pipe'],
      timeout: LIMIT_MILLISECONDS,
    },
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const exitCode = await new Promise<number | null>((settle, reject) => {
    child.once('error', reject);
    child.once('close', settle);
  });
  const summary = (await readFile(summaryFile, 'utf8')).replaceAll(/&#(\d+);/g, (_, code) =>
    String.fromCodePoint(Number(code)),
  );
  return { exitCode, stderr, summary };
}

const HOSTILE_REASON = 'release "4.2" | $(touch /tmp/x) `id`; <b>--json</b>';

describe('the job of Backup now', () => {
  it(
    'ends well with a verified backup, and shows it in its page',
    async () => {
      const { exitCode, stderr, summary } = await follow('backup-now.yml', {
        SOURCE: 'orders',
        REASON: HOSTILE_REASON,
      });
      expect(exitCode, stderr).toBe(0);
      expect(summary).toMatch(/^## ✅ Backup of <code>orders<\/code>: verified\n/);
      expect(summary).toContain(`| Reason | <code>${HOSTILE_REASON}</code> |`);
      expect(summary).toMatch(/^\| <code>shop<\/code> \| verified \(<code>full<\/code>\) \| /m);
      expect(stderr).toContain('✓ Dump Database (shop)');
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'ends with the exit code of the run when that fails, and its page says why',
    async () => {
      const end = await follow('backup-now.yml', {
        SOURCE: 'orders',
        DATABASE: 'nowhere, else',
        REASON: 'a test',
      });
      expect(end.exitCode, end.stderr).toBe(1);
      expect(end.summary).toMatch(/^## ❌ Backup of <code>orders<\/code>: FAILED\n/);
      expect(end.summary).toContain('nowhere, else');
    },
    LIMIT_MILLISECONDS,
  );

  it.each([
    ['is not there', 'billing', 3, 'UnknownSource'],
    ['would be an option of the command', '--local=.', 2, 'InvalidInput'],
    ['would be a command of the shell', '$(touch x); orders', 2, 'InvalidInput'],
  ])('starts nothing for a source that %s', async (_, source, code, error) => {
    const before = asked.filter(({ action }) => action === 'states:StartExecution').length;
    const { exitCode, summary } = await follow('backup-now.yml', { SOURCE: source, REASON: 'x' });
    expect(exitCode).toBe(code);
    expect(summary).toContain(`## ❌ Not done\n\n<code>${error}</code>: `);
    // It came to the command as what it is.
    expect(summary).toContain(`"${source}"`);
    expect(asked.filter(({ action }) => action === 'states:StartExecution')).toHaveLength(before);
  });
});

describe('the job of Drill now', () => {
  it(
    'ends well when the backup came back, and its page names RTO and RPO',
    async () => {
      const { exitCode, stderr, summary } = await follow('drill-now.yml', {
        SOURCE: 'orders',
        DATABASE: 'shop',
        REASON: HOSTILE_REASON,
      });
      expect(exitCode, stderr + summary).toBe(0);
      expect(summary).toMatch(/^## ✅ Drill of <code>orders<\/code>: passed\n/);
      expect(summary).toMatch(/\(RTO\) \| \d+ s; target 4 h 0 min met \|/);
      expect(summary).toMatch(/\(RPO\) \| \d+ s; target 24 h 0 min met \|/);
      expect(summary).toContain(`| Reason | <code>${HOSTILE_REASON}</code> |`);
      expect(summary).toMatch(/^\| <code>shop<\/code> \| PASSED \| /m);
    },
    LIMIT_MILLISECONDS,
  );

  it(
    'ends with 1 when there is nothing that could be brought back, and its page says so',
    async () => {
      const end = await follow('drill-now.yml', {
        SOURCE: 'orders',
        DATABASE: 'nowhere',
        REASON: 'x',
      });
      expect(end.exitCode, end.stderr).toBe(1);
      expect(end.summary).toMatch(/^## ❌ \S.*<code>orders<\/code>: .*FAILED/);
      expect(end.summary).toContain('nowhere');
    },
    LIMIT_MILLISECONDS,
  );
});

describe('the operator role', () => {
  it('allows what the jobs asked for, and nothing else', async () => {
    const policy = await readOperatorPolicy();
    expect(asked.filter((it) => !isAllowed(policy, it))).toEqual([]);
    const actions = new Set(asked.map(({ action }) => action));
    expect([...actions].toSorted()).toEqual([
      's3:GetObject',
      's3:ListBucket',
      'ssm:GetParameter',
      'ssm:GetParametersByPath',
      'states:DescribeExecution',
      'states:GetExecutionHistory',
      'states:StartExecution',
    ]);
    // What nobody asks for is not given.
    const given = new Set(policy.flatMap(({ Action }) => Action));
    expect([...given].filter((action) => !actions.has(action)).toSorted()).toEqual(['kms:Decrypt']);
    const other = { action: 's3:GetObject', resource: `arn:aws:s3:::${LOCAL.bucket}/backups/x` };
    expect(isAllowed(policy, other)).toBe(false);
  });
});
