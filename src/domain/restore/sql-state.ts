/** No class of SQLSTATEs begins with an E; Node's EPIPE does. */
function isSqlState(code: unknown): code is string {
  return typeof code === 'string' && /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(code);
}

/**
 * The SQLSTATE of an error that a session threw, also where it has a name of ours by now and the
 * driver's error is its cause. Undefined where the server did not answer with one.
 */
export function sqlStateOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const { code } = at as { code?: unknown };
    if (isSqlState(code)) return code;
  }
  return undefined;
}

/** What the server itself said, without what we put around it. */
export function serverMessage(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const { code } = at as { code?: unknown };
    if (isSqlState(code)) return at.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** The server's hint, which says what could help; undefined where it gave none. */
export function serverHint(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const { code, hint } = at as { code?: unknown; hint?: unknown };
    if (isSqlState(code)) return typeof hint === 'string' ? hint : undefined;
  }
  return undefined;
}

/** Codes that {@link sqlStateOf} answers and that a restore makes decisions on: appendix A of the manual. */
export const SQLSTATE = {
  featureNotSupported: '0A000',
  insufficientPrivilege: '42501',
  invalidParameterValue: '22023',
  wrongObjectType: '42809',
  undefinedObject: '42704',
  invalidCatalogName: '3D000',
  duplicateDatabase: '42P04',
  objectInUse: '55006',
  lockNotAvailable: '55P03',
  diskFull: '53100',
  /** Of locks too. */
  outOfMemory: '53200',
} as const;
