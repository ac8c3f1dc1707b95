/**
 * Numbers in [0, 1) that the same seed gives again (mulberry32).
 * @param given a seed from outside; undefined: a new one.
 */
export function seededRandom(given: string | undefined): { readonly seed: number; readonly random: () => number } {
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, random };
}
