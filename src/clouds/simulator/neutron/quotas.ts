import { z } from 'zod';
import { wholeNumber } from '../http/body.js';
import type { OwnCall, Routes } from '../http/service.js';
import { limitsOf, NETWORK_LIMITS, networkUse, setLimits } from '../model/quotas.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { readOne } from './body.js';

const limit = z.preprocess(wholeNumber, z.int().min(-1).optional());
const quotaChange = z.strictObject(Object.fromEntries(Object.keys(NETWORK_LIMITS).map((name) => [name, limit])));

/** What a project may have of Neutron. Only an admin sets it. */
export function neutronQuotas(state: State): Routes<OwnCall> {
  const projectOf = (call: OwnCall): string => {
    const { project = '' } = call.params;
    if (project !== call.asker.projectId && !call.isAdmin) throw forbidden('get_quota');
    return project;
  };
  const show = (projectId: string) => ({ status: 200, json: { quota: limitsOf(state, projectId, 'network') } });
  return {
    'GET /v2.0/quotas/:project': (call) => show(projectOf(call)),
    'GET /v2.0/quotas/:project/default': (call) => {
      projectOf(call);
      return { status: 200, json: { quota: NETWORK_LIMITS } };
    },
    'GET /v2.0/quotas/:project/details.json': (call) => {
      const project = projectOf(call);
      const used = networkUse(state, project);
      const details = Object.entries(limitsOf(state, project, 'network')).map(([name, most]) => {
        return [name, { limit: most, used: used[name] ?? 0, reserved: 0 }];
      });
      return { status: 200, json: { quota: Object.fromEntries(details) } };
    },
    'PUT /v2.0/quotas/:project': (call) => {
      if (!call.isAdmin) throw forbidden('update_quota');
      const { project = '' } = call.params;
      const limits = Object.entries(readOne(call, 'quota', quotaChange)).flatMap(([name, most]) => {
        return most === undefined ? [] : [[name, most] as const];
      });
      setLimits(state, project, 'network', Object.fromEntries(limits));
      return show(project);
    },
    'DELETE /v2.0/quotas/:project': (call) => {
      if (!call.isAdmin) throw forbidden('delete_quota');
      const { project = '' } = call.params;
      if (Object.keys(state.quotas.get(project)?.network ?? {}).length === 0) {
        throw new Refusal(404, `Quota for tenant ${project} could not be found.`, 'TenantQuotaNotFound');
      }
      setLimits(state, project, 'network', undefined);
      return { status: 204 };
    },
  };
}

function forbidden(rule: string): Refusal {
  return new Refusal(403, `rule:${rule} is disallowed by policy`, 'PolicyNotAuthorized');
}
