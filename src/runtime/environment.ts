import * as z from 'zod';
import { InvalidEnvironment } from '#errors';

/**
 * The environment contract of functions and tasks. Read once per process, when the deps are built; a
 * variable is only required by those who use it, so each slice has its own schema.
 */
const variables = {
  /** The backup bucket. */
  HOLDFAST_BUCKET: z.string().min(3),
  /** Stage name, e.g. prod; part of names in alerts. */
  HOLDFAST_STAGE: z.string().min(1).default('dev'),
  /** SSM path under which the source plans lie, with slashes at both ends: /holdfast/prod/sources/ */
  HOLDFAST_PLAN_PREFIX: z.string().regex(/^\/.+\/$/),
  HOLDFAST_TOPIC_ARN: z.string().startsWith('arn:'),
  HOLDFAST_CLUSTER_ARN: z.string().startsWith('arn:'),
  HOLDFAST_DUMP_TASK_DEFINITION: z.string().min(1),
  HOLDFAST_VERIFY_TASK_DEFINITION: z.string().min(1),
  HOLDFAST_RESTORE_TASK_DEFINITION: z.string().min(1),
  HOLDFAST_DRILL_TASK_DEFINITION: z.string().min(1),
  HOLDFAST_STATE_MACHINE_ARN: z.string().startsWith('arn:'),
  /** Folder with one folder a major: <dir>/18/bin/pg_dump. */
  HOLDFAST_POSTGRES_CLIENTS: z.string().min(1).default('/opt/postgres-client'),
  /** Drill task only: folder with one folder a major: <dir>/18/bin/postgres. */
  HOLDFAST_POSTGRES_SERVERS: z.string().min(1).default('/opt/postgres-server'),
  /** Drill task only: where its server's data go. */
  HOLDFAST_DRILL_DIRECTORY: z.string().min(1).default('/var/lib/holdfast'),
  /** Default CA bundle for verify-full. */
  HOLDFAST_CA_FILE: z.string().min(1).default('/opt/rds-ca/global-bundle.pem'),
  /** Tasks only: key of the job record. */
  HOLDFAST_JOB_KEY: z.string().min(1),
  /** Tasks only: upload buffers, in MiB; see domain/part-size.ts. */
  HOLDFAST_UPLOAD_MEMORY_MIB: z.coerce.number().int().min(24).default(128),
  /** Tasks only: seconds between two lines of progress in the log, and between two records of it in the bucket. */
  HOLDFAST_PROGRESS_SECONDS: z.coerce.number().positive().default(15),
  AWS_REGION: z.string().min(1),
} as const;
export type VariableName = keyof typeof variables;

/** The value of one variable. Throws InvalidEnvironment, which names the variable and never its value. */
export function readVariable<Name extends VariableName>(
  name: Name,
  environment: Readonly<Record<string, string | undefined>>,
): z.infer<(typeof variables)[Name]> {
  const result = variables[name].safeParse(environment[name]);
  if (!result.success) {
    const problem = result.error.issues[0]?.message ?? 'is not valid';
    throw new InvalidEnvironment(`environment variable ${name}: ${problem}`, {
      remedy: 'deploy the stack again, or set it as ARCHITECTURE.md says',
    });
  }
  return result.data as z.infer<(typeof variables)[Name]>;
}
