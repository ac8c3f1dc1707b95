import type { Server } from '../../clouds/driver.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { attemptOf } from '../ledger.js';
import type { Observation } from './observation.js';
import { isTakenOver, isWatcher } from './owner.js';
import { planDeletion } from './plan-deletion.js';
import { firewallPending, planPorts, withoutNetworks } from './plan-ports.js';
import { planPresent } from './plan-present.js';
import { describeStep, isHarmless, type Step } from './steps.js';
import {
  afterFailures,
  condition,
  connecting,
  hasFinalizer,
  isAlive,
  type Plan,
  progressing,
  retryDelayMs,
  serverName,
  soon,
  stalled,
  steps,
  type UsableCloud,
  uncertain,
  waiting,
} from './verdict.js';

/**
 * What to do next for a VirtualMachine, and what to say of it. Pure: same inputs, same plan.
 *
 * The order that keeps it to one server: finalizer; ledger entry; create with the owner tag; id into status. After a crash or an unknown
 * outcome: nothing is made until a complete observation that began after the settle time, and then the cloud itself asked by name, both
 * show none of ours. What is bound first stays; a twin that comes later is deleted at once.
 */
export function plan(vm: VirtualMachine, observation: Observation, now: Date): Plan {
  const { cloud } = observation;
  const made = planWhile(vm, observation, now);
  if (cloud.kind !== 'usable' || cloud.trouble === undefined || !made.wait || made.conditions.length === 0) return made;
  const [said] = made.conditions;
  return progressing('CloudUnreachable', `${cloud.trouble}. Until it answers again: ${said?.message}`, made.wait);
}

function planWhile(vm: VirtualMachine, observation: Observation, now: Date): Plan {
  if (vm.metadata.deletionTimestamp) return planDeletion(vm, observation);
  if (vm.spec.paused)
    return waiting(condition('Ready', 'Unknown', 'Paused', 'spec.paused is true: nothing is done'), { on: 'spec.paused' });
  const { cloud } = observation;
  if (cloud.kind === 'unusable') return uncertain(cloud.reason, cloud.message, { on: 'the Cloud' });
  if (cloud.kind === 'connecting') return connecting(vm, cloud.trouble);
  const acting = planManaged(vm, observation, cloud, now);
  return vm.spec.management === 'Observe' ? onlyShown(acting) : acting;
}

function planManaged(vm: VirtualMachine, observation: Observation, cloud: UsableCloud, now: Date): Plan {
  const { bound, claimedBy } = observation;
  if (claimedBy !== undefined) {
    return stalled(
      'ServerClaimed',
      `VirtualMachine ${claimedBy} already has the server that this one would have: change one of the two`,
    );
  }
  switch (bound.kind) {
    case 'present':
      if (!isWatcher(vm) && isTakenOver(bound.server, observation.installation, observation.former))
        return stalled(
          'TakenOver',
          `server ${bound.server.id} bears the owner tag of another installation (${bound.server.owner?.installation}): it was moved there; delete this record, which leaves the server alone`,
        );
      return planPresent(vm, observation, bound.server, cloud, now);
    case 'unseen':
      return steps('Observing', [{ kind: 'AskById', id: vm.status?.id ?? '' }]);
    case 'gone':
      if (vm.spec.adopt)
        return stalled(
          'AdoptedServerGone',
          `server ${vm.status?.id} was deleted; an adopted server is never created anew: remove spec.adopt to have one made`,
        );
      return steps('ServerGone', [
        { kind: 'Unbind', id: vm.status?.id ?? '', why: 'it is gone from the cloud' },
        ...creation(vm, observation),
      ]);
    case 'none':
      return vm.spec.adopt ? planAdoption(vm, observation, now) : planUnbound(vm, observation, cloud, now);
  }
}

/** No server is bound: find the one that is ours, or make one. */
function planUnbound(vm: VirtualMachine, observation: Observation, cloud: UsableCloud, now: Date): Plan {
  const { ledger } = vm.status ?? {};
  const known = [...observation.owned, ...(observation.askedByName ?? [])];
  const found = eldest(known.filter(isAlive));
  if (found) return steps('Binding', [{ kind: 'Bind', id: found.id, adopted: false }]);
  if (known.length > 0)
    return progressing('Deleting', 'waiting until the server before this one is gone', { on: 'deletion', moving: true });

  const attempt = attemptOf(ledger, cloud, { held: observation.held, what: 'server', now });
  if (ledger && attempt.kind === 'unsent') return steps('Creating', [{ kind: 'Create', name: ledger.serverName }]);
  if (attempt.kind === 'unsettled')
    return progressing('OutcomeUnknown', attempt.message, { on: 'the settle time', completeAfter: attempt.until, moving: true });
  if (ledger && attempt.kind === 'settled') {
    if (!observation.askedByName) return steps('OutcomeUnknown', [{ kind: 'AskByName', name: ledger.serverName }]);
  } else if (!ledger && !observation.fresh && (hasFinalizer(vm) || observation.former) && !observation.askedByName) {
    // A finalizer without a ledger: killed between the two, a status that was lost with the attempt in it, or a record from elsewhere.
    return steps('Observing', [{ kind: 'AskByName', name: serverName(vm) }]);
  }
  return planCreation(vm, observation, cloud, now);
}

/** Nothing of ours is there: make it, if it may be made now. */
function planCreation(vm: VirtualMachine, observation: Observation, cloud: UsableCloud, now: Date): Plan {
  const { failures } = vm.status ?? {};
  if (failures) {
    const due = new Date(Date.parse(failures.at) + retryDelayMs(failures.count));
    if (now < due) return afterFailures(failures, { on: 'the time of the next attempt', until: due });
  }
  if (cloud.full)
    return progressing('ServerLimitReached', 'limits.servers of the Cloud leaves no room for another server', {
      on: 'room in the Cloud',
      until: soon(now),
    });
  const lacking = withoutNetworks(vm, observation, now);
  if (lacking) return lacking;
  const { resolved, userData } = observation;
  if (!resolved) return steps('Creating', [{ kind: 'Resolve' }]);
  for (const [field, resolution] of Object.entries(resolved)) {
    if (resolution.kind !== 'found')
      return stalled('ReferenceNotFound', `spec.${field}: ${resolution.message}`, { on: field, until: soon(now) });
  }
  if (userData.kind === 'missing') return stalled('ReferenceNotFound', `spec.userDataFrom: ${userData.message}`);
  const networks = resolved.networks.kind === 'found' ? resolved.networks.value : undefined;
  if (observation.groups.kind === 'pending' && networks !== 'none') return firewallPending(observation.groups.message, now);
  const ports = planPorts(vm, observation, networks, now);
  return 'steps' in ports ? ports : steps('Creating', creation(vm, observation, ports));
}

function creation(vm: VirtualMachine, observation: Observation, ports: readonly Step[] = []): Step[] {
  const attempt: Step = { kind: 'RecordAttempt', attempt: (vm.status?.ledger?.attempt ?? 0) + 1 };
  return [...holding(vm, observation), ...ports, attempt, { kind: 'Create', name: serverName(vm) }];
}

function planAdoption(vm: VirtualMachine, observation: Observation, now: Date): Plan {
  const wanted = vm.spec.adopt?.id ? `the id ${vm.spec.adopt.id}` : `the name "${vm.spec.adopt?.name}"`;
  const [match, ...others] = observation.adoptable.filter(isAlive);
  const wait = { on: 'the server to adopt', completeAfter: soon(now), until: soon(now) };
  if (!match) return stalled('AdoptionNotFound', `0 servers have ${wanted}: exactly one must`, wait);
  if (others.length > 0)
    return stalled(
      'AdoptionAmbiguous',
      `${others.length + 1} servers have ${wanted}: exactly one must; adopt one by its id`,
      wait,
    );
  const { installation, former } = observation;
  const watched = isWatcher(vm) && isTakenOver(match, installation, former);
  if (match.owner && !watched && match.owner.uid !== vm.metadata.uid && match.owner.uid !== former?.uid) {
    return stalled(
      'AdoptionConflict',
      `server ${match.id} bears the owner tag of another resource (uid ${match.owner.uid})`,
      wait,
    );
  }
  const finalizer: Step[] = vm.spec.management === 'Observe' ? [] : holding(vm, observation);
  return steps('Adopting', [...finalizer, { kind: 'Bind', id: match.id, adopted: true }]);
}

/** The record is held, and says whose its server is, before anything is made for it. */
function holding(vm: VirtualMachine, { former }: Observation): Step[] {
  return hasFinalizer(vm) && !former ? [] : [{ kind: 'AddFinalizer' }];
}

/** With `management: Observe`: the same plan, of which only harmless steps are taken. */
function onlyShown(acting: Plan): Plan {
  const [first] = acting.steps;
  if (!first || isHarmless(first)) return acting;
  const message = `management is Observe; would ${acting.steps.map(describeStep).join('; then ')}`;
  return { ...acting, act: false, conditions: [condition('Ready', 'False', 'WouldChange', message.slice(0, 2048))] };
}

/** The one that was made first; one that is in error only if there is no other. */
function eldest(servers: readonly Server[]): Server | undefined {
  const rank = (server: Server) => `${server.state === 'Error' ? 1 : 0} ${server.createdAt} ${server.id}`;
  return servers.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}
