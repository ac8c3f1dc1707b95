-- The Postgres plane. docs/adr/0002-postgres-plane.md says why it is as it is.

-- What stands once in a database: who it is, and how far back watches can look.
CREATE TABLE plane (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  installation_id uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Deletions up to this version are forgotten: a watch from before it has expired.
  pruned_version bigint NOT NULL DEFAULT 0
);
INSERT INTO plane DEFAULT VALUES;

CREATE TABLE kinds (
  kind text COLLATE "C" PRIMARY KEY,
  namespaced boolean NOT NULL
);
INSERT INTO kinds (kind, namespaced) VALUES
  ('Namespace', false), ('Secret', true), ('Event', true),
  ('Cloud', false), ('VirtualMachine', true), ('KeyPair', true);

CREATE SEQUENCE resource_versions AS bigint;

-- Every resource of every kind. The constraints' names are what a person reads who writes a wrong row.
CREATE TABLE resources (
  uid text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL DEFAULT '',
  name text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  resource_version bigint NOT NULL,
  -- The version that the row was created with: tells a watch what is new to it.
  created_version bigint NOT NULL,
  creation_timestamp timestamptz(0) NOT NULL,
  deletion_timestamp timestamptz(0),
  labels jsonb NOT NULL DEFAULT '{}',
  annotations jsonb NOT NULL DEFAULT '{}',
  finalizers text[] NOT NULL DEFAULT '{}',
  owner_references jsonb NOT NULL DEFAULT '[]',
  -- The uids in owner_references; null if there are none. Kept by a trigger.
  owner_uids text[],
  -- generateName and managedFields, where there are any.
  other_metadata jsonb NOT NULL DEFAULT '{}',
  spec jsonb,
  status jsonb,
  -- Fields beside metadata, spec and status: an Event's, or a Secret's (its data as ciphertext).
  extra jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT "name must be lower case letters, digits, - and . (DNS style)"
    CHECK (name ~ '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$' AND length(name) <= 253),
  CONSTRAINT "labels must be an object of strings"
    CHECK (jsonb_typeof(labels) = 'object' AND NOT jsonb_path_exists(labels, '$.* ? (@.type() != "string")')),
  CONSTRAINT "annotations must be an object of strings"
    CHECK (jsonb_typeof(annotations) = 'object' AND NOT jsonb_path_exists(annotations, '$.* ? (@.type() != "string")')),
  CONSTRAINT "finalizers must not hold null" CHECK (array_position(finalizers, NULL) IS NULL),
  CONSTRAINT "owner_references must hold apiVersion, kind, name and uid" CHECK (owner_references = '[]' OR
    jsonb_path_query_array(owner_references, '$[*] ? (@.apiVersion.type() == "string" && @.kind.type() == "string" &&
      @.name.type() == "string" && @.uid.type() == "string")') = owner_references),
  CONSTRAINT "extra and other_metadata must be objects"
    CHECK (jsonb_typeof(extra) = 'object' AND jsonb_typeof(other_metadata) = 'object'),
  CONSTRAINT "a Secret is written through the API, which encrypts it"
    CHECK (kind <> 'Secret' OR NOT (extra ? 'data' OR extra ? 'stringData')),
  UNIQUE (kind, namespace, name)
);
CREATE INDEX resources_version ON resources (resource_version);
CREATE INDEX resources_owner_uids ON resources USING gin (owner_uids) WHERE owner_uids IS NOT NULL;

-- The last state of what was deleted, for watches that come late.
CREATE TABLE tombstones (
  version bigint PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  deleted_at timestamptz NOT NULL,
  last jsonb NOT NULL
);

CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  transitions bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE tokens (
  id uuid PRIMARY KEY,
  token_hash text NOT NULL UNIQUE,
  user_name text NOT NULL,
  groups text[] NOT NULL,
  description text,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3)
);

CREATE TABLE simulator_documents (
  key text COLLATE "C" PRIMARY KEY,
  document jsonb NOT NULL
);

-- Versions ---------------------------------------------------------------------------------------------------------

-- Whoever writes resources waits here until all who wrote before have committed. So versions become visible in order,
-- and a reader of `version > n` never misses one that comes late. Before the statement: no row is locked while waiting.
CREATE FUNCTION resources_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1684632944, 1);
  RETURN NULL;
END $$;
CREATE TRIGGER in_turn BEFORE INSERT OR UPDATE OR DELETE ON resources
  FOR EACH STATEMENT EXECUTE FUNCTION resources_in_turn();

CREATE FUNCTION resources_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('dispatcher_resources', ''); -- once per transaction: equal ones are merged
  RETURN NULL;
END $$;
CREATE TRIGGER notify AFTER INSERT OR UPDATE OR DELETE ON resources
  FOR EACH STATEMENT EXECUTE FUNCTION resources_notify();

CREATE FUNCTION resources_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'resources cannot be truncated' USING HINT = 'DELETE FROM it instead: finalizers and watches need to know.';
END $$;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON resources
  FOR EACH STATEMENT EXECUTE FUNCTION resources_refuse_truncate();

-- The newest version that this snapshot sees. Nothing up to it can still appear.
CREATE FUNCTION current_version() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT greatest(
    (SELECT max(resource_version) FROM resources),
    (SELECT max(version) FROM tombstones),
    (SELECT pruned_version FROM plane))
$$;

-- Functions that look rows up say `SET enable_seqscan = off`: their plans are kept, and one made while the table was small
-- would read all of it, for each row, once it is large.

-- Rows -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION owner_uids_of(owner_references jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT array_agg(DISTINCT owner ->> 'uid') FROM jsonb_array_elements(owner_references) AS owner WHERE owner ? 'uid'
$$;

CREATE FUNCTION resource_created() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  is_namespaced boolean;
  namespace_deletion timestamptz;
BEGIN
  SELECT namespaced INTO is_namespaced FROM kinds WHERE kind = NEW.kind;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no kind "%" is served', NEW.kind
      USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT kind FROM kinds shows what is.';
  END IF;
  IF is_namespaced THEN
    SELECT deletion_timestamp INTO namespace_deletion FROM resources
      WHERE kind = 'Namespace' AND namespace = '' AND name = NEW.namespace;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'namespace "%" not found', NEW.namespace
        USING ERRCODE = 'foreign_key_violation', HINT = 'Create the namespace first, or use namespace ''default''.';
    ELSIF namespace_deletion IS NOT NULL THEN
      RAISE EXCEPTION 'namespace "%" is being deleted', NEW.namespace
        USING ERRCODE = 'foreign_key_violation', HINT = 'Wait until it is gone, then create it anew.';
    END IF;
  ELSIF NEW.namespace <> '' THEN
    RAISE EXCEPTION '% is cluster-scoped and has no namespace, got "%"', NEW.kind, NEW.namespace
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave namespace out.';
  END IF;

  NEW.uid := coalesce(NEW.uid, gen_random_uuid()::text);
  NEW.generation := 1;
  NEW.resource_version := nextval('resource_versions');
  NEW.created_version := NEW.resource_version;
  NEW.creation_timestamp := date_trunc('second', clock_timestamp());
  NEW.deletion_timestamp := NULL;
  NEW.owner_uids := CASE WHEN NEW.owner_references <> '[]' THEN owner_uids_of(NEW.owner_references) END;
  IF NEW.kind = 'Namespace' THEN
    NEW.spec := '{"finalizers": ["kubernetes"]}';
    NEW.status := '{"phase": "Active"}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER created BEFORE INSERT ON resources FOR EACH ROW EXECUTE FUNCTION resource_created();

CREATE FUNCTION resource_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.uid, NEW.kind, NEW.namespace, NEW.name) IS DISTINCT FROM (OLD.uid, OLD.kind, OLD.namespace, OLD.name) THEN
    RAISE EXCEPTION 'uid, kind, namespace and name of %/%/% cannot be changed', OLD.kind, OLD.namespace, OLD.name
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Create another resource and delete this one.';
  END IF;
  IF OLD.deletion_timestamp IS NOT NULL AND NOT NEW.finalizers <@ OLD.finalizers THEN
    RAISE EXCEPTION '%/%/% is being deleted: no finalizer can be added', OLD.kind, OLD.namespace, OLD.name
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Finalizers can only be removed now.';
  END IF;
  NEW.created_version := OLD.created_version;
  NEW.creation_timestamp := OLD.creation_timestamp;
  IF OLD.deletion_timestamp IS NOT NULL THEN
    NEW.deletion_timestamp := OLD.deletion_timestamp;
  ELSIF NEW.deletion_timestamp IS NOT NULL THEN
    NEW.deletion_timestamp := date_trunc('second', clock_timestamp());
  END IF;
  NEW.generation := OLD.generation;
  NEW.resource_version := OLD.resource_version;
  NEW.owner_uids := OLD.owner_uids;
  IF NEW.kind = 'Namespace' THEN
    NEW.spec := OLD.spec;
    IF NEW.deletion_timestamp IS NOT NULL THEN
      NEW.status := coalesce(NEW.status, '{}') || '{"phase": "Terminating"}';
    END IF;
  END IF;
  IF NEW IS NOT DISTINCT FROM OLD THEN
    RETURN NULL; -- nothing changed: no new version, nobody is woken
  END IF;
  IF NEW.owner_references IS DISTINCT FROM OLD.owner_references THEN
    NEW.owner_uids := owner_uids_of(NEW.owner_references);
  END IF;
  IF NEW.spec IS DISTINCT FROM OLD.spec THEN
    NEW.generation := OLD.generation + 1;
  END IF;
  NEW.resource_version := nextval('resource_versions');
  RETURN NEW;
END $$;
CREATE TRIGGER updated BEFORE UPDATE ON resources FOR EACH ROW EXECUTE FUNCTION resource_updated();

-- Deletion ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION namespace_is_empty(wanted text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (
    SELECT FROM kinds CROSS JOIN LATERAL (
      SELECT FROM resources WHERE resources.kind = kinds.kind AND resources.namespace = wanted LIMIT 1) AS content
    WHERE kinds.namespaced)
$$;

-- With finalizers (or, for a Namespace, contents) a DELETE only marks the row; what holds it lets go of it later.
CREATE FUNCTION resource_delete_asked() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
  IF OLD.kind = 'Namespace' AND OLD.name = 'default' THEN
    RAISE EXCEPTION 'namespace "default" cannot be deleted' USING ERRCODE = 'invalid_parameter_value', HINT = 'Delete what is in it.';
  END IF;
  IF OLD.finalizers = '{}' AND (OLD.kind <> 'Namespace' OR namespace_is_empty(OLD.name)) THEN
    RETURN OLD;
  END IF;
  UPDATE resources SET deletion_timestamp = clock_timestamp() WHERE uid = OLD.uid AND deletion_timestamp IS NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER delete_asked BEFORE DELETE ON resources FOR EACH ROW EXECUTE FUNCTION resource_delete_asked();

CREATE FUNCTION without_owner(owner_references jsonb, owner text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_agg(reference), '[]') FROM jsonb_array_elements(owner_references) AS reference
  WHERE reference ->> 'uid' IS DISTINCT FROM owner
$$;

-- Marks a row so that what it owns goes first.
CREATE FUNCTION delete_in_foreground(owner text) RETURNS void LANGUAGE sql AS $$
  UPDATE resources SET deletion_timestamp = clock_timestamp(),
    finalizers = array_append(array_remove(finalizers, 'foregroundDeletion'), 'foregroundDeletion')
  WHERE uid = owner AND deletion_timestamp IS NULL
$$;

-- Takes the references to an owner away, so that what it owns outlives it.
CREATE FUNCTION orphan_dependents(owner text) RETURNS void LANGUAGE sql AS $$
  UPDATE resources SET owner_references = without_owner(owner_references, owner) WHERE owner_uids @> ARRAY[owner]
$$;

-- What an owner leaves that is gone, or going in the foreground: dependents with another owner lose their reference to
-- it, the others are deleted.
CREATE FUNCTION collect_dependents(owner text, foreground boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  dependent record;
BEGIN
  FOR dependent IN SELECT uid, owner_uids FROM resources WHERE owner_uids @> ARRAY[owner] LOOP
    IF EXISTS (SELECT FROM resources WHERE uid = ANY (array_remove(dependent.owner_uids, owner))) THEN
      UPDATE resources SET owner_references = without_owner(owner_references, owner) WHERE uid = dependent.uid;
    ELSIF foreground AND EXISTS (SELECT FROM resources WHERE owner_uids @> ARRAY[dependent.uid]) THEN
      PERFORM delete_in_foreground(dependent.uid);
    ELSE
      DELETE FROM resources WHERE uid = dependent.uid;
    END IF;
  END LOOP;
END $$;

-- An owner deleted in the foreground waits for the dependents that say blockOwnerDeletion.
CREATE FUNCTION end_foreground_deletion(owner text) RETURNS void LANGUAGE sql AS $$
  UPDATE resources SET finalizers = array_remove(finalizers, 'foregroundDeletion')
  WHERE uid = owner AND deletion_timestamp IS NOT NULL AND 'foregroundDeletion' = ANY (finalizers)
    AND NOT EXISTS (
      SELECT FROM resources AS dependent WHERE dependent.owner_uids @> ARRAY[owner]
        AND dependent.owner_references @> jsonb_build_array(jsonb_build_object('uid', owner, 'blockOwnerDeletion', true)))
$$;

CREATE FUNCTION resource_terminating() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
  IF OLD.deletion_timestamp IS NULL THEN
    IF NEW.kind = 'Namespace' THEN
      DELETE FROM resources WHERE namespace = NEW.name;
    END IF;
    IF 'foregroundDeletion' = ANY (NEW.finalizers) THEN
      PERFORM collect_dependents(NEW.uid, true);
      PERFORM end_foreground_deletion(NEW.uid);
    END IF;
  END IF;
  IF NEW.finalizers = '{}' THEN
    DELETE FROM resources WHERE uid = NEW.uid;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER terminating AFTER UPDATE ON resources FOR EACH ROW
  WHEN (NEW.deletion_timestamp IS NOT NULL) EXECUTE FUNCTION resource_terminating();

CREATE FUNCTION resource_deleted() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  owner text;
BEGIN
  INSERT INTO tombstones (version, kind, deleted_at, last)
    VALUES (nextval('resource_versions'), OLD.kind, clock_timestamp(), to_jsonb(OLD));
  PERFORM collect_dependents(OLD.uid, false);
  IF OLD.owner_uids IS NOT NULL THEN
    FOREACH owner IN ARRAY OLD.owner_uids LOOP
      PERFORM end_foreground_deletion(owner);
    END LOOP;
  END IF;
  IF EXISTS (
    SELECT FROM resources
    WHERE kind = 'Namespace' AND namespace = '' AND name = OLD.namespace AND deletion_timestamp IS NOT NULL) THEN
    DELETE FROM resources WHERE kind = 'Namespace' AND namespace = '' AND name = OLD.namespace; -- goes if it is empty now
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER deleted AFTER DELETE ON resources FOR EACH ROW EXECUTE FUNCTION resource_deleted();

INSERT INTO resources (kind, name) VALUES ('Namespace', 'default');

-- Declarations by SQL ----------------------------------------------------------------------------------------------
-- One view per kind: name, namespace, spec, labels, annotations and finalizers are written, the rest is read.
-- coalesce(x) is x, but not writable through a view.

CREATE VIEW virtual_machines AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'VirtualMachine' WITH CHECK OPTION;
ALTER VIEW virtual_machines ALTER COLUMN kind SET DEFAULT 'VirtualMachine', ALTER COLUMN namespace SET DEFAULT 'default';

CREATE VIEW key_pairs AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'KeyPair' WITH CHECK OPTION;
ALTER VIEW key_pairs ALTER COLUMN kind SET DEFAULT 'KeyPair', ALTER COLUMN namespace SET DEFAULT 'default';

CREATE VIEW clouds AS
  SELECT name, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'Cloud' WITH CHECK OPTION;
ALTER VIEW clouds ALTER COLUMN kind SET DEFAULT 'Cloud';
