import { z } from 'zod';
import type { Environment } from '../../environment.js';
import { isStoreError, StoreError } from '../errors.js';
import type { Lease, LeaseStore } from '../store.js';
import { givenUp, type LeaseSpec, leaseSpecSchema, look, mayTake, type Sighting, taken } from './lease-record.js';
import { collectionPath, type Place } from './paths.js';
import type { Requests } from './requests.js';

const LEASES: Place = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', namespaced: true };
/** Tries of one call when others write the same Lease. */
const ATTEMPTS = 5;

const leaseSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), resourceVersion: z.string() }),
  spec: leaseSpecSchema.default({}),
});
type Stored = z.infer<typeof leaseSchema>;

/**
 * Leases of Kubernetes, in one namespace; client-go's candidates can fight for the same ones. Every write is at the version that
 * was judged, so of several that take a lease at once one has it.
 */
export class KubernetesLeases implements LeaseStore {
  readonly #sightings = new Map<string, Sighting>();

  constructor(
    private readonly requests: Requests,
    private readonly environment: Environment,
    private readonly namespace: string,
  ) {}

  async acquire(name: string, holder: string, durationMs: number): Promise<Lease> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#get(name);
      const now = this.environment.now();
      const before = this.#sightings.get(name);
      try {
        if (!stored) {
          // Who deletes a Lease must not make the number fall.
          const spec = taken({}, holder, durationMs, now, before?.spec.leaseTransitions ?? 0);
          return this.#keep(name, await this.#create(name, spec), now);
        }
        const sighting = look(before, stored.spec, now.getTime());
        this.#sightings.set(name, sighting);
        if (!mayTake(sighting, holder, now.getTime())) return leaseOf(name, stored.spec);
        const spec = taken(stored.spec, holder, durationMs, now);
        return this.#keep(name, await this.#replace(name, { ...stored, spec }), now);
      } catch (error) {
        const overtaken =
          isStoreError(error, 'Conflict') || isStoreError(error, 'AlreadyExists') || isStoreError(error, 'NotFound');
        if (!overtaken || attempt === ATTEMPTS) throw error;
      }
    }
  }

  async release(name: string, holder: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#get(name);
      if (stored?.spec.holderIdentity !== holder) return;
      try {
        await this.#replace(name, { ...stored, spec: givenUp(stored.spec, this.environment.now()) });
        return;
      } catch (error) {
        if (isStoreError(error, 'NotFound')) return;
        if (!isStoreError(error, 'Conflict') || attempt === ATTEMPTS) throw error;
      }
    }
  }

  #keep(name: string, { spec }: Stored, now: Date): Lease {
    this.#sightings.set(name, { spec, at: now.getTime() });
    return leaseOf(name, spec);
  }

  async #get(name: string): Promise<Stored | undefined> {
    try {
      return this.#read(name, await this.requests.send({ method: 'GET', path: this.#path(name), ...this.#subject('get', name) }));
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #create(name: string, spec: LeaseSpec): Promise<Stored> {
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: this.namespace }, spec };
    const path = collectionPath(LEASES, this.namespace);
    try {
      return this.#read(name, await this.requests.send({ method: 'POST', path, body, ...this.#subject('create', name) }));
    } catch (error) {
      // Of the namespace: the Lease itself cannot be missing.
      if (!isStoreError(error, 'NotFound')) throw error;
      throw new StoreError('Unavailable', `${error.message}: create the namespace of the leases`, { cause: error });
    }
  }

  async #replace(name: string, body: Stored): Promise<Stored> {
    return this.#read(
      name,
      await this.requests.send({ method: 'PUT', path: this.#path(name), body, ...this.#subject('update', name) }),
    );
  }

  #read(name: string, answer: unknown): Stored {
    const parsed = leaseSchema.safeParse(answer);
    if (!parsed.success) throw new StoreError('Unavailable', `lease ${name}: what the API server answered is no Lease`);
    return parsed.data;
  }

  #path(name: string): string {
    return `${collectionPath(LEASES, this.namespace)}/${encodeURIComponent(name)}`;
  }

  #subject(verb: string, name: string) {
    return { call: `${verb} Lease/${this.namespace}/${name}`, resource: LEASES };
  }
}

function leaseOf(name: string, { holderIdentity, leaseTransitions }: LeaseSpec): Lease {
  return { name, holder: holderIdentity ?? '', transitions: leaseTransitions ?? 0 };
}
