import type { Reply, Routes } from '../http/service.js';
import { FLAVORS, type FlavorContent } from '../model/content.js';
import { Refusal } from '../model/refusal.js';
import type { NovaCall } from './call.js';
import type { View } from './server-view.js';

/** Nova's flavors: those of content.ts, and nobody makes others. */
export function novaFlavors(): Routes<NovaCall> {
  return {
    'GET /v2.1/flavors': (call) => listFlavors(call, ({ id, name }) => ({ id, name, links: flavorLinks(id, call.view) })),
    'GET /v2.1/flavors/detail': (call) => listFlavors(call, (flavor) => showFlavor(flavor, call.view)),
    'GET /v2.1/flavors/:id': (call) => ({ status: 200, json: { flavor: showFlavor(findFlavor(call), call.view) } }),
    'GET /v2.1/flavors/:id/os-extra_specs': (call) => findFlavor(call) && { status: 200, json: { extra_specs: {} } },
  };
}

function flavorLinks(id: string, { base }: View): object[] {
  return [
    { rel: 'self', href: `${base}/v2.1/flavors/${id}` },
    { rel: 'bookmark', href: `${base}/flavors/${id}` },
  ];
}

function showFlavor({ id, name, ram, disk, vcpus }: FlavorContent, view: View): object {
  return {
    id,
    name,
    ram,
    disk,
    swap: view.minor >= 75 ? 0 : '',
    'OS-FLV-EXT-DATA:ephemeral': 0,
    'OS-FLV-DISABLED:disabled': false,
    vcpus,
    'os-flavor-access:is_public': true,
    rxtx_factor: 1.0,
    links: flavorLinks(id, view),
    ...(view.minor >= 55 && { description: null }),
    ...(view.minor >= 61 && { extra_specs: {} }),
  };
}

function findFlavor(call: NovaCall): FlavorContent {
  const flavor = FLAVORS.find(({ id }) => id === call.params.id);
  if (flavor === undefined) throw new Refusal(404, `Flavor ${call.params.id} could not be found.`);
  return flavor;
}

function listFlavors(call: NovaCall, show: (flavor: FlavorContent) => object): Reply {
  const marker = call.query.get('marker');
  const start = marker === null ? 0 : FLAVORS.findIndex(({ id }) => id === marker) + 1;
  if (marker !== null && start === 0) throw new Refusal(400, `marker [${marker}] not found`);
  const limit = Number(call.query.get('limit') ?? FLAVORS.length);
  const page = FLAVORS.slice(start, start + limit);
  const last = page.at(-1);
  const full = call.query.has('limit') && page.length === limit && last !== undefined;
  const query = new URLSearchParams(call.query);
  if (last !== undefined) query.set('marker', last.id);
  const next = `${call.view.base}${call.target.replace(/\?.*$/, '').replace(/^\/compute/, '')}?${query}`;
  return { status: 200, json: { flavors: page.map(show), ...(full && { flavors_links: [{ rel: 'next', href: next }] }) } };
}
