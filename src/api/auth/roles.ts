import type { RoleName } from '../../store/users.js';

/** What may be done with resources: the verbs of Kubernetes. */
export const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'] as const;

/** One of {@link VERBS}. */
export type Verb = (typeof VERBS)[number];

/** What a role may do with some resources. */
export interface Rule {
  /** API groups; `*` is any. */
  readonly groups: readonly string[];
  /** Plurals, with `/status` or `/scale` for a subresource; `*` is any, subresources too. */
  readonly resources: readonly string[];
  /** `*` is any. */
  readonly verbs: readonly (Verb | '*')[];
  /**
   * Where the rule holds: `all` only if the role is for all namespaces; `granted` in the namespaces that the role is for;
   * `anyone` for resources without a namespace, whatever namespaces the role is for.
   */
  readonly where: 'all' | 'granted' | 'anyone';
}

const READ: readonly Verb[] = ['get', 'list', 'watch'];
const OURS = ['dispatcher.dev'];
const CORE = [''];
/** What is declared in a namespace, but for Secrets. */
const DECLARED = [
  'virtualmachines',
  'virtualmachinepools',
  'virtualmachineassignments',
  'firewallrules',
  'volumes',
  'recipes',
  'keypairs',
];
const SCALE = 'virtualmachinepools/scale';
const STATUSES: Rule = {
  groups: OURS,
  resources: [...DECLARED.map((plural) => `${plural}/status`), SCALE],
  verbs: ['get'],
  where: 'granted',
};
const EVENTS: Rule = { groups: CORE, resources: ['events'], verbs: READ, where: 'granted' };
/** A Cloud names its credentials, and does not hold them. */
const CLOUDS: Rule = { groups: OURS, resources: ['clouds', 'clouds/status'], verbs: READ, where: 'anyone' };
/** Of a Namespace its name decides; all of them are listed only by who is in all of them. */
const OWN_NAMESPACE: Rule = { groups: CORE, resources: ['namespaces'], verbs: ['get'], where: 'granted' };
const ALL_NAMESPACES: Rule = { groups: CORE, resources: ['namespaces'], verbs: READ, where: 'all' };
const MANAGING: Rule = { groups: OURS, resources: [...DECLARED, SCALE], verbs: VERBS, where: 'granted' };
const READING = [STATUSES, EVENTS, CLOUDS, OWN_NAMESPACE, ALL_NAMESPACES];

/**
 * What each role may do: the one table, which the resource API decides by and the reviews of `kubectl auth` tell.
 *
 * - `admin`: everything; for named namespaces, everything that is declared in them, Secrets too, but no Cloud, and no status,
 *   which says what was seen.
 * - `agent`: manages VirtualMachines, pools, assignments, firewall rules, volumes, recipes and KeyPairs, reads Clouds and Events. Secrets neither read nor written.
 * - `viewer`: reads all of that. No Secret.
 *
 * A kind that is not named here is for admins of all namespaces.
 */
export const ROLES: Readonly<Record<RoleName, readonly Rule[]>> = {
  admin: [
    { groups: ['*'], resources: ['*'], verbs: ['*'], where: 'all' },
    MANAGING,
    { groups: CORE, resources: ['secrets', 'events'], verbs: VERBS, where: 'granted' },
    ...READING,
  ],
  agent: [MANAGING, ...READING],
  viewer: [{ groups: OURS, resources: DECLARED, verbs: READ, where: 'granted' }, ...READING],
};

/** What whoever is known may do: ask about themselves. */
export const REVIEWS: readonly Rule[] = [
  { groups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'], where: 'anyone' },
  {
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
    verbs: ['create'],
    where: 'anyone',
  },
];
