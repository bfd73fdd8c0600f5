import { SourcePlan } from '#contracts/source-plan.ts';
import { copyCluster, deleteClusterCopy } from './cluster-snapshots.ts';
import type { Rds } from './control-plane/rds.ts';
import { type PostgresMajor, startPostgres } from './postgres-server.ts';
import { fillSampleDatabase } from './sample-database/fill-sample-database.ts';

/** A real server with the sample databases, which the local RDS knows as the instance `sample-db`. */
export interface SampleSource {
  readonly plan: SourcePlan;
  readonly secret: { readonly username: string; readonly password: string };
  /** Lets the local RDS take snapshots of it: copies of the running cluster. */
  register(rds: Rds): void;
  stop(): Promise<void>;
}

const INSTANCE = 'sample-db';

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
        auth: { type: 'secret', secretId: 'holdfast/local/sample' },
        tls: { mode: 'disable' },
      },
      databases: { include: ['*'], exclude: ['postgres'] },
      snapshot: { pollSeconds: 1 },
    });
    return {
      plan,
      secret: { username: backup.user, password: backup.password },
      register(rds) {
        rds.registerInstance({
          identifier: INSTANCE,
          engineVersion: `${server.major}`,
          host: server.host,
          port: server.port,
          copy: ({ destination }) =>
            copyCluster({ connection: server, dataDirectory: server.dataDirectory, destination }),
          deleteCopy: deleteClusterCopy,
        });
      },
      stop: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
