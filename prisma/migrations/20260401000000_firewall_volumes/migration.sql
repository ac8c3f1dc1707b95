-- Firewall rules and volumes: the kinds, and declarations by SQL as for those before.

INSERT INTO kinds (kind, namespaced) VALUES ('FirewallRule', true), ('Volume', true);

CREATE VIEW firewall_rules AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'FirewallRule' WITH CHECK OPTION;
ALTER VIEW firewall_rules ALTER COLUMN kind SET DEFAULT 'FirewallRule', ALTER COLUMN namespace SET DEFAULT 'default';

CREATE VIEW volumes AS
  SELECT name, namespace, spec, labels, annotations, finalizers, coalesce(status) AS status,
    coalesce(generation) AS generation, coalesce(resource_version) AS resource_version, coalesce(uid) AS uid,
    coalesce(creation_timestamp) AS creation_timestamp, coalesce(deletion_timestamp) AS deletion_timestamp, kind
  FROM resources WHERE kind = 'Volume' WITH CHECK OPTION;
ALTER VIEW volumes ALTER COLUMN kind SET DEFAULT 'Volume', ALTER COLUMN namespace SET DEFAULT 'default';
