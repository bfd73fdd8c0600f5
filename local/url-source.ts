import { connect } from 'node:net';
import pgpass from 'pgpass';
import { SourcePlan } from '#contracts/source-plan.ts';
import { InvalidInput } from '#errors';
import { UNSCHEDULED_TARGETS } from './unscheduled-targets.ts';

/** A user's own server, as `--url` names it, made into a plan and a secret. */
export interface UrlSource {
  readonly plan: SourcePlan;
  /** Kept in memory by the local Secrets Manager, under the plan's `secretId`. */
  readonly secret: { readonly username: string; readonly password: string };
}

/**
 * Reads `postgres://user:pass@host:port/database`. The password comes from the URL, from PGPASSWORD, or
 * from the password file (PGPASSFILE, ~/.pgpass), in this order. Throws InvalidInput; no message shows
 * the URL, as it may hold the password.
 */
export async function urlSource(
  url: string,
  options: { index: number; allDatabases: boolean; environment: NodeJS.ProcessEnv },
): Promise<UrlSource> {
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new InvalidInput('--url does not begin with postgres://', {
      remedy: 'write postgres://user@host:5432/database',
    });
  }
  const parsed = parseUrl(url);
  const host = parsed.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  const port = Number(parsed.port || 5432);
  const user = decodeURIComponent(parsed.username) || options.environment['PGUSER'];
  if (!user)
    throw new InvalidInput('--url names no user', { remedy: 'write postgres://user@host/db' });
  const database = decodeURIComponent(parsed.pathname.slice(1)) || user;
  const password =
    decodeURIComponent(parsed.password) ||
    options.environment['PGPASSWORD'] ||
    (await filed({ host, port, user, database }));
  const source = sourceName(host, database, options);
  const tls = tlsMode(parsed.searchParams.get('sslmode')) ?? (await probeTls(host, port));
  const plan = SourcePlan.parse({
    source,
    engine: { type: 'postgres' },
    connection: {
      host,
      port,
      user,
      maintenanceDatabase: database,
      auth: { type: 'secret', secretId: `holdfast/local/${source}` },
      tls: { mode: tls },
    },
    databases: options.allDatabases ? 'all' : [database],
    drill: { targets: UNSCHEDULED_TARGETS },
  });
  return { plan, secret: { username: user, password: password ?? '' } };
}

function parseUrl(url: string): URL {
  try {
    const parsed = new URL(url);
    // Throws for a stray %; the parts are decoded again where they are used.
    decodeURIComponent(`${parsed.username}${parsed.password}${parsed.pathname}`);
    return parsed;
  } catch {
    throw new InvalidInput('--url cannot be read', {
      remedy: 'write postgres://user@host:5432/database, with special characters as %XX',
    });
  }
}

/** The password file's entry. libpq ignores the file when others may read it; so does pgpass. */
function filed(connection: {
  host: string;
  port: number;
  user: string;
  database: string;
}): Promise<string | undefined> {
  return new Promise((resolve) => pgpass(connection, (password) => resolve(password)));
}

/** Format: the host's first label and the database, in the characters a source name may have. */
function sourceName(
  host: string,
  database: string,
  { index, allDatabases }: { index: number; allDatabases: boolean },
): string {
  const label = /^[\d.:[\]]+$/.test(host) ? 'local' : (host.split('.')[0] ?? 'local');
  const words = `${label}-${allDatabases ? 'all' : database}`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 34)
    .replace(/-+$/, '');
  return index === 0 ? words || 'local' : `${words || 'local'}-${index + 1}`;
}

function tlsMode(sslmode: string | null): SourcePlan['connection']['tls']['mode'] | undefined {
  switch (sslmode) {
    case 'verify-full':
    case 'verify-ca':
    case 'require':
    case 'disable':
      return sslmode;
    default:
      return undefined;
  }
}

/**
 * What libpq's `prefer` does: encrypt where the server can. An SSLRequest is answered with one byte,
 * S or N (PostgreSQL protocol, "SSL Session Encryption").
 */
function probeTls(host: string, port: number): Promise<'require' | 'disable'> {
  const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5_000 }, () => socket.write(sslRequest));
    const settle = (mode: 'require' | 'disable') => {
      socket.destroy();
      resolve(mode);
    };
    socket.once('data', (answer) => settle(answer[0] === 0x53 ? 'require' : 'disable'));
    // Unreachable: the preflight will say so, under its own name.
    socket.once('error', () => settle('disable'));
    socket.once('timeout', () => settle('disable'));
  });
}
