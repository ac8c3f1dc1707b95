import type { Assignment } from '../../resources/assignment.js';
import type { Condition, ProposedCondition } from '../../resources/conditions.js';
import { fieldOf } from '../../resources/field-of.js';
import { type FirewallRuleSpec, firewallRuleStatusSchema } from '../../resources/firewall-rule.js';
import { keyOf, type OwnerReference, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import type { Draft } from '../../store/store.js';

/** Each protocol has a FirewallRule of its own. */
const PROTOCOLS = ['TCP', 'UDP'] as const;
const NAME = /^(.+)-ports-(?:tcp|udp)$/;

/** One thing to do for the ports of an assignment. */
export type PortsStep =
  | { readonly kind: 'Open'; readonly rule: Draft & { readonly metadata: { readonly name: string; readonly namespace: string } } }
  | { readonly kind: 'Change'; readonly rule: Resource; readonly spec: FirewallRuleSpec }
  | { readonly kind: 'Close'; readonly rule: Resource };

/** What would be done, and what holds now. */
export interface PortsPlan {
  /** What opens comes before what closes. */
  readonly steps: readonly PortsStep[];
  /** PortsOpen, while ports are declared and the assignment has not ended; else nothing. */
  readonly conditions: readonly ProposedCondition[];
}

/** The keys of the FirewallRules that an assignment may have. */
export function portsRuleKeys({ metadata }: Resource): readonly ResourceKey[] {
  return PROTOCOLS.map((protocol) => ruleKey(metadata, protocol));
}

/** The assignment that a FirewallRule is, or stands in the way of, by its name. */
export function assignmentOfRule({ metadata }: Resource): readonly ResourceKey[] {
  const [, name] = NAME.exec(metadata.name) ?? [];
  return name === undefined ? [] : [{ kind: 'VirtualMachineAssignment', namespace: metadata.namespace ?? '', name }];
}

/**
 * What to do for the ports of an assignment, and what to say of them. Pure.
 *
 * The rules stand from the first binding to the end, whatever machine it has, for they name the assignment. A rule cannot move to another
 * Cloud: it is made anew there, when the old one has closed what it opened.
 *
 * @param standing the FirewallRules of {@link portsRuleKeys} that are there, whoever made them. One that is not this assignment's own is not
 *   touched.
 */
export function planPorts(assignment: Assignment, standing: readonly Resource[]): PortsPlan {
  const { metadata, spec, status = {} } = assignment;
  const over = metadata.deletionTimestamp !== undefined || status.ended !== undefined;
  const parts = PROTOCOLS.map((protocol) => {
    const { name } = ruleKey(metadata, protocol);
    const rule = standing.find((each) => each.metadata.name === name);
    return planRule(assignment, rule, name, over ? undefined : ruleSpec(assignment, protocol));
  });
  const steps = parts.flatMap(({ step }) => step ?? []);
  const said = parts.flatMap(({ says }) => says ?? []);
  return {
    steps: steps.toSorted((a, b) => Number(a.kind === 'Close') - Number(b.kind === 'Close')),
    conditions:
      over || !spec.ports ? [] : [status.virtualMachine ? worst(said) : condition('PortsOpen', 'False', 'Unbound', UNBOUND)],
  };
}

interface Part {
  readonly step?: PortsStep;
  readonly says?: ProposedCondition;
}

function planRule(assignment: Assignment, rule: Resource | undefined, name: string, wanted: FirewallRuleSpec | undefined): Part {
  const owner = ownedBy(assignment);
  if (!wanted) return rule && isOwn(rule, owner) && !rule.metadata.deletionTimestamp ? { step: { kind: 'Close', rule } } : {};
  const { apiVersion, metadata } = assignment;
  if (!rule) {
    const { namespace = '' } = metadata;
    const draft = { apiVersion, kind: 'FirewallRule', metadata: { name, namespace, ownerReferences: [owner] }, spec: wanted };
    return { step: { kind: 'Open', rule: draft }, says: opening(name) };
  }
  if (!isOwn(rule, owner)) {
    const message = `FirewallRule ${name} is there, and is not this assignment's own: delete it, or declare another assignment`;
    return { says: condition('PortsOpen', 'False', 'NameTaken', message) };
  }
  if (rule.metadata.deletionTimestamp) return { says: condition('PortsOpen', 'Unknown', 'Replacing', replacing(name)) };
  if (!sameJson(fieldOf(rule.spec, 'cloudRef'), wanted.cloudRef))
    return { step: { kind: 'Close', rule }, says: condition('PortsOpen', 'Unknown', 'Replacing', replacing(name)) };
  if (!sameJson(rule.spec, wanted)) return { step: { kind: 'Change', rule, spec: wanted }, says: opening(name) };
  return { says: heard(rule) };
}

/** The rule that is wanted for a protocol; undefined: none, or not known yet where. */
function ruleSpec({ metadata, spec, status }: Assignment, protocol: (typeof PROTOCOLS)[number]): FirewallRuleSpec | undefined {
  const ports = (spec.ports ?? []).flatMap(({ protocol: of, ...range }) => (of === protocol ? [range] : []));
  if (ports.length === 0 || !spec.userCidrs || status?.cloud === undefined) return undefined;
  return {
    cloudRef: { name: status.cloud },
    assignmentRef: { name: metadata.name },
    direction: 'Ingress',
    protocol,
    ports,
    cidrs: spec.userCidrs,
  };
}

/** What a rule says of itself, if it is of its declaration as it stands. */
function heard(rule: Resource): ProposedCondition {
  const { name, generation } = rule.metadata;
  const conditions: readonly Condition[] = firewallRuleStatusSchema.safeParse(rule.status).data?.conditions ?? [];
  const ready = conditions.find(({ type }) => type === 'Ready');
  if (ready?.observedGeneration !== generation) return opening(name);
  if (ready.status === 'True') return condition('PortsOpen', 'True', 'Open', OPEN);
  return condition('PortsOpen', ready.status, ready.reason, `FirewallRule ${name}: ${ready.message}`);
}

/** Of what several rules say, the worst: one that is closed, else one of which it is not known, else that all are open. */
function worst(said: readonly ProposedCondition[]): ProposedCondition {
  const of = (status: Condition['status']) => said.find((one) => one.status === status);
  return of('False') ?? of('Unknown') ?? condition('PortsOpen', 'True', 'Open', OPEN);
}

const OPEN = "the ports are open for the user's addresses";
const UNBOUND = 'no machine is bound: nothing is open';
const replacing = (name: string) => `FirewallRule ${name} is being deleted; it is made anew when it is gone`;
const opening = (name: string) =>
  condition('PortsOpen', 'Unknown', 'Opening', `FirewallRule ${name} has not told yet that it is in force`);

function condition(type: 'PortsOpen', status: Condition['status'], reason: string, message: string): ProposedCondition {
  return { type, status, reason, message };
}

function ruleKey({ name, namespace = '' }: Resource['metadata'], protocol: (typeof PROTOCOLS)[number]): ResourceKey {
  return { kind: 'FirewallRule', namespace, name: `${name}-ports-${protocol.toLowerCase()}` };
}

function ownedBy(assignment: Assignment): OwnerReference {
  const { kind, name } = keyOf(assignment);
  return { apiVersion: assignment.apiVersion, kind, name, uid: assignment.metadata.uid, controller: true };
}

function isOwn({ metadata }: Resource, { uid }: OwnerReference): boolean {
  return metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid) ?? false;
}
