import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as Go and Kubernetes write it: `2s`, `1m30s`, `500ms`. At most 32 characters. */
export const duration = z
  .string()
  .max(32)
  .regex(/^(\d+(ms|s|m|h))+$/, 'must be a duration such as 500ms, 2s, 1m30s or 8h');

/** The milliseconds of a {@link duration}. Anything else gives NaN. */
export function milliseconds(text: string): number {
  if (!duration.safeParse(text).success) return Number.NaN;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|s|m|h)/g)) sum += Number(number) * (UNITS[unit ?? ''] ?? Number.NaN);
  return sum;
}
