import { mkdirSync, writeFileSync } from 'node:fs';
import { opendir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writePrivateFile } from '#adapters/private-file.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import { runIdOfExecution } from '#domain/names.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport, type ReportModel } from '#domain/report/report-model.ts';
import { InvalidPlan } from '#errors';
import { type GatherNeeds, gatherReport } from '#operations/report/gather-report.ts';
import type { ListedObject, ObjectHead } from '#runtime/ports.ts';
import { readExecutions } from './execution-journal.ts';
import { progressOf } from './machine-progress.ts';

/**
 * What lies in `.holdfast`, read without the services that wrote it: a bucket's current objects are plain files
 * below `s3/<bucket>/`, and each start leaves its plans in `plans/`. Nothing here follows a name from outside.
 */

const plansFolder = (directory: string) => join(directory, 'plans');

/** So that a report made later knows what was planned. Plans name where a secret is, and hold none. */
export function recordPlans(directory: string, plans: readonly SourcePlan[]): void {
  mkdirSync(plansFolder(directory), { recursive: true });
  for (const plan of plans) {
    const file = join(plansFolder(directory), `${plan.source}.json`);
    writeFileSync(file, `${JSON.stringify(plan, null, 1)}\n`);
  }
}

/** Of the services, whose control plane says so to the SDK. */
const REGION = 'eu-west-1';

/** When the process that is alive claimed the folder; see directory-claim.ts. */
export async function claimedSince(directory: string): Promise<Date | undefined> {
  const file = join(directory, 'pid');
  const pid = Number(await readFile(file, 'utf8').catch(() => ''));
  if (!(pid > 0)) return undefined;
  const claim = await stat(file).catch(() => undefined);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  return claim?.mtime;
}

/** As its journal has it; what was going on when its process ended was stopped. */
async function journaledStatus(directory: string, executionArn: string) {
  const name = runIdOfExecution(executionArn);
  const execution = (await readExecutions(directory)).find((it) => it.name === name);
  if (!execution) return undefined;
  const { status, startedAt } = progressOf(execution);
  const aliveSince = await claimedSince(directory);
  const isAlive = aliveSince !== undefined && startedAt >= aliveSince;
  return status === 'RUNNING' && !isAlive ? 'ABORTED' : status;
}

export function readLocalState(directory: string, bucket: string): GatherNeeds {
  const root = join(directory, 's3', bucket);
  return {
    clock: { now: () => new Date() },
    objects: {
      bucket,
      list: (prefix) => listFiles(root, prefix),
      head: (key) => headOf(root, key),
      async get(key) {
        const body = await readFile(join(root, key)).catch(absent);
        const head = body && (await headOf(root, key));
        return body && head && { body, head };
      },
    },
    workflow: { executionStatus: (executionArn) => journaledStatus(directory, executionArn) },
    surroundings: {
      region: REGION,
      schedule: async () => ({
        known: false,
        reason: 'not-served',
        action: 'scheduler:GetSchedule',
        detail: 'nothing here starts runs by itself',
      }),
    },
    plans: {
      async list(onInvalid) {
        const files = await readdir(plansFolder(directory)).catch(() => []);
        const texts = files
          .filter((file) => file.endsWith('.json'))
          .map((file) => readFile(join(plansFolder(directory), file), 'utf8'));
        return (await Promise.all(texts)).flatMap((text) => {
          try {
            return parsePlan(text);
          } catch (error) {
            if (!onInvalid || !(error instanceof InvalidPlan)) throw error;
            onInvalid(error);
            return [];
          }
        });
      },
    },
  };
}

async function headOf(root: string, key: string): Promise<ObjectHead | undefined> {
  const found = await stat(join(root, key)).catch(absent);
  return (
    found && {
      key,
      sizeBytes: found.size,
      lastModified: found.mtime,
      etag: '',
      storageClass: 'STANDARD',
      versionId: undefined,
      crc64nvme: undefined,
      metadata: {},
      retrieval: 'none',
    }
  );
}

function parsePlan(text: string): SourcePlan {
  try {
    return SourcePlan.parse(JSON.parse(text));
  } catch (cause) {
    throw new InvalidPlan('a plan of an earlier start is not understood', { cause });
  }
}

/** Files below a folder whose keys begin with the prefix, which ends in a slash. */
async function* listFiles(root: string, prefix: string): AsyncGenerator<ListedObject> {
  const folder = await opendir(join(root, prefix)).catch(absent);
  if (!folder) return;
  for await (const entry of folder) {
    const key = `${prefix}${entry.name}`;
    if (entry.isDirectory()) yield* listFiles(root, `${key}/`);
    // A file that is deleted meanwhile is not there.
    const found = entry.isDirectory() ? undefined : await stat(join(root, key)).catch(absent);
    if (found) yield { key, sizeBytes: found.size, lastModified: found.mtime };
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

export async function localReport(directory: string, bucket: string): Promise<ReportModel> {
  return makeReport(await gatherReport(readLocalState(directory, bucket)));
}

/** Writes `<directory>/report.html` and returns its path. */
export async function writeLocalReport(directory: string, bucket: string): Promise<string> {
  const file = join(directory, 'report.html');
  await writePrivateFile(file, reportPage(await localReport(directory, bucket)));
  return file;
}
