-- Pools, assignments and recipes: the kinds, and declarations by SQL as for those before.

INSERT INTO kinds (kind, namespaced) VALUES
  ('VirtualMachinePool', true), ('VirtualMachineAssignment', true), ('Recipe', true);

CREATE VIEW virtual_machine_pools AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'VirtualMachinePool' WITH CHECK OPTION;
ALTER VIEW virtual_machine_pools ALTER COLUMN kind SET DEFAULT 'VirtualMachinePool',
  ALTER COLUMN namespace SET DEFAULT 'default';

CREATE VIEW virtual_machine_assignments AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'VirtualMachineAssignment' WITH CHECK OPTION;
ALTER VIEW virtual_machine_assignments ALTER COLUMN kind SET DEFAULT 'VirtualMachineAssignment',
  ALTER COLUMN namespace SET DEFAULT 'default';

CREATE VIEW recipes AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'Recipe' WITH CHECK OPTION;
ALTER VIEW recipes ALTER COLUMN kind SET DEFAULT 'Recipe', ALTER COLUMN namespace SET DEFAULT 'default';
