import { XMLParser } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import {
  decodeCall,
  decodeForm,
  encodeError,
  encodeResult,
} from '#local/control-plane/aws-protocols.ts';
import { type EventPattern, matchesPattern } from '#local/control-plane/event-pattern.ts';
import { ServiceError } from '#local/control-plane/service-error.ts';

describe('a request', () => {
  it('names its operation in the target header when it is JSON', () => {
    expect(decodeCall('AWSStepFunctions.StartExecution', '{"name":"one"}')).toEqual({
      protocol: 'json',
      service: 'states',
      operation: 'StartExecution',
      input: { name: 'one' },
    });
  });

  it('names its operation and the version of its service in the form when it is a query', () => {
    const body = 'Action=DescribeDBInstances&Version=2014-10-31&MaxRecords=20';
    expect(decodeCall(undefined, body)).toEqual({
      protocol: 'query',
      service: 'rds',
      operation: 'DescribeDBInstances',
      input: { MaxRecords: '20' },
    });
  });

  it.each([
    [
      'for a service that is not here',
      'DynamoDB_20120810.GetItem',
      '{}',
      'UnknownOperationException',
    ],
    ['for a version that is not here', undefined, 'Action=X&Version=1999-01-01', 'InvalidAction'],
    ['with a body that is not JSON', 'AmazonSSM.GetParameter', '{', 'SerializationException'],
  ])('%s is refused', (_, target, body, code) => {
    expect(() => decodeCall(target, body)).toThrow(expect.objectContaining({ code }));
  });
});

describe('a form', () => {
  it('has lists under the names of their elements, also below each other', () => {
    const form =
      'Filters.Filter.1.Name=engine&Filters.Filter.1.Values.Value.1=a&Filters.Filter.1.Values.Value.2=b';
    expect(decodeForm(form)).toEqual({ Filters: [{ Name: 'engine', Values: ['a', 'b'] }] });
  });

  it('keeps the order of ten and more elements', () => {
    const form = Array.from({ length: 11 }, (_, i) => `Tags.Tag.${i + 1}.Key=k${i + 1}`).reverse();
    const { Tags } = decodeForm(form.join('&')) as { Tags: { Key: string }[] };
    expect(Tags.map(({ Key }) => Key)).toEqual(Array.from({ length: 11 }, (_, i) => `k${i + 1}`));
  });

  it('keeps text as it is, plus signs and accents included', () => {
    expect(decodeForm('Message=1%2B1%20%26%20%C3%BC')).toEqual({ Message: '1+1 & ü' });
  });

  it('cannot reach the prototype of anything', () => {
    decodeForm('__proto__.polluted=yes&constructor.prototype.polluted=yes');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('an answer', () => {
  const time = new Date('2026-11-20T03:00:00.500Z');

  it('has times as epoch seconds in JSON', () => {
    const call = decodeCall('AmazonSSM.GetParameter', '{}');
    const { body } = encodeResult(call, { At: time, List: [{ At: time }] }, 'id');
    expect(JSON.parse(body)).toEqual({ At: 1795143600.5, List: [{ At: 1795143600.5 }] });
  });

  it('has named elements, ISO times and no absent members in XML', () => {
    const call = decodeCall(undefined, 'Action=DescribeDBSnapshots&Version=2014-10-31');
    const output = { Marker: undefined, DBSnapshots: [{ Status: 'a<b & "c"', At: time }] };
    const { body } = encodeResult(call, output, 'id');
    const { DescribeDBSnapshotsResponse: response } = new XMLParser().parse(body);
    expect(response.DescribeDBSnapshotsResult).toEqual({
      DBSnapshots: { DBSnapshot: { Status: 'a<b & "c"', At: time.toISOString() } },
    });
  });

  it('is well-formed XML whatever characters a message has', () => {
    const error = new ServiceError('X', 'a\u0000\u001b[31m\ufffe<>&"\r\n\t');
    const { body } = encodeError('query', error, 'id');
    const parsed = new XMLParser({ trimValues: false }).parse(body);
    expect(parsed.ErrorResponse.Error.Message).toMatch(/^a\ufffd\ufffd\[31m\ufffd<>&"/);
  });

  it('carries an error with its status in both protocols', () => {
    const error = new ServiceError('ThrottlingException', 'slow down', 429);
    const json = encodeError('json', error, 'id');
    expect(json.status).toBe(429);
    expect(JSON.parse(json.body)).toEqual({ __type: 'ThrottlingException', message: 'slow down' });
    const xml = encodeError('query', error, 'id');
    expect(xml.body).toContain('<Type>Sender</Type><Code>ThrottlingException</Code>');
  });
});

describe('an event pattern', () => {
  const event = {
    source: 'aws.s3',
    resources: ['arn:a', 'arn:b'],
    detail: { bucket: { name: 'b' }, object: { key: 'backups/shop/db/id/manifest.json', size: 3 } },
  };
  const key = (matcher: unknown) => ({ detail: { object: { key: [matcher] } } });

  it.each<[string, EventPattern, boolean]>([
    ['an exact value', { source: ['aws.ecs', 'aws.s3'] }, true],
    ['another value', { source: ['aws.ecs'] }, false],
    ['a number as text', { detail: { object: { size: ['3'] } } }, false],
    ['one of the values of a list', { resources: ['arn:b'] }, true],
    ['all of several fields', { source: ['aws.s3'], detail: { bucket: { name: ['x'] } } }, false],
    ['a prefix', key({ prefix: 'backups/' }), true],
    ['another prefix', key({ prefix: 'jobs/' }), false],
    ['a suffix', key({ suffix: '/manifest.json' }), true],
    ['a wildcard', key({ wildcard: 'backups/*/manifest.json' }), true],
    ['a wildcard whose dot means a dot', key({ wildcard: 'backups/*/manifestXjson' }), false],
    ['anything but a prefix', key({ 'anything-but': { prefix: 'jobs/' } }), true],
    ['anything but the value', key({ 'anything-but': [event.detail.object.key] }), false],
    ['anything but, of an absent field', { detail: { gone: [{ 'anything-but': 'x' }] } }, false],
    ['a field that exists', { detail: { bucket: { name: [{ exists: true }] } } }, true],
    ['a field that must not exist', { detail: { gone: [{ exists: false }] } }, true],
    ['one of two alternatives', { $or: [{ source: ['x'] }, { source: ['aws.s3'] }] }, true],
  ])('with %s: %o matches: %s', (_, pattern, expected) => {
    expect(matchesPattern(pattern, event)).toBe(expected);
  });

  it('with an operator that we do not know is an error, not a mismatch', () => {
    expect(() => matchesPattern(key({ cidr: '10.0.0.0/8' }), event)).toThrow(/cidr/);
  });
});
