import * as z from 'zod';

/**
 * What the operator's command needs to know of a deployment: the SSM parameter
 * `/holdfast/<stage>/deployment`, one JSON document. Written by the stack; the local services write the same
 * for the stage `local`. Fields that this version does not know are ignored, so that an older command works
 * with a newer deployment.
 */
const Arn = z.string().startsWith('arn:');

export const DeploymentRecord = z.object({
  version: z.literal(1),
  stage: z.string().min(1),
  bucket: z.string().min(3),
  planPrefix: z.string().regex(/^\/.+\/$/),
  topicArn: Arn,
  stateMachines: z.object({
    backup: Arn,
    restore: Arn.optional(),
    restoreServer: Arn.optional(),
    drill: Arn.optional(),
  }),
  clusterArn: Arn,
  taskDefinitions: z
    .object({ dump: z.string(), verify: z.string(), restore: z.string(), drill: z.string() })
    .partial()
    .default({})
    .describe('family, or ARN with or without its revision'),
  /** Absent where there are none, as on one machine. */
  deadLetterQueueUrl: z.url().optional(),
  scheduleGroup: z.string().min(1).optional(),
});
export type DeploymentRecord = z.infer<typeof DeploymentRecord>;

/** Format: `/holdfast/<stage>/deployment`. */
export function deploymentParameter(stage: string): string {
  return `/holdfast/${stage}/deployment`;
}
