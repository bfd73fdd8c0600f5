-- The rows. Counts in scaled() grow with the scale, the others do not.

INSERT INTO crm.customers (email, full_name, tier, home, tags, preferences, born, avatar)
SELECT format('customer.%s@example.%s', n, (ARRAY['org', 'com', 'net'])[1 + n % 3]),
  (ARRAY['Zoë', 'Jürgen', 'O''Hara', '山田', 'Łukasz', 'Ann "A." Lee'])[1 + n % 6] || ' ' || n,
  (enum_range(NULL::crm.tier))[1 + n % 4],
  CASE WHEN n % 10 > 0 THEN ROW('Main Street, "rear"', n % 300, 'Köln', 'DE')::crm.address END,
  CASE n % 4 WHEN 0 THEN '{}' ELSE ARRAY['t' || n % 17, 'comma, space', NULL, 'quote"'] END,
  jsonb_build_object('newsletter', n % 2 = 0, 'colour', md5(n::text), 'nested', jsonb_build_array(n, NULL, 'ü\n')),
  CASE WHEN n % 7 > 0 THEN date '1950-01-01' + n % 20000 END,
  CASE WHEN n % 20 = 0 THEN pg_temp.noise('avatar' || n, 4) END
FROM generate_series(1, pg_temp.scaled(20000)) n;

INSERT INTO crm.contact_notes
SELECT 1 + n % pg_temp.scaled(20000), timestamptz '2024-02-29 12:00+00' + n * interval '17 minutes',
  (ARRAY['web_app', 'report_reader'])[1 + n % 2], 'called ' || md5(n::text) || E'\nwill call back'
FROM generate_series(1, pg_temp.scaled(5000)) n;
INSERT INTO crm.complaints
SELECT n, n, 'report_reader', 'too slow' FROM generate_series(1, 200) n;

INSERT INTO catalogue.products (sku, name, price, dimensions_mm, description)
SELECT 'SKU-' || lpad(n::text, 6, '0'), 'Product ' || n, 1 + n % 977 * 0.99,
  ARRAY[ARRAY[n, n + 1], ARRAY[n + 2, NULL]], repeat('Well made. ' || md5(n::text) || ' ', 1 + n % 9)
FROM generate_series(1, 2000) n;
-- Through the trigger: each logs its change.
UPDATE catalogue.products SET price = price + 1 WHERE id % 4 = 0;

-- 24 of 1 KiB to 96 KiB, one empty, one of 3 MiB.
INSERT INTO catalogue.media
SELECT n, 'picture ' || n, lo_from_bytea(880000 + n, pg_temp.noise('large object' || n, 16 * CASE WHEN n % 4 = 0 THEN 96 ELSE n END))
FROM generate_series(1, 24) n;
INSERT INTO catalogue.media VALUES
  (25, 'nothing', lo_from_bytea(880025, '')),
  (26, 'film', lo_from_bytea(880026, pg_temp.noise('film', 48 * 1024)));
COMMENT ON LARGE OBJECT 880026 IS 'the film''s own "comment"';

INSERT INTO sales.orders
SELECT n, pg_temp.order_date(n), pg_temp.order_region(n), 1 + n % pg_temp.scaled(20000),
  n % 50000 / 100.0,
  CASE WHEN n % 3 > 0 THEN tstzrange(pg_temp.order_date(n), pg_temp.order_date(n) + 3) END,
  CASE WHEN n % 11 = 0 THEN E'gift\twrapped, "please"\\n' END
FROM generate_series(1, pg_temp.scaled(100000)) n;

INSERT INTO sales.order_lines
SELECT order_id, pg_temp.order_date(order_id), pg_temp.order_region(order_id), 1 + (n - 1) / orders,
  1 + n % 2000, 1 + n % 9, n % 9973 / 100.0
FROM generate_series(1, pg_temp.scaled(150000)) n, pg_temp.scaled(100000) orders,
  LATERAL (SELECT 1 + (n - 1) % orders) AS numbered (order_id);

INSERT INTO sales.price_periods
SELECT product, daterange(date '2023-01-01' + period * 100, date '2023-01-01' + (period + 1) * 100),
  sales.price_range(period, period + 9.99, '[]')
FROM generate_series(1, 500) product, generate_series(0, 3) period;

INSERT INTO web.page_views
SELECT timestamptz '2025-01-01 00:00+00' + n * interval '1.5 seconds',
  ('10.' || n % 250 || '.' || n % 7 || '.1')::inet, md5('visit' || n / 5)::uuid,
  CASE n % 1000 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE (n % 6007) / 7.0 END,
  jsonb_build_object('path', '/p/' || n % 2000, 'referrer', md5(n::text), 'agent', 'Mozilla/5.0 (' || n % 40 || ')',
    'flags', jsonb_build_array(n % 2 = 0, n % 3), 'text', E'tab\t, quote ", backslash \\, newline \n, ☃')
FROM generate_series(1, pg_temp.scaled(40000)) n;
INSERT INTO web.sessions
SELECT md5('visit' || n)::uuid, '{"cart": [1, 2 ,3], "cart": "twice"}' FROM generate_series(1, 1000) n;

INSERT INTO staff.departments SELECT n, 'Department ' || n, n * 10 FROM generate_series(1, 20) n;
INSERT INTO staff.employees
SELECT n, 'Employee ' || n, 1 + (n - 1) / 10, CASE WHEN n % 10 > 0 THEN (n + 9) / 10 * 10 END
FROM generate_series(1, 200) n;

INSERT INTO "Größe & Maße"."Tabelle ""mit"" 'allem'"
SELECT n, 'Große Straße ' || n, 'select', repeat('🐘', n % 5), (enum_range(NULL::"Größe & Maße"."Einheit"))[1 + n % 4], n / 2.0
FROM generate_series(1, 300) n;
INSERT INTO "Größe & Maße"."UPPER" SELECT n, 'Value' FROM generate_series(1, 20) n;
INSERT INTO "日本語"."注文" SELECT n, '寿司 ' || n FROM generate_series(1, 50) n;

INSERT INTO odd."back\slash" VALUES (1, 'a\b'), (2, E'\\.');
INSERT INTO odd."a.b" VALUES (1);
INSERT INTO odd."semi;colon -- no comment" VALUES (1), (2);
INSERT INTO odd."$1 100% {x} [y] ../z" VALUES (1), (2), (3);
INSERT INTO odd."line
break" VALUES (1), (2), (3), (4);
INSERT INTO odd.a_name_that_is_as_long_as_postgresql_lets_a_name_be_at_63_bytes VALUES (1), (2);

-- Rows without any column are rows all the same.
INSERT INTO odd.zero_columns DEFAULT VALUES;
INSERT INTO odd.zero_columns DEFAULT VALUES;
INSERT INTO odd.zero_columns DEFAULT VALUES;
INSERT INTO odd.dropped_columns SELECT n, 'gone' FROM generate_series(1, 5) n;
ALTER TABLE odd.dropped_columns DROP COLUMN a, DROP COLUMN b;
INSERT INTO odd.gaps (a, gone, b) SELECT n, 'gone', -n FROM generate_series(1, 100) n;
ALTER TABLE odd.gaps DROP COLUMN gone, DROP COLUMN gone_too;
INSERT INTO odd.only_generated DEFAULT VALUES;
INSERT INTO odd.only_generated DEFAULT VALUES;

INSERT INTO odd.text_traps
SELECT ordinality, value FROM unnest(ARRAY[
  '\N', '\\N', '\.', E'before\n\\.\nafter', '', ' ', E'\t', E'\n', E'\r', E'\r\n', E'\x0b\f\b', E'\x01\x7f',
  E'tab\tnewline\nreturn\rbackslash\\', '"', '''', '$$', '$body$', '--', '/*', 'NULL', 'null', '{}', '{"a"}',
  E'COPY evil FROM stdin;\n1\t2\n\\.\n', 'ü', 'é', '日本語', '🐘🏽', E'\u200b', E'\ufeffmark', 'ﷺ', E'a\\', '\\', '\x00', '%s %n', ';'
]) WITH ORDINALITY AS traps (value, ordinality);
INSERT INTO odd.null_traps VALUES
  (NULL, NULL, NULL, NULL), ('\N', NULL, '{NULL}', 'null'), ('', '', '{}', '""'),
  ('NULL', NULL, '{"NULL",NULL,"\\N"}', '{"a": null}'), (NULL, '\.', ARRAY[''], '[]');

-- About 1 MB and more as text in one line of COPY.
INSERT INTO odd.long_rows
SELECT n, repeat(E'long line \\ with a\ttab ' || n, 45000), pg_temp.noise('long' || n, 16 * 1024)
FROM generate_series(1, 3) n;
INSERT INTO odd.binary_values
SELECT n, '\x00'::bytea || pg_temp.noise('binary' || n, 1 + n % 60) || '\x0000ff5c2e0a'::bytea FROM generate_series(1, 500) n;
INSERT INTO odd.values_at_the_edge VALUES
  (9223372036854775807, 'NaN', 'NaN', 'infinity', 'infinity', '-178000000 years', B'', '{}'),
  (-9223372036854775808, '-0', 'Infinity', '-infinity', '4713-01-01 BC', '1 mon -1 day 00:00:00.000001', B'1', '{[1,3),[5,)}'),
  (0, 5e-324, 1e-1000, '0044-03-15 12:00:00+00 BC', '5874897-12-31', '0', B'010101', '{(,)}'),
  (NULL, 1.7976931348623157e308, 9e9999, '2024-12-31 23:59:59.999999+00', '0001-01-01', NULL, NULL, NULL);
INSERT INTO odd.many_columns (c1, c300) SELECT n, -n FROM generate_series(1, 10) n;
