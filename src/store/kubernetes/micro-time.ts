/** RFC 3339 with the six digits that Kubernetes' MicroTime asks for. */
export function microTime(time: Date): string {
  return time.toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}
