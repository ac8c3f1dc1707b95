-- People and programs with roles. docs/security.md says what each role may do.
CREATE TABLE users (
  id uuid PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  -- [{"role": "agent", "namespaces": ["team"]}]; without namespaces: in all of them.
  grants jsonb NOT NULL,
  password_hash text NOT NULL,
  disabled boolean NOT NULL DEFAULT false,
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT "name must be 1 to 253 characters without spaces, not begin with system:"
    CHECK (name ~ '^[^[:space:][:cntrl:]]{1,253}$' AND name !~ '^system:'),
  CONSTRAINT "grants must be an array of roles: admin, agent or viewer" CHECK (jsonb_typeof(grants) = 'array'
    AND jsonb_path_query_array(grants, '$[*] ? (@.role == "admin" || @.role == "agent" || @.role == "viewer")') = grants)
);

-- A token of a user goes with the user. Those without one have the groups that they were issued with, as before, unless a
-- user of their name exists: then theirs are the rights of that user.
ALTER TABLE tokens ADD COLUMN user_id uuid REFERENCES users (id) ON DELETE CASCADE;
CREATE INDEX tokens_user_id ON tokens (user_id);
