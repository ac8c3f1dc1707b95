import { FLAVORS, LARGEST_HOST_RAM } from './content.js';
import { releasePorts } from './ports.js';
import type { ServerRecord, Step } from './records.js';
import { isScheduling } from './server-store.js';
import type { State } from './state.js';
import { freeVolume } from './volumes.js';

/** What a new server is made from, already checked. */
export interface NewServer {
  readonly name: string;
  readonly description: string | null;
  readonly imageId: string;
  readonly flavorId: string;
  readonly keyName: string | null;
  readonly userData: string | null;
  readonly metadata: Record<string, string>;
  readonly tags: string[];
  readonly portIds: string[];
}

/** Who asks, and under which id of the request. */
export interface Asker {
  readonly projectId: string;
  readonly userId: string;
  readonly requestId: string;
}

/** How long the remains of a deleted server are shown to `changes-since`. Milliseconds. */
const REMEMBERED_FOR = 3_600_000;

/** Accepts a server. What becomes of it is decided here, by the knobs, and follows from time alone. */
export function createServer(state: State, id: string, request: NewServer, asker: Asker, now: number): ServerRecord {
  const server: ServerRecord = {
    ...request,
    id,
    sequence: state.servers.nextSequence(),
    projectId: asker.projectId,
    userId: asker.userId,
    previousFlavorId: null,
    volumes: [],
    created: now,
    updated: null,
    launchedAt: null,
    terminatedAt: null,
    vmState: 'building',
    taskState: 'scheduling',
    powerState: 0,
    hosted: false,
    locked: false,
    fault: null,
    actions: [{ action: 'create', requestId: asker.requestId, userId: asker.userId, at: now }],
    steps: buildSteps(state, id, request.flavorId, now),
  };
  state.putServer(server);
  return server;
}

/** Asks for the deletion of a server. One that no host was looked for goes at once and without a trace. */
export function deleteServer(state: State, server: ServerRecord, asker: Asker, now: number): void {
  if (server.taskState === 'deleting') return;
  if (isScheduling(server)) {
    release(state, server, now);
    state.removeServer(server.id);
    return;
  }
  const end = now + state.knobs.actionTime / 2;
  const deleted: Step['set'] = { vmState: 'deleted', taskState: null, powerState: 0, terminatedAt: end };
  changeServer(state, server, 'delete', asker, now, {
    taskState: 'deleting',
    steps: [
      { at: end, set: deleted, effect: 'release', touches: true },
      { at: end + REMEMBERED_FOR, set: {}, effect: 'forget', touches: true },
    ],
  });
}

/** Changes a server by a request, and notes the action for `os-instance-actions` if it has a name. @returns the new record. */
export function changeServer(
  state: State,
  server: ServerRecord,
  action: string | undefined,
  asker: Asker,
  now: number,
  change: Partial<ServerRecord>,
): ServerRecord {
  const { requestId, userId } = asker;
  const actions =
    action === undefined ? server.actions : [{ action, requestId, userId, at: now }, ...server.actions].slice(0, 20);
  const changed = { ...server, ...change, updated: now, actions };
  state.putServer(changed);
  return changed;
}

/** A deleted server lets go of its ports and volumes. */
export function release(state: State, server: ServerRecord, now: number): void {
  for (const { volumeId } of server.volumes) freeVolume(state, server.id, volumeId, now);
  releasePorts(state, server, now);
}

/** Scheduling, then a host is chosen that has not touched it, then spawning, then ACTIVE: the pace of a real Nova. */
function buildSteps(state: State, id: string, flavorId: string, now: number): Step[] {
  const { knobs, chance } = state;
  if (chance.happens(knobs.stuckBuildRate)) return [];
  const time = chance.around(knobs.buildTime, knobs.buildTimeJitter);
  const [placed, spawning, end] = [now + time * 0.1, now + time * 0.3, now + time];
  const flavor = FLAVORS.find((candidate) => candidate.id === flavorId);
  if (flavor === undefined || flavor.ram > LARGEST_HOST_RAM) {
    const fault = { message: 'No valid host was found. ', at: placed };
    return [{ at: placed, set: { vmState: 'error', taskState: null, fault }, touches: true }];
  }
  const before: Step[] = [
    { at: placed, set: { taskState: null, hosted: true }, touches: false },
    { at: spawning, set: { taskState: 'spawning' }, effect: 'connect', touches: true },
  ];
  if (chance.happens(knobs.buildErrorRate)) {
    const fault = { message: `Build of instance ${id} aborted: the simulated host failed.`, at: end };
    return [...before, { at: end, set: { vmState: 'error', taskState: null, fault }, touches: true }];
  }
  return [...before, { at: end, set: { vmState: 'active', taskState: null, powerState: 1, launchedAt: end }, touches: true }];
}
