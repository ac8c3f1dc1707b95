import { unauthorized } from '../http/replies.js';
import { type Call, type Service, sessionOf } from '../http/service.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { type CinderCall, minorOf, NEWEST } from './call.js';
import { cinderQuotas } from './quotas.js';
import { cinderMetadata } from './volume-metadata.js';
import { TYPE } from './volume-view.js';
import { cinderVolumes } from './volumes.js';

/** Cinder v3, to 3.70: volumes, which Nova attaches, their types and quotas. */
export function cinder(state: State): Service<CinderCall> {
  return {
    name: 'cinder',
    admit: (call) => {
      const minor = minorOf(call);
      const session = sessionOf(state, call);
      if (session !== undefined) return { ...call, ...session, minor };
      if (!/^\/volume\/?(v3\/?)?$/.test(call.target)) return unauthorized(call);
      return { ...call, asker: { projectId: '', userId: '', requestId: call.requestId }, isAdmin: false, minor };
    },
    decline: (_call, status, message) => {
      const kinds: Readonly<Record<number, string>> = {
        400: 'badRequest',
        403: 'forbidden',
        404: 'itemNotFound',
        413: 'overLimit',
        429: 'overLimit',
      };
      const fault = { code: status, message, ...(status === 413 && { retryAfter: '0' }) };
      return { status, json: { [kinds[status] ?? 'computeFault']: fault } };
    },
    headers: (call) => ({
      'openstack-api-version': `volume ${told(call)}`,
      vary: 'OpenStack-API-Version',
      'x-compute-request-id': call.requestId,
      'x-openstack-request-id': call.requestId,
    }),
    routes: {
      'GET /': (call) => ({ status: 300, json: versions(call) }),
      'GET /v3': (call) => ({ status: 200, json: versions(call) }),
      ...cinderVolumes(state),
      ...cinderMetadata(state),
      ...cinderQuotas(state),
      'GET /v3/:project/types': ({ query }) => {
        const types = [{ ...TYPE, 'os-volume-type-access:is_public': true }];
        return { status: 200, json: { volume_types: query.get('marker') === TYPE.id ? [] : types } };
      },
      'GET /v3/:project/types/:id': ({ params }) => {
        if (params.id !== TYPE.id && params.id !== 'default') {
          throw new Refusal(404, `Volume type ${params.id} could not be found.`);
        }
        return { status: 200, json: { volume_type: TYPE } };
      },
    },
  };
}

function told(call: Call): string {
  const [, version] = / (3\.\d+|latest)$/.exec(call.header('openstack-api-version') ?? '') ?? [];
  return version === 'latest' ? `3.${NEWEST}` : (version ?? '3.0');
}

function versions({ origin }: Call): object {
  return {
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: `3.${NEWEST}`,
        min_version: '3.0',
        updated: '2022-08-31T00:00:00Z',
        links: [
          { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
          { rel: 'self', href: `${origin}/volume/v3/` },
        ],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
      },
    ],
  };
}
