import * as z from 'zod';

/**
 * `<directory>/services.json`: how to reach the services that run on this machine. Written, for the owner's
 * eyes alone (mode 0600), by whoever started them, and removed when they end.
 */
export const LocalServices = z.object({
  version: z.literal(1),
  stage: z.string().min(1),
  pid: z.int().min(1).describe('of the process that serves; when it is gone, so are they'),
  environment: z
    .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string())
    .describe('endpoints, region and made-up credentials, as the SDK reads them'),
});
export type LocalServices = z.infer<typeof LocalServices>;

export const LOCAL_SERVICES_FILE = 'services.json';
