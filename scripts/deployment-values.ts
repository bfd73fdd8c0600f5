import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ParsedPlanFile } from '#contracts/plan-file.ts';
import { parsePlanFile } from '#domain/plan-file.ts';
import { alarms } from '../resources/alarms.ts';
import { dashboard } from '../resources/dashboard.ts';
import * as fromPlan from '../resources/from-plan.ts';
import { roles as roleResources } from '../resources/roles.ts';

/**
 * What serverless.yml takes from elsewhere in the checkout, by name:
 * `${file(scripts/serverless-values.js):lifecycleRules}`. An undefined value leaves the property out.
 */

const ROOT = path.resolve(import.meta.dirname, '..');

/** How osls calls a value that is a function. */
interface Resolver {
  readonly resolveVariable: (variable: string) => Promise<unknown>;
}

/** Lambda's and the layer folder's name of the machine's architecture. */
export const architecture = process.arch === 'arm64' ? 'arm64' : 'x86_64';

/** Only then: a file that was named must exist. */
const DEFAULT_PLAN_FILES = ['config/holdfast.yml', 'config/holdfast.example.yml'];

/** HOLDFAST_CONFIG, else the operator's own plan file, else the example. */
export function planFilePath(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['HOLDFAST_CONFIG'];
  if (named) return path.resolve(named);
  const found = DEFAULT_PLAN_FILES.map((file) => path.join(ROOT, file)).find((file) =>
    existsSync(file),
  );
  if (!found) throw new Error(`there is no plan file: write ${DEFAULT_PLAN_FILES[0]}`);
  return found;
}

/** @throws InvalidPlan with every problem of the file. */
export function loadPlanFile(file = planFilePath()): ParsedPlanFile {
  return parsePlanFile(readFileSync(file, 'utf8'), path.relative(process.cwd(), file) || file);
}

export function version(): string {
  const text = readFileSync(path.join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

export const logRetentionDays = () => loadPlanFile().deployment.logRetentionDays;
export const lifecycleRules = () => fromPlan.lifecycleRules(loadPlanFile().deployment.lifecycle);
export const subscriptions = () => fromPlan.subscriptions(loadPlanFile().deployment.alertEmails);

/** `vpc` of Discover Databases; false: none. */
export function discoveryNetwork() {
  const { network } = loadPlanFile().deployment;
  return network ? { subnetIds: network.subnets, securityGroupIds: network.securityGroups } : false;
}

/** Logical ids of the alarms that do not depend on the plan. */
function deploymentAlarms(): string[] {
  const text = readFileSync(path.join(ROOT, 'resources/monitoring.yml'), 'utf8');
  const found = text.matchAll(/^ {2}(\w+):\n {4}Type: AWS::CloudWatch::Alarm$/gm);
  return [...found].map(([, id = '']) => id);
}

export async function sources({ resolveVariable }: Resolver) {
  const stage = String(await resolveVariable('sls:stage'));
  const state = String(await resolveVariable('param:schedules'));
  const actionsEnabled = String(await resolveVariable('param:alarmActions')) === 'true';
  const plans = loadPlanFile().sources;
  return {
    ...fromPlan.sources(plans, { stage, state }),
    ...alarms(plans, { stage, state, actionsEnabled }),
    ...dashboard(plans, { stage, state, deploymentAlarms: deploymentAlarms() }),
  };
}

export async function roles({ resolveVariable }: Resolver) {
  const stage = String(await resolveVariable('sls:stage'));
  const plan = loadPlanFile();
  return roleResources({
    stage,
    sources: plan.sources,
    furtherSecrets: plan.deployment.secretArns,
    inVpc: plan.deployment.network !== undefined,
  });
}

/** Null, which osls leaves out, without a bucket for access logs. */
export async function accessLogs({ resolveVariable }: Resolver) {
  const bucket = String(await resolveVariable('param:accessLogBucket'));
  return bucket === '' ? null : { DestinationBucketName: bucket, LogFilePrefix: 'holdfast/' };
}

/** ECS's name of the architecture. */
export async function cpuArchitecture({ resolveVariable }: Resolver) {
  return (await resolveVariable('param:architecture')) === 'arm64' ? 'ARM64' : 'X86_64';
}

/** As a string: osls would remove `"ResultPath": null` and the like from an object. */
function definition(name: string): string {
  const file = path.join(ROOT, `statemachines/${name}.asl.json`);
  return JSON.stringify(JSON.parse(readFileSync(file, 'utf8')));
}

export const backupDefinition = () => definition('backup');
export const restoreDefinition = () => definition('restore');
export const restoreServerDefinition = () => definition('restore-server');
export const drillDefinition = () => definition('drill');
