import { describe, expect, it } from 'vitest';
import { CAUSE_LIMIT, describeFailure, describeThrown } from '#domain/failure-cause.ts';

const ofLambda = (errorMessage: string) =>
  JSON.stringify({ errorType: 'RestoreFailed', errorMessage, trace: ['at x (y:1)'] });

describe('why a state failed', () => {
  it.each([
    ['of a Lambda is its message', ofLambda('"a" is\nfull'), '"a" is\nfull'],
    ['of a task is its text', 'exit code 137', 'exit code 137'],
    ['is the text where it is JSON of another shape', '{"a":1}', '{"a":1}'],
    ['is said where the state has run out of time', '', 'it was not done when its time was up'],
  ])('%s', (_title, Cause, words) => {
    expect(describeFailure({ Error: 'States.Timeout', Cause })).toBe(words);
  });

  it('is never empty, nor longer than the Fail state has room for', () => {
    expect(describeFailure({ Error: 'X', Cause: '' })).toBe('no cause was given');
    const long = ofLambda('x'.repeat(20_000));
    expect(describeFailure({ Error: 'X', Cause: long })).toHaveLength(CAUSE_LIMIT);
  });
});

describe('what a clean-up threw, as the state machine puts it together', () => {
  it.each([
    [
      'is read from JSON',
      `RestoreFailed: ${ofLambda('"a" is in use')}`,
      'RestoreFailed: "a" is in use',
    ],
    [
      'is read where the quotes of the JSON were taken for escapes',
      'RestoreFailed: {"errorType":"RestoreFailed","errorMessage":"database "a" is in use","trace":["x"]}',
      'RestoreFailed: database "a" is in use',
    ],
    ['stays as it is where it is no JSON', 'States.Timeout: ', 'States.Timeout: '],
    ['stays as it is where nothing was thrown', 'database shop', 'database shop'],
  ])('%s', (_title, detail, words) => {
    expect(describeThrown(detail)).toBe(words);
  });
});
