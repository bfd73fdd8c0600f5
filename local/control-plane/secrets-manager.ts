import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { type Operations, operation } from './operation.ts';
import { ServiceError } from './service-error.ts';

type Stage = 'AWSCURRENT' | 'AWSPREVIOUS';

interface Secret {
  readonly arn: string;
  readonly versions: Map<Stage, { readonly id: string; readonly text: string; created: Date }>;
}

/** Secrets Manager: in memory only, so that no secret ever reaches the disk. */
export class SecretsManager {
  readonly operations: Operations;
  readonly #arnPrefix: string;
  readonly #secrets = new Map<string, Secret>();
  /** Whose values were asked for, oldest first. */
  readonly asked: string[] = [];

  constructor({ account, region }: { readonly account: string; readonly region: string }) {
    this.#arnPrefix = `arn:aws:secretsmanager:${region}:${account}:secret:`;
    this.operations = {
      GetSecretValue: operation(
        z.strictObject({
          SecretId: z.string(),
          VersionStage: z.enum(['AWSCURRENT', 'AWSPREVIOUS']).default('AWSCURRENT'),
          VersionId: z.string().optional(),
        }),
        ({ SecretId, VersionStage, VersionId }) => {
          this.asked.push(SecretId);
          return this.#get(SecretId, VersionStage, VersionId);
        },
      ),
      PutSecretValue: operation(
        z.strictObject({
          SecretId: z.string(),
          SecretString: z.string(),
          ClientRequestToken: z.string().optional(),
          VersionStages: z.tuple([z.literal('AWSCURRENT')]).optional(),
        }),
        ({ SecretId, SecretString }) => {
          const [name] = this.#find(SecretId);
          this.setSecret(name, SecretString);
          const { ARN, Name, VersionId } = this.#get(name, 'AWSCURRENT');
          return { ARN, Name, VersionId, VersionStages: ['AWSCURRENT'] };
        },
      ),
    };
  }

  /** Creates a secret or rotates it (the old value stays as AWSPREVIOUS). Returns its ARN. */
  setSecret(name: string, value: string | Readonly<Record<string, unknown>>): string {
    const arn = this.#secrets.get(name)?.arn ?? `${this.#arnPrefix}${name}-a1B2c3`;
    const secret = this.#secrets.get(name) ?? { arn, versions: new Map() };
    this.#secrets.set(name, secret);
    const current = secret.versions.get('AWSCURRENT');
    if (current) secret.versions.set('AWSPREVIOUS', current);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    secret.versions.set('AWSCURRENT', { id: randomUUID(), text, created: new Date() });
    return arn;
  }

  /** As its owner does at once; nobody else may. */
  deleteSecret(name: string): void {
    this.#secrets.delete(name);
  }

  #get(id: string, stage: Stage, versionId?: string) {
    const [name, { arn, versions }] = this.#find(id);
    const version = versions.get(stage);
    if (!version || (versionId !== undefined && versionId !== version.id)) {
      throw new ServiceError(
        'ResourceNotFoundException',
        `Secrets Manager can't find the specified secret value for staging label: ${stage}`,
      );
    }
    return {
      ARN: arn,
      Name: name,
      VersionId: version.id,
      SecretString: version.text,
      VersionStages: [stage],
      CreatedDate: version.created,
    };
  }

  #find(id: string): [string, Secret] {
    const found = [...this.#secrets].find(([name, { arn }]) => id === name || id === arn);
    if (found) return found;
    throw new ServiceError(
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret.",
    );
  }
}
