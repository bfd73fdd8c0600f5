-- Schemas, types and functions of the sample shop. Everything here belongs to shop_owner.
CREATE EXTENSION btree_gist;

CREATE SCHEMA crm;
CREATE SCHEMA catalogue;
CREATE SCHEMA sales;
CREATE SCHEMA web;
CREATE SCHEMA staff;
CREATE SCHEMA "Größe & Maße";
CREATE SCHEMA "日本語";
CREATE SCHEMA odd;

COMMENT ON SCHEMA crm IS 'who buys: "customers", their notes and what''s said about them';
COMMENT ON SCHEMA odd IS E'names, values and shapes that break naive tools;\n-- this second line is no SQL comment\n\\.';

CREATE TYPE crm.tier AS ENUM ('basic', 'plus', 'it''s "gold"', 'プレミアム');
CREATE TYPE crm.address AS (street text, "house no." text, city text, country char(2));
CREATE DOMAIN crm.email AS text CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN sales.amount AS numeric(12, 2) DEFAULT 0 CHECK (VALUE >= 0);
CREATE TYPE sales.price_range AS RANGE (subtype = numeric);
CREATE TYPE "Größe & Maße"."Einheit" AS ENUM ('mm', 'cm', 'Fuß', '"');
COMMENT ON TYPE crm.tier IS 'worst first';
COMMENT ON DOMAIN crm.email IS 'good enough';

CREATE SEQUENCE sales.invoice_numbers START 1000 INCREMENT 7 CACHE 3;
SELECT setval('sales.invoice_numbers', 71000);
CREATE SEQUENCE "Größe & Maße"."Folge 1" AS smallint MINVALUE -5 START -5 CYCLE;

-- Its body holds lines that look like data to whoever reads a dump as text.
CREATE FUNCTION odd.looks_like_data(seed integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
  /*
COPY evil FROM stdin;
1	this is a comment, not a row
\.

COPY odd.text_traps (id, value) FROM stdin;
\.
*/
  RETURN 'COPY evil FROM stdin;' || chr(10) || seed || chr(10) || '\.' || $inner$ it's $$ nested $inner$;
END
$body$;
COMMENT ON FUNCTION odd.looks_like_data(integer) IS E'COPY evil FROM stdin;\n\\.\n';

CREATE FUNCTION sales.net(gross numeric, rate numeric DEFAULT 0.19) RETURNS numeric
  LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN round(gross / (1 + rate), 2);

CREATE AGGREGATE sales.product(double precision) (sfunc = float8mul, stype = double precision, initcond = '1');

CREATE PROCEDURE sales.close_day(INOUT day date) LANGUAGE sql AS $$ SELECT day + 1 $$;

-- The rows are arithmetic on their number: the same on every machine and in every run.
CREATE FUNCTION pg_temp.scaled(n integer) RETURNS integer LANGUAGE sql STABLE
  RETURN ceil(n * current_setting('sample.scale')::numeric)::integer;
CREATE FUNCTION pg_temp.order_date(n integer) RETURNS date LANGUAGE sql IMMUTABLE
  RETURN date '2023-01-01' + (n::bigint * 7919 % 1400)::integer;
CREATE FUNCTION pg_temp.order_region(n integer) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN (ARRAY['eu', 'us', 'ca', 'asia', 'zz'])[1 + n % 5];
CREATE FUNCTION pg_temp.noise(seed text, blocks integer) RETURNS bytea LANGUAGE sql IMMUTABLE
  RETURN (SELECT string_agg(sha512(convert_to(seed || n, 'UTF8')), '') FROM generate_series(1, blocks) n);
