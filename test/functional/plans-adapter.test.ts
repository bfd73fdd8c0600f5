import {
  GetParameterCommand,
  GetParametersByPathCommand,
  ParameterNotFound,
  ParameterVersionNotFound,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makePlans } from '#adapters/plans.ts';
import { serializeSourcePlan } from '#domain/plan-file.ts';
import { makePlan } from '#test/fakes.ts';

const ssm = mockClient(SSMClient);
const PREFIX = '/holdfast/test/sources/';
const plans = makePlans({ client: new SSMClient({}), prefix: PREFIX });
const fault = { message: '', $metadata: { httpStatusCode: 400 } };
const parameterOf = (source: string) => ({
  Name: `${PREFIX}${source}`,
  Value: serializeSourcePlan(makePlan({ source })),
  Version: 7,
});

beforeEach(() => {
  ssm.reset();
});

describe('the plan of a source', () => {
  it('is the newest version, with its number', async () => {
    ssm
      .on(GetParameterCommand, { Name: `${PREFIX}orders` })
      .resolves({ Parameter: parameterOf('orders') });
    expect(await plans.load('orders')).toEqual({ plan: makePlan(), version: 7 });
  });

  it('is the version that a run began with', async () => {
    ssm.on(GetParameterCommand, { Name: `${PREFIX}orders:3` }).resolves({
      Parameter: { ...parameterOf('orders'), Version: 3 },
    });
    expect(await plans.load('orders', 3)).toMatchObject({ version: 3 });
  });

  it.each([
    ['odrers', 'did you mean orders?'],
    ['warehouse', 'correct the name, or add the source and deploy it'],
  ])('%s is unknown, and the known ones are named', async (source, remedy) => {
    ssm.on(GetParameterCommand).rejects(new ParameterNotFound(fault));
    ssm.on(GetParametersByPathCommand).resolves({
      Parameters: [parameterOf('orders'), parameterOf('billing')],
    });
    await expect(plans.load(source)).rejects.toThrow(
      expect.objectContaining({
        name: 'UnknownSource',
        message: `no plan for the source "${source}": known are billing, orders; ${remedy}`,
      }),
    );
  });

  it('is unknown when nothing is deployed', async () => {
    ssm.on(GetParameterCommand).rejects(new ParameterNotFound(fault));
    ssm.on(GetParametersByPathCommand).resolves({});
    await expect(plans.load('orders')).rejects.toThrow('none is deployed');
  });

  it('of a version that SSM has dropped is InvalidPlan', async () => {
    ssm.on(GetParameterCommand).rejects(new ParameterVersionNotFound(fault));
    await expect(plans.load('orders', 1)).rejects.toThrow(
      expect.objectContaining({
        name: 'InvalidPlan',
        message: expect.stringContaining('version 1'),
      }),
    );
  });

  it.each([
    ['no JSON', 'version: 1', 'expected object'],
    ['a wrong value', JSON.stringify({ ...makePlan(), databases: 7 }), 'at databases'],
    ['another source', serializeSourcePlan(makePlan({ source: 'billing' })), 'is one of billing'],
  ])('with %s in it is InvalidPlan, which names the parameter', async (_, Value, problem) => {
    ssm.on(GetParameterCommand).resolves({ Parameter: { ...parameterOf('orders'), Value } });
    const error = await plans.load('orders').catch((thrown: Error) => thrown);
    if (!(error instanceof Error)) throw new Error('it was loaded');
    expect(error.name).toBe('InvalidPlan');
    expect(error.message).toContain(`${PREFIX}orders`);
    expect(error.message).toContain(problem);
  });

  it.each([
    ['ThrottlingException', 'Throttled'],
    ['AccessDeniedException', 'AccessDenied'],
  ])('that SSM refuses with %s is %s', async (awsName, name) => {
    ssm.on(GetParameterCommand).rejects(Object.assign(new Error('no'), { name: awsName }));
    await expect(plans.load('orders')).rejects.toThrow(expect.objectContaining({ name }));
  });
});

it('all plans are listed by name, over every page', async () => {
  ssm
    .on(GetParametersByPathCommand, { Path: '/holdfast/test/sources', NextToken: undefined })
    .resolves({ Parameters: [parameterOf('orders')], NextToken: 'more' })
    .on(GetParametersByPathCommand, { NextToken: 'more' })
    .resolves({ Parameters: [parameterOf('billing')] });
  expect((await plans.list()).map(({ source }) => source)).toEqual(['billing', 'orders']);
});

it('a plan that is not valid fails the list, or is told of and left out', async () => {
  ssm.on(GetParametersByPathCommand).resolves({
    Parameters: [parameterOf('orders'), { Name: `${PREFIX}typo`, Value: '{', Version: 1 }],
  });
  await expect(plans.list()).rejects.toThrow('typo');
  const invalid: string[] = [];
  const found = await plans.list(({ message }) => invalid.push(message));
  expect(found.map(({ source }) => source)).toEqual(['orders']);
  expect(invalid).toEqual([expect.stringContaining(`the plan in ${PREFIX}typo is not valid`)]);
});
