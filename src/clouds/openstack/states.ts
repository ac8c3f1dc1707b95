import type { ServerState } from '../driver.js';

/** nova's `status`. What is not here is Unknown: RESCUE, SHELVED and the like need a person, and take none of our steps. */
const STATES: Readonly<Record<string, ServerState>> = {
  BUILD: 'Building',
  ACTIVE: 'Running',
  // A password is being set, or it moves to another host, while it runs.
  PASSWORD: 'Running',
  MIGRATING: 'Running',
  SHUTOFF: 'Stopped',
  PAUSED: 'Paused',
  SUSPENDED: 'Suspended',
  REBOOT: 'Rebooting',
  HARD_REBOOT: 'Rebooting',
  REBUILD: 'Rebuilding',
  RESIZE: 'Resizing',
  REVERT_RESIZE: 'Resizing',
  VERIFY_RESIZE: 'AwaitingConfirmation',
  ERROR: 'Error',
  SOFT_DELETED: 'Deleting',
  DELETED: 'Deleted',
};

/** What a server is doing, from nova's `status` and `OS-EXT-STS:task_state`. */
export function serverState(status: string, task: string | null | undefined): ServerState {
  const state = STATES[status.toUpperCase()] ?? 'Unknown';
  // A server keeps its status while it is being deleted.
  return state !== 'Deleted' && (task === 'deleting' || task === 'soft-deleting') ? 'Deleting' : state;
}
