import type { Server } from '../../clouds/driver.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { wantedMetadata } from './assignee.js';
import type { Observation } from './observation.js';
import { isOwnedBy, isTakenOver, isWatcher } from './owner.js';
import { confirmation, planPortsPresent } from './plan-ports.js';
import type { Step } from './steps.js';
import {
  condition,
  FAILURES_TO_STALL,
  isAlive,
  networksOf,
  type Plan,
  progressing,
  serverName,
  soon,
  stalled,
  steps,
  type UsableCloud,
} from './verdict.js';

/** What to do for a record whose server is there. Part of `plan`. */
export function planPresent(vm: VirtualMachine, observation: Observation, server: Server, cloud: UsableCloud, now: Date): Plan {
  const twins = observation.owned.filter((other) => other.id !== server.id && isAlive(other));
  if (twins.length > 0) {
    return steps(
      'DeletingTwin',
      twins.map(({ id }): Step => ({ kind: 'Delete', id, why: `a twin: this record has server ${server.id}` })),
    );
  }
  switch (server.state) {
    case 'Deleting':
    case 'Deleted':
      return progressing('Deleting', `server ${server.id} is being deleted`, { on: 'deletion', moving: true });
    case 'Building':
      return planBuilding(vm, observation, server, cloud, now);
    case 'Error':
      return planError(vm, observation, server);
    case 'Rebuilding': {
      const asked = vm.status?.rebuild;
      if (asked) return steps('Recycling', [{ kind: 'NoteRebuild', id: server.id, number: asked.number }]);
      return progressing('Rebuilding', `server ${server.id} is rebuilding`, { on: 'the server', moving: true });
    }
    case 'Rebooting':
    case 'Resizing':
      return progressing(server.state, `server ${server.id} is ${server.state.toLowerCase()}`, {
        on: 'the server',
        moving: true,
      });
    case 'Unknown':
      return progressing('StateUnknown', `the cloud reports no known state of server ${server.id}`, { on: 'the server' });
    default:
      if (server.task) return planTask(server, server.task, cloud, now);
      return planStable(vm, observation, server, cloud, now);
  }
}

/** A cloud that lost the request for a change stays in the middle of it, and takes no other: that is for its operator to end. */
function planTask({ id, updatedAt }: Server, task: string, { buildTimeoutMs }: UsableCloud, now: Date): Plan {
  const stuckAt = Date.parse(updatedAt ?? '') + buildTimeoutMs;
  // Without a time that the cloud tells, it cannot be known, and it goes on as it does.
  if (!(now.getTime() >= stuckAt)) {
    const until = Number.isNaN(stuckAt) ? {} : { until: new Date(stuckAt) };
    return progressing('Changing', `server ${id} is ${task}`, { on: 'the server', moving: true, ...until });
  }
  return stalled(
    'ChangeStuck',
    `server ${id} has been ${task} since ${updatedAt}: the cloud may have lost the request; its operator can reset the server's state, or it can be deleted in the cloud, and another is made`,
    { on: 'the server' },
  );
}

function planBuilding(vm: VirtualMachine, observation: Observation, server: Server, cloud: UsableCloud, now: Date): Plan {
  const since = Date.parse(vm.status?.ledger?.at ?? server.createdAt);
  const deadline = new Date(since + cloud.buildTimeoutMs);
  if (vm.status?.builtAt)
    return progressing('Building', `server ${server.id} is being built again`, { on: 'the build', moving: true });
  if (now < deadline)
    return progressing('Building', `server ${server.id} is being built`, { on: 'the build', moving: true, until: deadline });
  // It may have been built while the cloud could not be observed.
  if (!observation.askedById) return steps('Building', [{ kind: 'AskById', id: server.id }]);
  return planFailedBuild(vm, server, `it was not built within ${cloud.buildTimeoutMs / 1000} s`);
}

function planError(vm: VirtualMachine, observation: Observation, server: Server): Plan {
  // The fault of a server that never had a host is told by a get only; and what follows may delete it.
  if (!observation.askedById) return steps('ServerInError', [{ kind: 'AskById', id: server.id }]);
  const fault = server.fault ?? 'the cloud reports state Error and says no more';
  if (vm.status?.builtAt === undefined) return planFailedBuild(vm, server, fault);
  if (vm.spec.onChange === 'Replace' && !vm.spec.protected) {
    return steps('ServerInError', [{ kind: 'Delete', id: server.id, why: `it is in error and onChange is Replace: ${fault}` }]);
  }
  return stalled(
    'ServerInError',
    `server ${server.id} is in error: ${fault}. It may hold data, so it is left: mend it, delete it, or set onChange: Replace`,
  );
}

function planFailedBuild(vm: VirtualMachine, server: Server, why: string): Plan {
  const removal: Step = { kind: 'Delete', id: server.id, why: `its build failed: ${why}` };
  const counted = vm.status?.failures?.id === server.id;
  const doing = steps('BuildFailed', counted ? [removal] : [{ kind: 'RecordFailure', id: server.id, message: why }, removal]);
  if ((vm.status?.failures?.count ?? 0) + (counted ? 0 : 1) < FAILURES_TO_STALL) return doing;
  return { ...stalled('BuildFailed', `builds keep failing, the last one: ${why}`), steps: doing.steps };
}

function planStable(vm: VirtualMachine, observation: Observation, server: Server, cloud: UsableCloud, now: Date): Plan {
  // The record still names the owner tag that the server had elsewhere, though it bears ours: nobody has to look for that one any more.
  if (observation.former && bearsOurTag(vm, observation, server) && vm.spec.management !== 'Observe')
    return steps('Adopting', [{ kind: 'AddFinalizer' }]);
  const rebuild = planRebuild(vm, observation, server, cloud, now);
  if (rebuild) return rebuild;
  if (needsResolving(vm, server) && !observation.resolved) return steps('Comparing', [{ kind: 'Resolve' }]);
  const replacement = changesNeedingReplacement(vm, observation, server);
  if (replacement.length > 0 && vm.spec.onChange === 'Replace' && !vm.spec.protected && !vm.spec.adopt) {
    return steps('Replacing', [{ kind: 'Delete', id: server.id, why: `to be replaced: ${replacement.join('; ')}` }]);
  }
  const { list, problem } = corrections(vm, observation, server);
  if (list.length > 0) return steps('Correcting', list);
  const ports = planPortsPresent(vm, observation, server, now);
  if (ports) return ports;
  if (problem) return stalled('ReferenceNotFound', problem);
  if (replacement.length > 0) {
    const why = vm.spec.adopt
      ? 'an adopted server is never replaced'
      : vm.spec.protected
        ? 'spec.protected is true'
        : 'spec.onChange is not Replace';
    return stalled('ChangeHeld', `${replacement.join('; ')}: this needs another server, and ${why}`);
  }
  const message = `server ${server.id} is ${server.state.toLowerCase()}, as declared`;
  const said = [condition('Ready', 'True', server.state, message)];
  const portsAfter = confirmation(vm, observation, server, now);
  return { steps: [], act: true, conditions: said, ...(portsAfter ? { wait: { on: 'a list of ports', portsAfter } } : {}) };
}

/** A rebuild that is due. It comes before all else: what it waits for must not be handed out, and what else differs may go with it. */
function planRebuild(
  vm: VirtualMachine,
  { resolved }: Observation,
  { id }: Server,
  { settleMs }: UsableCloud,
  now: Date,
): Plan | undefined {
  const number = vm.spec.rebuilds ?? 0;
  if (number <= (vm.status?.applied?.rebuilds ?? 0)) return undefined;
  if (vm.spec.protected) return stalled('Protected', 'spec.protected is true: set it to false to let the rebuild go on');
  const asked = vm.status?.rebuild;
  const settled = new Date(Date.parse(asked?.at ?? '') + settleMs);
  // One that was not answered may still begin: it must not do so after the machine was handed out.
  if (asked?.number === number && now < settled)
    return progressing('OutcomeUnknown', `a rebuild has no known outcome; it may still begin until ${settled.toISOString()}`, {
      on: 'the settle time',
      until: settled,
      moving: true,
    });
  if (!resolved) return steps('Recycling', [{ kind: 'Resolve' }]);
  const { image } = resolved;
  if (image.kind !== 'found')
    return stalled('ReferenceNotFound', `spec.image: ${image.message}`, { on: 'image', until: soon(now) });
  return steps('Recycling', [{ kind: 'Rebuild', id, number, imageId: image.value.id }]);
}

function needsResolving(vm: VirtualMachine, server: Server): boolean {
  const { spec, status } = vm;
  return (
    !isFlavor(server, spec.flavor, spec.flavor) ||
    (spec.image !== status?.applied?.image && spec.image !== status?.applied?.imageId)
  );
}

function isFlavor(server: Server, id: string, name: string): boolean {
  return server.flavorId === id || server.flavorName === name;
}

/** Differences that only another server can mend, as sentences. */
function changesNeedingReplacement(vm: VirtualMachine, observation: Observation, server: Server): string[] {
  const { spec } = vm;
  const applied = vm.status?.applied ?? {};
  const image = observation.resolved?.image;
  const changes: string[] = [];
  if (spec.image !== applied.image && spec.image !== applied.imageId && image?.kind !== 'found') {
    changes.push(`image: ${image?.message ?? `${spec.image} is not looked up`}`);
  } else if (spec.image !== applied.image && image?.kind === 'found' && image.value.id !== (applied.imageId ?? server.imageId)) {
    changes.push(`image changed from ${applied.image ?? server.imageId} to ${spec.image}`);
  }
  if ((spec.keyName ?? '') !== (applied.keyName ?? '')) {
    changes.push(`keyName changed from "${applied.keyName ?? ''}" to "${spec.keyName ?? ''}"`);
  }
  if (networksOf(vm) !== (applied.networks ?? ''))
    changes.push(`networks changed from ${applied.networks ?? 'unset'} to ${networksOf(vm) || 'unset'}`);
  const { userData } = observation;
  if (userData.kind !== 'missing' && (userData.kind === 'found' ? userData.hash : '') !== (applied.userDataHash ?? '')) {
    changes.push('user data changed');
  }
  return changes;
}

function bearsOurTag({ metadata }: VirtualMachine, { installation }: Observation, server: Server): boolean {
  return server.ownerTagWhole && isOwnedBy(server, { installation, uid: metadata.uid });
}

/** What can be put right in place, in an order that the cloud takes; and what cannot be for want of something. */
function corrections(vm: VirtualMachine, observation: Observation, server: Server): { list: Step[]; problem?: string } {
  const { spec } = vm;
  const { id } = server;
  if (server.state === 'AwaitingConfirmation') return { list: [{ kind: 'ConfirmResize', id }] };
  if (server.state === 'Paused' || server.state === 'Suspended') return { list: [{ kind: 'Resume', id, from: server.state }] };
  const list: Step[] = [];
  if (server.name !== serverName(vm)) list.push({ kind: 'Rename', id, from: server.name, to: serverName(vm) });
  const metadata = differences(server.metadata, wantedMetadata(vm, observation.assignee));
  const tags = server.tags ? differences(asRecord(server.tags), asRecord(spec.tags ?? [])) : undefined;
  // Another's server is watched as it is, and bears that one's tag.
  const watched = isWatcher(vm) && isTakenOver(server, observation.installation, observation.former);
  if (!watched && !bearsOurTag(vm, observation, server)) {
    // One step: which part of the tag is missing is not known, so that after one alone nothing would seem to have changed.
    const detail = [metadata, tags].filter((one) => one !== undefined).join(', ');
    list.push({ kind: 'Own', id, ...(detail === '' ? {} : { detail }) });
  } else {
    if (metadata) list.push({ kind: 'SetMetadata', id, detail: metadata });
    if (tags) list.push({ kind: 'SetTags', id, detail: tags });
  }
  const flavor = observation.resolved?.flavor;
  let problem: string | undefined;
  if (!isFlavor(server, spec.flavor, spec.flavor)) {
    if (flavor?.kind !== 'found') problem = `spec.flavor: ${flavor?.message ?? 'not looked up'}`;
    else if (!isFlavor(server, flavor.value.id, flavor.value.name)) {
      list.push({
        kind: 'Resize',
        id,
        flavorId: flavor.value.id,
        detail: `from ${server.flavorName ?? server.flavorId} to ${flavor.value.name}`,
      });
    }
  }
  const powerState = spec.powerState ?? 'Running';
  if (powerState === 'Running' && server.state === 'Stopped') list.push({ kind: 'Start', id });
  if (powerState === 'Stopped' && server.state === 'Running') list.push({ kind: 'Stop', id });
  return problem === undefined ? { list } : { list, problem };
}

/** The keys that differ, as a sentence; undefined if none does. Values are left out: they may be long. */
function differences(actual: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): string | undefined {
  const keys = [...new Set([...Object.keys(actual), ...Object.keys(wanted)])].filter((key) => actual[key] !== wanted[key]).sort();
  return keys.length > 0 ? `${keys.slice(0, 8).join(', ')}${keys.length > 8 ? ` and ${keys.length - 8} more` : ''}` : undefined;
}

function asRecord(tags: readonly string[]): Record<string, string> {
  return Object.fromEntries(tags.map((tag) => [tag, '']));
}
