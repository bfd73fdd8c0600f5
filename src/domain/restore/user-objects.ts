import { displayCount, displayText } from '../display-text.ts';

/**
 * What somebody made in a database: objects that neither initdb nor an extension made. Extensions are listed
 * as such, their members are not. What goes with another object is left out: indexes, constraints,
 * triggers and owned sequences go with their table, array types with their element.
 */
export interface UserObject extends Record<string, unknown> {
  /** As `pg_identify_object` names it: table, function, foreign-data wrapper … */
  readonly type: string;
  /** Quoted and qualified, with its arguments; as a DROP statement takes it. */
  readonly identity: string;
  readonly owner: string;
  /** The order in which they can go without one DROP that locks thousands. */
  readonly rank: number;
}

/** Source: the manual, "System Catalogs". Oids from 16384 on are given after initdb. */
const CATALOGS: readonly (readonly [catalog: string, schemaColumn: string, condition: string])[] = [
  [
    'pg_class',
    'relnamespace',
    `relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relpersistence <> 't'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owned
       WHERE owned.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND owned.objid = o.oid
         AND relkind = 'S' AND owned.refobjsubid > 0 AND owned.deptype IN ('a', 'i'))`,
  ],
  ['pg_proc', 'pronamespace', 'true'],
  [
    'pg_type',
    'typnamespace',
    `typrelid = 0 AND typtype <> 'm'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = o.oid)`,
  ],
  ['pg_operator', 'oprnamespace', 'true'],
  ['pg_opclass', 'opcnamespace', 'true'],
  ['pg_opfamily', 'opfnamespace', 'true'],
  ['pg_collation', 'collnamespace', 'true'],
  ['pg_conversion', 'connamespace', 'true'],
  ['pg_statistic_ext', 'stxnamespace', 'true'],
  ['pg_ts_parser', 'prsnamespace', 'true'],
  ['pg_ts_template', 'tmplnamespace', 'true'],
  ['pg_ts_dict', 'dictnamespace', 'true'],
  ['pg_ts_config', 'cfgnamespace', 'true'],
  ['pg_cast', '0::pg_catalog.oid', 'true'],
  ['pg_transform', '0::pg_catalog.oid', 'true'],
  ['pg_language', '0::pg_catalog.oid', 'true'],
  ['pg_am', '0::pg_catalog.oid', 'true'],
  ['pg_foreign_data_wrapper', '0::pg_catalog.oid', 'true'],
  ['pg_foreign_server', '0::pg_catalog.oid', 'true'],
  ['pg_publication', '0::pg_catalog.oid', 'true'],
  ['pg_event_trigger', '0::pg_catalog.oid', 'true'],
  ['pg_extension', '0::pg_catalog.oid', 'true'],
  ['pg_namespace', 'oid', `nspname <> 'public'`],
];

const CANDIDATES = CATALOGS.map(
  ([catalog, schemaColumn, condition]) => `
    SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass AS class_id, o.oid, ${schemaColumn} AS schema_oid
    FROM pg_catalog.${catalog} AS o WHERE o.oid >= 16384 AND ${condition}`,
).join(' UNION ALL ');

/**
 * Rows of {@link UserObject}, in the order in which they can be dropped. Leaves of partition trees and of
 * inheritance come before their parents. Subscriptions are not in it: they are not dropped like the others.
 */
export const USER_OBJECTS_QUERY = `
  WITH candidate AS (${CANDIDATES})
  SELECT CASE WHEN t.oid IS NULL THEN i.type ELSE 'transform' END AS "type",
         CASE WHEN t.oid IS NULL THEN i.identity
           ELSE pg_catalog.format('FOR %s LANGUAGE %I', pg_catalog.format_type(t.trftype, NULL), l.lanname)
         END AS "identity",
         pg_catalog.pg_get_userbyid(COALESCE(s.refobjid, 10))::pg_catalog.text AS "owner",
         CASE i.type WHEN 'event trigger' THEN 0 WHEN 'publication' THEN 1
           WHEN 'extension' THEN 5 WHEN 'schema' THEN 6
           WHEN 'table' THEN CASE WHEN
             EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid)
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)
             THEN 2 ELSE 3 END
           ELSE 4 END AS "rank"
  FROM candidate AS c
  LEFT JOIN pg_catalog.pg_transform AS t
    ON c.class_id = 'pg_catalog.pg_transform'::pg_catalog.regclass AND t.oid = c.oid
  LEFT JOIN pg_catalog.pg_language AS l ON l.oid = t.trflang
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.schema_oid
  LEFT JOIN pg_catalog.pg_shdepend AS s
    ON s.classid = c.class_id AND s.objid = c.oid AND s.objsubid = 0 AND s.deptype = 'o'
   AND s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(c.class_id, c.oid, 0) AS i
  WHERE i.identity IS NOT NULL
    AND (n.nspname IS NULL OR n.nspname !~ '^pg_(toast|temp_|toast_temp_)')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS member
      WHERE member.classid = c.class_id AND member.objid = c.oid AND member.deptype = 'e')
  ORDER BY "rank", "type", "identity"`;

/** One row; `total` as text. */
export const LARGE_OBJECTS_QUERY = `
  SELECT pg_catalog.count(*)::pg_catalog.text AS "total" FROM pg_catalog.pg_largeobject_metadata`;

/** Of this database: names, quoted. `owner` may act on them. */
export const SUBSCRIPTIONS_QUERY = `
  SELECT pg_catalog.quote_ident(s.subname) AS "identity", s.subenabled AS "enabled",
         pg_catalog.pg_get_userbyid(s.subowner)::pg_catalog.text AS "owner"
  FROM pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
  WHERE d.datname = pg_catalog.current_database() ORDER BY 1`;

export interface SubscriptionRow extends Record<string, unknown> {
  readonly identity: string;
  readonly enabled: boolean;
  readonly owner: string;
}

/** Where the word of DROP is not that of `pg_identify_object`. */
const DROP_WORDS: Readonly<Record<string, string>> = {
  aggregate: 'ROUTINE',
  'composite type': 'TYPE',
  'foreign-data wrapper': 'FOREIGN DATA WRAPPER',
  function: 'ROUTINE',
  procedure: 'ROUTINE',
  'statistics object': 'STATISTICS',
};

/** Drops it with what depends on it; nothing where it went with another one. */
export function dropStatement({ type, identity }: Pick<UserObject, 'type' | 'identity'>): string {
  return `DROP ${DROP_WORDS[type] ?? type.toUpperCase()} IF EXISTS ${identity} CASCADE`;
}

/** So many names of a kind are given; the rest is counted. */
const NAMED = 5;

/** `3 tables (public.a, public.b, public.c) and 1 schema (audit)`; empty where there is nothing. */
export function describeObjects(
  objects: readonly Pick<UserObject, 'type' | 'identity'>[],
  largeObjects = 0,
): string {
  const byType = Map.groupBy(objects, ({ type }) => type);
  const parts = [...byType].map(([type, found]) => {
    const names = found.slice(0, NAMED).map(({ identity }) => displayText(identity, 100));
    const more = found.length > NAMED ? ', …' : '';
    return `${counted(found.length, type)} (${names.join(', ')}${more})`;
  });
  if (largeObjects > 0) parts.push(counted(largeObjects, 'large object'));
  const last = parts.pop() ?? '';
  return parts.length > 0 ? `${parts.join(', ')} and ${last}` : last;
}

function counted(count: number, noun: string): string {
  const plural = /(s|x|ch)$/.test(noun) ? `${noun}es` : `${noun.replace(/(?<=[^aeiou])y$/, 'ie')}s`;
  return `${displayCount(count)} ${count === 1 ? noun : plural}`;
}
