import type { ServerRecord } from './records.js';
import { plainly, pythonic, Refusal } from './refusal.js';
import { STATUSES, statusOf } from './server-status.js';
import { isScheduling } from './server-store.js';
import type { State } from './state.js';

/** One page of servers. `more`: the link to the next page is given. */
export interface Page {
  readonly servers: readonly ServerRecord[];
  readonly more: boolean;
}

/** Query parameters that Nova knows; all others are refused from 2.75 on, and ignored before. */
const KNOWN = new Set(
  `access_ip_v4 access_ip_v6 all_tenants auto_disk_config availability_zone block_device_mapping changes-before changes-since
  config_drive created_at deleted description display_description display_name flavor host hostname image image_ref info_cache
  instance_type_id ip ip6 kernel_id key_name launch_index launched_at limit locked locked_by marker metadata name node not-tags
  not-tags-any pci_devices power_state progress project_id ramdisk_id reservation_id root_device_name security_groups services
  soft_deleted sort_dir sort_key status system_metadata tags tags-any task_state tenant_id terminated_at user_id uuid
  vm_state`.split(/\s+/),
);

/** Which servers a query asks for. @throws Refusal 400 as Nova does. */
export function listServers(state: State, projectIds: readonly string[], query: URLSearchParams, minor: number): Page {
  if (minor >= 75) for (const name of query.keys()) refuseUnknown(name);
  const limit = Math.min(wholeNumber(query, 'limit') ?? state.knobs.pageSize, state.knobs.pageSize);
  const marker = findMarker(state, projectIds, query.get('marker') ?? undefined);
  const matches = matcher(query, minor);
  const servers: ServerRecord[] = [];
  const building = projectIds.some((id) => state.servers.isBuilding(id));
  if (limit === 0) return { servers, more: false };
  for (const server of candidates(state, projectIds, query, marker)) {
    if (!matches(server)) continue;
    servers.push(server);
    if (servers.length === limit) break;
  }
  if (servers.length > 1 && building && state.chance.happens(state.knobs.shortPageRate)) {
    return { servers: servers.slice(0, -1), more: false };
  }
  return { servers, more: servers.length === limit };
}

/** The cheapest set that holds every match after the marker, in the order of the answer. */
function candidates(
  state: State,
  projectIds: readonly string[],
  query: URLSearchParams,
  marker: ServerRecord | undefined,
): Iterable<ServerRecord> {
  const since = query.get('changes-since');
  const name = exactName(query.get('name'));
  if (since === null && name === undefined) {
    const [only] = projectIds;
    if (projectIds.length === 1 && only !== undefined) return state.servers.list(only, marker);
  }
  const all = projectIds.flatMap((id) => {
    if (since !== null) return state.servers.changedSince(id, parseTime(since));
    return name === undefined ? [...state.servers.list(id)] : state.servers.named(id, name);
  });
  if (projectIds.length > 1) all.sort((one, other) => other.sequence - one.sequence);
  if (marker === undefined) return all;
  return all.filter((server) =>
    isScheduling(server) === isScheduling(marker) ? server.sequence < marker.sequence : isScheduling(marker),
  );
}

/** Nova compares whole seconds, so what happened earlier in the same second is told too. */
function parseTime(text: string): number {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(zoned) : Number.NaN;
  if (Number.isNaN(time)) throw badParameter('changes-since', text, `${pythonic(text)} is not a 'date-time'`);
  return Math.floor(time / 1000) * 1000;
}

/** The name that a pattern such as `^web-1$` asks for exactly; undefined if others can match. */
function exactName(pattern: string | null): string | undefined {
  const [, name] = /^\^((?:[\w -]|\\[^\w])*)\$$/.exec(pattern ?? '') ?? [];
  return name?.replace(/\\(.)/g, '$1');
}

function matcher(query: URLSearchParams, minor: number): (server: ServerRecord) => boolean {
  const tests: ((server: ServerRecord) => boolean)[] = [];
  const name = query.get('name');
  if (name !== null) {
    const pattern = regularExpression(name);
    tests.push((server) => pattern.test(server.name));
  }
  const statuses = query.getAll('status').map((status) => status.toUpperCase());
  if (statuses.length > 0) {
    if (!statuses.some((status) => STATUSES.has(status))) throw new Refusal(400, 'Invalid status value');
    tests.push((server) => statuses.includes(statusOf(server)));
  }
  const image = query.get('image');
  if (image !== null) tests.push((server) => server.imageId === image);
  const flavor = query.get('flavor');
  if (flavor !== null) tests.push((server) => server.flavorId === flavor);
  const key = query.get('key_name');
  if (key !== null && minor >= 83) tests.push((server) => server.keyName === key);
  if (minor >= 26) tests.push(...tagTests(query));
  return (server) => tests.every((test) => test(server));
}

function tagTests(query: URLSearchParams): ((server: ServerRecord) => boolean)[] {
  const wanted = (parameter: string) => query.get(parameter)?.split(',');
  const all = wanted('tags');
  const any = wanted('tags-any');
  const notAll = wanted('not-tags');
  const notAny = wanted('not-tags-any');
  return [
    ({ tags }) => all === undefined || all.every((tag) => tags.includes(tag)),
    ({ tags }) => any === undefined || any.some((tag) => tags.includes(tag)),
    ({ tags }) => notAll === undefined || !notAll.every((tag) => tags.includes(tag)),
    ({ tags }) => notAny === undefined || !notAny.some((tag) => tags.includes(tag)),
  ];
}

/** Names are compared as MariaDB does: upper and lower case alike. */
function regularExpression(pattern: string): RegExp {
  try {
    return new RegExp(pattern, 'i');
  } catch {
    throw badParameter('name', pattern, `${pythonic(pattern)} is not a 'regex'`);
  }
}

/** A deleted server is still a good marker; another project's is not. */
function findMarker(state: State, projectIds: readonly string[], id: string | undefined): ServerRecord | undefined {
  if (id === undefined) return undefined;
  const server = state.servers.get(id);
  if (server === undefined || !projectIds.includes(server.projectId)) throw new Refusal(400, `marker [${id}] not found`);
  return server;
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^[0-9]+$/.test(text)) throw badParameter(name, text, `${pythonic(text)} does not match '^[0-9]*$'`);
  return Number(text);
}

function refuseUnknown(name: string): void {
  if (!KNOWN.has(name) && !name.startsWith('_')) {
    throw new Refusal(400, `${pythonic(name)} does not match any of the regexes: '^_'`);
  }
}

function badParameter(name: string, value: unknown, why: string): Refusal {
  return new Refusal(400, `Invalid input for query parameters ${name}. Value: ${plainly(value)}. ${why}`);
}
