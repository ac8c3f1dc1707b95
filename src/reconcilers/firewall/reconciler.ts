import type { Logger } from 'pino';
import type { Connection } from '../../clouds/connection.js';
import { CloudError, isCloudError } from '../../clouds/errors.js';
import type { Recorder } from '../../controllers/events.js';
import { hasFinalizer, withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import { listAll } from '../../store/list-all.js';
import type { Store } from '../../store/store.js';
import type { Records } from '../records.js';
import { Abandoned } from './abandoned.js';
import type { Failures } from './failures.js';
import type { Firewall } from './firewall.js';
import { FINALIZER, gather, type RuleSight, type Sight } from './gather.js';
import { type FirewallPlan, plan } from './plan.js';
import { nextStatus, reportRule, unobserved, withoutConnection } from './status.js';
import { describeStep, type Step, subjectOf } from './steps.js';
import { targetOf } from './target.js';
import { trafficKey } from './traffic.js';

/** Rounds in one pass at most: groups, rules, ports and what is closed after them; a guard against a plan that turns in a circle. */
const MOST_ROUNDS = 12;
/** How soon a Cloud that is not connected is looked for again. */
const CLOUD_RECHECK_MS = 5_000;

/** What the reconciler of firewalls works with. */
export interface FirewallTools {
  readonly store: Pick<Store, 'list'>;
  readonly records: Records;
  connection(cloud: string): Connection | undefined;
  readonly firewall: Firewall;
  /** Has the machines looked at that may have waited for their groups. */
  wake(machines: readonly ResourceKey[]): void;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  readonly installation: string;
  readonly log: Logger;
}

/**
 * Keeps all firewall rules of a Cloud in force: one plan for all of them, so that whatever is opened goes before what is closed, and one
 * security group serves all rules of a target. Takes the keys of Clouds.
 */
export class FirewallReconciler implements Reconciler {
  readonly kind = 'Cloud';
  readonly #abandoned = new Map<string, Abandoned>();
  /** By Cloud: since when there is something to close. */
  readonly #closing = new Map<string, Date>();

  constructor(private readonly tools: FirewallTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const { records } = this.tools;
    const connection = this.tools.connection(key.name);
    if (!connection) return this.#withoutConnection(key.name);
    const declared = records.ofCloud('FirewallRule', key.name).length > 0;
    const { groups, ports } = connection;
    for (const list of [groups, ports]) list.setPace(formatKey(key), declared ? 'watching' : undefined);
    const observedAt = earlier(groups.health.completeAt, ports.health.completeAt);
    const unsupported = [groups, ports]
      .map(({ health }) => health.error?.error)
      .find((error) => isCloudError(error, 'Unsupported'));
    if (unsupported || !observedAt) return this.#unobserved(key, connection, unsupported);
    const failures = this.tools.firewall.failures(key.name);
    const { sight, made } = await this.#converge(key, connection, failures, signal);
    this.tools.wake(this.tools.firewall.waiting(key.name));
    const pending = [...made.openings, ...made.closings];
    failures.keep(new Set(pending.map(subjectOf)));
    await this.#conclude(sight, connection, failures);
    if (declared && pending.length > 0) for (const list of [groups, ports]) list.setPace(formatKey(key), 'moving');
    const now = this.tools.environment.now();
    const retries = pending.flatMap((step) => failures.retryAt(subjectOf(step), observedAt, now) ?? []);
    const due = [...retries, ...this.#ripening(key.name, sight, now)];
    if (due.length === 0) return { kind: 'settled' };
    return { kind: 'waiting', on: 'the cloud', recheckAfterMs: Math.min(...due.map((at) => at.getTime() - now.getTime())) };
  }

  /** Opens, and then closes, until nothing is left to do now. */
  async #converge(
    key: ResourceKey,
    connection: Connection,
    failures: Failures,
    signal: AbortSignal,
  ): Promise<{ sight: Sight; made: FirewallPlan }> {
    let fresh: readonly Resource[] | undefined;
    for (let round = 0; ; round += 1) {
      const sight = this.#look(key.name, connection, fresh);
      if (await this.#hold(sight)) continue;
      const made = plan(sight.wishes, sight.observation);
      const openings = this.#due(made.openings, connection, failures);
      const closings = this.#due(made.closings, connection, failures);
      if (closings.length === 0) this.#closing.delete(key.name);
      if (signal.aborted || round === MOST_ROUNDS || openings.length + closings.length === 0) return { sight, made };
      if (openings.length > 0) {
        await this.#perform(openings, key, connection, failures, sight, signal);
        fresh = undefined;
      }
      // What is closed must not be what somebody has declared just now, or all that is left of what somebody took away: the cloud is looked
      // at, and the store is asked, not what was last seen of them.
      else if (!this.#hasLooked(key, connection)) return { sight, made };
      else if (fresh === undefined) fresh = await listAll(this.tools.store, 'FirewallRule');
      else {
        await this.#perform(closings, key, connection, failures, sight, signal);
        this.#closing.delete(key.name);
        fresh = undefined;
      }
    }
  }

  /** True if the cloud has been looked at since there is something to close; asks for that look if not. */
  #hasLooked(key: ResourceKey, { groups, ports }: Connection): boolean {
    const since = this.#closing.get(key.name) ?? this.tools.environment.now();
    this.#closing.set(key.name, since);
    const late = [groups, ports].filter(({ health }) => !health.completeAt || health.completeAt <= since);
    for (const list of late) list.wantComplete(formatKey(key), new Date(since.getTime() + 1));
    return late.length === 0;
  }

  #look(cloud: string, connection: Connection, fresh: readonly Resource[] | undefined): Sight {
    const { records, installation, environment } = this.tools;
    const abandoned = this.#abandoned.get(cloud) ?? new Abandoned();
    this.#abandoned.set(cloud, abandoned);
    const policy = records.get({ kind: 'Cloud', namespace: '', name: cloud })?.spec;
    const now = environment.now();
    const sight = gather(cloud, connection, {
      records,
      installation,
      all: fresh ?? records.firewallRules(),
      isRipe: (id) => (abandoned.ripeAt(id, policy) ?? Number.POSITIVE_INFINITY) <= now,
    });
    abandoned.see(sight.abandoned, now);
    return sight;
  }

  /** A rule is held before anything is opened for it. @returns whether anything was written. */
  async #hold({ rules }: Sight): Promise<boolean> {
    const loose = rules.filter(({ stored, live }) => live && !hasFinalizer(stored, FINALIZER));
    await Promise.all(loose.map(({ stored }) => this.tools.records.update(withFinalizer(stored, FINALIZER))));
    return loose.length > 0;
  }

  /** When groups that nobody declares may go, of those that may not go yet. */
  #ripening(cloud: string, { abandoned }: Sight, now: Date): Date[] {
    const { spec } = this.tools.records.get({ kind: 'Cloud', namespace: '', name: cloud }) ?? {};
    return abandoned.flatMap(({ id }) => this.#abandoned.get(cloud)?.ripeAt(id, spec) ?? []).filter((at) => at > now);
  }

  #due(steps: readonly Step[], { groups, ports }: Connection, failures: Failures): readonly Step[] {
    const now = this.tools.environment.now();
    const observedAt = earlier(groups.health.completeAt, ports.health.completeAt) ?? new Date(0);
    return steps.filter((step) => failures.retryAt(subjectOf(step), observedAt, now) === undefined);
  }

  async #perform(
    steps: readonly Step[],
    key: ResourceKey,
    connection: Connection,
    failures: Failures,
    sight: Sight,
    signal: AbortSignal,
  ): Promise<void> {
    const outcomes = await Promise.allSettled(steps.map((step) => this.#take(step, connection, signal)));
    const now = this.tools.environment.now();
    for (const [index, outcome] of outcomes.entries()) {
      const step = steps[index];
      if (!step) continue;
      if (outcome.status === 'fulfilled') {
        failures.clear(subjectOf(step));
        this.tools.log.info({ cloud: key.name, step: step.kind, detail: describeStep(step) }, 'firewall step taken');
        continue;
      }
      const error: unknown = outcome.reason;
      if (!(error instanceof CloudError)) throw error;
      if (signal.aborted) continue;
      this.#failed(step, error, key, connection, failures, now);
    }
    this.#tell(steps, outcomes, sight);
  }

  async #take(step: Step, connection: Connection, signal: AbortSignal): Promise<void> {
    const { driver, groups, ports } = connection;
    switch (step.kind) {
      case 'CreateGroup': {
        const owner = { installation: this.tools.installation, key: step.target.key };
        await connection.createGroup({
          name: step.target.name,
          description: 'Made by Dispatcher: change its FirewallRules, not this group',
          owner,
        });
        return;
      }
      case 'Open':
        return connection.createRule({ ...step.traffic, inGroup: step.groupId });
      case 'Attach':
      case 'Detach':
        ports.note(await driver.setPortGroups(step.port, step.groupIds, signal));
        return;
      case 'Close':
        return connection.deleteRule(step.groupId, step.ruleId, signal);
      case 'DeleteGroup':
        await driver.deleteSecurityGroup(step.id, signal);
        groups.noteGone(step.id);
    }
  }

  #failed(step: Step, error: CloudError, key: ResourceKey, { groups, ports }: Connection, failures: Failures, now: Date): void {
    const subject = subjectOf(step);
    const before = failures.of(subject);
    failures.note(subject, error, now);
    // What the cloud says is otherwise than was thought, or it did not say: look before it is tried again.
    if (['UnknownOutcome', 'Conflict', 'NotFound'].includes(error.code))
      for (const list of [groups, ports]) list.wantComplete(formatKey(key), new Date(now.getTime() + 1));
    if (before?.error.code !== error.code)
      this.tools.log.warn({ err: error, cloud: key.name, step: step.kind, detail: describeStep(step) }, 'firewall step failed');
  }

  /** One event for each rule that something was done for, however many machines it has. */
  #tell(steps: readonly Step[], outcomes: readonly PromiseSettledResult<void>[], { rules, observation }: Sight): void {
    const keyOfGroup = new Map([...observation.groups].flatMap(([key, all]) => all.map(({ id }) => [id, key] as const)));
    const told = new Map<string, string[]>();
    for (const [index, step] of steps.entries()) {
      const outcome = outcomes[index];
      const words =
        outcome?.status === 'rejected'
          ? `could not ${describeStep(step)}: ${String(outcome.reason.message)}`
          : describeStep(step);
      for (const key of keysOf(step, keyOfGroup)) told.set(key, [...(told.get(key) ?? []), words]);
    }
    const failed = outcomes.some(({ status }) => status === 'rejected');
    for (const { rule, stored } of rules) {
      const all = rule && told.get(targetOf(rule).key);
      if (!all) continue;
      const [first] = all;
      this.tools.events.record(stored, {
        type: failed ? 'Warning' : 'Normal',
        reason: failed ? 'FirewallFailed' : 'FirewallChanged',
        message: all.length === 1 ? `${first}` : `${first}; and ${all.length - 1} more`,
        action: 'Firewall',
      });
    }
  }

  /** Lets go those that are closed, and says of all others how they are. */
  async #conclude(sight: Sight, { groups }: Connection, failures: Failures): Promise<void> {
    const isThere = (id: string) => groups.get(id) !== undefined;
    const done = sight.rules.filter((rule) => rule.stored.metadata.deletionTimestamp && isClosed(rule, sight));
    const others = sight.rules.filter((rule) => !done.includes(rule));
    await settleAll([
      ...done.map(({ stored }) => this.#release(stored)),
      ...others.map((rule) => this.#report(rule, reportRule(rule, sight, failures), isThere)),
    ]);
  }

  async #release(stored: Resource): Promise<void> {
    const current = this.tools.records.get(keyOf(stored)) ?? stored;
    if (hasFinalizer(current, FINALIZER)) await this.tools.records.update(withoutFinalizer(current, FINALIZER));
  }

  async #report(
    sight: RuleSight,
    said: ReturnType<typeof reportRule>,
    isThere: (groupId: string) => boolean = () => true,
  ): Promise<void> {
    const { records, environment } = this.tools;
    const current = records.get(keyOf(sight.stored));
    if (!current || current.metadata.generation !== sight.stored.metadata.generation) return;
    const status = nextStatus({ ...sight, stored: current }, said, isThere, environment.now());
    if (!sameJson(status, current.status ?? {}))
      await records.updateStatus({ ...current, status: { ...status, observedAt: environment.now().toISOString() } });
  }

  /** Nothing can be concluded yet, or this cloud has no firewall. */
  async #unobserved(key: ResourceKey, connection: Connection, unsupported: CloudError | undefined): Promise<Outcome> {
    const all = this.tools.records.firewallRules();
    const { rules } = gather(key.name, connection, { ...this.tools, all, isRipe: () => false });
    const error = unsupported ?? connection.groups.health.error?.error ?? connection.ports.health.error?.error;
    const said = unobserved(error);
    await settleAll(
      rules.map((rule) => {
        if (unsupported && rule.stored.metadata.deletionTimestamp) return this.#release(rule.stored);
        // A restart must not make everything look unready for a while.
        if (!error && rule.live && wasSeen(rule.stored)) return Promise.resolve();
        return this.#report(rule, { conditions: rule.live ? said : rule.said, facts: {} });
      }),
    );
    return { kind: 'waiting', on: 'observation' };
  }

  async #withoutConnection(cloud: string): Promise<Outcome> {
    const { records } = this.tools;
    const stored = records.get({ kind: 'Cloud', namespace: '', name: cloud });
    const rules = records.ofCloud('FirewallRule', cloud);
    if (rules.length === 0) return { kind: 'settled' };
    await settleAll(
      rules.map((rule) => {
        const conditions = withoutConnection(rule, cloud, stored);
        // With the Cloud all that was opened in it is out of reach: nobody would ever let the rule go.
        if (rule.metadata.deletionTimestamp && !stored) return this.#release(rule);
        if (conditions.length === 0) return Promise.resolve();
        return this.#report({ stored: rule, rule: undefined, live: false, said: conditions }, { conditions, facts: {} });
      }),
    );
    return { kind: 'waiting', on: 'the Cloud', recheckAfterMs: CLOUD_RECHECK_MS };
  }
}

/** True if what a rule that is being deleted has opened is closed: its group is gone, or allows only what others declare. */
function isClosed({ rule, said }: RuleSight, { wishes, observation, withheld }: Sight): boolean {
  // Of one whose spec cannot be read nobody knows more: what it has left is closed as what nobody declares.
  if (!rule) return true;
  if (said.length > 0) return false;
  const { key } = targetOf(rule);
  if (withheld.has(key)) return false;
  const groups = observation.groups.get(key) ?? [];
  const wish = wishes.get(key);
  return wish ? groups.every((group) => group.rules.every((one) => wish.traffic.has(trafficKey(one)))) : groups.length === 0;
}

function keysOf(step: Step, keyOfGroup: ReadonlyMap<string, string>): string[] {
  switch (step.kind) {
    case 'CreateGroup':
    case 'Open':
      return [step.target.key];
    case 'Attach':
      return step.added.flatMap((id) => keyOfGroup.get(id) ?? []);
    case 'Detach':
      return step.taken.flatMap((id) => keyOfGroup.get(id) ?? []);
    case 'Close':
      return [keyOfGroup.get(step.groupId) ?? []].flat();
    case 'DeleteGroup':
      return [keyOfGroup.get(step.id) ?? []].flat();
  }
}

function wasSeen({ metadata, status }: Resource): boolean {
  return typeof status === 'object' && status !== null && Reflect.get(status, 'observedGeneration') === metadata.generation;
}

function earlier(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (!a || !b) return undefined;
  return a < b ? a : b;
}

/** Waits for all; then throws what the first one that failed has thrown: one that cannot be written keeps no other from it. */
async function settleAll(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}
