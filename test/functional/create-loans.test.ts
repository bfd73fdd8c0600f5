import { describe, expect, it } from 'vitest';
import { CreateLoans } from '#operations/restore/create-loans.ts';

const place = (schema: string, role: string, changes: object = {}) => ({
  schema,
  role,
  database: 'shop',
  actAs: null,
  lacks: true,
  ...changes,
});

/** Answers with what there is of the places that are asked for, and refuses what begins with `refused`. */
function makeSession(places: readonly ReturnType<typeof place>[], refused = 'nothing') {
  const queries: string[] = [];
  return {
    queries,
    async query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
      if (values === undefined) queries.push(sql);
      if (sql.startsWith(refused)) throw Object.assign(new Error('no'), { code: '42501' });
      const [schemas, roles] = (values ?? [[], []]) as [string[], string[]];
      const asked = schemas.map((schema, i) => `${schema} ${roles[i]}`);
      return places.filter(({ schema, role }) => asked.includes(`${schema} ${role}`)) as Row[];
    },
  };
}

const app = { schema: 'public', role: 'app' };
const later = { schema: 'later', role: 'app' };

describe('the right to create', () => {
  it('is lent once, and looked for again only where the schema was not due yet', async () => {
    const session = makeSession([place('public', 'app')]);
    const loans = new CreateLoans([]);
    await loans.lend(session, [app, later], [app]);
    expect([loans.hasNew([app]), loans.hasNew([later])]).toEqual([false, true]);
    await loans.lend(session, [app, later], [later]);
    expect(loans.hasNew([later])).toBe(false);
    expect(session.queries).toEqual(['GRANT CREATE ON SCHEMA "public" TO "app"']);
  });

  it('is taken back once, and only from those that it was lent to', async () => {
    const has = { schema: 'public', role: 'has' };
    const session = makeSession([place('public', 'app'), place('public', 'has', { lacks: false })]);
    const loans = new CreateLoans([]);
    await loans.lend(session, [app, has], [app, has]);
    expect(loans.isEmpty).toBe(false);
    session.queries.length = 0;
    await loans.takeBack(session);
    await loans.takeBack(session);
    expect(loans.isEmpty).toBe(true);
    expect(session.queries).toEqual(['REVOKE CREATE ON SCHEMA "public" FROM "app"']);
    // Whoever comes after that is lent it again.
    expect(loans.hasNew([app])).toBe(true);
  });

  it('that cannot be lent is not taken back; one that cannot be taken back is told', async () => {
    const warnings: string[] = [];
    const places = [place('public', 'app')];
    const unlent = new CreateLoans(warnings);
    await unlent.lend(makeSession(places, 'GRANT'), [app], [app]);
    expect([unlent.isEmpty, warnings]).toEqual([true, []]);

    const loans = new CreateLoans(warnings);
    const session = makeSession(places, 'REVOKE');
    await loans.lend(session, [app], [app]);
    await loans.takeBack(session);
    expect(warnings).toEqual([
      'the right to create that was lent to app could not be taken back (SCHEMA "public"): no',
    ]);
  });
});
