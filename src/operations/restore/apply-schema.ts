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
import { SQLSTATE, serverHint, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import {
  AS_GRANTOR,
  classifyStatementFailure,
  isSecretive,
  objectOf,
  serverTrouble,
  shownMessage,
  statementBeginning,
} from '#domain/restore/statement-failure.ts';
import { ConnectionLost, errorCatalogue, errorName, HoldfastError, RestoreFailed } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import { CreateLoans, type LoanSession, type NewOwner } from './create-loans.ts';

type Needs = Pick<Deps, 'databases' | 'clock'>;

export interface SchemaOptions {
  readonly connection: Connection;
  readonly database: string;
  readonly head: Buffer;
  readonly toc: Toc;
  /** Tell how large a table is: what belongs to the largest comes first. */
  readonly blocks: readonly DataBlock[];
  readonly roles: Pick<RoleHandling, 'noOwner' | 'role'>;
  /** Without triggers, those on events too. */
  readonly replica?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Entries that go to the server together: a commit takes milliseconds, and a round trip one. Each takes a few
 * of the some 6,400 locks that a server has by default.
 */
const ENTRIES_TOGETHER = 32;
const CHARACTERS_TOGETHER = 256 * 1024;
/** Of a pass, only what takes no time: a session that has many would keep the others from them. */
const QUICK = new Set(['ACL', 'BLOB', 'COMMENT', 'DEFAULT ACL', 'SECURITY LABEL', 'SEQUENCE SET']);

/** How often a statement is tried again that failed for the sake of another session. */
const DEADLOCK_TRIES = 5;
const DEADLOCK_PAUSE_MILLISECONDS = 200;
/**
 * 40P01 deadlock, 40001 serialization failure; in catalogs the latter is an internal error. 53200: another
 * statement may have all the locks that there are, as one about a table of thousands of partitions has.
 */
const DEADLOCKS = new Set<string>(['40P01', '40001', SQLSTATE.outOfMemory]);
const CATALOG_CONFLICT = /^tuple concurrently (updated|deleted)$/;
const TOO_MANY_CONNECTIONS = '53300';
/** 42P06 a schema, 42710 any other object: what depends on it finds it. */
const ALREADY_THERE = new Set(['42P06', '42710']);
/**
 * A session that was closed in the middle of a statement is not noticed before its end, unless the server
 * looks (PostgreSQL 14 and newer): an index of a terabyte would hold the database for hours.
 */
const CONNECTION_CHECK = ['client_connection_check_interval', '10s'] as const;

/** Only who may create in the database can own them; a schema's owner need not. */
const OWNED_IN_DATABASE = new Set(['PUBLICATION', 'SUBSCRIPTION']);

const REPLICA = ['session_replication_role', 'replica'] as const;

const SET_KNOWN = `
  SELECT pg_catalog.set_config(s.name, wanted.value, false)
  FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
  JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) wanted.name`;

interface TablespaceRow extends Record<string, unknown> {
  readonly name: string;
  readonly use: 'own' | 'usable' | 'denied';
}

const TABLESPACES_QUERY = `
  SELECT t.spcname::pg_catalog.text AS "name",
         CASE WHEN d.oid IS NOT NULL THEN 'own'
              WHEN pg_catalog.has_tablespace_privilege(t.oid, 'CREATE') THEN 'usable'
              ELSE 'denied' END AS "use"
  FROM pg_catalog.pg_tablespace AS t
  LEFT JOIN pg_catalog.pg_database AS d
    ON d.dattablespace = t.oid AND d.datname = pg_catalog.current_database()`;

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
  readonly #loans = new CreateLoans(this.warnings);
  /** Of the target, by name: what the one who makes everything can do with each. */
  #tablespaces: ReadonlyMap<string, 'own' | 'usable' | 'denied'> | undefined;

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
      for (const group of this.#groupsOf(entries)) {
        this.#options.signal.throwIfAborted();
        await this.#lendTo(session as EntrySession, group, entries);
        await this.#apply(session as EntrySession, phase, group);
        for (const _ of group) onApplied();
      }
    });
  }

  #groupsOf(entries: readonly TocEntry[]): TocEntry[][] {
    const groups: TocEntry[][] = [];
    let [characters, open] = [0, false];
    /** What is made in the last group. */
    let schemas = new Set<string>();
    for (const entry of entries) {
      const { parts, together } = this.#script.statements(entry.dumpId);
      const size = parts.reduce((sum, { sql }) => sum + sql.length, 0);
      // Between a schema and what is in it the right to create there may have to be lent.
      const follows = schemas.has(entry.schema ?? '');
      const group = open && together && !follows ? groups.at(-1) : undefined;
      if (group && group.length < ENTRIES_TOGETHER && characters + size < CHARACTERS_TOGETHER) {
        group.push(entry);
        characters += size;
      } else {
        groups.push([entry]);
        characters = size;
        schemas = new Set();
      }
      if (entry.desc === 'SCHEMA') schemas.add(entry.tag);
      open = together;
    }
    return groups;
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
      const [first] = sessions as [EntrySession];
      for (const pass of passes) {
        // What is lent would be taken for one of the archive's own privileges.
        if (pass.some(isOnSchema)) await this.#loans.takeBack(this.#patient(first));
        await this.#lendTo(first, pass, pass);
        await this.#applyPass(sessions, phase, pass, onApplied);
      }
    });
  }

  /**
   * Ends what was lent to the owners of what was made; to be called when all is made, also after a failure, for
   * the sake of a database that stays.
   */
  async takeBackLoans(): Promise<void> {
    if (this.#loans.isEmpty) return;
    const { connection, database } = this.#options;
    const session = await this.#deps.databases.connect(connection, database);
    try {
      await this.#loans.takeBack(this.#patient(session));
    } finally {
      await session.close();
    }
  }

  /** Before `group`, which is a part of `all`: of what is asked once, more is known at once. */
  async #lendTo(
    session: EntrySession,
    group: readonly TocEntry[],
    all: readonly TocEntry[],
  ): Promise<void> {
    const due = this.#newOwners(group);
    if (!this.#loans.hasNew(due)) return;
    await this.#loans.lend(this.#patient(session), this.#newOwners(all), due);
  }

  #newOwners(entries: readonly TocEntry[]): NewOwner[] {
    return entries.flatMap((entry) => {
      const { desc, owner, schema = '' } = entry;
      const inDatabase = OWNED_IN_DATABASE.has(desc);
      if (!owner || (schema === '' && !inDatabase)) return [];
      const { parts } = this.#script.statements(entry.dumpId);
      if (!parts.some(({ kind }) => kind === 'owner')) return [];
      return [{ schema: inDatabase ? null : schema, role: owner }];
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
          const group = nextGroup(schedule);
          if (group.length === 0) {
            await changed.promise;
            continue;
          }
          try {
            signal.throwIfAborted();
            await this.#apply(session, phase, group);
            for (const entry of group) {
              schedule.finish(entry);
              onApplied();
            }
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
      const set = (settings: readonly (readonly [string, string])[]) =>
        session.query(SET_KNOWN, [
          settings.map(([name]) => name),
          settings.map(([, value]) => value),
        ]);
      await set([...this.#script.settings, ...(this.#options.replica ? [REPLICA] : [])]);
      // Some systems cannot; there a statement goes on to its end.
      await set([CONNECTION_CHECK]).catch(() => {});
      const opened = new EntrySession(session, roles.role);
      await opened.becomeRole();
      if (this.#tablespaces === undefined) {
        const rows = await session.query<TablespaceRow>(TABLESPACES_QUERY);
        this.#tablespaces = new Map(rows.map(({ name, use }) => [name, use]));
      }
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

  /** All together where that goes well, else each by itself. */
  async #apply(
    session: EntrySession,
    phase: RestorePhase,
    entries: readonly TocEntry[],
  ): Promise<void> {
    const group = entries
      .map((entry) => ({ entry, ...this.#script.statements(entry.dumpId) }))
      .filter(({ parts }) => parts.length > 0);
    const [first] = group;
    if (!first) return;
    if (group.every(({ together }) => together)) {
      // In one transaction: where nothing fails, nothing more is to be known.
      const { settings, queries } = this.#queriesOf(session, group);
      const error = await this.#tried(session, queries.join('\n;\n'));
      if (error === undefined) {
        session.settings = settings;
        return this.#afterwards(session, group);
      }
      const [only] = first.parts;
      if (queries.length === 1 && only) return this.#judge(phase, first.entry, only, error.thrown);
      // It was rolled back as a whole; who is to blame is found one by one, as long as somebody answers.
      this.#requireAnswer(phase, first.entry, error.thrown);
    }
    if (group.length === 1) return this.#applyParts(session, phase, first);
    for (const { entry } of group) await this.#apply(session, phase, [entry]);
  }

  #queriesOf(session: EntrySession, group: readonly GroupMember[]) {
    let { settings } = session;
    const queries: string[] = [];
    for (const { entry, settings: wanted, parts } of group) {
      const changes = changesOf(settings, this.#available(wanted, entry));
      settings = new Map([
        ...settings,
        ...changes.map(({ name, value }) => [name, value] as const),
      ]);
      queries.push(...[...changes, ...parts].map(({ sql }) => sql));
    }
    return { settings, queries };
  }

  async #applyParts(
    session: EntrySession,
    phase: RestorePhase,
    member: GroupMember,
  ): Promise<void> {
    const { entry, settings, parts } = member;
    for (const { name, value, sql } of changesOf(
      session.settings,
      this.#available(settings, entry),
    )) {
      const error = await this.#tried(session, sql);
      if (error) throw this.#failure(phase, entry, sql, error.thrown, undefined);
      session.settings = new Map([...session.settings, [name, value]]);
    }
    let asRole = false;
    for (const part of parts) {
      const sql = asRole && part.text.startsWith('RESET SESSION') ? 'RESET ROLE;' : part.sql;
      let error = await this.#tried(session, sql);
      if (error && AS_GRANTOR.test(part.text) && isDenied(error.thrown)) {
        // Only a superuser can become somebody else; whoever may act as the grantor can do it as that role.
        error = await this.#tried(session, part.sql.replace(AS_GRANTOR, 'SET ROLE '));
        asRole = error === undefined;
      }
      if (!error) continue;
      this.#judge(phase, entry, part, error.thrown);
      // What was not made has no owner.
      if (part.kind === 'definition') break;
    }
    await this.#afterwards(session, [member]);
  }

  /** Grants by others than the owner come with a change of the session's user, which ends our role. */
  async #afterwards(session: EntrySession, group: readonly GroupMember[]): Promise<void> {
    const changed = group.some(({ parts }) =>
      parts.some(
        ({ kind, text }) => kind === 'privilege' && text.includes('SESSION AUTHORIZATION'),
      ),
    );
    if (changed) await session.becomeRole();
  }

  /** What was thrown; undefined when all went well. */
  async #tried(session: EntrySession, sql: string): Promise<{ thrown: unknown } | undefined> {
    try {
      await this.#patiently(() => session.query(sql));
      return undefined;
    } catch (error) {
      this.#options.signal.throwIfAborted();
      return { thrown: error };
    }
  }

  /** The same again where others were in the way. */
  async #patiently<Result>(work: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (attempt === DEADLOCK_TRIES || !isDeadlock(error)) throw error;
        await this.#deps.clock.sleep(attempt * DEADLOCK_PAUSE_MILLISECONDS, this.#options.signal);
      }
    }
  }

  #patient(session: LoanSession): LoanSession {
    return { query: (sql, values) => this.#patiently(() => session.query(sql, values)) };
  }

  /**
   * A tablespace that cannot be had is left out: where a table lies is no part of what it is. The database's own
   * goes without its name, which the server refuses for partitioned tables.
   */
  #available(settings: EntrySettings, entry: TocEntry): EntrySettings {
    const { tablespace } = settings;
    const use = this.#tablespaces?.get(tablespace ?? '');
    if (!tablespace || use === 'usable') return settings;
    if (use === 'own') return { ...settings, tablespace: '' };
    const name = JSON.stringify(tablespace);
    const why =
      use === 'denied'
        ? `the restoring role may not create in the tablespace ${name}`
        : `the target has no tablespace ${name}`;
    const warning = `${why}; its objects lie in the database's own, the first of them is ${entry.desc} ${objectOf(entry)}`;
    const begin = warning.slice(0, warning.indexOf(';'));
    if (!this.warnings.some((it) => it.startsWith(begin))) this.warnings.push(warning);
    return { ...settings, tablespace: '' };
  }

  /** Throws unless the server is still there to be asked. */
  #requireAnswer(phase: RestorePhase, entry: TocEntry, error: unknown): void {
    const sqlState = stateOf(error);
    if (sqlState === undefined || serverTrouble(sqlState) === ConnectionLost) {
      throw this.#failure(phase, entry, '', error, undefined);
    }
  }

  /** Notes a failure that may be, throws any other. */
  #judge(phase: RestorePhase, entry: TocEntry, part: ScriptPart, error: unknown): void {
    const sqlState = stateOf(error);
    const verdict = classifyStatementFailure({
      sqlState,
      entry,
      part: part.kind,
      because: this.#missingFor(entry),
      rolesOptional: this.#options.roles.noOwner || this.#options.roles.role !== undefined,
      hint: serverHint(error),
      message: serverMessage(error),
      text: part.text,
    });
    if (verdict.fatal) throw this.#failure(phase, entry, part.text, error, verdict.remedy);
    if (part.kind === 'definition' && !ALREADY_THERE.has(sqlState ?? '')) {
      this.#failed.set(entry.dumpId, `${entry.desc} ${objectOf(entry)}`);
    }
    this.tolerated.push({
      sqlState: sqlState ?? '',
      objectType: entry.desc,
      object: objectOf(entry),
      message: shownMessage(entry, sqlState, serverMessage(error)),
      statement: statementBeginning(entry, part.text),
      advice: verdict.advice,
    });
  }

  /**
   * Of entries with rows or sequence values, those whose table is not there, as it belongs to an extension that
   * is not. The archive has no entry for such a table, and does not say of which extension it is.
   */
  async withoutExtension(entries: readonly TocEntry[]): Promise<ReadonlySet<TocEntry>> {
    const failed = [...this.#failed.values()].some((object) => object.startsWith('EXTENSION '));
    const known = new Set(this.#options.toc.entries.map(({ dumpId }) => dumpId));
    const foreign = entries.filter(
      ({ desc, dependencies }) =>
        (desc === 'TABLE DATA' || desc === 'SEQUENCE SET') &&
        !dependencies.some((id) => known.has(id)),
    );
    const absent = new Set<TocEntry>();
    if (!failed || foreign.length === 0) return absent;
    await this.#withSessions(1, async ([session]) => {
      for (const entry of foreign) {
        if (!(await session?.hasRelation(entry))) absent.add(entry);
      }
    });
    return absent;
  }

  /** What an entry depends on directly, and is not there, as its failure was tolerated. */
  #missingFor({ dependencies }: TocEntry): string | undefined {
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
    const errorClass = sqlState === undefined ? errorCatalogue.get(errorName(error)) : undefined;
    return new (errorClass ?? RestoreFailed)(fact, options);
  }
}

/** Privileges of a schema; before 11 the tag is its name alone. */
function isOnSchema({ desc, tag, schema = '' }: TocEntry): boolean {
  return desc === 'ACL' && schema === '' && !/^(LARGE OBJECTS?|DATABASE) /.test(tag);
}

/** A socket's own codes, such as EPIPE, can look like an SQLSTATE; none of those begins with an E. */
function stateOf(error: unknown): string | undefined {
  const code = sqlStateOf(error);
  return code?.startsWith('E') ? undefined : code;
}

function isDenied(error: unknown): boolean {
  return stateOf(error) === SQLSTATE.insufficientPrivilege;
}

/** Two sessions were in each other's way, and may not be the next time. */
function isDeadlock(error: unknown): boolean {
  return DEADLOCKS.has(stateOf(error) ?? '') || CATALOG_CONFLICT.test(serverMessage(error));
}

/** The next entries that one session is to run; none where all have to wait. */
function nextGroup(schedule: EntrySchedule): TocEntry[] {
  const group: TocEntry[] = [];
  while (group.length < ENTRIES_TOGETHER) {
    const entry = schedule.next((it) => group.length === 0 || QUICK.has(it.desc));
    if (!entry) break;
    group.push(entry);
    if (!QUICK.has(entry.desc)) break;
  }
  return group;
}

type GroupMember = EntryStatements & { readonly entry: TocEntry };

type Settings = ReadonlyMap<keyof EntrySettings, string>;

interface SettingChange {
  readonly name: keyof EntrySettings;
  readonly value: string;
  readonly sql: string;
}

function changesOf(settings: Settings, wanted: EntrySettings): SettingChange[] {
  const changes: SettingChange[] = [];
  const add = (name: keyof EntrySettings, sql: (value: string) => string) => {
    const value = wanted[name];
    if (value === undefined || value === settings.get(name)) return;
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

/** A session and what is known of its settings. */
class EntrySession {
  readonly #session: Session;
  readonly #role: string | undefined;
  #closing: Promise<void> | undefined;
  /** Of the entries' own: those that were set and committed. */
  settings: Settings = new Map();

  constructor(session: Session, role: string | undefined) {
    this.#session = session;
    this.#role = role;
  }

  query<Row extends Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]> {
    return this.#session.query<Row>(sql, values);
  }

  async hasRelation({ schema = '', tag }: TocEntry): Promise<boolean> {
    const [row] = await this.#session.query<{ found: boolean }>(
      "SELECT pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text)) IS NOT NULL AS found",
      [schema, tag],
    );
    return row?.found ?? false;
  }

  async becomeRole(): Promise<void> {
    if (this.#role === undefined) return;
    await this.#session.query("SELECT pg_catalog.set_config('role', $1, false)", [this.#role]);
  }

  close(): Promise<void> {
    this.#closing ??= this.#session.close();
    return this.#closing;
  }
}
