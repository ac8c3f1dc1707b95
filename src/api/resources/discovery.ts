import { apiVersionOf, type KindDefinition } from '../../resources/kind.js';
import { KINDS } from '../../resources/registry.js';
import { scaleKind } from '../../resources/scale.js';
import type { Accepted } from './negotiation.js';
import type { Subresource } from './paths.js';

/** In the order that Kubernetes has for custom resources, and for its own kinds. */
const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const CORE_VERBS = VERBS.toSorted();
const verbsOf = ({ group }: KindDefinition) => (group === '' ? CORE_VERBS : VERBS);
const SUBRESOURCE_VERBS = ['get', 'patch', 'update'];

/** A kind that is only ever posted, and never kept. */
interface ReviewKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
}
const review = (group: string, kind: string): ReviewKind => ({
  group,
  version: 'v1',
  kind,
  plural: `${kind.toLowerCase()}s`,
  singular: kind.toLowerCase(),
});
const REVIEWS = [
  review('authentication.k8s.io', 'SelfSubjectReview'),
  review('authorization.k8s.io', 'SelfSubjectAccessReview'),
  review('authorization.k8s.io', 'SelfSubjectRulesReview'),
];

/** Every `group/version` that is served, the core group's `v1` first. */
export const GROUP_VERSIONS: readonly { readonly group: string; readonly version: string }[] = [...KINDS, ...REVIEWS]
  .filter(({ group, version }, at, all) => all.findIndex((other) => other.group === group && other.version === version) === at)
  .map(({ group, version }) => ({ group, version }));

/**
 * The discovery document of a path: `/api`, `/apis` (aggregated, if that is accepted), `/apis/GROUP`, or a group version's.
 *
 * @param host what the client calls this server.
 * @returns undefined if the path is not one of discovery.
 */
export function discoveryAt(path: string, accepted: Accepted, host: string): object | undefined {
  if (path === '/api' || path === '/apis') {
    const groups = path === '/api' ? CORE : NAMED;
    if (accepted.form === 'Discovery') return aggregated(groups, accepted.version);
    if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(apiGroup) };
    const addresses = [{ clientCIDR: '0.0.0.0/0', serverAddress: host }];
    return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: addresses };
  }
  return DOCUMENTS.get(path);
}

type GroupVersion = (typeof GROUP_VERSIONS)[number];
const CORE = GROUP_VERSIONS.filter(({ group }) => group === '');
const NAMED = GROUP_VERSIONS.filter(({ group }) => group !== '');
const DOCUMENTS = new Map<string, object>([
  ...NAMED.map((each): [string, object] => [`/apis/${each.group}`, { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(each) }]),
  ...GROUP_VERSIONS.map((each): [string, object] => [pathOf(each), resourceList(each)]),
]);

/** Where a group version is served: `/api/v1`, `/apis/dispatcher.dev/v1alpha1`. */
export function pathOf({ group, version }: GroupVersion): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
}

function kindsOf<Kind extends GroupVersion>(kinds: readonly Kind[], { group, version }: GroupVersion): Kind[] {
  return kinds.filter((kind) => kind.group === group && kind.version === version);
}

function apiGroup(each: GroupVersion): object {
  const version = { groupVersion: apiVersionOf(each), version: each.version };
  return { name: each.group, versions: [version], preferredVersion: version };
}

function resourceList(each: GroupVersion): object {
  const kinds = kindsOf(KINDS, each).flatMap((definition) => {
    const { plural, singular, kind, namespaced, shortNames, categories } = definition;
    const names = { ...(shortNames.length ? { shortNames } : {}), ...(categories.length ? { categories } : {}) };
    return [
      { name: plural, singularName: singular, namespaced, kind, verbs: verbsOf(definition), ...names },
      ...subresourcesOf(definition).map(({ name, responseKind }) => ({
        name: `${plural}/${name}`,
        singularName: '',
        namespaced,
        // Told where it is not that of the list.
        ...(responseKind.group === definition.group ? {} : { group: responseKind.group, version: responseKind.version }),
        kind: responseKind.kind,
        verbs: SUBRESOURCE_VERBS,
      })),
    ];
  });
  const reviews = kindsOf(REVIEWS, each).map(({ plural, singular, kind }) => ({
    name: plural,
    singularName: singular,
    namespaced: false,
    kind,
    verbs: ['create'],
  }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(each), resources: [...kinds, ...reviews] };
}

interface Discovered {
  readonly name: Subresource;
  readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string };
}

function subresourcesOf({ group, version, kind, statusSubresource, scale }: KindDefinition): Discovered[] {
  const scaleResponse = { group: scaleKind.group, version: scaleKind.version, kind: scaleKind.kind };
  return [
    ...(statusSubresource ? [{ name: 'status' as const, responseKind: { group, version, kind } }] : []),
    ...(scale ? [{ name: 'scale' as const, responseKind: scaleResponse }] : []),
  ];
}

function aggregated(groups: readonly GroupVersion[], version: string): object {
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((each) => ({
      metadata: each.group === '' ? {} : { name: each.group },
      versions: [
        {
          version: each.version,
          freshness: 'Current',
          resources: [...kindsOf(KINDS, each).map(discoveredKind), ...kindsOf(REVIEWS, each).map(discoveredReview)],
        },
      ],
    })),
  };
}

function discoveredKind(definition: KindDefinition): object {
  const { group, version, kind, plural, singular, namespaced, shortNames, categories } = definition;
  const subresources = subresourcesOf(definition).map(({ name: subresource, responseKind }) => ({
    subresource,
    responseKind,
    verbs: SUBRESOURCE_VERBS,
  }));
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: verbsOf(definition),
    ...(shortNames.length ? { shortNames } : {}),
    ...(categories.length ? { categories } : {}),
    ...(subresources.length ? { subresources } : {}),
  };
}

function discoveredReview({ group, version, kind, plural, singular }: ReviewKind): object {
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: 'Cluster',
    singularResource: singular,
    verbs: ['create'],
  };
}
