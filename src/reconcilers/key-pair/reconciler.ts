import { createHash } from 'node:crypto';
import type { Connection } from '../../clouds/connection.js';
import type { CloudKeyPair } from '../../clouds/driver.js';
import { CLOUD_ERRORS, type CloudError, isCloudError } from '../../clouds/errors.js';
import type { Recorder } from '../../controllers/events.js';
import { withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import {
  type KeyPair,
  type KeyPairStatus,
  keyPairKind,
  keyPairSpecSchema,
  keyPairStatusSchema,
} from '../../resources/key-pair.js';
import type { Resource, ResourceKey } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import { validate } from '../../resources/validate.js';
import { type CloudProblem, cloudProblem } from '../cloud/problem.js';
import { invalidSpec } from '../invalid-spec.js';
import type { Records } from '../records.js';
import { FINALIZER, type KeyPairPlan, type KeyPairStep, plan } from './plan.js';

const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled']);
/** How often a key pair is looked at without a cause: nobody tells when one is deleted. */
const RECHECK_MS = 300_000;
/** How old a list may be that several key pairs are looked up in: one call serves all. */
const LIST_KEEP_MS = 30_000;
/** How soon a Cloud that is not connected is looked for again. */
const CLOUD_RECHECK_MS = 5_000;

/** What the reconciler of KeyPairs works with. */
export interface KeyPairTools {
  readonly records: Records;
  connection(cloud: string): Connection | undefined;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
}

/** Keeps the public key of each KeyPair in its cloud. */
export class KeyPairReconciler implements Reconciler {
  readonly kind = 'KeyPair';

  constructor(private readonly tools: KeyPairTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const stored = this.tools.records.get(key);
    if (!stored) return { kind: 'settled' };
    const { status, ...declared } = stored;
    const spec = keyPairSpecSchema.safeParse(stored.spec);
    const errors = validate(keyPairKind, declared);
    const read = keyPairStatusSchema.safeParse(status ?? {});
    if (!spec.success || errors.length > 0)
      return this.#report({ ...declared, spec: undefined, status: read.data ?? {} }, invalidSpec(errors), {});
    const keyPair: KeyPair = { ...declared, spec: spec.data, status: read.data ?? {} };
    const { name } = keyPair.spec.cloudRef;
    const connection = this.tools.connection(name);
    const cloud = this.tools.records.get({ kind: 'Cloud', namespace: '', name });
    const problem = cloudProblem(keyPair, name, cloud, connection !== undefined);
    if (problem || !connection) return this.#withoutCloud(keyPair, problem);
    try {
      return await this.#converge(keyPair, connection, signal);
    } catch (error) {
      if (isCloudError(error)) await this.#reportFailure(key, keyPair, error);
      throw error;
    }
  }

  async #reportFailure(key: ResourceKey, keyPair: KeyPair, error: CloudError): Promise<void> {
    const { advice, retry } = CLOUD_ERRORS[error.code];
    const said = { reason: error.code, message: `${error.message}. To do: ${advice}` };
    const conditions: ProposedCondition[] = [
      { type: 'Ready', status: 'False', ...said },
      { type: retry === 'change' ? 'Stalled' : 'Reconciling', status: 'True', ...said },
    ];
    // The finalizer may have been written before the call that failed.
    const { metadata } = this.tools.records.get(key) ?? keyPair;
    if (metadata.generation === keyPair.metadata.generation) await this.#report({ ...keyPair, metadata }, conditions, {});
  }

  async #converge(keyPair: KeyPair, { driver, keyPairs }: Connection, signal: AbortSignal): Promise<Outcome> {
    const { name } = keyPair.metadata;
    const wantedHash = digest(keyPair.spec.publicKey);
    let there = (await keyPairs.get(LIST_KEEP_MS)).find((one) => one.name === name);
    const observation = { there, wantedHash, thereHash: there && digest(there.publicKey) };
    const made = plan(keyPair, observation);
    let current: Resource = keyPair;
    for (const step of made.steps) {
      if (signal.aborted) return { kind: 'waiting', on: 'the next start', recheckAfterMs: 0 };
      switch (step) {
        case 'Import':
          there = await driver.createKeyPair(name, keyPair.spec.publicKey, signal).finally(() => keyPairs.forget());
          break;
        case 'Delete':
          await driver.deleteKeyPair(name, signal).finally(() => keyPairs.forget());
          break;
        default:
          current = await this.#setFinalizer(current, step);
      }
      this.#tell(current, step, name);
      if (step === 'RemoveFinalizer') return { kind: 'settled' };
    }
    return this.#conclude({ ...keyPair, metadata: current.metadata }, made, there, wantedHash);
  }

  #conclude(keyPair: KeyPair, made: KeyPairPlan, there: CloudKeyPair | undefined, wantedHash: string): Promise<Outcome> {
    if (keyPair.metadata.deletionTimestamp) return Promise.resolve({ kind: 'settled' });
    const imported = made.steps.includes('Import') && there;
    const { conditions } = imported ? plan(keyPair, { there, wantedHash, thereHash: wantedHash }) : made;
    const facts =
      imported || made.ours ? { publicKeyHash: wantedHash, ...(there ? { fingerprint: there.fingerprint } : {}) } : {};
    return this.#report(keyPair, conditions, facts);
  }

  /** Nothing can be asked now. What was said before stands while the Cloud is just not connected yet. */
  async #withoutCloud(keyPair: KeyPair, problem: CloudProblem | undefined): Promise<Outcome> {
    const neverImported = keyPair.status?.publicKeyHash === undefined;
    if (keyPair.metadata.deletionTimestamp && neverImported && problem?.reason === 'CloudNotFound') {
      await this.#setFinalizer(keyPair, 'RemoveFinalizer');
      return { kind: 'settled' };
    }
    if (problem) {
      const said: ProposedCondition[] = [
        { type: 'Ready', status: 'Unknown', ...problem },
        { type: 'Reconciling', status: 'True', ...problem },
      ];
      await this.#report(keyPair, said, {});
    }
    return { kind: 'waiting', on: 'the Cloud', recheckAfterMs: CLOUD_RECHECK_MS };
  }

  #tell(keyPair: Resource, step: KeyPairStep, name: string): void {
    if (step === 'Import')
      this.tools.events.record(keyPair, {
        type: 'Normal',
        reason: 'Imported',
        message: `imported key pair ${name}`,
        action: step,
      });
    if (step === 'Delete')
      this.tools.events.record(keyPair, { type: 'Normal', reason: 'Delete', message: `deleted key pair ${name}`, action: step });
  }

  #setFinalizer(keyPair: Resource, step: 'AddFinalizer' | 'RemoveFinalizer'): Promise<Resource> {
    const change = step === 'AddFinalizer' ? withFinalizer : withoutFinalizer;
    return this.tools.records.update(change(keyPair, FINALIZER));
  }

  async #report(
    keyPair: Resource & { status?: KeyPairStatus },
    conditions: readonly ProposedCondition[],
    facts: Partial<KeyPairStatus>,
  ): Promise<Outcome> {
    const { generation } = keyPair.metadata;
    const known = keyPair.status ?? {};
    const merged = mergeConditions(known.conditions ?? [], conditions, OWNED, generation, this.tools.environment.now());
    const status = { ...known, ...facts, observedGeneration: generation, conditions: merged };
    if (!sameJson(status, known)) await this.tools.records.updateStatus({ ...keyPair, status });
    return { kind: 'waiting', on: 'the next look', recheckAfterMs: RECHECK_MS };
  }
}

/** A digest of a public key's type and body: comments and white space at the end are no difference. */
function digest(publicKey: string): string {
  return createHash('sha256').update(publicKey.trim().split(' ').slice(0, 2).join(' ')).digest('hex');
}
