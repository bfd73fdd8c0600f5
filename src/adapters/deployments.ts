import { GetParameterCommand, type SSMClient } from '@aws-sdk/client-ssm';
import * as z from 'zod';
import { DeploymentRecord, deploymentParameter } from '#contracts/deployment-record.ts';
import { DeploymentNotFound, InvalidEnvironment } from '#errors';
import type { Deployments } from '#runtime/operator-ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** Deployments, each as the SSM parameter that its stack wrote. */
export function makeDeployments(options: { client: SSMClient; region: string }): Deployments {
  const { client, region } = options;
  return {
    async load(stage) {
      const name = deploymentParameter(stage);
      let text: string | undefined;
      try {
        const { Parameter: parameter } = await client.send(new GetParameterCommand({ Name: name }));
        text = parameter?.Value;
      } catch (error) {
        if (awsErrorName(error) !== 'ParameterNotFound') {
          throw translateAwsError(error, `get ${name}`);
        }
        throw new DeploymentNotFound(
          `there is no deployment of stage ${JSON.stringify(stage)} in ${region}: no parameter ${name}`,
          { remedy: 'name the stage and the region with --stage and --region', cause: error },
        );
      }
      const result = DeploymentRecord.safeParse(parseJson(text ?? ''));
      if (result.success) return result.data;
      throw new InvalidEnvironment(
        `the parameter ${name} is not understood: ${z.prettifyError(result.error)}`,
        { remedy: 'use the command of the version that was deployed, or deploy again' },
      );
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
