import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SourcePlan } from '#contracts/source-plan.ts';
import { drillTargets } from '#domain/drill/drill-targets.ts';
import {
  parameterTier,
  parsePlanFile,
  planFileJsonSchema,
  serializeSourcePlan,
} from '#domain/plan-file.ts';
import { HoldfastError } from '#errors';
import { makePlan } from '#test/fakes.ts';

const read = (name: string) =>
  readFileSync(new URL(`../../config/${name}`, import.meta.url), 'utf8');

/** The lines of the InvalidPlan that a text causes, without the first; none when it is valid. */
function problemsOf(text: string): string[] {
  try {
    parsePlanFile(text, 'holdfast.yml');
    return [];
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.name !== 'InvalidPlan') throw error;
    const [, ...lines] = error.message.split('\n');
    return lines.map((line) => line.trim());
  }
}

const VALID = `version: 1
sources:
  orders:
    engine: { type: rds-instance, identifier: orders-prod }
    connection:
      host: db.example.internal
      auth: { type: secret, secretId: holdfast/orders }
`;

describe('a plan file', () => {
  it('gets every default from the least that one can write', () => {
    const { sources, deployment } = parsePlanFile(VALID, 'holdfast.yml');
    expect(sources).toEqual([
      SourcePlan.parse({
        source: 'orders',
        engine: { type: 'rds-instance', identifier: 'orders-prod' },
        connection: {
          host: 'db.example.internal',
          auth: { type: 'secret', secretId: 'holdfast/orders' },
        },
      }),
    ]);
    expect(sources[0]?.dump.compression).toEqual({ algorithm: 'zstd', level: 1 });
    expect(deployment.lifecycle.glacierAfterDays).toBe(30);
  });

  it('lists every problem at once, by line, with its path and what to write instead', () => {
    const problems = problemsOf(`version: 1
sources:
  orders:
    engine: { type: rds, identifier: orders-prod }
    connection:
      hots: db.example.internal
      port: 54321x
      auth: { type: secret }
    kinds: [snapshot, logicl]
    retention:
      archives:
        daily: many
    shedule: {}
`);
    expect(problems).toEqual([
      'line 4, sources.orders.engine.type: is "rds"; write one of rds-instance, aurora-cluster, postgres',
      "line 5, sources.orders.connection.host: is missing; write the server's DNS name: the endpoint of RDS or Aurora",
      'line 6, sources.orders.connection.hots: is not known; did you mean host?',
      'line 7, sources.orders.connection.port: is "54321x"; write a number',
      'line 8, sources.orders.connection.auth.secretId: is missing; write name or ARN in Secrets Manager; JSON with username and password',
      'line 9, sources.orders.kinds.1: is "logicl"; did you mean logical?',
      'line 12, sources.orders.retention.archives.daily: is "many"; write a number',
      'line 13, sources.orders.shedule: is not known; did you mean schedule?',
    ]);
  });

  it.each([
    [
      'a value out of range',
      'dump: { concurrency: 0 }',
      'dump.concurrency: is 0; write at least 1',
    ],
    ['an empty list', 'databases: []', 'databases: is an empty list; write'],
    [
      'an unknown key of a selection',
      'databases: { includ: [a] }',
      'databases.includ: is not known; did you mean include?',
    ],
    [
      'a key with no likely meaning',
      'alerts: { qwertz: 1 }',
      'alerts.qwertz: is not known; known here: on',
    ],
    [
      'a time zone nobody knows',
      'retention: { timezone: Mars/Base }',
      'retention.timezone: "Mars/Base": is no time zone; write an IANA name',
    ],
    [
      'an offset as a time zone',
      'retention: { timezone: "+02:00" }',
      'retention.timezone: "+02:00": is no time zone',
    ],
    [
      'a cron expression of five fields',
      'schedule: { expression: cron(0 3 * * *) }',
      'schedule.expression: "cron(0 3 * * *)": write cron(minute',
    ],
    [
      'a cron expression with two days',
      'schedule: { expression: cron(0 3 * * * *) }',
      'schedule.expression: "cron(0 3 * * * *)": write ? for the day',
    ],
    [
      'rate(1 hours)',
      'schedule: { expression: rate(1 hours) }',
      'schedule.expression: "rate(1 hours)": write cron(',
    ],
    [
      'CPU that Fargate does not have',
      'task: { cpu: 1000 }',
      'task.cpu: 1000: Fargate has no 1000 CPU units; write one of 256, 512',
    ],
    [
      'memory that does not go with the CPU',
      'task: { cpu: 4096, memoryMiB: 2048 }',
      'task.memoryMiB: 2048: Fargate has no 4096 CPU units with 2048 MiB; write 8192 to 30720',
    ],
    [
      'a scalar where settings belong',
      'retention: 14',
      'retention: is 14; write settings below it',
    ],
    ['its own name', 'source: other', 'source: is the key above already'],
  ])('names %s', (_, line, expected) => {
    const [problem, ...others] = problemsOf(`${VALID}    ${line}\n`);
    expect(problem).toContain(`line 8, sources.orders.${expected}`);
    expect(others).toEqual([]);
  });

  it.each([
    [
      'snapshots of a plain server',
      { engine: '{ type: postgres }', more: 'kinds: [snapshot]' },
      'kinds: a list: a plain server has no RDS snapshots',
    ],
    [
      'IAM without a user',
      { auth: '{ type: iam }' },
      'connection.user: IAM authentication needs the user',
    ],
    [
      'IAM without TLS',
      { auth: '{ type: iam }, user: holdfast, tls: { mode: disable }' },
      'connection.tls.mode: "disable": IAM authentication needs TLS',
    ],
  ])(
    'refuses %s',
    (_, { engine, auth, more }: { engine?: string; auth?: string; more?: string }, expected) => {
      const problems = problemsOf(`version: 1
sources:
  orders:
    engine: ${engine ?? '{ type: rds-instance, identifier: orders-prod }'}
    connection: { host: db, auth: ${auth ?? '{ type: secret, secretId: x }'} }
    ${more ?? ''}
`);
      expect(problems).toEqual([expect.stringContaining(`sources.orders.${expected}`)]);
    },
  );

  it('refuses an Aurora source whose snapshots would have too long an id', () => {
    const name = 'a'.repeat(31);
    const text = VALID.replace('orders:', `${name}:`).replace('rds-instance', 'aurora-cluster');
    expect(problemsOf(text)).toEqual([
      `line 3, sources.${name}: a group of settings: the name of an Aurora source has at most 30 characters (ids of its snapshots: 63)`,
    ]);
  });

  it.each([
    [
      'no version',
      'sources: {}',
      [
        'version: is missing; write 1',
        'line 1, sources: names no source; write at least one below it',
      ],
    ],
    ['nothing', '', [': is empty; write settings below it']],
    ['a list', '- 1', [': is a list; write settings below it']],
    [
      'an unknown section',
      `${VALID}deploymnt: {}`,
      ['line 8, deploymnt: is not known; did you mean deployment?'],
    ],
    [
      'a source without settings',
      `${VALID}  billing:\n`,
      ['line 8, sources.billing: is empty; write the settings of the source below it'],
    ],
    [
      'a source name with capitals',
      VALID.replace('orders:', 'Orders:'),
      [
        expect.stringContaining(
          'line 3, sources.Orders: a group of settings: use lower-case words',
        ),
      ],
    ],
    [
      'a wrong period of log retention',
      `${VALID}deployment: { logRetentionDays: 42 }`,
      [expect.stringContaining('line 8, deployment.logRetentionDays: is 42; write one of 1, 3, 5')],
    ],
    [
      'expiry before Glacier',
      `${VALID}deployment: { lifecycle: { expireAfterDays: 10 } }`,
      [
        expect.stringContaining(
          'deployment.lifecycle.expireAfterDays: 10: must be more than glacierAfterDays',
        ),
      ],
    ],
  ])('with %s is refused', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });

  it('names a key that is written twice, and what else is wrong', () => {
    expect(problemsOf(`${VALID}    kinds: [logical]\n    kinds: []\n`)).toEqual(
      [
        'line 9: kinds is written twice; keep one of the two',
        'line 8, sources.orders.kinds: is an empty list; write at least 1 item',
      ].sort(),
    );
  });

  it('that is no YAML is refused with the line', () => {
    expect(problemsOf('version: 1\nsources: [\n')[0]).toMatch(/^line 3: is not valid YAML: /);
  });

  it('that grows without bound through its anchors is refused', () => {
    const levels = Array.from({ length: 12 }, (_, level) =>
      level === 0 ? 'a0: &a0 [x, x]' : `a${level}: &a${level} [${`*a${level - 1}, `.repeat(10)}]`,
    );
    const parse = () => parsePlanFile(levels.join('\n'), 'holdfast.yml');
    expect(parse).toThrow(/cannot be expanded: .*; write the settings out/);
  });

  it('may share settings by an anchor', () => {
    const text = `${VALID}    dump: &dump { concurrency: 4 }
  billing:
    engine: { type: postgres }
    connection: { host: b, auth: { type: secret, secretId: b } }
    dump: { <<: *dump, timeoutMinutes: 10 }
`;
    const [, billing] = parsePlanFile(text, 'holdfast.yml').sources;
    expect(billing?.dump).toMatchObject({ concurrency: 4, timeoutMinutes: 10 });
  });

  it('of any content at all is parsed or refused with InvalidPlan', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(problemsOf(text).length).toBeGreaterThanOrEqual(0);
        expect(problemsOf(`${VALID}    dump: ${text}`).length).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the example plan file', () => {
  const { sources, deployment } = parsePlanFile(read('holdfast.example.yml'), 'example');

  it('is valid and shows an instance, a cluster and a plain server', () => {
    expect(sources.map(({ engine }) => engine.type)).toEqual([
      'rds-instance',
      'aurora-cluster',
      'postgres',
    ]);
  });

  it('shows every option with its default', () => {
    const [, , warehouse] = sources;
    if (!warehouse) throw new Error('no third source');
    const { schedule, network, kinds, restore, ...shown } = warehouse;
    // Whose secret it is has no default.
    const { auth, ...restoring } = restore;
    const { connection, engine, source } = warehouse;
    const { caFile, ...tls } = connection.tls;
    const least = SourcePlan.parse({
      source,
      engine,
      connection: { host: connection.host, auth: connection.auth, tls: { caFile } },
    });
    expect(auth).toMatchObject({ type: 'secret' });
    // The default of the RPO depends on the schedule.
    const { rpoMinutes, ...targets } = shown.drill.targets;
    expect(rpoMinutes).toBe((drillTargets({ ...least, schedule }).rpoSeconds ?? 0) / 60);
    const drill = { ...shown.drill, targets };
    expect({ ...shown, drill, restore: restoring }).toEqual(least);
    expect({ tls, schedule, network, kinds }).toMatchObject({ tls: { mode: 'verify-full' } });
    const keys = Object.keys(SourcePlan.shape);
    expect(Object.keys(warehouse).sort()).toEqual(keys.sort());
    expect(deployment).toEqual(parsePlanFile(VALID, 'holdfast.yml').deployment);
  });
});

it('config/holdfast.schema.json is what `npm run schema` would write', () => {
  expect(JSON.parse(read('holdfast.schema.json'))).toEqual(planFileJsonSchema());
});

describe('the stored plan of a source', () => {
  it('reads back as the same plan and fits a standard parameter', () => {
    const value = serializeSourcePlan(makePlan());
    expect(SourcePlan.parse(JSON.parse(value))).toEqual(makePlan());
    expect(parameterTier(value)).toBe('Standard');
  });

  it('of more than 4 KiB needs an advanced parameter, of more than 8 KiB it is refused', () => {
    const withDatabases = (count: number) =>
      makePlan({ databases: Array.from({ length: count }, (_, n) => `database_${n + 1000}`) });
    expect(parameterTier(serializeSourcePlan(withDatabases(250)))).toBe('Advanced');
    expect(() => serializeSourcePlan(withDatabases(600))).toThrow(
      /the plan of orders has \d+ bytes, an SSM parameter holds 8192; use patterns/,
    );
  });
});
