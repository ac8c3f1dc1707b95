import { unauthorized } from '../http/replies.js';
import { type OwnCall, type Service, sessionOf } from '../http/service.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { list, type Row } from './listing.js';
import { neutronNetworks } from './networks.js';
import { neutronPorts } from './ports.js';
import { neutronQuotas } from './quotas.js';
import { neutronRules } from './security-group-rules.js';
import { neutronGroups } from './security-groups.js';

/** Neutron v2.0: the networks of content.ts to be read, ports, security groups and their rules, quotas. */
export function neutron(state: State): Service<OwnCall> {
  return {
    name: 'neutron',
    admit: (call) => {
      const session = sessionOf(state, call);
      if (session !== undefined) return { ...call, ...session };
      if (!/^\/network\/?$/.test(call.target)) return unauthorized(call);
      return { ...call, asker: { projectId: '', userId: '', requestId: call.requestId }, isAdmin: false };
    },
    decline: (_call, status, message, type) => ({ status, json: { NeutronError: { type, message, detail: '' } } }),
    headers: (call) => ({ 'x-openstack-request-id': call.requestId }),
    routes: {
      'GET /': ({ origin }) => {
        const links = [{ rel: 'self', href: `${origin}/network/v2.0/` }];
        return { status: 200, json: { versions: [{ id: 'v2.0', status: 'CURRENT', links }] } };
      },
      'GET /v2.0': ({ origin }) => {
        const resources = ['network', 'subnet', 'port'].map((name) => ({
          name,
          collection: `${name}s`,
          links: [{ rel: 'self', href: `${origin}/network/v2.0/${name}s` }],
        }));
        return { status: 200, json: { resources } };
      },
      ...neutronNetworks(),
      ...neutronPorts(state),
      ...neutronGroups(state),
      ...neutronRules(state),
      ...neutronQuotas(state),
      'GET /v2.0/routers': (call) => list(call, { name: 'routers', notFound }, [], nothing),
      'GET /v2.0/floatingips': (call) => list(call, { name: 'floatingips', notFound }, [], nothing),
      'GET /v2.0/extensions': () => ({ status: 200, json: { extensions: EXTENSIONS } }),
    },
  };
}

const ALIASES = [
  'external-net',
  'filter-validation',
  'pagination',
  'port-security',
  'port-security-groups-filtering',
  'project-id',
  'quotas',
  'quota_details',
  'revision-if-match',
  'security-group',
  'security-groups-normalized-cidr',
  'standard-attr-description',
  'standard-attr-revisions',
  'standard-attr-tag',
  'standard-attr-timestamp',
];
const EXTENSIONS = ALIASES.map((alias) => ({
  name: alias,
  alias,
  description: '',
  updated: '2020-01-01T00:00:00-00:00',
  links: [],
}));

function notFound(id: string | undefined): Refusal {
  return new Refusal(404, `${id} could not be found.`, 'HTTPNotFound');
}

function nothing(): Row {
  return {};
}
