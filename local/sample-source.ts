import { SourcePlan } from '#contracts/source-plan.ts';
import { dataOfServer } from './cluster-snapshots.ts';
import type { Rds } from './control-plane/rds.ts';
import { type PostgresMajor, startPostgres } from './postgres-server.ts';
import { fillSampleDatabase } from './sample-database/fill-sample-database.ts';
import { UNSCHEDULED_TARGETS } from './unscheduled-targets.ts';

/** A real server with the sample databases, which the local RDS knows as the instance `sample-db`. */
export interface SampleSource {
  readonly plan: SourcePlan;
  /** By the `secretId` of the plan: of the role that backs up, and of the one that restores. */
  readonly secrets: Readonly<Record<string, { username: string; password: string }>>;
  /** Lets the local RDS take snapshots of it: copies of the running cluster. */
  register(rds: Rds): void;
  stop(): Promise<void>;
}

const INSTANCE = 'sample-db';
const BACKUP_SECRET = 'holdfast/local/sample';
const RESTORE_SECRET = 'holdfast/local/sample-restore';

/** Takes the newest major that is both at hand as a server and covered by the clients. */
export async function startSampleSource(newestClient: number): Promise<SampleSource> {
  const major: PostgresMajor = newestClient >= 18 ? 18 : newestClient === 17 ? 17 : 15;
  const server = await startPostgres({ major });
  try {
    const { backup } = await fillSampleDatabase({ connection: server });
    const plan = SourcePlan.parse({
      source: 'sample',
      engine: { type: 'rds-instance', identifier: INSTANCE },
      connection: {
        host: server.host,
        port: server.port,
        user: backup.user,
        auth: { type: 'secret', secretId: BACKUP_SECRET },
        tls: { mode: 'disable' },
      },
      databases: { include: ['*'], exclude: ['postgres'] },
      snapshot: { pollSeconds: 1 },
      restore: { auth: { type: 'secret', secretId: RESTORE_SECRET } },
      drill: { targets: UNSCHEDULED_TARGETS },
    });
    return {
      plan,
      secrets: {
        [BACKUP_SECRET]: { username: backup.user, password: backup.password },
        [RESTORE_SECRET]: { username: server.user, password: server.password },
      },
      register(rds) {
        rds.registerInstance({
          identifier: INSTANCE,
          engineVersion: `${server.major}`,
          host: server.host,
          port: server.port,
          ...dataOfServer(server),
        });
      },
      stop: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
