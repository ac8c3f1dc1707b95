import type { ServerRecord, Step } from './records.js';
import { Refusal } from './refusal.js';
import { type Asker, changeServer } from './servers.js';
import type { State } from './state.js';

/** One way to move a server: in which states it is allowed, what is shown while it lasts, and what it ends in. */
interface Action {
  /** As Nova's messages name it. */
  readonly verb: string;
  /** As `os-instance-actions` names it; without it as `verb`. */
  readonly noted?: string;
  readonly from: readonly ServerRecord['vmState'][];
  /** True: a server that never ran is refused. */
  readonly launched: boolean;
  readonly task: string | null;
  readonly to: Step['set'];
}

const RUNNING: Step['set'] = { vmState: 'active', powerState: 1 };

/**
 * The actions that need nothing but a server. VM states and tasks are those of Nova; this is its table of allowed moves.
 * Power states: 0 none, 1 running, 3 paused, 4 off.
 */
export const ACTIONS = {
  'os-stop': action('stop', ['active', 'error'], 'powering-off', { vmState: 'stopped', powerState: 4 }),
  'os-start': action('start', ['stopped'], 'powering-on', RUNNING),
  pause: action('pause', ['active'], 'pausing', { vmState: 'paused', powerState: 3 }),
  unpause: action('unpause', ['paused'], 'unpausing', RUNNING),
  suspend: action('suspend', ['active'], 'suspending', { vmState: 'suspended', powerState: 4 }),
  resume: action('resume', ['suspended'], 'resuming', RUNNING),
  softReboot: action('reboot', ['active'], 'rebooting', RUNNING),
  hardReboot: action('reboot', ['active', 'stopped', 'paused', 'suspended', 'error'], 'rebooting_hard', RUNNING),
  rebuild: action('rebuild', ['active', 'stopped', 'error'], 'rebuilding', RUNNING),
  resize: action('resize', ['active', 'stopped'], 'resize_migrating', { vmState: 'resized' }),
  confirmResize: { ...action('confirmResize', ['resized'], null, { ...RUNNING, previousFlavorId: null }), launched: false },
  revertResize: {
    ...action('revertResize', ['resized'], 'resize_reverting', { ...RUNNING, previousFlavorId: null }),
    launched: false,
  },
} as const satisfies Record<string, Action>;

/** The names of {@link ACTIONS}. */
export type ActionName = keyof typeof ACTIONS;

function action(verb: string, from: Action['from'], task: string | null, to: Step['set']): Action {
  return { verb, from, launched: true, task, to };
}

/**
 * Begins an action; it ends by itself after the knob `actionTime`.
 * @param first what changes at once, and `last` what is different in the end, beside what the table says.
 * @throws Refusal 409 in a state that does not allow it; 404 while no host was looked for.
 */
export function act(
  state: State,
  server: ServerRecord,
  name: ActionName,
  asker: Asker,
  now: number,
  { first = {}, last = {} }: { readonly first?: Partial<ServerRecord>; readonly last?: Step['set'] } = {},
): ServerRecord {
  const wanted: Action = ACTIONS[name];
  allow(server, wanted);
  const end = now + state.knobs.actionTime;
  const to: Step['set'] = { ...wanted.to, ...last, taskState: null };
  // A server that was off stays off through a rebuild or resize, and comes back from a resize as it was.
  if (server.powerState === 4 && (name === 'rebuild' || name === 'resize')) to.powerState = 4;
  if (name === 'rebuild' && server.vmState === 'stopped') to.vmState = 'stopped';
  if ((name === 'confirmResize' || name === 'revertResize') && server.powerState === 4) {
    to.vmState = 'stopped';
    to.powerState = 4;
  }
  if (to.vmState === 'active' && server.vmState === 'error') to.launchedAt = end;
  if (wanted.task === null) return changeServer(state, server, wanted.verb, asker, now, { ...first, ...to });
  const steps: Step[] = [{ at: end, set: to, touches: true }];
  return changeServer(state, server, wanted.verb, asker, now, { ...first, taskState: wanted.task, fault: null, steps });
}

/** @throws Refusal as Nova does for an action in a wrong state. */
function allow(server: ServerRecord, { verb, from, launched }: Action): void {
  if (server.locked) throw new Refusal(409, `Instance ${server.id} is locked`);
  requireState(server, verb, from);
  if (server.launchedAt === null && launched) {
    const power = verb === 'start' || verb === 'stop';
    throw new Refusal(
      409,
      power ? `Instance ${server.id} is not ready` : `Instance ${server.id} is in an invalid state for '${verb}'`,
    );
  }
}

/** @throws Refusal 409 if the server is in none of the states, or busy. */
export function requireState(server: ServerRecord, verb: string, from: readonly ServerRecord['vmState'][]): void {
  const { id, vmState, taskState } = server;
  if (!from.includes(vmState)) throw new Refusal(409, `Cannot '${verb}' instance ${id} while it is in vm_state ${vmState}`);
  if (taskState !== null) throw new Refusal(409, `Cannot '${verb}' instance ${id} while it is in task_state ${taskState}`);
}
