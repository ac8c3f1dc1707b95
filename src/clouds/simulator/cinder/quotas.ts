import { z } from 'zod';
import { parseBody, wholeNumber } from '../http/body.js';
import type { Routes } from '../http/service.js';
import { limitsOf, setLimits, VOLUME_LIMITS } from '../model/quotas.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import type { CinderCall } from './call.js';

const limit = z.preprocess(wholeNumber, z.int().min(-1));
const quotaBody = z.object({ quota_set: z.record(z.string(), limit) });

/** What a project may have of Cinder, and has. Only an admin sets it. */
export function cinderQuotas(state: State): Routes<CinderCall> {
  return {
    'GET /v3/:project/limits': ({ asker }) => {
      const limits = limitsOf(state, asker.projectId, 'volume');
      const { volumes, gigabytes } = volumeUse(state, asker.projectId);
      const absolute = {
        maxTotalVolumes: limits.volumes,
        maxTotalSnapshots: limits.snapshots,
        maxTotalVolumeGigabytes: limits.gigabytes,
        maxTotalBackups: limits.backups,
        maxTotalBackupGigabytes: limits.backup_gigabytes,
        totalVolumesUsed: volumes,
        totalGigabytesUsed: gigabytes,
        totalSnapshotsUsed: 0,
        totalBackupsUsed: 0,
        totalBackupGigabytesUsed: 0,
      };
      return { status: 200, json: { limits: { rate: [], absolute } } };
    },
    'GET /v3/:project/os-quota-sets/:id': ({ params, query }) => {
      const { id = '' } = params;
      const limits = limitsOf(state, id, 'volume');
      if (query.get('usage')?.toLowerCase() !== 'true') return { status: 200, json: { quota_set: { ...limits, id } } };
      const { volumes, gigabytes } = volumeUse(state, id);
      const used = new Map([
        ['volumes', volumes],
        ['gigabytes', gigabytes],
        ['volumes___DEFAULT__', volumes],
        ['gigabytes___DEFAULT__', gigabytes],
      ]);
      const uses = Object.entries(limits).map(([name, most]) => [
        name,
        { limit: most, in_use: used.get(name) ?? 0, reserved: 0 },
      ]);
      return { status: 200, json: { quota_set: { ...Object.fromEntries(uses), id } } };
    },
    'PUT /v3/:project/os-quota-sets/:id': (call) => {
      if (!call.isAdmin) throw new Refusal(403, "Policy doesn't allow volume_extension:quotas:update to be performed.");
      const { id = '' } = call.params;
      const limits = parseBody(quotaBody, call.body).quota_set;
      const unknown = Object.keys(limits).filter((name) => !Object.hasOwn(VOLUME_LIMITS, name));
      if (unknown.length > 0) throw new Refusal(400, `Invalid input received: Bad key(s) in quota set: ${unknown.join(', ')}`);
      setLimits(state, id, 'volume', limits);
      return { status: 200, json: { quota_set: limitsOf(state, id, 'volume') } };
    },
    'DELETE /v3/:project/os-quota-sets/:id': (call) => {
      if (!call.isAdmin) throw new Refusal(403, "Policy doesn't allow volume_extension:quotas:delete to be performed.");
      setLimits(state, call.params.id ?? '', 'volume', undefined);
      return { status: 200 };
    },
  };
}

/** @throws Refusal 413 if a project may not have one more volume. */
export function requireVolumes(state: State, projectId: string): void {
  const { volumes: most = -1 } = limitsOf(state, projectId, 'volume');
  if (most < 0 || volumeUse(state, projectId).volumes < most) return;
  throw new Refusal(413, `VolumeLimitExceeded: Maximum number of volumes allowed (${most}) exceeded for quota 'volumes'.`);
}

/** @throws Refusal 413 if a project may not have a volume of `size` GiB, or not `more` GiB more. */
export function requireGigabytes(state: State, projectId: string, size: number, more: number): void {
  const { per_volume_gigabytes: largest = -1, gigabytes: most = -1 } = limitsOf(state, projectId, 'volume');
  if (largest >= 0 && size > largest) {
    const message = `Requested volume size ${size}G is larger than maximum allowed limit ${largest}G.`;
    throw new Refusal(413, `VolumeSizeExceedsLimit: ${message}`);
  }
  if (most < 0) return;
  const { gigabytes: used } = volumeUse(state, projectId);
  if (used + more <= most) return;
  const message = `Requested ${more}G, quota is ${most}G and ${used}G has been consumed.`;
  throw new Refusal(
    413,
    `VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. ${message}`,
  );
}

function volumeUse(state: State, projectId: string): { readonly volumes: number; readonly gigabytes: number } {
  const volumes = [...state.volumes.values()].filter((volume) => volume.projectId === projectId);
  const gigabytes = volumes.reduce((sum, volume) => sum + Math.max(volume.size, volume.extendTo ?? 0), 0);
  return { volumes: volumes.length, gigabytes };
}
