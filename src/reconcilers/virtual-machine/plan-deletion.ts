import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { attemptOf } from '../ledger.js';
import type { Observation } from './observation.js';
import { isTakenOver } from './owner.js';
import { planPortsDeletion, planPortsOrphaned } from './plan-ports.js';
import type { Step } from './steps.js';
import {
  connecting,
  hasFinalizer,
  isAlive,
  type Plan,
  progressing,
  serverName,
  stalled,
  steps,
  type UsableCloud,
} from './verdict.js';

/**
 * What to do for a record that is to be deleted: its servers first, by id and by owner tag; then, when the cloud has confirmed that they are
 * gone and no attempt is open, the finalizer. Part of `plan`.
 */
export function planDeletion(vm: VirtualMachine, observation: Observation): Plan {
  if (!hasFinalizer(vm)) return { steps: [], act: true, conditions: [] };
  if (vm.spec.protected) return stalled('Protected', 'spec.protected is true: set it to false to let the deletion go on');
  if (vm.spec.paused) return stalled('Paused', 'spec.paused is true: set it to false to let the deletion go on');
  if (vm.spec.management === 'Observe') return steps('Deleting', [{ kind: 'RemoveFinalizer' }]);

  const { cloud, bound, owned } = observation;
  const nothingKnown = !vm.status?.ledger && !vm.status?.id && owned.length === 0;
  if (nothingKnown) return planUnknown(vm, observation);
  if (cloud.kind === 'unusable') {
    const message = `${cloud.message}; its server cannot be deleted until that is mended`;
    return progressing(cloud.reason, message, { on: 'the Cloud' });
  }
  if (cloud.kind === 'connecting') return connecting(vm, cloud.trouble);
  if (bound.kind === 'unseen') return steps('Deleting', [{ kind: 'AskById', id: vm.status?.id ?? '' }]);

  const ours = bound.kind === 'present' && !isTakenOver(bound.server, observation.installation, observation.former);
  const bounds = ours ? [bound.server] : [];
  const present = [...bounds, ...owned.filter(({ id }) => id !== bounds[0]?.id)];
  if (vm.spec.deletionPolicy === 'Orphan') {
    const disowned = present.filter((server) => isAlive(server) && server.owner).map(({ id }): Step => ({ kind: 'Disown', id }));
    const ports = planPortsOrphaned(vm, observation);
    return 'steps' in ports ? ports : steps('Orphaning', [...disowned, ...ports, { kind: 'RemoveFinalizer' }]);
  }
  const { id, ledger } = vm.status ?? {};
  // Its answer was lost to the deletion: with the server in the record, the attempt is known to bring no other, and is not waited out.
  const answer = id === undefined && ledger ? owned.find(({ owner }) => owner?.attempt === ledger.token) : undefined;
  if (answer) return steps('Deleting', [{ kind: 'Bind', id: answer.id, adopted: false }]);
  const doomed = [...present, ...(observation.askedByName ?? [])].filter(isAlive);
  if (doomed.length > 0)
    return steps(
      'Deleting',
      doomed.map(({ id }): Step => ({ kind: 'Delete', id, why: 'the resource is deleted' })),
    );
  if (present.length > 0)
    return progressing('Deleting', `server ${present[0]?.id} is being deleted`, { on: 'deletion', moving: true });
  return planLastLook(vm, observation, cloud);
}

/**
 * The record knows of no server: it was killed before its first attempt, or its status was lost, or it comes from elsewhere. A Cloud that
 * cannot be asked does not keep it: what may be there bears our owner tag, and goes as an orphan.
 */
function planUnknown(vm: VirtualMachine, observation: Observation): Plan {
  const { cloud, askedByName } = observation;
  if (cloud.kind !== 'usable') return steps('Deleting', [{ kind: 'RemoveFinalizer' }]);
  if (!askedByName) return steps('Deleting', [{ kind: 'AskByName', name: serverName(vm) }]);
  return planEnd(vm, observation);
}

/** No server is known; an attempt may still be under way. */
function planLastLook(vm: VirtualMachine, observation: Observation, cloud: UsableCloud): Plan {
  const { ledger, id } = vm.status ?? {};
  const attempt = attemptOf(id === undefined ? ledger : undefined, cloud, { what: 'server' });
  if (attempt.kind === 'unsettled')
    return progressing('OutcomeUnknown', attempt.message, { on: 'the settle time', completeAfter: attempt.until, moving: true });
  if (ledger && attempt.kind === 'settled') {
    if (!observation.askedByName) return steps('Deleting', [{ kind: 'AskByName', name: ledger.serverName }]);
  }
  return planEnd(vm, observation);
}

/** No server is left, and none will come. */
function planEnd(vm: VirtualMachine, observation: Observation): Plan {
  const ports = planPortsDeletion(vm, observation);
  return 'steps' in ports ? ports : steps('Deleting', [...ports, { kind: 'RemoveFinalizer' }]);
}
