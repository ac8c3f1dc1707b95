import { createHash } from 'node:crypto';

/** Digits of a digest that are used: 48 bits, which every JSON number holds exactly, and which no two of a million machines share by chance. */
const DIGITS = 12;

/**
 * The number that clients of the 2015 dialect know a resource by: positive, whole, the same for ever and on every replica.
 *
 * @param uid the `metadata.uid` of a VirtualMachine or Recipe.
 */
export function nodeNumber(uid: string): number {
  return Number.parseInt(createHash('sha256').update(uid).digest('hex').slice(0, DIGITS), 16) + 1;
}
