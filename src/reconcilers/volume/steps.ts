/** One thing to do for a Volume. Only what is under "in the cloud" has an effect there. */
export type Step =
  // in the record
  | { readonly kind: 'AddFinalizer' }
  | { readonly kind: 'RemoveFinalizer' }
  /** Writes the ledger entry; MUST be durable before Create. */
  | { readonly kind: 'RecordAttempt'; readonly attempt: number }
  | { readonly kind: 'Bind'; readonly id: string; readonly adopted: boolean }
  | { readonly kind: 'Unbind'; readonly id: string; readonly why: string }
  | { readonly kind: 'RecordFailure'; readonly id: string; readonly message: string }
  /** From now on it may hold data; MUST be durable before Attach. */
  | { readonly kind: 'NoteBuilt'; readonly id: string }
  /** Writes down where it is about to be attached; MUST be durable before Attach, so that nobody is given that machine meanwhile. */
  | { readonly kind: 'RecordAttachment'; readonly serverId: string; readonly machine: string }
  /** Forgets an attachment that was asked for and has not come. */
  | { readonly kind: 'ForgetAttachment'; readonly serverId: string }
  // questions
  | { readonly kind: 'AskById'; readonly id: string }
  | { readonly kind: 'AskByName'; readonly name: string }
  | { readonly kind: 'ResolveType' }
  /** Reads from the store where the volume is declared to be. */
  | { readonly kind: 'Confirm' }
  // in the cloud
  | { readonly kind: 'Create'; readonly name: string }
  | { readonly kind: 'Delete'; readonly id: string; readonly why: string }
  | { readonly kind: 'Own'; readonly id: string }
  | { readonly kind: 'Disown'; readonly id: string }
  | { readonly kind: 'Rename'; readonly id: string; readonly from: string; readonly to: string }
  | { readonly kind: 'Extend'; readonly id: string; readonly from: number; readonly to: number; readonly inUse: boolean }
  | { readonly kind: 'Attach'; readonly id: string; readonly serverId: string; readonly machine: string }
  | { readonly kind: 'Detach'; readonly id: string; readonly serverId: string; readonly machine: string | undefined };

/** The step as a sentence, for conditions and events. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'AddFinalizer':
      return 'add the finalizer, so that deletion waits for the volume';
    case 'RemoveFinalizer':
      return 'remove the finalizer: this resource has no volume any more';
    case 'RecordAttempt':
      return `write attempt ${step.attempt} into the ledger`;
    case 'Bind':
      return step.adopted ? `adopt volume ${step.id}` : `bind volume ${step.id}`;
    case 'Unbind':
      return `forget volume ${step.id}: ${step.why}`;
    case 'RecordFailure':
      return `count the failed build of volume ${step.id}: ${step.message}`;
    case 'NoteBuilt':
      return `note that volume ${step.id} is usable, and may hold data from now on`;
    case 'RecordAttachment':
      return `write down that the volume goes to VirtualMachine ${step.machine} (server ${step.serverId})`;
    case 'ForgetAttachment':
      return `forget the attachment to server ${step.serverId}, which has not come`;
    case 'AskById':
      return `ask the cloud for volume ${step.id}`;
    case 'AskByName':
      return `ask the cloud for volumes named ${step.name}`;
    case 'ResolveType':
      return 'look up the volume type';
    case 'Confirm':
      return 'read again where the volume is declared to be';
    case 'Create':
      return `create volume ${step.name}`;
    case 'Delete':
      return `delete volume ${step.id}: ${step.why}`;
    case 'Own':
      return `write the owner tag on volume ${step.id}`;
    case 'Disown':
      return `take the owner tag off volume ${step.id} and leave it`;
    case 'Rename':
      return `rename volume ${step.id} from "${step.from}" to "${step.to}"`;
    case 'Extend':
      return `grow volume ${step.id} from ${step.from} GiB to ${step.to} GiB${step.inUse ? ' while it is in use' : ''}`;
    case 'Attach':
      return `attach volume ${step.id} to VirtualMachine ${step.machine} (server ${step.serverId})`;
    case 'Detach':
      return `detach volume ${step.id} from ${step.machine === undefined ? '' : `VirtualMachine ${step.machine}, `}server ${step.serverId}`;
  }
}

/** What a step is told by as an event; those that only ask, or write the ledger, are not told. `answered`: false for a lost reply. */
export function eventOf(
  step: Step,
  answered: boolean,
): { readonly type: 'Normal' | 'Warning'; readonly reason: string } | undefined {
  if (!answered) return { type: 'Warning', reason: 'OutcomeUnknown' };
  switch (step.kind) {
    case 'Create':
      return { type: 'Normal', reason: 'Created' };
    case 'Bind':
      return { type: 'Normal', reason: step.adopted ? 'Adopted' : 'Bound' };
    case 'Unbind':
      return { type: 'Warning', reason: 'VolumeGone' };
    case 'RecordFailure':
      return { type: 'Warning', reason: 'BuildFailed' };
    case 'Delete':
      return { type: 'Normal', reason: 'Deleted' };
    case 'Own':
      return { type: 'Normal', reason: 'Owned' };
    case 'Disown':
      return { type: 'Normal', reason: 'Retained' };
    case 'Rename':
      return { type: 'Normal', reason: 'Renamed' };
    case 'Extend':
      return { type: 'Normal', reason: 'Grown' };
    case 'Attach':
      return { type: 'Normal', reason: 'Attached' };
    case 'Detach':
      return { type: 'Normal', reason: 'Detached' };
    default:
      return undefined;
  }
}
