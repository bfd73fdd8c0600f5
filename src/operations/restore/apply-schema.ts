import type { RestorePhase, RoleHandling, ToleratedStatement } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { DataBlock } from '#domain/archive/block-index.ts';
import type { Toc, TocEntry } from '#domain/archive/toc.ts';
import { EntrySchedule } from '#domain/restore/entry-order.ts';
import {
  type ArchiveScript,
  archiveScript,
  type EntrySettings,
  type EntryStatements,
  type ScriptPart,
} from '#domain/restore/script.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import {
  classifyStatementFailure,
  isSecretive,
  objectOf,
  serverTrouble,
  shownMessage,
  statementBeginning,
} from '#domain/restore/statement-failure.ts';
import { HoldfastError, RestoreFailed } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';

type Needs = Pick<Deps, 'databases' | 'clock'>;

export interface SchemaOptions {
  readonly connection: Connection;
  readonly database: string;
  readonly head: Buffer;
  readonly toc: Toc;
  /** Tell how large a table is: what belongs to the largest comes first. */
  readonly blocks: readonly DataBlock[];
  readonly roles: Pick<RoleHandling, 'noOwner' | 'role'>;
  readonly signal: AbortSignal;
}

/** How often a statement is tried again that the server ended for the sake of another session. */
const DEADLOCK_TRIES = 5;
const DEADLOCK_PAUSE_MILLISECONDS = 200;
/** 40P01 deadlock, 40001 serialization failure. */
const DEADLOCKS = new Set(['40P01', '40001']);
const TOO_MANY_CONNECTIONS = '53300';
/**
 * A session that was closed in the middle of a statement is not noticed before its end, unless the server
 * looks (PostgreSQL 14 and newer): an index of a terabyte would hold the database for hours.
 */
const CONNECTION_CHECK = ['client_connection_check_interval', '10s'] as const;

const SET_KNOWN = `
  SELECT pg_catalog.set_config(s.name, wanted.value, false)
  FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
  JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) wanted.name`;

/**
 * Runs what an archive's entries say, entry by entry, on sessions of our own: so each statement that fails is
 * known with its SQLSTATE. What may fail is collected in `tolerated`; the first other failure ends it all.
 *
 * The methods throw RestoreFailed, TargetFull, ConnectionLost, AuthenticationFailed, ArchiveUnsupported, what
 * `connect` throws, or the signal's reason.
 */
export class SchemaApplier {
  readonly tolerated: ToleratedStatement[] = [];
  readonly warnings: string[] = [];
  readonly #deps: Needs;
  readonly #options: SchemaOptions;
  readonly #script: ArchiveScript;
  /** Entries whose definition failed and was tolerated, as others depend on them: `EXTENSION postgis`. */
  readonly #failed = new Map<number, string>();
  #tablespaces: ReadonlySet<string> | undefined;

  constructor(deps: Needs, options: SchemaOptions) {
    this.#deps = deps;
    this.#options = options;
    const { noOwner, role } = options.roles;
    // A role that everything is made as is the owner of it all.
    this.#script = archiveScript(options.head, { noOwner: noOwner || role !== undefined });
  }

  /** One after the other, in this order, on one session. */
  async applyInOrder(
    phase: RestorePhase,
    entries: readonly TocEntry[],
    onApplied: () => void = () => {},
  ): Promise<void> {
    if (entries.length === 0) return;
    await this.#withSessions(1, async ([session]) => {
      for (const entry of entries) {
        this.#options.signal.throwIfAborted();
        await this.#apply(session as EntrySession, phase, entry);
        onApplied();
      }
    });
  }

  /** Pass by pass, and within one on up to `jobs` sessions, as the dependencies allow. */
  async applyInPasses(
    phase: RestorePhase,
    passes: readonly (readonly TocEntry[])[],
    jobs: number,
    onApplied: () => void = () => {},
  ): Promise<void> {
    const longest = Math.max(0, ...passes.map((pass) => pass.length));
    if (longest === 0) return;
    await this.#withSessions(Math.min(jobs, longest), async (sessions) => {
      for (const pass of passes) {
        await this.#applyPass(sessions, phase, pass, onApplied);
      }
    });
  }

  async #applyPass(
    sessions: readonly EntrySession[],
    phase: RestorePhase,
    pass: readonly TocEntry[],
    onApplied: () => void,
  ): Promise<void> {
    const { toc, blocks, signal } = this.#options;
    const schedule = new EntrySchedule(toc, pass, blocks);
    let changed = Promise.withResolvers<void>();
    let failure: { error: unknown } | undefined;
    const wake = () => {
      changed.resolve();
      changed = Promise.withResolvers<void>();
    };
    await Promise.all(
      sessions.map(async (session) => {
        while (failure === undefined && schedule.waiting > 0) {
          const entry = schedule.next();
          if (entry === undefined) {
            await changed.promise;
            continue;
          }
          try {
            signal.throwIfAborted();
            await this.#apply(session, phase, entry);
            schedule.finish(entry);
            onApplied();
          } catch (error) {
            if (failure === undefined) {
              failure = { error };
              // Nobody waits for what the others still do.
              await Promise.all(sessions.map((other) => other.close()));
            }
          } finally {
            wake();
          }
        }
      }),
    );
    if (failure !== undefined) throw failure.error;
  }

  /** Opens sessions, closes them whatever happens, and at once when the signal says so. */
  async #withSessions(
    count: number,
    use: (sessions: readonly EntrySession[]) => Promise<void>,
  ): Promise<void> {
    const { signal } = this.#options;
    const sessions: EntrySession[] = [];
    const closeAll = () => Promise.all(sessions.map((session) => session.close()));
    const onAbort = () => void closeAll();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      while (sessions.length < count) {
        const session = await this.#open(sessions.length);
        if (session === undefined) break;
        sessions.push(session);
        signal.throwIfAborted();
      }
      await use(sessions);
    } catch (error) {
      // Whatever a closed session said, it was closed because of this.
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await closeAll();
    }
  }

  /** Undefined: the server has no more connections, and there are some. */
  async #open(alreadyOpen: number): Promise<EntrySession | undefined> {
    const { connection, database, roles } = this.#options;
    let session: Session;
    try {
      session = await this.#deps.databases.connect(connection, database, { unlimited: true });
    } catch (error) {
      if (alreadyOpen === 0 || stateOf(error) !== TOO_MANY_CONNECTIONS) throw error;
      this.warnings.push(`the server took ${alreadyOpen} connections and no more: fewer jobs ran`);
      return undefined;
    }
    try {
      const settings = [...this.#script.settings, CONNECTION_CHECK];
      await session.query(SET_KNOWN, [
        settings.map(([name]) => name),
        settings.map(([, value]) => value),
      ]);
      if (this.#tablespaces === undefined) {
        const rows = await session.query<{ spcname: string }>(
          'SELECT spcname FROM pg_catalog.pg_tablespace',
        );
        this.#tablespaces = new Set(rows.map(({ spcname }) => spcname));
      }
      const opened = new EntrySession(session, roles.role);
      await opened.becomeRole();
      return opened;
    } catch (error) {
      await session.close();
      if (error instanceof HoldfastError && stateOf(error) === undefined) throw error;
      throw new RestoreFailed(
        `a session cannot be set up for the restore: ${serverMessage(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  async #apply(session: EntrySession, phase: RestorePhase, entry: TocEntry): Promise<void> {
    const statements = this.#script.statements(entry.dumpId);
    if (statements.parts.length === 0) return;
    const changes = session.changesTo(this.#available(statements.settings, entry));
    const { parts, together } = statements;
    if (together) {
      // In one go, and in one transaction: where nothing fails, nothing more is to be known.
      const queries = [...changes, ...parts].map(({ sql }) => sql);
      try {
        await this.#query(session, queries.join('\n;\n'));
        session.keep(changes);
        return await this.#afterwards(session, statements);
      } catch (error) {
        const [only] = parts;
        if (queries.length === 1 && only) return this.#judge(phase, entry, only, error);
        // It was rolled back as a whole. One by one, it is found who is to blame.
        this.#requireSession(phase, entry, error);
      }
    }
    for (const change of changes) {
      await session.query(change.sql).catch((error: unknown) => {
        throw this.#failure(phase, entry, change.sql, error, undefined);
      });
      session.keep([change]);
    }
    for (const part of parts) {
      try {
        await this.#query(session, part.sql);
      } catch (error) {
        this.#judge(phase, entry, part, error);
        // What was not made has no owner.
        if (part.kind === 'definition') break;
      }
    }
    await this.#afterwards(session, statements);
  }

  /** Grants by others than the owner come with a change of the session's user, which ends our role. */
  async #afterwards(session: EntrySession, { parts }: EntryStatements): Promise<void> {
    if (parts.some(({ text }) => text.includes('SESSION AUTHORIZATION')))
      await session.becomeRole();
  }

  async #query(session: EntrySession, sql: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await session.query(sql);
      } catch (error) {
        if (attempt === DEADLOCK_TRIES || !DEADLOCKS.has(stateOf(error) ?? '')) throw error;
        await this.#deps.clock.sleep(attempt * DEADLOCK_PAUSE_MILLISECONDS, this.#options.signal);
      }
    }
  }

  /** A tablespace that the target does not have is left out: where a table lies is no part of what it is. */
  #available(settings: EntrySettings, entry: TocEntry): EntrySettings {
    const { tablespace } = settings;
    if (!tablespace || this.#tablespaces?.has(tablespace)) return settings;
    const warning = `the target has no tablespace ${JSON.stringify(tablespace)}; its objects lie in the database's own, the first of them is ${entry.desc} ${objectOf(entry)}`;
    const begin = warning.slice(0, warning.indexOf(';'));
    if (!this.warnings.some((it) => it.startsWith(begin))) this.warnings.push(warning);
    return { ...settings, tablespace: '' };
  }

  /** Throws unless the session still stands and the server said what is wrong with the statement. */
  #requireSession(phase: RestorePhase, entry: TocEntry, error: unknown): void {
    if (stateOf(error) === undefined || serverTrouble(stateOf(error))) {
      throw this.#failure(phase, entry, '', error, undefined);
    }
  }

  /** Notes a failure that may be, throws any other. */
  #judge(phase: RestorePhase, entry: TocEntry, part: ScriptPart, error: unknown): void {
    this.#requireSession(phase, entry, error);
    const sqlState = stateOf(error) ?? '';
    const verdict = classifyStatementFailure({
      sqlState,
      entry,
      part: part.kind,
      because: this.#becauseOf(entry),
      rolesOptional: this.#options.roles.noOwner || this.#options.roles.role !== undefined,
    });
    if (verdict.fatal) throw this.#failure(phase, entry, part.text, error, verdict.remedy);
    if (part.kind === 'definition')
      this.#failed.set(entry.dumpId, `${entry.desc} ${objectOf(entry)}`);
    this.tolerated.push({
      sqlState,
      objectType: entry.desc,
      object: objectOf(entry),
      message: shownMessage(entry, sqlState, serverMessage(error)),
      statement: statementBeginning(entry, part.text),
      advice: verdict.advice,
    });
  }

  #becauseOf({ dependencies }: TocEntry): string | undefined {
    const id = dependencies.find((dependency) => this.#failed.has(dependency));
    return id === undefined ? undefined : this.#failed.get(id);
  }

  #failure(
    phase: RestorePhase,
    entry: TocEntry,
    statement: string,
    error: unknown,
    remedy: string | undefined,
  ): unknown {
    this.#options.signal.throwIfAborted();
    const sqlState = stateOf(error);
    const what = `${phase}: ${entry.desc} ${objectOf(entry)}`;
    const said = shownMessage(entry, sqlState, serverMessage(error));
    const code = sqlState === undefined ? '' : ` (SQLSTATE ${sqlState})`;
    const begin = statement === '' ? '' : `, in: ${statementBeginning(entry, statement)}`;
    const verdict = classifyStatementFailure({
      sqlState,
      entry,
      part: 'definition',
      rolesOptional: false,
    });
    // The driver's error repeats the statement.
    const options = {
      ...(remedy === undefined ? {} : { remedy }),
      ...(isSecretive(entry) ? {} : { cause: error }),
    };
    const fact = `${what} failed: ${said}${code}${begin}`;
    if (verdict.fatal && sqlState !== undefined) return new verdict.errorClass(fact, options);
    if (error instanceof HoldfastError) return error;
    return new RestoreFailed(fact, options);
  }
}

/** A socket's own codes, such as EPIPE, can look like an SQLSTATE; none of those begins with an E. */
function stateOf(error: unknown): string | undefined {
  const code = sqlStateOf(error);
  return code?.startsWith('E') ? undefined : code;
}

interface SettingChange {
  readonly name: keyof EntrySettings;
  readonly value: string;
  readonly sql: string;
}

/** A session that knows which of the entries' settings it has. */
class EntrySession {
  readonly #session: Session;
  readonly #role: string | undefined;
  readonly #current = new Map<keyof EntrySettings, string>();
  #closing: Promise<void> | undefined;

  constructor(session: Session, role: string | undefined) {
    this.#session = session;
    this.#role = role;
  }

  async query(sql: string): Promise<void> {
    await this.#session.query(sql);
  }

  async becomeRole(): Promise<void> {
    if (this.#role === undefined) return;
    await this.#session.query("SELECT pg_catalog.set_config('role', $1, false)", [this.#role]);
  }

  changesTo(wanted: EntrySettings): SettingChange[] {
    const changes: SettingChange[] = [];
    const add = (name: keyof EntrySettings, sql: (value: string) => string) => {
      const value = wanted[name];
      if (value === undefined || value === this.#current.get(name)) return;
      changes.push({ name, value, sql: sql(value) });
    };
    add('searchPath', (path) => `SET search_path = ${path};`);
    add(
      'tablespace',
      (name) => `SET default_tablespace = ${name === '' ? "''" : quoteIdentifier(name)};`,
    );
    add('accessMethod', (name) => `SET default_table_access_method = ${quoteIdentifier(name)};`);
    return changes;
  }

  /** Says that the changes were made and committed. */
  keep(changes: readonly SettingChange[]): void {
    for (const { name, value } of changes) this.#current.set(name, value);
  }

  close(): Promise<void> {
    this.#closing ??= this.#session.close();
    return this.#closing;
  }
}
