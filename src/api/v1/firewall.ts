import { createHash } from 'node:crypto';
import { z } from 'zod';
import { cidrSchema, readCidr } from '../../resources/cidr.js';
import type { FirewallRule, FirewallRuleSpec } from '../../resources/firewall-rule.js';
import { keyOf, type Resource } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { isStoreError } from '../../store/errors.js';
import { asFirewallRule } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { accepted, currentCondition } from './declared.js';
import { V1Error } from './errors.js';
import { findMachine, machinesIn, nodeName, visible, whichMachine } from './machines.js';
import { type Call, type Operation, operation, operationWithBody, type Reply } from './operation.js';
import { LABELS, namePrefix, takeBack } from './start-stop.js';
import { isGone, waitFor } from './wait.js';

const KIND = 'FirewallRule';
/** Another may open or close the same while this one looks. */
const TRIES = 4;

const port = z.int().min(1).max(65_535);

const what = z
  .strictObject({
    ...whichMachine,
    port: port.optional().describe('With tcp and udp: this or port_range.'),
    port_range: z.array(port).length(2).optional().describe('With tcp and udp: the first port and the last.'),
    protocol: z.enum(['tcp', 'udp', 'icmp']),
    cidr: cidrSchema.describe('Who may reach it, as a network: 192.0.2.0/24, or 0.0.0.0/0 for everybody with IPv4.'),
  })
  .check(({ value, issues }) => {
    const refuse = (key: 'port' | 'port_range', message: string) =>
      issues.push({ code: 'custom', input: value, path: [key], message });
    const [from = 0, to = 0] = value.port_range ?? [];
    const given = [value.port, value.port_range].filter((each) => each !== undefined).length;
    if (value.protocol === 'icmp' && given > 0) refuse(value.port === undefined ? 'port_range' : 'port', 'icmp has no ports');
    else if (value.protocol !== 'icmp' && given !== 1) refuse('port', 'exactly one of port and port_range must be given');
    else if (to < from) refuse('port_range', 'the last port must not be less than the first');
  });

/** What is to be opened or closed. */
type What = z.infer<typeof what>;

const ruleSchema = z.object({
  name: z.string().describe('The name of the FirewallRule.'),
  namespace: z.string(),
  nodes: z.array(z.string()).describe('The servers that it is for now: their ids.'),
  direction: z.enum(['ingress', 'egress']),
  protocol: z.enum(['tcp', 'udp', 'icmp', 'any']),
  port_ranges: z.array(z.array(z.int())).describe('Each the first port and the last; none: all, or the protocol has no ports.'),
  cidrs: z.array(z.string()).describe('The other side; none: the machines of another rule.'),
  state: z.enum(['opening', 'open', 'failed', 'closing']),
  message: z.string().describe('Why it is in that state.'),
});

type Rule = z.infer<typeof ruleSchema>;

const done = z.object({ status: z.literal('ok'), result: z.string(), rule: ruleSchema });
const list = z.object({ status: z.literal('ok'), rules: z.array(ruleSchema) });

type Done = z.infer<typeof done>;

/** Opening and closing ports, which is declaring FirewallRules and taking the declarations back. */
export const firewall: readonly Operation[] = [
  operationWithBody({
    methods: ['PUT', 'POST'],
    path: '/fw/open',
    perCloud: true,
    summary: 'Opens a port of a machine for a network, and answers when it is open. Opening twice is opening once.',
    body: what,
    answer: done,
    mayWait: true,
    handle: openPort,
  }),
  operation({
    methods: ['GET'],
    path: '/fw/open',
    perCloud: true,
    summary: 'What is declared to be open in a cloud, whoever declared it.',
    answer: list,
    handle: async (call) => rulesOf(call, ({ metadata }) => metadata.deletionTimestamp === undefined),
  }),
  operationWithBody({
    methods: ['PUT', 'POST'],
    path: '/fw/close',
    perCloud: true,
    summary: 'Takes back what opens just that, and answers when it is closed. It stays open while another rule opens it too.',
    body: what,
    answer: done,
    mayWait: true,
    handle: closePort,
  }),
  operation({
    methods: ['GET'],
    path: '/fw/close',
    perCloud: true,
    summary: 'What is being closed in a cloud.',
    answer: list,
    handle: async (call) => rulesOf(call, ({ metadata }) => metadata.deletionTimestamp !== undefined),
  }),
];

async function openPort(call: Call, body: What): Promise<Reply<Done>> {
  const cloud = await call.cloud();
  const machine = await findMachine(call, cloud, body);
  const { namespace = '' } = machine.metadata;
  await call.acts.authorize('create', KIND, namespace);
  const { rule, made } = await declare(call, machine, specOf(body, cloud, machine));
  const key = keyOf(rule);
  const { store } = call.caller;
  const outcome = await waitFor(store, key, { ...call.context, gone: call.gone }, (now) => outcomeOf(rule, now));
  if (!outcome)
    return accepted(call, rule, `${describe(body)} of Node ${nodeName(machine)} is declared to be open, and is not yet`);
  if ('message' in outcome) {
    if (outcome.remove && made) await takeBack(call, rule);
    throw new V1Error(outcome.remove ? 400 : 409, outcome.message);
  }
  const result = `${describe(body)} of Node ${nodeName(machine)} open`;
  return { code: 200, body: { status: 'ok', result, rule: told(outcome.rule, [machine]) } };
}

/** The rule that says so: made now, or there already. @throws V1Error 409 if the one of that name says something else, or does not go. */
async function declare(
  call: Call,
  machine: VirtualMachine,
  spec: FirewallRuleSpec,
): Promise<{ readonly rule: Resource; readonly made: boolean }> {
  const { namespace = '', uid } = machine.metadata;
  const key = { kind: KIND, namespace, name: ruleName(machine, spec) };
  // With the machine, what was opened on it goes.
  const ownerReferences = [{ apiVersion: machine.apiVersion, kind: machine.kind, name: machine.metadata.name, uid }];
  const { store } = call.caller;
  for (let tries = 1; ; tries++) {
    const standing = await store.get(key);
    if (standing?.metadata.deletionTimestamp !== undefined) {
      if (!(await isGone(call, standing)))
        throw new V1Error(409, `FirewallRule ${namespace}/${key.name} is being closed, and is not gone yet: ask again`);
    } else if (standing) {
      if (sameJson(standing.spec, spec)) return { rule: standing, made: false };
      throw new V1Error(
        409,
        `FirewallRule ${namespace}/${key.name} was changed to say something else: change it back, or delete it`,
      );
    }
    try {
      const manifest = { metadata: { name: key.name, labels: LABELS, ownerReferences }, spec };
      return { rule: await call.acts.create(KIND, namespace, manifest), made: true };
    } catch (error) {
      if (!isStoreError(error, 'AlreadyExists') || tries >= TRIES) throw error;
    }
  }
}

type Outcome = { readonly rule: FirewallRule } | { readonly remove: boolean; readonly message: string };

/** What has come of a rule that was declared; undefined while that is open. Pure. */
function outcomeOf(declared: Resource, now: Resource | undefined): Outcome | undefined {
  const rule = now?.metadata.uid === declared.metadata.uid ? asFirewallRule(now) : undefined;
  if (!rule || rule.metadata.deletionTimestamp) return { remove: false, message: 'the declaration was deleted meanwhile' };
  if (currentCondition(rule, 'Ready')?.status === 'True') return { rule };
  const stalled = currentCondition(rule, 'Stalled');
  return stalled?.status === 'True' ? { remove: true, message: `${stalled.reason}: ${stalled.message}` } : undefined;
}

async function closePort(call: Call, body: What): Promise<Reply<Done>> {
  const cloud = await call.cloud();
  const machine = await findMachine(call, cloud, body);
  const { namespace = '' } = machine.metadata;
  const wanted = contentOf(specOf(body, cloud, machine));
  const found = (await visible(call, KIND))
    .flatMap((resource) => asFirewallRule(resource) ?? [])
    .filter(({ metadata, spec }) => metadata.namespace === namespace && sameJson(contentOf(spec), wanted))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const { metadata } of found) await call.acts.authorize('delete', KIND, namespace, metadata.name);
  const [first] = found;
  if (!first) {
    await call.acts.authorize('delete', KIND, namespace);
    throw new V1Error(400, `no useful rule here: no FirewallRule opens just ${describe(body)} of Node ${nodeName(machine)}`);
  }
  for (const rule of found) if (!rule.metadata.deletionTimestamp) await takeBack(call, rule);
  for (const rule of found) {
    if (!(await isGone(call, rule)))
      return accepted(call, rule, `${describe(body)} of Node ${nodeName(machine)} is to be closed, and is not yet`);
  }
  const result = `${describe(body)} of Node ${nodeName(machine)} closed`;
  return { code: 200, body: { status: 'ok', result, rule: { ...told(first, [machine]), state: 'closing' } } };
}

async function rulesOf(call: Call, wanted: (rule: FirewallRule) => boolean): Promise<Reply<z.infer<typeof list>>> {
  const cloud = await call.cloud();
  const [resources, machines] = await Promise.all([visible(call, KIND), machinesIn(call, cloud)]);
  const rules = resources
    .flatMap((resource) => asFirewallRule(resource) ?? [])
    .filter((rule) => rule.spec.cloudRef.name === cloud.cloud && wanted(rule))
    .map((rule) => told(rule, machines));
  return { code: 200, body: { status: 'ok', rules } };
}

/** A rule as answers tell of it. Pure. @param machines of its cloud that the caller may see. */
function told(rule: FirewallRule, machines: readonly VirtualMachine[]): Rule {
  const { metadata, spec } = rule;
  const ready = currentCondition(rule, 'Ready');
  const stalled = currentCondition(rule, 'Stalled')?.status === 'True';
  const closing = metadata.deletionTimestamp !== undefined;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    nodes: machines.filter((machine) => isFor(rule, machine)).map(nodeName),
    direction: spec.direction === 'Ingress' ? 'ingress' : 'egress',
    protocol: PROTOCOLS[spec.protocol],
    port_ranges: (spec.ports ?? []).map(({ from, to = from }) => [from, to]),
    cidrs: spec.cidrs ?? [],
    state: closing ? 'closing' : ready?.status === 'True' ? 'open' : stalled ? 'failed' : 'opening',
    message: ready?.message ?? 'nothing is known of this declaration yet',
  };
}

const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', ICMP: 'icmp', Any: 'any' } as const;

/** Whether a rule is for a machine of its cloud. Pure. */
function isFor({ metadata, spec }: FirewallRule, machine: VirtualMachine): boolean {
  const { name, namespace, labels = {} } = machine.metadata;
  if (namespace !== metadata.namespace) return false;
  if (spec.virtualMachineRef) return spec.virtualMachineRef.name === name;
  if (spec.assignmentRef) return spec.assignmentRef.name === machine.status?.assignment?.name;
  return Object.entries(spec.selector?.matchLabels ?? {}).every(([label, value]) => labels[label] === value);
}

/** The declaration that opens it. Pure. */
function specOf({ port, port_range, protocol, cidr }: What, { cloud }: ServedCloud, machine: VirtualMachine): FirewallRuleSpec {
  const [from = port, to = from] = port_range ?? [];
  const network = readCidr(cidr);
  return {
    cloudRef: { name: cloud },
    virtualMachineRef: { name: machine.metadata.name },
    direction: 'Ingress',
    protocol: NAMES[protocol],
    ...(from !== undefined && { ports: [{ from, ...(to !== from && { to }) }] }),
    cidrs: [typeof network === 'string' ? cidr : network.text],
  };
}

const NAMES = { tcp: 'TCP', udp: 'UDP', icmp: 'ICMP' } as const;

/** What a rule says, however it is written: two with the same are one to those who open and close. Pure. */
function contentOf({ ports, cidrs, ...rest }: FirewallRuleSpec): object {
  const ranges = ports?.map(({ from, to = from }) => ({ from, to })).toSorted((a, b) => a.from - b.from);
  const networks = cidrs?.map((cidr) => {
    const read = readCidr(cidr);
    return typeof read === 'string' ? cidr : read.text;
  });
  return { ...rest, ...(ranges && { ranges }), ...(networks && { networks: [...new Set(networks)].sort() }) };
}

/** One name for one machine, protocol, range and network. Pure. */
function ruleName({ metadata }: VirtualMachine, spec: FirewallRuleSpec): string {
  const { name, uid } = metadata;
  const digest = createHash('sha256')
    .update(JSON.stringify([uid, contentOf(spec)]))
    .digest('hex')
    .slice(0, 12);
  const [range] = spec.ports ?? [];
  return `${namePrefix(name)}${spec.protocol.toLowerCase()}-${range ? `${range.from}-` : ''}${digest}`;
}

/** `Port 80/tcp for 0.0.0.0/0`. */
function describe({ port, port_range, protocol, cidr }: What): string {
  if (protocol === 'icmp') return `icmp for ${cidr}`;
  return port_range ? `Ports ${port_range.join('-')}/${protocol} for ${cidr}` : `Port ${port}/${protocol} for ${cidr}`;
}
