import { CLOUD_ERRORS, type CloudError } from '../../clouds/errors.js';
import type { SecurityGroup } from '../../clouds/network-driver.js';
import { mergeConditions, notReady, type ProposedCondition, unknown } from '../../resources/conditions.js';
import { type FirewallRuleStatus, firewallRuleStatusSchema } from '../../resources/firewall-rule.js';
import type { Resource } from '../../resources/metadata.js';
import { cloudProblem } from '../cloud/problem.js';
import type { Failures } from './failures.js';
import { isHandsOff, type RuleSight, type Sight } from './gather.js';
import { eldest, type ObservedPort } from './plan.js';
import { type Machine, targetOf } from './target.js';
import { trafficKey, trafficOf } from './traffic.js';

const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled']);
const MOST_PROBLEMS = 32;
const LONGEST_TEXT = 2048;

type Problem = NonNullable<FirewallRuleStatus['problems']>[number];
type Facts = Pick<FirewallRuleStatus, 'securityGroup' | 'rules' | 'targets' | 'problems'>;

/** How things stand with one rule. Pure. */
export function reportRule(
  sight: RuleSight,
  { wishes, observation, portsOf }: Sight,
  failures: Failures,
): { readonly conditions: readonly ProposedCondition[]; readonly facts: Facts } {
  const { rule, live, said } = sight;
  if (!rule || !live)
    return { conditions: said.length > 0 ? said : progress('Closing', 'what it opened is being closed'), facts: {} };
  const { key } = targetOf(rule);
  const wish = wishes.get(key);
  const group = eldest(observation.groups.get(key) ?? []);
  const peer = rule.spec.peerRef && peerGroup(rule.metadata.namespace, rule.spec.peerRef.name, wishes, observation.groups);
  const own = trafficOf(rule.spec, peer?.id);
  const there = new Set(group?.rules.map(trafficKey));
  const open = own.filter((one) => there.has(trafficKey(one)));
  const complete = group !== undefined && own.length > 0 && open.length === own.length;
  const machines = wish?.machines ?? [];
  const looks = machines.map((machine) => look(machine, portsOf.get(machine.record.metadata.uid) ?? [], group, failures));
  const reached = complete ? looks.filter((one) => one === 'reached').length : 0;
  const problems = looks.flatMap((one, index): Problem[] => {
    const name = machines[index]?.record.metadata.name;
    return typeof one === 'object' && name !== undefined ? [{ virtualMachine: name, message: one.problem }] : [];
  });
  const facts = {
    ...(group ? { securityGroup: { id: group.id, name: group.name } } : {}),
    rules: open.length,
    targets: { matched: machines.length, reached },
    ...(problems.length > 0 ? { problems: problems.slice(0, MOST_PROBLEMS) } : {}),
  };
  const subjects = [`group ${key}`, ...own.map((one) => `rule ${key} ${trafficKey(one)}`)];
  const failure = complete ? undefined : subjects.map((subject) => failures.of(subject)).find((one) => one !== undefined);
  if (failure) return { conditions: failed(failure.error), facts };
  if (!complete)
    return { conditions: progress('Opening', `${open.length} of ${own.length} rules are in its security group`), facts };
  const [problem] = problems;
  if (problem) {
    const more = problems.length > 1 ? `; and ${problems.length - 1} more: see status.problems` : '';
    return { conditions: stalled('NotReached', `VirtualMachine ${problem.virtualMachine}: ${problem.message}${more}`), facts };
  }
  const waiting = looks.filter((one) => one === 'attaching').length;
  if (waiting > 0)
    return { conditions: progress('Attaching', `${waiting} of ${count(machines.length)} do not have it yet`), facts };
  const undeclared = group.rules.filter((one) => one.other !== undefined || !wish?.traffic.has(trafficKey(one))).length;
  if (undeclared > 0)
    return {
      conditions: progress('Closing', `${undeclared} rules that nobody declares any more are still in its security group`),
      facts,
    };
  return { conditions: [inForce(machines.length, reached)], facts };
}

/** The status with what is said now. @param isThere false for a security group that the cloud is known not to have any more. */
export function nextStatus(
  { stored }: RuleSight,
  { conditions, facts }: ReturnType<typeof reportRule>,
  isThere: (groupId: string) => boolean,
  now: Date,
): FirewallRuleStatus {
  const before = firewallRuleStatusSchema.safeParse(stored.status ?? {}).data ?? {};
  const { generation } = stored.metadata;
  const clipped = conditions.map((one) => ({ ...one, message: one.message.slice(0, LONGEST_TEXT) }));
  const { observedAt } = before;
  // A rule that is not in force keeps what was known of it: a bad edit must not hide which group is its own.
  const { securityGroup } = before;
  const known = [...(before.formerGroups ?? []), ...(securityGroup && facts.rules !== undefined ? [securityGroup.id] : [])];
  const former = [...new Set(known)].filter((id) => id !== facts.securityGroup?.id && isThere(id));
  return {
    ...(securityGroup && facts.rules === undefined ? { securityGroup } : {}),
    ...(former.length > 0 ? { formerGroups: former.slice(-MOST_PROBLEMS) } : {}),
    ...facts,
    observedGeneration: generation,
    conditions: mergeConditions(before.conditions ?? [], clipped, OWNED, generation, now),
    ...(observedAt === undefined ? {} : { observedAt }),
  };
}

/** What is said where the cloud has no firewall, or does not answer. */
export function unobserved(error: CloudError | undefined): ProposedCondition[] {
  if (!error) return progress('Observing', 'waiting for the first look at the security groups and ports of the Cloud');
  if (error.code !== 'Unsupported') return progress('CloudUnreachable', error.message);
  return stalled('FirewallUnsupported', `${error.message}. To do: ${CLOUD_ERRORS.Unsupported.advice}`);
}

/** What is said of a rule whose Cloud is not connected; nothing while that is only not so yet. */
export function withoutConnection(rule: Resource, cloud: string, stored: Resource | undefined): ProposedCondition[] {
  const problem = cloudProblem(rule, cloud, stored, false);
  return problem ? unknown(problem.reason, problem.message) : [];
}

function look(
  { record }: Machine,
  ports: readonly ObservedPort[],
  group: SecurityGroup | undefined,
  failures: Failures,
): 'reached' | 'attaching' | 'absent' | { readonly problem: string } {
  if (isHandsOff(record))
    return { problem: `spec.${record.spec.paused ? 'paused is true' : 'management is Observe'}: its ports are left as they are` };
  if (record.spec.networks === 'none') return { problem: 'it has no network' };
  const open = ports.find(({ port }) => !port.secured);
  if (open) return { problem: `port ${open.port.id} has port security off: nothing is kept from it` };
  const failure = ports.map(({ port }) => failures.of(`port ${port.id}`)).find((one) => one !== undefined);
  // What may succeed the next time is no problem yet.
  if (failure && CLOUD_ERRORS[failure.error.code].retry === 'change')
    return { problem: failure.error.message.slice(0, LONGEST_TEXT) };
  const bound = ports.filter(({ port }) => port.serverId !== undefined);
  if (bound.length === 0) return 'absent';
  return bound.every(({ port }) => group && port.groupIds.includes(group.id)) ? 'reached' : 'attaching';
}

function peerGroup(
  namespace: string | undefined,
  name: string,
  wishes: Sight['wishes'],
  groups: Sight['observation']['groups'],
): SecurityGroup | undefined {
  for (const [key, { rules }] of wishes)
    if (rules.some(({ metadata }) => metadata.name === name && metadata.namespace === namespace))
      return eldest(groups.get(key) ?? []);
  return undefined;
}

function inForce(matched: number, reached: number): ProposedCondition {
  const later = matched - reached;
  const message =
    matched === 0
      ? 'no machine matches at the moment'
      : `in force on ${count(reached)}${later > 0 ? `; ${count(later)} will have it from the first moment on` : ''}`;
  return { type: 'Ready', status: 'True', reason: 'InForce', message };
}

function count(machines: number): string {
  return `${machines} machine${machines === 1 ? '' : 's'}`;
}

function failed(error: CloudError): ProposedCondition[] {
  const { advice, retry } = CLOUD_ERRORS[error.code];
  const message = `${error.message}. To do: ${advice}`;
  return retry === 'change' ? stalled(error.code, message) : progress(error.code, message);
}

function progress(reason: string, message: string): ProposedCondition[] {
  return notReady('Reconciling', reason, message);
}

function stalled(reason: string, message: string): ProposedCondition[] {
  return notReady('Stalled', reason, message);
}
