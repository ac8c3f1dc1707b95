import { html } from './http/replies.js';
import { type Call, type OwnCall, type Reply, type Service, sessionOf } from './http/service.js';
import { CONTENT_SINCE, IMAGES, type ImageContent, PROJECTS } from './model/content.js';
import { Refusal } from './model/refusal.js';
import type { State } from './model/state.js';

const TYPE = 'text/html; charset=UTF-8';

/** Glance v2: the images of content.ts, to be read. */
export function glance(state: State): Service<OwnCall> {
  return {
    name: 'glance',
    admit: (call) => {
      const session = sessionOf(state, call);
      if (session !== undefined) return { ...call, ...session };
      if (/^\/image\/?(versions)?$/.test(call.target)) {
        return { ...call, asker: { projectId: '', userId: '', requestId: call.requestId }, isAdmin: false };
      }
      return unauthorized(call);
    },
    decline: (_call, status, message) => ({ status, text: html(`${status} ${TITLES[status] ?? 'Error'}`, message), type: TYPE }),
    headers: (call) => ({ 'x-openstack-request-id': call.requestId }),
    routes: {
      'GET /': (call) => ({ status: 300, json: versions(call) }),
      'GET /versions': (call) => ({ status: 200, json: versions(call) }),
      'GET /v2/images': list,
      'GET /v2/images/:id': ({ params }) => {
        const image = IMAGES.find(({ id }) => id === params.id);
        if (image === undefined) throw new Refusal(404, `No image found with ID ${params.id}`);
        return { status: 200, json: show(image) };
      },
    },
  };
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

function unauthorized(call: Call): Reply {
  const message = [
    'This server could not verify that you are authorized to access the document you requested.',
    'Either you supplied the wrong credentials (e.g., bad password),',
    'or your browser does not understand how to supply the credentials required.',
  ].join(' ');
  const headers = { 'www-authenticate': `Keystone uri="${call.origin}/identity/v3"` };
  return { status: 401, text: html('401 Unauthorized', message), type: TYPE, headers };
}

function list({ query }: OwnCall): Reply {
  const name = query.get('name');
  const status = query.get('status');
  const named = IMAGES.filter((image) => (name === null || image.name === name) && (status === null || status === 'active'));
  const marker = query.get('marker');
  const start = marker === null ? 0 : named.findIndex(({ id }) => id === marker) + 1;
  if (marker !== null && start === 0) throw new Refusal(400, `No image found with ID ${marker}`);
  const limit = Number(query.get('limit') ?? 1000);
  const page = named.slice(start, start + limit);
  const last = page.at(-1);
  const first = new URLSearchParams(query);
  first.delete('marker');
  const next = new URLSearchParams(query);
  if (last !== undefined) next.set('marker', last.id);
  return {
    status: 200,
    json: {
      images: page.map(show),
      first: `/v2/images${first.size > 0 ? `?${first}` : ''}`,
      ...(last !== undefined && page.length === limit && { next: `/v2/images?${next}` }),
      schema: '/v2/schemas/images',
    },
  };
}

function show({ id, name, distribution, size }: ImageContent): object {
  return {
    os_distro: distribution,
    name,
    disk_format: 'raw',
    container_format: 'bare',
    visibility: 'public',
    size,
    virtual_size: size,
    status: 'active',
    checksum: id.replaceAll('-', ''),
    protected: false,
    min_ram: 0,
    min_disk: 0,
    owner: PROJECTS.find((project) => project.name === 'admin')?.id ?? null,
    os_hidden: false,
    os_hash_algo: 'sha512',
    os_hash_value: id.replaceAll('-', '').repeat(4),
    id,
    created_at: CONTENT_SINCE,
    updated_at: CONTENT_SINCE,
    tags: [],
    self: `/v2/images/${id}`,
    file: `/v2/images/${id}/file`,
    schema: '/v2/schemas/image',
    stores: 'file',
  };
}

function versions({ origin }: Call): object {
  const all = [15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
  return {
    versions: all.map((minor, index) => ({
      id: `v2.${minor}`,
      status: index === 0 ? 'CURRENT' : 'SUPPORTED',
      links: [{ rel: 'self', href: `${origin}/image/v2/` }],
    })),
  };
}
