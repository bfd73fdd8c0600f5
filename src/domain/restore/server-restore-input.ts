import { ServerRestoreInput, type ServerTarget } from '#contracts/restore-server.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { InvalidInput } from '#errors';
import { describeInputProblems } from '../input-problems.ts';
import { parseSnapshotId } from '../names.ts';

const EXAMPLE =
  'write {"source":"orders","snapshot":"latest"} or {"source":"orders","pointInTime":"2026-11-20T12:00:00Z"}';

/**
 * The input of a server's restore, from the console or the CLI. Our own snapshots name their source, so
 * that the id of one is enough. Throws InvalidInput, which says what to write.
 */
export function parseServerRestoreInput(input: unknown): ServerRestoreInput {
  const named = withSource(input);
  const result = ServerRestoreInput.safeParse(named, { reportInput: true });
  if (result.success) return result.data;
  throw new InvalidInput(describeInputProblems(named, result.error, ServerRestoreInput.shape), {
    remedy: EXAMPLE,
    cause: result.error,
  });
}

function withSource(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || 'source' in input) return input;
  const { snapshot } = input as { snapshot?: unknown };
  const named =
    typeof snapshot === 'string' ? parseSnapshotId(nameOfSnapshot(snapshot)) : undefined;
  return named ? { ...input, source: named.source } : input;
}

/** The id of a snapshot that is given by its id or by its ARN. */
export function nameOfSnapshot(idOrArn: string): string {
  return idOrArn.replace(/^arn:.*?:(cluster-)?snapshot:/, '');
}

/** The source's server at RDS. Throws InvalidInput where it is not at RDS at all. */
export function serverOfPlan({ source, engine }: SourcePlan): {
  kind: 'instance' | 'cluster';
  identifier: string;
} {
  switch (engine.type) {
    case 'rds-instance':
      return { kind: 'instance', identifier: engine.identifier };
    case 'aurora-cluster':
      return { kind: 'cluster', identifier: engine.identifier };
    case 'postgres':
      throw new InvalidInput(`${source} is a plain PostgreSQL server, which RDS cannot restore`, {
        remedy: 'restore its databases from their archives, with the state machine for restores',
      });
  }
}

/** What RDS has for the one kind of server and not for the other. Throws InvalidInput. */
export function checkTargetFits(
  kind: 'instance' | 'cluster',
  { identifier, clusterParameterGroup, optionGroup, multiAz }: ServerTarget,
): void {
  const refuse = (fact: string, remedy: string) => {
    throw new InvalidInput(fact, { remedy });
  };
  if (kind === 'instance') {
    if (clusterParameterGroup !== undefined) {
      refuse('an instance has no target.clusterParameterGroup', 'write target.parameterGroup');
    }
    return;
  }
  if (optionGroup !== undefined) {
    refuse('an Aurora cluster has no target.optionGroup', 'leave it out');
  }
  if (multiAz !== undefined) {
    refuse(
      'an Aurora cluster is restored with its writer alone, whatever target.multiAz says',
      'leave it out, and add readers when the cluster is there',
    );
  }
  if (identifier !== undefined && identifier.length > 61) {
    refuse(
      `target.identifier has ${identifier.length} characters`,
      "write at most 61: the writer's name has two more",
    );
  }
}
