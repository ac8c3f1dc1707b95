/** A time as Nova writes most of them. */
export function seconds(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** A time as Nova and Cinder write the others: without a zone, with six digits that are always zero. */
export function micros(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}.000000`;
}
