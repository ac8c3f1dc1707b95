/** What a convergence was given, and what it used. Times in seconds. */
export interface Convergence {
  /** From the declaration to the last machine that is Ready. */
  readonly seconds: number;
  readonly machines: number;
  readonly buildSeconds: number;
  readonly latencySeconds: number;
  readonly inFlight: number;
  readonly requestsPerSecond: number;
  /** Calls for one machine, beside the pages that all share. */
  readonly callsPerMachine: number;
  /** CPU time of the dispatcher for one machine. */
  readonly cpuPerMachine: number;
  /** Row versions written for one machine after its declaration. */
  readonly writesPerMachine: number;
  /** Writes a second of this database, measured in the same run. */
  readonly writesPerSecond: number;
}

/** What no dispatcher could be faster than, by what each part alone takes. Seconds. */
export interface Bound {
  readonly seconds: number;
  /** With neither our own CPU time nor our store: these are measured, so that one who wastes them has an easier bound above. */
  readonly ofTheCloud: number;
  readonly terms: Readonly<Record<'latency' | 'rate' | 'cpu' | 'writes', number>>;
}

/** The bound T >= B + max(N*c*L/C, N*c/R, N*u, N*w/W). At best each machine takes one call, so `c` counts as 1. */
export function boundOf(run: Convergence): Bound {
  const { machines } = run;
  const terms = {
    latency: (machines * run.latencySeconds) / run.inFlight,
    rate: machines / run.requestsPerSecond,
    cpu: machines * run.cpuPerMachine,
    writes: (machines * run.writesPerMachine) / run.writesPerSecond,
  };
  return {
    seconds: run.buildSeconds + Math.max(...Object.values(terms)),
    ofTheCloud: run.buildSeconds + Math.max(terms.latency, terms.rate),
    terms,
  };
}
