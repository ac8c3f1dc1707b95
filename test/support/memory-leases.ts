import type { Environment } from '../../src/environment.js';
import type { Lease, LeaseStore } from '../../src/store/store.js';

interface Held extends Lease {
  readonly expiresAt: number;
}

/** Leases by the clock of an environment. */
export class MemoryLeases implements LeaseStore {
  readonly #leases = new Map<string, Held>();

  constructor(private readonly environment: Environment) {}

  async acquire(name: string, holder: string, durationMs: number): Promise<Lease> {
    const now = this.environment.now().getTime();
    const held = this.#leases.get(name);
    if (held && held.holder !== holder && held.expiresAt > now) return lease(held);
    const transitions = held?.holder === holder ? held.transitions : (held?.transitions ?? 0) + 1;
    const next = { name, holder, transitions, expiresAt: now + durationMs };
    this.#leases.set(name, next);
    return lease(next);
  }

  async release(name: string, holder: string): Promise<void> {
    const held = this.#leases.get(name);
    if (held?.holder === holder) this.#leases.set(name, { ...held, holder: '', expiresAt: 0 });
  }
}

function lease({ name, holder, transitions }: Held): Lease {
  return { name, holder, transitions };
}
