-- Who asked for which change, and what came of it. Rows are added, and never changed or removed.
CREATE TABLE audit (
  id uuid PRIMARY KEY,
  at timestamptz(3) NOT NULL,
  user_name text NOT NULL,
  verb text NOT NULL,
  api_group text NOT NULL,
  resource text NOT NULL,
  namespace text NOT NULL,
  name text NOT NULL,
  code integer NOT NULL,
  request_id text NOT NULL,
  address text NOT NULL
);
CREATE INDEX audit_at ON audit (at, id);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit is append-only: % is refused', TG_OP USING HINT = 'Copy what you need of it elsewhere.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- In a session that replicates, too.
ALTER TABLE audit ENABLE ALWAYS TRIGGER append_only;
