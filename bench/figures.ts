/** Numbers from the text that Prometheus reads. */
export class Metrics {
  constructor(private readonly text: string) {}

  static async read(http: string): Promise<Metrics> {
    return new Metrics(await (await fetch(`${http}/metrics`)).text());
  }

  /** The sum of a metric over its lines whose labels hold all of these texts, such as `operation="listServers"`. */
  sum(name: string, ...labels: readonly string[]): number {
    return this.text
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .filter((line) => labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}

/** The value below which that part of the samples lies (0.5: the median). */
export function percentile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
