import type { Server } from '../../clouds/driver.js';
import { notReady, type ProposedCondition, unknown } from '../../resources/conditions.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import type { CloudFacts } from './observation.js';
import { describeStep, type Step } from './steps.js';

/** Kept on a VirtualMachine from before its first attempt until its server is confirmed gone. */
export const FINALIZER = 'dispatcher.dev/server';

/** The Cloud, when something may be concluded from it. */
export type UsableCloud = Extract<CloudFacts, { kind: 'usable' }>;

/** What a plan waits for, when no step is left. Changes of the record or its servers always wake it too. */
export interface Wait {
  readonly on: string;
  /** A complete observation that began at this time or later. */
  readonly completeAfter?: Date;
  /** A complete list of ports that began at this time or later. */
  readonly portsAfter?: Date;
  /** A point in time. */
  readonly until?: Date;
  /** True if a change in the cloud is expected soon. */
  readonly moving?: boolean;
}

/** What would be done, and what holds now. */
export interface Plan {
  /** In order. Only the first is sure: each changes what is observed, so that plans are made anew after it. */
  readonly steps: readonly Step[];
  /** True if the first step may be taken; false when it is only shown. */
  readonly act: boolean;
  readonly conditions: readonly ProposedCondition[];
  readonly wait?: Wait;
}

/** Builds that may fail in a row before the record counts as stalled. It is still tried, with the longest wait. */
export const FAILURES_TO_STALL = 4;
const FIRST_RETRY_MS = 10_000;
const LONGEST_RETRY_MS = 300_000;

/** How long to wait after `count` failed builds in a row, in milliseconds: 10 s, doubled each time, up to 5 minutes. */
export function retryDelayMs(count: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (count - 1), LONGEST_RETRY_MS);
}

/** The name that the server bears in the cloud. */
export function serverName(vm: VirtualMachine): string {
  return vm.spec.hostname ?? vm.metadata.name;
}

/** True for a server that is there and is not on its way out. */
export function isAlive(server: Server): boolean {
  return server.state !== 'Deleting' && server.state !== 'Deleted';
}

/** What is said while a failed build waits for its next try. */
export function afterFailures(failures: NonNullable<VirtualMachineStatus['failures']>, wait: Wait): Plan {
  const message = `${failures.count} builds failed in a row, the last one: ${failures.message}`;
  if (failures.count < FAILURES_TO_STALL) return progressing('BuildFailed', message, wait);
  return stalled('BuildFailed', message, wait);
}

/** True while the record holds back its own deletion. */
export function hasFinalizer(vm: VirtualMachine): boolean {
  return vm.metadata.finalizers?.includes(FINALIZER) ?? false;
}

/** When to look again for something that nobody will tell of. */
export function soon(now: Date): Date {
  return new Date(now.getTime() + 15_000);
}

/** A plan that does something: progress, under that reason. */
export function steps(reason: string, list: readonly Step[]): Plan {
  const [first] = list;
  return { steps: list, act: true, conditions: notReady('Reconciling', reason, first ? describeStep(first) : reason) };
}

/** A plan that waits while something moves on. */
export function progressing(reason: string, message: string, wait: Wait): Plan {
  return { steps: [], act: true, conditions: notReady('Reconciling', reason, message), wait };
}

/**
 * The plan before the first complete observation. What was said of this generation is left standing: a restart must not make
 * everything look unready for a while.
 */
export function connecting({ metadata, status }: VirtualMachine, trouble: string | undefined): Plan {
  const wait = { on: 'observation' };
  if (status?.observedGeneration === metadata.generation && !metadata.deletionTimestamp)
    return { steps: [], act: true, conditions: [], wait };
  if (trouble) return progressing('CloudUnreachable', trouble, wait);
  return progressing('Observing', 'waiting for the first complete observation of the cloud', wait);
}

/** A plan that waits for a person. */
export function stalled(reason: string, message: string, wait: Wait = { on: 'a change of the declaration' }): Plan {
  return { steps: [], act: true, conditions: notReady('Stalled', reason, message), wait };
}

/** A plan that waits for something that must be there before anything can be said or done. */
export function uncertain(reason: string, message: string, wait: Wait): Plan {
  return { steps: [], act: true, conditions: unknown(reason, message), wait };
}

/** A plan that waits, with just this said. */
export function waiting(said: ProposedCondition, wait: Wait): Plan {
  return { steps: [], act: true, conditions: [said], wait };
}

/** A condition as a plan proposes it. */
export function condition(type: string, status: ProposedCondition['status'], reason: string, message: string): ProposedCondition {
  return { type, status, reason, message };
}

/** Networks as they are kept in `status.applied`: '' when the cloud chooses. */
export function networksOf(vm: VirtualMachine): string {
  return vm.spec.networks === undefined ? '' : JSON.stringify(vm.spec.networks);
}
