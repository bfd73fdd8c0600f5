import type { DrillFinding } from '#contracts/drill.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { Toc, TocEntry } from '#domain/archive/toc.ts';
import { displayCount, displayName } from '#domain/display-text.ts';
import { dependentsOf } from '#domain/drill/dependents.ts';
import { environmentFinding } from '#domain/drill/findings.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { objectOf, serverTrouble } from '#domain/restore/statement-failure.ts';
import { TocGraph } from '#domain/restore/toc-graph.ts';
import { withSession } from '#operations/restore/target-server.ts';
import type { Databases } from '#runtime/ports.ts';

export interface MissingEnvironment {
  /** Dump ids of what cannot be restored here, and of all that needs it. */
  readonly leftOut: ReadonlySet<number>;
  readonly findings: readonly DrillFinding[];
}

const SCRATCH = 'holdfast_scratch';
/**
 * SQLSTATEs of what the server does not have: control file or library (58P01, 0A000), version or locale (22023,
 * 42704), to be loaded at its start (55000), or a script that refuses (P0001). Whatever else goes wrong here is left
 * for the restore to judge: nothing is left out of a drill without a good reason.
 */
const UNAVAILABLE: Readonly<Record<string, readonly string[]>> = {
  EXTENSION: ['58P01', '0A000', '22023', '55000', 'P0001'],
  COLLATION: ['22023', '42704', '0A000'],
};
const WITHOUT_IT =
  'rehearse the rest on a server that has it: a drill of kind snapshot, or a restore by hand';

/**
 * What of an archive the drill's server cannot have: extensions that it does not bring, and collations that its
 * libraries do not know. Each is tried in a database that is dropped again. Nothing of that says anything about
 * the backup: it is left out, with what needs it, and said.
 */
export async function findMissingEnvironment(
  { databases }: { databases: Databases },
  {
    connection,
    head,
    toc,
    ids,
    signal,
  }: {
    readonly connection: Connection;
    readonly head: Buffer;
    readonly toc: Toc;
    readonly ids: ReadonlySet<number>;
    readonly signal: AbortSignal;
  },
): Promise<MissingEnvironment> {
  const graph = new TocGraph(head, toc);
  const wanted = toc.entries.filter(
    ({ desc, dumpId }) => ids.has(dumpId) && (desc === 'EXTENSION' || desc === 'COLLATION'),
  );
  if (wanted.length === 0) return { leftOut: new Set(), findings: [] };
  const refused = await tryInScratch(databases, connection, graph, wanted, signal);
  const leftOut = new Set<number>();
  const findings: DrillFinding[] = [];
  for (const [entry, reason] of refused) {
    const dependents = dependentsOf(graph, ids, entry);
    for (const { dumpId } of dependents) leftOut.add(dumpId);
    const tables = dependents.filter(({ desc }) => desc === 'TABLE').map((it) => objectOf(it));
    const without = [
      `${displayCount(dependents.length - 1)} objects that need it were left out`,
      ...(tables.length > 0 ? [`among them the tables ${namesOf(tables)}`] : []),
    ].join(', ');
    const isExtension = entry.desc === 'EXTENSION';
    const what = isExtension ? 'the extension' : 'the collation';
    findings.push(
      environmentFinding(
        isExtension ? 'extensions' : 'restore',
        entry.tag,
        `the drill's server cannot have ${what} ${displayName(entry.tag)} (${reason}); ${without}`,
        WITHOUT_IT,
      ),
    );
  }
  return { leftOut, findings };
}

function namesOf(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => displayName(name))
    .join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

async function tryInScratch(
  databases: Databases,
  connection: Connection,
  graph: TocGraph,
  wanted: readonly TocEntry[],
  signal: AbortSignal,
): Promise<Map<TocEntry, string>> {
  const refused = new Map<TocEntry, string>();
  const { maintenanceDatabase } = connection;
  const administer = (sql: string) =>
    withSession(databases, connection, maintenanceDatabase, (session) => session.query(sql), {
      signal,
    });
  await administer(`CREATE DATABASE ${SCRATCH} TEMPLATE template0`);
  await withSession(
    databases,
    connection,
    SCRATCH,
    async (session) => {
      await session.query('SET search_path = public');
      for (const entry of wanted) {
        try {
          if (entry.desc === 'EXTENSION') {
            await session.query(
              `CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(entry.tag)} CASCADE`,
            );
          } else {
            const schema = quoteIdentifier(entry.schema ?? 'public');
            await session.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
            await session.query(graph.definitionOf(entry));
          }
        } catch (error) {
          const state = sqlStateOf(error);
          if (state === undefined || serverTrouble(state)) throw error;
          if (UNAVAILABLE[entry.desc]?.includes(state)) refused.set(entry, serverMessage(error));
        }
      }
    },
    { signal },
  );
  await administer(`DROP DATABASE ${SCRATCH}`);
  return refused;
}
