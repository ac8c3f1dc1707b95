import type { Quota, Server } from '../../clouds/driver.js';
import { CLOUD_ERRORS } from '../../clouds/errors.js';
import type { CloudHealth } from '../../clouds/observer.js';
import type { CloudStatus } from '../../resources/cloud.js';
import type { ProposedCondition } from '../../resources/conditions.js';

/** How things stand with a Cloud: facts only. */
export type CloudObservation =
  | { readonly kind: 'unconnected'; readonly reason: string; readonly message: string }
  | {
      readonly kind: 'connected';
      readonly health: CloudHealth;
      readonly paused: boolean;
      readonly servers: Iterable<Server>;
      readonly installation: string;
      readonly orphans: number;
      /** Undefined: they are not observed. */
      readonly volumes: CloudStatus['volumes'];
      readonly quota: Quota | undefined;
      readonly calls: NonNullable<CloudStatus['calls']>;
    };

/** What is said of a Cloud: its conditions, and what else its status holds. Pure. */
export function reportCloud(observation: CloudObservation): { conditions: ProposedCondition[]; facts: Partial<CloudStatus> } {
  if (observation.kind === 'unconnected') {
    return { conditions: [notReady(observation), stalled(observation)], facts: {} };
  }
  const { health, quota, calls, volumes } = observation;
  const facts: Partial<CloudStatus> = {
    calls,
    ...(health.completeAt ? { observedAt: health.completeAt.toISOString(), servers: count(observation) } : {}),
    ...(volumes ? { volumes } : {}),
    ...(quota ? { quota: { ...quota } } : {}),
    ...(health.error
      ? { lastError: { at: health.error.at.toISOString(), message: health.error.error.message.slice(0, 2048) } }
      : {}),
  };
  return { conditions: conditionsOf(observation), facts };
}

function conditionsOf({ health, paused }: Extract<CloudObservation, { kind: 'connected' }>): ProposedCondition[] {
  const pausing: ProposedCondition[] = paused
    ? [{ type: 'Paused', status: 'True', reason: 'Declared', message: 'spec.paused is true: nothing is changed in this cloud' }]
    : [];
  if (health.error) {
    const { code, message } = health.error.error;
    const said = { reason: code, message: `${message}. To do: ${CLOUD_ERRORS[code].advice}` };
    return [notReady(said), code === 'Unauthorized' || code === 'Invalid' ? stalled(said) : reconciling(said), ...pausing];
  }
  if (!health.completeAt) {
    const said = { reason: 'Observing', message: 'waiting for the first complete observation' };
    return [notReady(said), reconciling(said), ...pausing];
  }
  return [{ type: 'Ready', status: 'True', reason: 'Observed', message: 'the cloud answers and is observed' }, ...pausing];
}

function count(observation: Extract<CloudObservation, { kind: 'connected' }>): NonNullable<CloudStatus['servers']> {
  const counts = { total: 0, ours: 0, building: 0, error: 0, orphans: observation.orphans };
  for (const { owner, state } of observation.servers) {
    counts.total += 1;
    if (owner?.installation === observation.installation) counts.ours += 1;
    if (state === 'Building') counts.building += 1;
    if (state === 'Error') counts.error += 1;
  }
  return counts;
}

interface Said {
  readonly reason: string;
  readonly message: string;
}

const notReady = ({ reason, message }: Said): ProposedCondition => ({ type: 'Ready', status: 'False', reason, message });
const stalled = ({ reason, message }: Said): ProposedCondition => ({ type: 'Stalled', status: 'True', reason, message });
const reconciling = ({ reason, message }: Said): ProposedCondition => ({ type: 'Reconciling', status: 'True', reason, message });
