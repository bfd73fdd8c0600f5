import * as z from 'zod';

/** Events from EventBridge, with only the fields that we read. Keys are not URL-encoded here. */
export const ObjectCreatedEvent = z.object({
  'detail-type': z.literal('Object Created'),
  time: z.iso.datetime(),
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({
      key: z.string(),
      size: z.number(),
      etag: z.string().optional(),
      'version-id': z.string().optional(),
      sequencer: z.string().optional(),
    }),
  }),
});
export type ObjectCreatedEvent = z.infer<typeof ObjectCreatedEvent>;

/** S3: an archived object can be read again, for some days or for good. */
export const ObjectRestoreEvent = z.object({
  'detail-type': z.literal('Object Restore Completed'),
  time: z.iso.datetime(),
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({
      key: z.string(),
      size: z.number().optional(),
      etag: z.string().optional(),
      'version-id': z.string().optional(),
    }),
    'restore-expiry-time': z.string().optional(),
    'source-storage-class': z.string().optional(),
  }),
});
export type ObjectRestoreEvent = z.infer<typeof ObjectRestoreEvent>;

/** ECS: "ECS Task State Change" with lastStatus STOPPED. */
export const TaskStoppedEvent = z.object({
  'detail-type': z.literal('ECS Task State Change'),
  detail: z.object({
    taskArn: z.string(),
    clusterArn: z.string(),
    lastStatus: z.string(),
    startedBy: z.string().optional(),
    stopCode: z.string().optional(),
    stoppedReason: z.string().optional(),
    containers: z
      .array(
        z.object({
          name: z.string(),
          exitCode: z.number().optional(),
          reason: z.string().optional(),
        }),
      )
      .default([]),
    overrides: z.object({
      containerOverrides: z
        .array(
          z.object({
            name: z.string().optional(),
            environment: z.array(z.object({ name: z.string(), value: z.string() })).optional(),
          }),
        )
        .default([]),
    }),
  }),
});
export type TaskStoppedEvent = z.infer<typeof TaskStoppedEvent>;
