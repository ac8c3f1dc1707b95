/** Chance that a seed makes repeatable. */
export class Chance {
  #next: () => number;

  /** @param random where chance comes from while the seed is 0. */
  constructor(
    private readonly random: () => number,
    seed: number,
  ) {
    this.#next = generator(random, seed);
  }

  /** Begins again at `seed`. */
  reseed(seed: number): void {
    this.#next = generator(this.random, seed);
  }

  /** A number in [0, 1). */
  number(): number {
    return this.#next();
  }

  /** True in this part of the cases. Draws only if the outcome is open, so that a knob at 0 leaves the others' sequence alone. */
  happens(rate: number): boolean {
    return rate > 0 && (rate >= 1 || this.#next() < rate);
  }

  /** `mean`, more or less up to `part` of it. */
  around(mean: number, part: number): number {
    return part === 0 ? mean : mean * (1 + part * (2 * this.#next() - 1));
  }

  /** `length` lower-case hexadecimal digits. */
  hex(length: number): string {
    return Array.from({ length }, () => Math.floor(this.#next() * 16).toString(16)).join('');
  }
}

/** Mulberry32: 32 bits of state, good enough to choose faults by. */
function generator(random: () => number, seed: number): () => number {
  if (seed === 0) return random;
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
