import type { CloudKeyPair } from '../../clouds/driver.js';
import type { ProposedCondition } from '../../resources/conditions.js';
import type { KeyPair } from '../../resources/key-pair.js';

/** Kept on a KeyPair while the key pair in the cloud is ours. */
export const FINALIZER = 'dispatcher.dev/key-pair';

/** What is known of the cloud's side. */
export interface KeyPairObservation {
  /** The key pair of that name in the cloud, if there is one. */
  readonly there: CloudKeyPair | undefined;
  /** A digest of the declared public key, its comment left out. */
  readonly wantedHash: string;
  /** A digest of the public key that is there. */
  readonly thereHash: string | undefined;
}

/** One thing to do for a KeyPair. */
export type KeyPairStep = 'AddFinalizer' | 'Import' | 'Delete' | 'RemoveFinalizer';

/** What would be done, and what holds now. */
export interface KeyPairPlan {
  readonly steps: readonly KeyPairStep[];
  readonly conditions: readonly ProposedCondition[];
  /** True if the key pair in the cloud may be counted as ours: it has the declared key. */
  readonly ours: boolean;
}

/**
 * What to do for a KeyPair. Pure. A key pair that is there with the same key is taken as ours; one with another key is replaced only if it
 * was ours before (`status.publicKeyHash`), and otherwise left alone and reported.
 */
export function plan(keyPair: KeyPair, { there, wantedHash, thereHash }: KeyPairObservation): KeyPairPlan {
  const wasOurs = thereHash !== undefined && keyPair.status?.publicKeyHash === thereHash;
  const held = keyPair.metadata.finalizers?.includes(FINALIZER) ?? false;
  if (keyPair.metadata.deletionTimestamp) {
    if (!held) return { steps: [], conditions: [], ours: false };
    // With the declared key it is ours too: an import whose status was not written.
    const removes = (wasOurs || thereHash === wantedHash) && keyPair.spec.deletionPolicy !== 'Orphan';
    return { steps: removes ? ['Delete', 'RemoveFinalizer'] : ['RemoveFinalizer'], conditions: [], ours: wasOurs };
  }
  const hold: KeyPairStep[] = held ? [] : ['AddFinalizer'];
  if (!there)
    return { steps: [...hold, 'Import'], conditions: said('Reconciling', 'Importing', 'importing the public key'), ours: false };
  if (thereHash === wantedHash) return { steps: hold, conditions: [ready(there)], ours: true };
  if (wasOurs)
    return {
      steps: [...hold, 'Delete', 'Import'],
      conditions: said('Reconciling', 'Importing', 'the public key changed'),
      ours: true,
    };
  const message = `the cloud has a key pair named ${keyPair.metadata.name} with another key: delete it there or choose another name`;
  return { steps: [], conditions: said('Stalled', 'NameTaken', message), ours: false };
}

function ready({ fingerprint }: CloudKeyPair): ProposedCondition {
  return { type: 'Ready', status: 'True', reason: 'Imported', message: `the cloud has it, with the fingerprint ${fingerprint}` };
}

function said(type: 'Reconciling' | 'Stalled', reason: string, message: string): ProposedCondition[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}
