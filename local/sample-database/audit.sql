-- The second, small database of the sample.
CREATE SCHEMA trail;
CREATE TABLE trail.entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  happened_at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO trail.entries (happened_at, actor, action, details)
SELECT timestamptz '2025-06-01 00:00+00' + n * interval '11 seconds', 'user ' || n % 37,
  (ARRAY['login', 'logout', 'refund', 'export'])[1 + n % 4], jsonb_build_object('n', n, 'hash', md5(n::text))
FROM generate_series(1, 5000) n;
CREATE INDEX ON trail.entries (happened_at);
CREATE VIEW trail.refunds AS SELECT * FROM trail.entries WHERE action = 'refund';
CREATE TABLE trail.empty_until_used (note text);
COMMENT ON TABLE trail.entries IS 'who did what';
