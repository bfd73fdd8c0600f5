import { describe, expect, it } from 'vitest';
import { checkTemplate } from '../../scripts/check-template.ts';

/** A sound template; each case plants one fault. */
function makeTemplate(resources: object = {}, sections: object = {}) {
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Conditions: { Big: { 'Fn::Equals': [{ Ref: 'AWS::Region' }, 'eu-west-1'] } },
    Resources: {
      Queue: {
        Type: 'AWS::SQS::Queue',
        Properties: {
          MessageRetentionPeriod: { 'Fn::If': ['Big', 600, 60] },
          SqsManagedSseEnabled: true,
          Tags: [{ Key: 'a', Value: 'b' }],
        },
      },
      Topic: {
        Type: 'AWS::SNS::Topic',
        DependsOn: 'Queue',
        Properties: {
          DisplayName: { 'Fn::Sub': `\${AWS::Region} \${Queue.Arn} \${!literal}` },
        },
      },
      ...resources,
    },
    Outputs: { QueueArn: { Value: { 'Fn::GetAtt': ['Queue', 'Arn'] } } },
    ...sections,
  };
}

const queue = (Properties: object, attributes: object = {}) => ({
  Other: { Type: 'AWS::SQS::Queue', Properties, ...attributes },
});
const bucket = (Properties: object) => ({ Bucket: { Type: 'AWS::S3::Bucket', Properties } });

describe('the check of templates', () => {
  it('finds nothing in a sound template', () => {
    const topic = {
      Type: 'AWS::SNS::Topic',
      Properties: { DisplayName: { 'Fn::Sub': [`\${own}`, { own: { Ref: 'Queue' } }] } },
    };
    expect(checkTemplate(makeTemplate())).toEqual([]);
    expect(checkTemplate(makeTemplate({ Topic: topic }))).toEqual([]);
  });

  it.each([
    [
      'a variable of Fn::Sub that nothing defines',
      queue({ QueueName: { 'Fn::Sub': `\${own}` } }),
      'there is no resource or parameter own',
    ],
    ['an unknown type', { Other: { Type: 'AWS::SQS::Que' } }, 'there is no resource type'],
    ['an unknown property', queue({ QueName: 'a' }), 'is no property of AWS::SQS::Queue'],
    [
      'an unknown property deep inside',
      bucket({ VersioningConfiguration: { State: 'Enabled', Status: 'Enabled' } }),
      'Resources.Bucket.Properties.VersioningConfiguration.State: is no property',
    ],
    ['a missing property', bucket({ VersioningConfiguration: {} }), 'needs Status'],
    [
      'a value that is not allowed',
      bucket({ VersioningConfiguration: { Status: 'On' } }),
      'On is not one of',
    ],
    ['text for a number', queue({ DelaySeconds: 'soon' }), 'must be of type integer'],
    ['a number with a unit', queue({ DelaySeconds: '10s' }), 'must be of type integer'],
    ['text for a boolean', queue({ SqsManagedSseEnabled: 'yes' }), 'must be of type boolean'],
    ['an object for a list', queue({ Tags: { a: 'b' } }), 'must be a list'],
    ['an object for a string', queue({ QueueName: { a: 'b' } }), 'must be a string'],
    [
      'a fault in one branch of Fn::If',
      queue({ DelaySeconds: { 'Fn::If': ['Big', 1, 'later'] } }),
      'Fn::If.2: must be of type integer',
    ],
    [
      'a condition that does not exist',
      queue({ DelaySeconds: { 'Fn::If': ['Small', 1, 2] } }),
      'there is no condition Small',
    ],
    ['a Ref to nothing', queue({ QueueName: { Ref: 'Nothing' } }), 'Nothing'],
    [
      'an attribute of nothing',
      queue({ QueueName: { 'Fn::GetAtt': ['Nothing', 'Arn'] } }),
      'there is no resource Nothing',
    ],
    [
      'an attribute that the type does not have',
      queue({ QueueName: { 'Fn::GetAtt': 'Queue.Address' } }),
      'has no attribute Address',
    ],
    [
      'an attribute in Fn::Sub that the type does not have',
      queue({ QueueName: { 'Fn::Sub': `\${Queue.Address}` } }),
      'has no attribute Address',
    ],
    ['a function that does not exist', queue({ QueueName: { 'Fn::Joy': [] } }), 'no Fn::Joy'],
    ['a null', queue({ QueueName: null }), 'is null'],
    ['a dependency on nothing', queue({}, { DependsOn: ['Nothing'] }), 'there is no resource'],
    ['a misspelt attribute', queue({}, { DeletionPolcy: 'Retain' }), 'is no attribute'],
    ['an unknown removal policy', queue({}, { DeletionPolicy: 'Keep' }), 'Keep is not one of'],
    [
      'a circle of dependencies',
      {
        A: { Type: 'AWS::SQS::Queue', Properties: { QueueName: { 'Fn::Sub': `x-\${B.Arn}` } } },
        B: { Type: 'AWS::SQS::Queue', DependsOn: 'C' },
        C: { Type: 'AWS::SQS::Queue', Properties: { QueueName: { 'Fn::GetAtt': ['A', 'Arn'] } } },
      },
      'A -> B -> C -> A',
    ],
  ])('finds %s', (_, resources, expected) => {
    const found = checkTemplate(makeTemplate(resources));
    expect(found.map(({ path, message }) => `${path}: ${message}`).join('\n')).toContain(expected);
  });

  it('finds an output without a value, and a section that is none', () => {
    const found = checkTemplate(makeTemplate({}, { Outputs: { A: {} }, Resource: {} }));
    expect(found.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['Outputs.A', 'Resource']),
    );
  });
});
