import { mkdirSync, writeFileSync } from 'node:fs';
import { opendir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SourcePlan } from '#contracts/source-plan.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport, type ReportModel } from '#domain/report/report-model.ts';
import { InvalidPlan } from '#errors';
import { type GatherNeeds, gatherReport } from '#operations/report/gather-report.ts';
import type { ListedObject } from '#runtime/ports.ts';

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

export function readLocalState(directory: string, bucket: string): GatherNeeds {
  const root = join(directory, 's3', bucket);
  return {
    clock: { now: () => new Date() },
    objects: {
      bucket,
      list: (prefix) => listFiles(root, prefix),
      async get(key) {
        const file = join(root, key);
        const body = await readFile(file).catch(absent);
        if (!body) return undefined;
        const { size, mtime } = await stat(file);
        const head = {
          key,
          sizeBytes: size,
          lastModified: mtime,
          etag: '',
          storageClass: 'STANDARD',
        };
        const unknown = { versionId: undefined, crc64nvme: undefined, metadata: {} };
        return { body, head: { ...head, ...unknown, retrieval: 'none' } };
      },
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
  await writeFile(file, reportPage(await localReport(directory, bucket)));
  return file;
}
