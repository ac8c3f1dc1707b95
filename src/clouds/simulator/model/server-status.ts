import type { ServerRecord } from './records.js';

/** What each VM state is called, and what it is called during a task. Nova's own table. */
const STATUS: Record<ServerRecord['vmState'], { readonly default: string; readonly [task: string]: string }> = {
  building: { default: 'BUILD' },
  active: {
    default: 'ACTIVE',
    rebooting: 'REBOOT',
    rebooting_hard: 'HARD_REBOOT',
    rebuilding: 'REBUILD',
    resize_migrating: 'RESIZE',
  },
  stopped: { default: 'SHUTOFF', rebooting_hard: 'HARD_REBOOT', rebuilding: 'REBUILD', resize_migrating: 'RESIZE' },
  paused: { default: 'PAUSED', rebooting_hard: 'HARD_REBOOT' },
  suspended: { default: 'SUSPENDED', rebooting_hard: 'HARD_REBOOT' },
  resized: { default: 'VERIFY_RESIZE', resize_reverting: 'REVERT_RESIZE' },
  error: { default: 'ERROR', rebooting_hard: 'HARD_REBOOT', rebuilding: 'REBUILD' },
  deleted: { default: 'DELETED' },
};

/** The status that clients see. */
export function statusOf(server: ServerRecord): string {
  const names = STATUS[server.vmState];
  return names[server.taskState ?? 'default'] ?? names.default;
}

/** All words that {@link statusOf} may give. */
export const STATUSES: ReadonlySet<string> = new Set(Object.values(STATUS).flatMap((names) => Object.values(names)));
