import type { VolumeRecord } from './records.js';
import type { State } from './state.js';

/** Begins something that takes a while, and that {@link settle} ends. @returns the new record. */
export function beginTask(
  state: State,
  volume: VolumeRecord,
  task: VolumeRecord['task'],
  now: number,
  change: Partial<VolumeRecord> = {},
): VolumeRecord {
  const begun = { ...volume, ...change, task, readyAt: now + state.knobs.actionTime / 2 };
  state.putVolume(begun);
  return begun;
}

/** A volume's task has come to its end. Not kept at once: it follows from time alone. */
export function settle(state: State, volume: VolumeRecord): void {
  const { id, task, serverId } = volume;
  if (task === 'deleting') {
    state.removeVolume(id);
    return;
  }
  const settled = { ...volume, task: null, size: volume.extendTo ?? volume.size, extendTo: null };
  if (task !== 'detaching') {
    state.volumes.set(id, settled);
    return;
  }
  state.volumes.set(id, { ...settled, serverId: null });
  const server = state.servers.get(serverId ?? '');
  if (server === undefined) return;
  // With whatever is kept next: the volume may be another's by then, and this server must not claim it after a restart.
  state.putServer({ ...server, volumes: server.volumes.filter(({ volumeId }) => volumeId !== id) });
}

/** A volume's server is gone. */
export function freeVolume(state: State, serverId: string, volumeId: string, now: number): void {
  const volume = state.volumes.get(volumeId);
  if (volume?.serverId !== serverId) return;
  const extending = volume.task === 'extending';
  state.putVolume({ ...volume, serverId: null, ...(!extending && { task: null, readyAt: now }) });
}

/** The status that clients see. */
export function volumeStatusOf({ task, serverId }: VolumeRecord): string {
  return task ?? (serverId === null ? 'available' : 'in-use');
}
