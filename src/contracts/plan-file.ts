import * as z from 'zod';
import { SourceName, SourcePlan } from './source-plan.ts';

/** The plan file (`config/holdfast.example.yml`): every source, and what the deployment needs. */

const Lifecycle = z
  .strictObject({
    glacierAfterDays: z.int().min(0).default(30).describe('verified archives; 0: never'),
    expireAfterDays: z.int().min(0).default(730).describe('every backup object; 0: never'),
    abortIncompleteUploadsAfterDays: z.int().min(1).default(2).describe('what a lost task left'),
    expireOldVersionsAfterDays: z
      .int()
      .min(1)
      .default(30)
      .describe('how long a deleted backup can still be brought back'),
  })
  .refine(
    ({ glacierAfterDays, expireAfterDays }) =>
      expireAfterDays === 0 || glacierAfterDays < expireAfterDays,
    {
      path: ['expireAfterDays'],
      message: 'must be more than glacierAfterDays, or 0 for never',
    },
  );

/** The periods that CloudWatch Logs accepts. */
const LOG_RETENTION_DAYS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288,
  3653,
] as const;

export const Deployment = z.strictObject({
  lifecycle: Lifecycle.prefault({}),
  alertEmails: z
    .array(z.email())
    .default([])
    .describe('subscribed to the alert topic; each confirms once by mail'),
  logRetentionDays: z
    .literal(LOG_RETENTION_DAYS)
    .default(90)
    .describe('of every log group; one of the periods CloudWatch knows'),
  network: z
    .strictObject({
      subnets: z.array(z.string().min(1)).min(1),
      securityGroups: z.array(z.string().min(1)).min(1),
    })
    .optional()
    .describe('the VPC in which Discover Databases reaches the servers; none: no VPC'),
  secretArns: z
    .array(z.string().min(1))
    .default([])
    .describe('further secrets the functions may read, beyond those of the sources'),
});
export type Deployment = z.infer<typeof Deployment>;

const { source: _source, ...sourceShape } = SourcePlan.shape;

/** A source as written in the file: its name is the key. */
export const PlanFile = z.strictObject({
  version: z.literal(1),
  deployment: Deployment.prefault({}),
  sources: z.record(SourceName, z.looseObject({}).describe('see SourcePlan')),
});

/** For editors: the same with the sources spelled out. */
export const PlanFileSchema = z.strictObject({
  version: z.literal(1),
  deployment: Deployment.prefault({}),
  sources: z.record(SourceName, z.strictObject(sourceShape)),
});

export interface ParsedPlanFile {
  readonly deployment: Deployment;
  readonly sources: readonly SourcePlan[];
}
