import { CISTERN_ERRORS } from '../../cistern/errors.js';
import type { CisternHealth } from '../../cistern/inventory.js';
import type { CloudStatus } from '../../resources/cloud.js';
import type { ProposedCondition } from '../../resources/conditions.js';

/** How things stand with a Cloud's inventory: facts only. */
export type InventoryObservation =
  | { readonly kind: 'undeclared' }
  | { readonly kind: 'unconnected'; readonly reason: string; readonly message: string }
  | {
      readonly kind: 'connected';
      readonly health: CisternHealth;
      /** True if the last complete look is too long ago to hand anything out by. */
      readonly stale: boolean;
      /** Numbers of nodes, as far as they are known. */
      readonly nodes: number;
      readonly free: number;
      readonly faulty: number;
    };

/** What is said of a Cloud's inventory: its condition, which stands while one is declared, and `status.cistern`. Pure. */
export function reportInventory(observation: InventoryObservation): {
  readonly conditions: readonly ProposedCondition[];
  readonly cistern: CloudStatus['cistern'];
} {
  if (observation.kind === 'undeclared') return { conditions: [], cistern: undefined };
  if (observation.kind === 'unconnected') return { conditions: [notReady(observation)], cistern: undefined };
  const { health, stale, nodes, free, faulty } = observation;
  const { observedAt, error } = health;
  const looked = observedAt !== undefined || error !== undefined;
  const cistern = looked
    ? {
        ...(observedAt ? { observedAt: observedAt.toISOString() } : {}),
        nodes,
        free,
        faulty,
        ...(error ? { lastError: { at: error.at.toISOString(), message: error.error.message.slice(0, 2048) } } : {}),
      }
    : undefined;
  return { conditions: [conditionOf(health, stale)], cistern };
}

function conditionOf({ observedAt, error }: CisternHealth, stale: boolean): ProposedCondition {
  if (error) {
    const { code, message } = error.error;
    const consequence = stale ? '. Until it answers, none of its machines is handed out' : '';
    return notReady({ reason: code, message: `${message}. To do: ${CISTERN_ERRORS[code].advice}${consequence}` });
  }
  if (!observedAt) return notReady({ reason: 'Observing', message: 'waiting for the first answer of the inventory' });
  return { type: 'InventoryReady', status: 'True', reason: 'Observed', message: 'the inventory answers' };
}

function notReady({ reason, message }: { readonly reason: string; readonly message: string }): ProposedCondition {
  return { type: 'InventoryReady', status: 'False', reason, message };
}
