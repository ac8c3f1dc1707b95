import { html, unauthorized } from '../http/replies.js';
import { type Call, type Reply, type Service, sessionOf } from '../http/service.js';
import type { State } from '../model/state.js';
import { minorOf, NEWEST, type NovaCall, versionAsked } from './call.js';
import { novaFlavors } from './flavors.js';
import { novaInterfaces } from './interfaces.js';
import { novaKeyPairs } from './key-pairs.js';
import { novaLimits } from './limits.js';
import { novaSecurityGroups } from './security-groups.js';
import { novaServerActions } from './server-actions.js';
import { novaServerParts } from './server-parts.js';
import type { View } from './server-view.js';
import { novaServers } from './servers.js';
import { novaVolumes } from './volumes.js';

/** Nova, version 2.1 to 2.93 as far as clients see it. */
export function nova(state: State): Service<NovaCall> {
  return {
    name: 'nova',
    admit: (call) => {
      const session = sessionOf(state, call);
      if (session === undefined && !isVersionDocument(call)) return unauthorized(call);
      const asker = session?.asker ?? { projectId: '', userId: '', requestId: call.requestId };
      return {
        ...call,
        asker,
        isAdmin: session?.isAdmin ?? false,
        view: { minor: minorOf(call), base: `${call.origin}/compute` },
      };
    },
    decline,
    headers: (call) => {
      const version = versionAsked(call) ?? '2.1';
      const told = version === 'latest' ? `2.${NEWEST}` : version;
      return {
        'openstack-api-version': `compute ${told}`,
        'x-openstack-nova-api-version': told,
        vary: 'OpenStack-API-Version, X-OpenStack-Nova-API-Version',
        'x-openstack-request-id': call.requestId,
        'x-compute-request-id': call.requestId,
      };
    },
    routes: {
      'GET /': ({ view }) => ({ status: 200, json: { versions: [legacy(view), brief(view)] } }),
      'GET /v2.1': ({ view }) => ({ status: 200, json: { version: versionDocument(view) } }),
      ...novaServers(state),
      ...novaServerParts(state),
      ...novaServerActions(state),
      ...novaVolumes(state),
      ...novaInterfaces(state),
      ...novaSecurityGroups(state),
      ...novaKeyPairs(state),
      ...novaFlavors(),
      ...novaLimits(state),
      'GET /v2.1/os-availability-zone': () => ({
        status: 200,
        json: { availabilityZoneInfo: [{ zoneName: 'nova', zoneState: { available: true }, hosts: null }] },
      }),
      'GET /v2.1/os-server-groups': () => ({ status: 200, json: { server_groups: [] } }),
      'GET /v2.1/extensions': () => ({ status: 200, json: { extensions: [] } }),
    },
  };
}

/** Nova's words for a failure. */
function decline(_call: Call, status: number, message: string): Reply {
  if (status === 413) return { status, type: 'text/html; charset=UTF-8', text: html('413 Request Entity Too Large', message) };
  if (status === 404 && message === '') {
    return { status, type: 'text/html; charset=UTF-8', text: html('404 Not Found', 'The resource could not be found.') };
  }
  const kinds: Readonly<Record<number, string>> = {
    400: 'badRequest',
    403: 'forbidden',
    404: 'itemNotFound',
    409: 'conflictingRequest',
    429: 'overLimit',
  };
  const json = { [kinds[status] ?? 'computeFault']: { code: status, message } };
  return { status, json, type: 'application/json; charset=UTF-8' };
}

function brief({ base }: View): object {
  return {
    id: 'v2.1',
    status: 'CURRENT',
    version: `2.${NEWEST}`,
    min_version: '2.1',
    updated: '2013-07-23T11:33:21Z',
    links: [{ rel: 'self', href: `${base}/v2.1/` }],
  };
}

function legacy({ base }: View): object {
  return {
    id: 'v2.0',
    status: 'SUPPORTED',
    version: '',
    min_version: '',
    updated: '2011-01-21T11:33:21Z',
    links: [{ rel: 'self', href: `${base}/v2/` }],
  };
}

function versionDocument(view: View): object {
  return {
    ...brief(view),
    links: [
      { rel: 'self', href: `${view.base}/v2.1/` },
      { rel: 'describedby', type: 'text/html', href: 'http://docs.openstack.org/' },
    ],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1' }],
  };
}

function isVersionDocument(call: Call): boolean {
  return /^\/compute\/?(v2\.1\/?)?$/.test(call.target);
}
