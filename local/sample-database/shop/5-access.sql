-- Who may do what. Runs as the superuser, as it gives things to several owners.

ALTER SCHEMA web OWNER TO web_app;
ALTER TABLE web.page_views OWNER TO web_app;
ALTER TABLE web.sessions OWNER TO web_app;

GRANT USAGE ON SCHEMA crm, catalogue, sales TO report_reader, "Sales Team";
GRANT SELECT ON ALL TABLES IN SCHEMA catalogue, sales TO report_reader;
GRANT SELECT (id, full_name, tier), UPDATE (tier) ON crm.customers TO "Sales Team";
GRANT SELECT, INSERT, UPDATE, DELETE ON sales.orders TO "Sales Team" WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE sales.invoice_numbers TO web_app;
GRANT EXECUTE ON FUNCTION sales.net TO web_app;
REVOKE EXECUTE ON FUNCTION odd.looks_like_data FROM public;
GRANT USAGE ON TYPE crm.tier TO web_app;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA sales GRANT SELECT ON TABLES TO report_reader;

-- A policy is no use to a backup: pg_dump sets row_security = off, and then the server refuses to read a
-- table whose policies apply to the role, whatever they allow. Only BYPASSRLS (or ownership) helps.
ALTER TABLE crm.contact_notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY "own notes" ON crm.contact_notes USING (author = current_user) WITH CHECK (author = current_user);
ALTER TABLE crm.complaints ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY handled ON crm.complaints AS RESTRICTIVE FOR SELECT TO report_reader USING (handled_by = current_user);
COMMENT ON POLICY "own notes" ON crm.contact_notes IS 'everybody sees their own';

-- pg_read_all_data does not reach large objects: each one needs its grant. Two owners and two sets of
-- privileges, as pg_dump 17 and newer groups large objects by these.
ALTER LARGE OBJECT 880003 OWNER TO web_app;
ALTER LARGE OBJECT 880004 OWNER TO web_app;
DO $$
DECLARE
  large_object oid;
BEGIN
  FOR large_object IN SELECT oid FROM pg_largeobject_metadata LOOP
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO holdfast_backup', large_object);
    IF large_object::bigint % 5 = 0 THEN
      EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO report_reader', large_object);
    END IF;
  END LOOP;
END $$;

ALTER ROLE report_reader IN DATABASE shop SET search_path = sales, crm, public;
ALTER DATABASE shop SET bytea_output = 'hex';
COMMENT ON DATABASE shop IS 'sample: "shop" with everything that''s hard';
REVOKE CONNECT ON DATABASE shop FROM public;
GRANT CONNECT ON DATABASE shop TO holdfast_backup, web_app, report_reader, "Sales Team";
