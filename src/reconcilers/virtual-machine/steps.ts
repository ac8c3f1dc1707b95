/** A port that a record is to have: made anew where no id is given. */
export interface WantedPort {
  /** The network's id. */
  readonly network: string;
  readonly id?: string;
}

/** One thing to do about the ports of a VirtualMachine. */
export type PortStep =
  /** In the record: it has these ports, and no other. */
  | { readonly kind: 'KeepPorts'; readonly ports: readonly WantedPort[] }
  /** The same, with those made that are not there. `instead`: the addresses that are lost with those that are gone. */
  | { readonly kind: 'MakePorts'; readonly ports: readonly WantedPort[]; readonly instead?: readonly string[] }
  | { readonly kind: 'AttachPort'; readonly id: string; readonly port: string }
  | { readonly kind: 'DisownPorts'; readonly ids: readonly string[] }
  | { readonly kind: 'DeletePorts'; readonly ids: readonly string[]; readonly why: string };

/**
 * One thing to do for a VirtualMachine. Only what is under "in the cloud" has an effect there.
 * `why` and `detail` are for people: they stand in events and in `status.plan`.
 */
export type Step =
  | PortStep
  // in the record
  | { readonly kind: 'AddFinalizer' }
  | { readonly kind: 'RemoveFinalizer' }
  /** Writes the ledger entry; MUST be durable before Create. */
  | { readonly kind: 'RecordAttempt'; readonly attempt: number }
  | { readonly kind: 'Bind'; readonly id: string; readonly adopted: boolean }
  | { readonly kind: 'Unbind'; readonly id: string; readonly why: string }
  | { readonly kind: 'RecordFailure'; readonly id: string; readonly message: string }
  /** The server is seen to be rebuilt, after a rebuild was asked for: that one has begun. */
  | { readonly kind: 'NoteRebuild'; readonly id: string; readonly number: number }
  // questions to the cloud
  | { readonly kind: 'AskById'; readonly id: string }
  | { readonly kind: 'AskByName'; readonly name: string }
  | { readonly kind: 'Resolve' }
  // in the cloud
  | { readonly kind: 'Create'; readonly name: string }
  | { readonly kind: 'Delete'; readonly id: string; readonly why: string }
  /** Writes the owner tag, both parts of it, and with it all metadata and tags. `detail`: what of those differs. */
  | { readonly kind: 'Own'; readonly id: string; readonly detail?: string }
  | { readonly kind: 'Disown'; readonly id: string }
  | { readonly kind: 'Start'; readonly id: string }
  | { readonly kind: 'Stop'; readonly id: string }
  | { readonly kind: 'Resume'; readonly id: string; readonly from: 'Paused' | 'Suspended' }
  | { readonly kind: 'ConfirmResize'; readonly id: string }
  | { readonly kind: 'Resize'; readonly id: string; readonly flavorId: string; readonly detail: string }
  /** Installs the image anew, in place: `number` is the spec.rebuilds that it is for. What is on the disk is lost. */
  | { readonly kind: 'Rebuild'; readonly id: string; readonly number: number; readonly imageId: string }
  | { readonly kind: 'Rename'; readonly id: string; readonly from: string; readonly to: string }
  | { readonly kind: 'SetMetadata'; readonly id: string; readonly detail: string }
  | { readonly kind: 'SetTags'; readonly id: string; readonly detail: string };

/** True for steps that change nothing outside the record: they are taken with `management: Observe` too. */
export function isHarmless(step: Step): boolean {
  return ['Bind', 'Unbind', 'AskById', 'AskByName', 'Resolve', 'KeepPorts'].includes(step.kind);
}

/** The step as a sentence, for `status.plan` and events. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'AddFinalizer':
      return 'add the finalizer, so that deletion waits for the server';
    case 'RemoveFinalizer':
      return 'remove the finalizer: nothing of this resource is left in the cloud';
    case 'RecordAttempt':
      return `write attempt ${step.attempt} into the ledger`;
    case 'Bind':
      return step.adopted ? `adopt server ${step.id}` : `bind server ${step.id}`;
    case 'Unbind':
      return `forget server ${step.id}: ${step.why}`;
    case 'RecordFailure':
      return `count the failed build of server ${step.id}: ${step.message}`;
    case 'AskById':
      return `ask the cloud for server ${step.id}`;
    case 'AskByName':
      return `ask the cloud for servers named ${step.name}`;
    case 'Resolve':
      return 'look up image, flavor and networks';
    case 'Create':
      return `create server ${step.name}`;
    case 'Delete':
      return `delete server ${step.id}: ${step.why}`;
    case 'Own':
      return `write the owner tag on server ${step.id}${step.detail === undefined ? '' : `, and put right: ${step.detail}`}`;
    case 'Disown':
      return `take the owner tag off server ${step.id} and leave it`;
    case 'Start':
      return `start server ${step.id}`;
    case 'Stop':
      return `stop server ${step.id}`;
    case 'Resume':
      return `resume server ${step.id}, which is ${step.from}`;
    case 'ConfirmResize':
      return `confirm the resize of server ${step.id}`;
    case 'Resize':
      return `resize server ${step.id}: ${step.detail}`;
    case 'NoteRebuild':
      return `note that server ${step.id} is rebuilt, for spec.rebuilds ${step.number}`;
    case 'Rebuild':
      return `rebuild server ${step.id} from image ${step.imageId}, for spec.rebuilds ${step.number}`;
    case 'Rename':
      return `rename server ${step.id} from "${step.from}" to "${step.to}"`;
    case 'KeepPorts':
      return `note that it has the ports ${named(step.ports.flatMap(({ id }) => id ?? []))}`;
    case 'MakePorts': {
      const count = step.ports.filter(({ id }) => id === undefined).length;
      const lost = step.instead?.length ? `: ${step.instead.join(', ')} is gone, the address becomes another` : '';
      return `make ${count === 0 ? 'no new port' : count === 1 ? 'a port' : `${count} ports`}${lost}`;
    }
    case 'AttachPort':
      return `give port ${step.port} to server ${step.id}`;
    case 'DisownPorts':
      return `take the owner tag off ports ${named(step.ids)} and leave them`;
    case 'DeletePorts':
      return `delete ports ${named(step.ids)}: ${step.why}`;
    case 'SetMetadata':
    case 'SetTags':
      return `put ${step.kind === 'SetTags' ? 'tags' : 'metadata'} of server ${step.id} right: ${step.detail}`;
  }
}

function named(ids: readonly string[]): string {
  return ids.length > 0 ? ids.join(', ') : 'of none';
}
