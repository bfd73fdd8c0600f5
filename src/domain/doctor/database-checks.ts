import type { CheckId, Finding, TrustedCertificates } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { DiscoveredDatabase } from '#contracts/workflow.ts';
import { chooseClientMajor } from '../client-choice.ts';
import { displayName } from '../display-text.ts';
import type { ServerFacts } from '../preflight.ts';
import { type Examination, type Note, notesOn } from './finding.ts';

/**
 * Whether the role reads tables that are yet to be made: pg_read_all_data came with 14. One row:
 * {@link RoleFacts}. Read with an empty search path.
 */
export const ROLE_QUERY = `
  SELECT pg_catalog.current_setting('is_superuser')::pg_catalog.bool
         OR EXISTS (SELECT FROM pg_catalog.pg_roles
                    WHERE rolname = 'pg_read_all_data'
                      AND pg_catalog.pg_has_role(oid, 'USAGE')) AS "readsAll"`;

export interface RoleFacts extends Record<string, unknown> {
  readonly readsAll: boolean;
}

/** What trying to look into the server came to. */
export type Visit =
  | {
      readonly connected: true;
      readonly server: ServerFacts;
      readonly readsAll: boolean;
      readonly databases: readonly {
        readonly found: DiscoveredDatabase;
        readonly warnings: readonly string[];
      }[];
      /** Names in the plan that the server does not have. */
      readonly missing: readonly string[];
    }
  | {
      readonly connected: false;
      /** Of src/errors.ts. */
      readonly error: string;
      /** A fact, without the remedy. */
      readonly message: string;
      readonly remedy: string | undefined;
      /** The server was there, and its certificate or its TLS was not what the plan asks for. */
      readonly tlsFailed: boolean;
    };

const CA_BUNDLE = 'https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem';

/** Errors that say something about the server or the secret, wherever one connects from. */
const DECIDED = new Set([
  'AuthenticationFailed',
  'SecretUnusable',
  'DatabaseNotFound',
  'InsufficientPrivilege',
]);

export function judgeVisit(
  plan: Pick<SourcePlan, 'source' | 'connection'>,
  visit: Visit,
): Finding[] {
  const note = notesOn(plan.source);
  return visit.connected
    ? [
        note(
          'connection',
          'ok',
          `connects to PostgreSQL ${visit.server.version} as ${visit.server.role}`,
        ),
        tls(note, plan),
        ...privileges(note, plan, visit),
      ]
    : [failedConnection(note, plan, visit), ...looseTls(note, plan)];
}

function failedConnection(
  note: Note,
  { connection }: Pick<SourcePlan, 'connection'>,
  { error, message, remedy, tlsFailed }: Extract<Visit, { connected: false }>,
): Finding {
  const where = `${connection.host}:${connection.port}`;
  if (tlsFailed) {
    return note('tls', 'fail', `TLS with ${where} fails`, {
      why: message,
      remedy:
        'compare connection.host with the names in the certificate, and connection.tls.caFile with the CA that signed it',
    });
  }
  if (DECIDED.has(error)) {
    return note('connection', 'fail', `cannot connect to ${where}: ${error}`, {
      why: message,
      remedy: remedy ?? null,
    });
  }
  const unknown = (title: string, what: string) =>
    note('connection', 'unknown', title, { why: message, remedy: what });
  if (error === 'AccessDenied') {
    return unknown(
      'whether it can connect is not known: the secret may not be read',
      'allow secretsmanager:GetSecretValue (and kms:Decrypt of its key) to whoever runs the doctor (docs/doctor.md, "Permissions")',
    );
  }
  if (error === 'DatabaseUnreachable' || error === 'ConnectionLost') {
    return unknown(
      `${where} cannot be reached from here`,
      'run the doctor inside the VPC, or over a tunnel to it; the backup task is elsewhere in the network, and may reach it',
    );
  }
  return unknown('whether it can connect is not known', remedy ?? 'run holdfast doctor again');
}

function tls(note: Note, plan: Pick<SourcePlan, 'connection'>): Finding {
  const [loose] = looseTls(note, plan);
  return loose ?? note('tls', 'ok', 'the certificate of the server is valid for its name');
}

/** Modes that do not prove who answers. */
function looseTls(note: Note, { connection }: Pick<SourcePlan, 'connection'>): Finding[] {
  const { mode } = connection.tls;
  if (mode === 'verify-full') return [];
  const why = {
    'verify-ca': 'any server whose certificate the same CA signed can pose as this one',
    require: 'whoever sits between can pose as the server, and read everything',
    disable: 'whoever sits between can read everything',
  }[mode];
  return [
    note('tls', 'warn', `connection.tls.mode is ${mode}`, {
      why,
      remedy: 'write mode: verify-full in the plan file and deploy',
    }),
  ];
}

function privileges(
  note: Note,
  { source }: Pick<SourcePlan, 'source'>,
  { server, readsAll, databases, missing }: Extract<Visit, { connected: true }>,
): Finding[] {
  const check: CheckId = 'role-privileges';
  const findings = missing.map((name) =>
    note(check, 'fail', `the server has no database ${displayName(name)}`, {
      why: 'the plan names it: every run fails',
      remedy: `take it out of the databases of ${source} in the plan file and deploy, or create it`,
    }),
  );
  for (const { found, warnings } of databases) {
    const name = displayName(found.database);
    if (found.problem) {
      const { facts, remedy } = splitRemedies(found.problem.cause);
      findings.push(
        note(check, 'fail', `${name} cannot be dumped: ${found.problem.error}`, {
          why: facts,
          remedy,
        }),
      );
    }
    findings.push(...warnings.map((warning) => note(check, 'warn', warning)));
  }
  if (!readsAll) {
    findings.push(
      note(check, 'warn', `the role ${server.role} has grants on single tables alone`, {
        why: 'a table that is made tomorrow makes the backup fail',
        remedy:
          server.versionNumber >= 140_000
            ? `as an administrator: GRANT pg_read_all_data TO ${server.role};`
            : `as the owner of the tables, in each schema: ALTER DEFAULT PRIVILEGES IN SCHEMA … GRANT SELECT ON TABLES TO ${server.role};`,
      }),
    );
  }
  if (databases.length === 0 && missing.length === 0) {
    findings.push(
      note(check, 'fail', 'no database of the server is in the plan', {
        why: 'every run fails with NoDatabases',
        remedy: `widen the databases of ${source} in the plan file and deploy`,
      }),
    );
  }
  if (!findings.some(({ severity }) => severity === 'fail')) {
    const count = `${databases.length} database${databases.length === 1 ? '' : 's'}`;
    findings.push(note(check, 'ok', `the role ${server.role} reads all of ${count}`));
  }
  return findings;
}

/**
 * Problems of a database are joined line by line, each a fact, a semicolon, and what to run; see
 * preflight.ts. Facts have semicolons too.
 */
function splitRemedies(problem: string): { facts: string; remedy: string | null } {
  const parts = problem.split('\n').map((line) => {
    const mark = line.indexOf('; run as ');
    return mark < 0
      ? { fact: line, remedy: undefined }
      : { fact: line.slice(0, mark), remedy: line.slice(mark + 2) };
  });
  const remedies = parts.flatMap(({ remedy }) => remedy ?? []);
  return {
    facts: parts.map(({ fact }) => fact).join('\n'),
    remedy: remedies.length > 0 ? remedies.join('\n') : null,
  };
}

/** `majors` undefined: no clients are at hand where the doctor runs. */
export function judgeClients(
  source: string,
  serverMajor: number,
  majors: readonly number[] | undefined,
): Finding {
  const note = notesOn(source);
  if (!majors || majors.length === 0) {
    return note('client-version', 'unknown', 'no PostgreSQL clients are at hand here', {
      why: 'whether the bundled ones cover the server is not known',
      remedy: 'npm run clients, or set HOLDFAST_POSTGRES_CLIENTS to their folder',
    });
  }
  try {
    const major = chooseClientMajor(serverMajor * 10_000, majors);
    return note('client-version', 'ok', `client ${major} dumps PostgreSQL ${serverMajor}`);
  } catch {
    return note('client-version', 'fail', `no client is new enough for PostgreSQL ${serverMajor}`, {
      why: `the clients are ${majors.join(', ')}; a client cannot dump a newer server`,
      remedy: `add client ${serverMajor} to layers/postgres-client/versions.json, npm run clients, and deploy`,
    });
  }
}

/** The file that servers are verified with, where any plan does so. `anyRds`: some of them are at RDS. */
export function judgeTrust(
  { now, region }: Pick<Examination, 'now' | 'region'>,
  trusted: TrustedCertificates | undefined,
  anyRds: boolean,
): Finding {
  const note = notesOn(null);
  const remedy = `curl --fail --output global-bundle.pem ${CA_BUNDLE}, then set HOLDFAST_CA_FILE to that file`;
  if (!trusted) {
    return note('ca-bundle', 'unknown', 'the CA bundle is not on this machine', {
      why: 'no server can be verified from here; the image and the layer have their own',
      remedy,
    });
  }
  const valid = trusted.certificates.filter(({ ends }) => ends > now);
  const useful = anyRds
    ? valid.filter(({ subject }) => subject.includes(`Amazon RDS ${region} `))
    : valid;
  if (useful.length > 0) {
    const count = `${valid.length} CA${valid.length === 1 ? '' : 's'}`;
    return note(
      'ca-bundle',
      'ok',
      `${trusted.file} has ${count}${anyRds ? `, ${useful.length} of RDS in ${region}` : ''}`,
    );
  }
  const lacks = anyRds ? `no valid CA of RDS in ${region}` : 'no valid CA';
  return note('ca-bundle', 'fail', `${trusted.file} has ${lacks}`, {
    why: 'no server can be verified with it, and nothing connects',
    remedy,
  });
}
