import { pythonic, Refusal } from './refusal.js';
import { groupsOf } from './security-groups.js';
import type { State } from './state.js';

/** What Neutron limits, and the usual limits. -1: none. */
export const NETWORK_LIMITS: Readonly<Record<string, number>> = {
  network: -1,
  subnet: -1,
  subnetpool: -1,
  port: -1,
  router: -1,
  floatingip: -1,
  rbac_policy: 10,
  security_group: -1,
  security_group_rule: -1,
};

/** What Cinder limits, and the usual limits. -1: none. */
export const VOLUME_LIMITS: Readonly<Record<string, number>> = {
  volumes: -1,
  per_volume_gigabytes: -1,
  snapshots: -1,
  gigabytes: -1,
  backups: 10,
  backup_gigabytes: 1000,
  volumes___DEFAULT__: -1,
  gigabytes___DEFAULT__: -1,
  snapshots___DEFAULT__: -1,
  groups: 10,
};

/** The limits of a project: the usual ones, and over them what was set. */
export function limitsOf(state: State, projectId: string, service: 'network' | 'volume'): Readonly<Record<string, number>> {
  const usual = service === 'network' ? NETWORK_LIMITS : VOLUME_LIMITS;
  return { ...usual, ...state.quotas.get(projectId)?.[service] };
}

/** Sets some limits of a project; `undefined` sets all of the service back. */
export function setLimits(
  state: State,
  projectId: string,
  service: 'network' | 'volume',
  limits: Readonly<Record<string, number>> | undefined,
): void {
  const before = state.quotas.get(projectId) ?? { projectId, network: {}, volume: {} };
  state.putQuota({ ...before, [service]: limits === undefined ? {} : { ...before[service], ...limits } });
}

/** How much of what Neutron limits a project has. */
export function networkUse(state: State, projectId: string): Readonly<Record<string, number>> {
  const groups = groupsOf(state, projectId);
  const ports = [...state.ports.values()].filter((port) => port.projectId === projectId);
  const rules = groups.reduce((sum, group) => sum + group.rules.length, 0);
  return { port: ports.length, security_group: groups.length, security_group_rule: rules };
}

/** @throws Refusal 409 OverQuota, naming what a project would have too much of. */
export function requireRoom(state: State, projectId: string, more: Readonly<Record<string, number>>): void {
  const limits = limitsOf(state, projectId, 'network');
  const limited = Object.entries(more).filter(([name]) => (limits[name] ?? -1) >= 0);
  // Counting is not for free, and most projects have no limits.
  if (limited.length === 0) return;
  const used = networkUse(state, projectId);
  const over = limited.filter(([name, count]) => (used[name] ?? 0) + count > (limits[name] ?? 0));
  if (over.length === 0) return;
  const names = over.map(([name]) => name);
  throw new Refusal(409, `Quota exceeded for resources: ${pythonic(names)}.`, 'OverQuota');
}
