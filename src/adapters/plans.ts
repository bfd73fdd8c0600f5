import {
  GetParameterCommand,
  type Parameter,
  paginateGetParametersByPath,
  type SSMClient,
} from '@aws-sdk/client-ssm';
import * as z from 'zod';
import { SourcePlan } from '#contracts/source-plan.ts';
import { closest } from '#domain/closest.ts';
import { InvalidPlan, UnknownSource } from '#errors';
import type { Plans } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** SSM: at most 10 parameters a page. */
const PAGE_SIZE = 10;
const NOT_FOUND = new Set(['ParameterNotFound', 'ParameterVersionNotFound']);

/** Source plans as SSM parameters, one a source: `<prefix><source>`. */
export function makePlans(options: { client: SSMClient; prefix: string }): Plans {
  const { client, prefix } = options;

  async function parameters(): Promise<readonly Parameter[]> {
    const found: Parameter[] = [];
    try {
      const pages = paginateGetParametersByPath(
        { client, pageSize: PAGE_SIZE },
        { Path: prefix.replace(/\/$/, ''), WithDecryption: true },
      );
      for await (const { Parameters = [] } of pages) found.push(...Parameters);
    } catch (error) {
      throw translateAwsError(error, `list the plans under ${prefix}`);
    }
    return found.sort((a, b) => ((a.Name ?? '') < (b.Name ?? '') ? -1 : 1));
  }

  async function unknownSource(source: string, cause: unknown): Promise<Error> {
    const known = (await parameters()).map(({ Name = '' }) => Name.slice(prefix.length));
    const meant = closest(source, known);
    const fact = known.length > 0 ? `known are ${known.join(', ')}` : 'none is deployed';
    return new UnknownSource(`no plan for the source ${JSON.stringify(source)}: ${fact}`, {
      remedy: meant
        ? `did you mean ${meant}?`
        : 'correct the name, or add the source and deploy it',
      cause,
    });
  }

  return {
    async load(source, version) {
      const name = `${prefix}${source}`;
      const selected = version === undefined ? name : `${name}:${version}`;
      try {
        const { Parameter: parameter } = await client.send(
          new GetParameterCommand({ Name: selected, WithDecryption: true }),
        );
        return {
          plan: parsePlan(source, parameter?.Value ?? '', selected),
          version: parameter?.Version ?? 0,
        };
      } catch (error) {
        if (awsErrorName(error) === 'ParameterNotFound') throw await unknownSource(source, error);
        if (!NOT_FOUND.has(awsErrorName(error))) throw translateAwsError(error, `get ${selected}`);
        // SSM keeps the last 100 versions.
        throw new InvalidPlan(
          `version ${version} of the plan of ${source} does not exist any more`,
          {
            remedy: 'start the run again',
            cause: error,
          },
        );
      }
    },
    async list(onInvalid) {
      return (await parameters()).flatMap(({ Name = '', Value = '' }) => {
        try {
          return parsePlan(Name.slice(prefix.length), Value, Name);
        } catch (error) {
          if (!onInvalid || !(error instanceof InvalidPlan)) throw error;
          onInvalid(error);
          return [];
        }
      });
    },
  };
}

/** Throws InvalidPlan, which names the parameter and the path in it. */
function parsePlan(source: string, text: string, parameter: string): SourcePlan {
  const result = SourcePlan.safeParse(parseJson(text));
  const remedy = 'correct the plan file and deploy it again';
  if (!result.success) {
    const problems = z.prettifyError(result.error);
    throw new InvalidPlan(`the plan in ${parameter} is not valid: ${problems}`, { remedy });
  }
  if (result.data.source !== source) {
    throw new InvalidPlan(`the plan in ${parameter} is one of ${result.data.source}`, { remedy });
  }
  return result.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
