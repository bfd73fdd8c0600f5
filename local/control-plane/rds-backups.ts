import * as z from 'zod';
import { type Operations, operation, page } from './operation.ts';
import { describeAutomatedBackup, type Window } from './rds-description.ts';
import { type Kind, Paging, type Server, terms } from './rds-model.ts';

interface Kept {
  readonly server: Server;
  readonly window: Window;
}

/** RDS: the automated backups, as far as they say which points in time can be restored. */
export class RdsBackups {
  readonly operations: Operations;
  readonly #servers: ReadonlyMap<string, Server>;
  /** Of servers that are gone. */
  readonly #kept: Kept[] = [];

  constructor(servers: ReadonlyMap<string, Server>) {
    this.#servers = servers;
    this.operations = {
      DescribeDBInstanceAutomatedBackups: this.#listing('instance', 'DBInstanceIdentifier'),
      DescribeDBClusterAutomatedBackups: this.#listing('cluster', 'DBClusterIdentifier'),
    };
  }

  /** From and to when the server can be restored: since it is known here. */
  windowOf(server: Server): Window | undefined {
    if (server.attributes['BackupRetentionPeriod'] === 0 || server.endpoint === undefined) {
      return undefined;
    }
    return { earliest: server.created, latest: new Date() };
  }

  /** For a server that is about to be forgotten. */
  keep(server: Server): void {
    const window = this.windowOf(server);
    if (window) this.#kept.push({ server, window });
  }

  kept(kind: Kind, resourceId: string | undefined): Kept | undefined {
    return this.#kept.find(
      ({ server }) => server.kind === kind && server.resourceId === resourceId,
    );
  }

  #listing(kind: Kind, name: 'DBInstanceIdentifier' | 'DBClusterIdentifier') {
    return operation(
      z.strictObject({ [name]: z.string().optional(), ...Paging }) as unknown as z.ZodType<{
        readonly [identifier: string]: string | undefined;
      }>,
      (input) => {
        const active = [...this.#servers.values()].map((server) => ({
          server,
          window: this.windowOf(server),
          status: 'active' as const,
        }));
        const kept = this.#kept.map((it) => ({ ...it, status: 'retained' as const }));
        const found = [...active, ...kept].flatMap(({ server, window, status }) => {
          const isWanted = input[name] === undefined || server.identifier === input[name];
          const fits = server.kind === kind && server.clusterIdentifier === undefined && isWanted;
          return fits && window ? [describeAutomatedBackup(server, window, status)] : [];
        });
        const { items, next } = page(found, input['Marker'], Number(input['MaxRecords']));
        return { Marker: next, [`${terms[kind].serverName}AutomatedBackups`]: items };
      },
    );
  }
}
