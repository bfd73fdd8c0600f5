import * as z from 'zod';
import { type Operations, operation, page } from './operation.ts';
import { ServiceError } from './service-error.ts';

const PutParameter = z.strictObject({
  Name: z.string().regex(/^\/?[\w.-]+(\/[\w.-]+)*$/),
  Value: z.string().min(1),
  Type: z.enum(['String', 'StringList', 'SecureString']).default('String'),
  Overwrite: z.boolean().default(false),
  Tier: z.enum(['Standard', 'Advanced', 'Intelligent-Tiering']).default('Standard'),
  Description: z.string().optional(),
  Tags: z.array(z.unknown()).optional(),
});

interface ParameterVersion {
  readonly value: string;
  readonly type: string;
  readonly lastModified: Date;
}

/** Parameter Store: versioned values in memory. */
export class Ssm {
  readonly operations: Operations;
  readonly #arnPrefix: string;
  readonly #parameters = new Map<string, ParameterVersion[]>();

  constructor({ account, region }: { readonly account: string; readonly region: string }) {
    this.#arnPrefix = `arn:aws:ssm:${region}:${account}:parameter`;
    this.operations = {
      PutParameter: operation(PutParameter, (input) => this.#put(input)),
      GetParameter: operation(
        z.strictObject({ Name: z.string(), WithDecryption: z.boolean().optional() }),
        ({ Name }) => ({ Parameter: this.#get(Name) }),
      ),
      GetParametersByPath: operation(
        z.strictObject({
          Path: z.string().startsWith('/'),
          Recursive: z.boolean().default(false),
          WithDecryption: z.boolean().optional(),
          MaxResults: z.int().min(1).max(10).default(10),
          NextToken: z.string().optional(),
        }),
        ({ Path, Recursive, MaxResults, NextToken }) => {
          const names = this.#namesUnder(Path, Recursive);
          const { items, next } = page(names, NextToken, MaxResults);
          return { Parameters: items.map((name) => this.#get(name)), NextToken: next };
        },
      ),
      DeleteParameter: operation(z.strictObject({ Name: z.string() }), ({ Name }) => {
        if (!this.#parameters.delete(Name)) throw notFound(Name);
        return {};
      }),
    };
  }

  /** Writes a new version of a parameter and returns its number. */
  putParameter(name: string, value: string): number {
    return this.#put(
      PutParameter.parse({ Name: name, Value: value, Overwrite: true, Tier: 'Advanced' }),
    ).Version;
  }

  #put({ Name, Value, Type, Overwrite, Tier }: z.infer<typeof PutParameter>) {
    // "Managing parameter tiers": 4 KB in the standard tier, 8 KB in the advanced one.
    const limitBytes = Tier === 'Standard' ? 4096 : 8192;
    if (Buffer.byteLength(Value) > limitBytes) {
      throw new ServiceError(
        'ValidationException',
        `${Tier} tier parameters support a maximum parameter value of ${limitBytes} characters`,
      );
    }
    const versions = this.#parameters.get(Name) ?? [];
    if (versions.length > 0 && !Overwrite) {
      throw new ServiceError('ParameterAlreadyExists', `the parameter ${Name} already exists`);
    }
    versions.push({ value: Value, type: Type, lastModified: new Date() });
    this.#parameters.set(Name, versions);
    return { Version: versions.length, Tier: Tier === 'Intelligent-Tiering' ? 'Advanced' : Tier };
  }

  /** `nameWithVersion`: `<name>` for the newest version, or `<name>:<version>`. */
  #get(nameWithVersion: string) {
    const [name = '', selector] = nameWithVersion.split(':');
    const versions = this.#parameters.get(name);
    if (!versions) throw notFound(name);
    const number = selector === undefined ? versions.length : Number(selector);
    const version = versions[number - 1];
    if (!version) {
      throw new ServiceError(
        'ParameterVersionNotFound',
        `Systems Manager could not find version ${selector} of ${name}`,
      );
    }
    return {
      Name: name,
      Type: version.type,
      Value: version.value,
      Version: number,
      ...(selector === undefined ? {} : { Selector: `:${selector}` }),
      LastModifiedDate: version.lastModified,
      ARN: `${this.#arnPrefix}${name.startsWith('/') ? '' : '/'}${name}`,
      DataType: 'text',
    };
  }

  #namesUnder(path: string, recursive: boolean): string[] {
    const prefix = path.endsWith('/') ? path : `${path}/`;
    return [...this.#parameters.keys()]
      .filter((name) => name.startsWith(prefix))
      .filter((name) => recursive || !name.slice(prefix.length).includes('/'))
      .sort();
  }
}

function notFound(name: string): ServiceError {
  return new ServiceError('ParameterNotFound', `there is no parameter ${name}`);
}
