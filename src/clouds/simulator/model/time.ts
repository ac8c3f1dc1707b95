import { z } from 'zod';
import { connectPorts } from './ports.js';
import {
  groupSchema,
  keyPairSchema,
  portSchema,
  quotaSchema,
  type ServerRecord,
  type Step,
  serverSchema,
  tokenSchema,
  volumeSchema,
} from './records.js';
import { release } from './servers.js';
import type { State } from './state.js';
import { settle } from './volumes.js';

/** Does everything that has fallen due by `now`, in order. Called before each request is looked at; there are no timers. */
export function advance(state: State, now: number): void {
  for (let due = state.due.take(now); due !== undefined; due = state.due.take(now)) {
    const volume = state.volumes.get(due.id);
    if (volume !== undefined && volume.task !== null && volume.readyAt === due.at) settle(state, volume);
    const server = state.servers.get(due.id);
    const step = server?.steps[0];
    // What a later request has replaced is still in the queue, at a time of its own.
    if (server === undefined || step === undefined || step.at !== due.at) continue;
    take(state, server, step);
    const next = state.servers.get(server.id)?.steps[0];
    if (next !== undefined) state.due.add(next.at, server.id);
  }
}

function take(state: State, server: ServerRecord, step: Step): void {
  if (step.effect === 'forget') {
    state.removeServer(server.id);
    return;
  }
  const after: ServerRecord = {
    ...server,
    ...step.set,
    updated: step.touches ? step.at : null,
    steps: server.steps.slice(1),
  };
  if (step.effect === 'release') {
    release(state, server, step.at);
    // As in Nova: the remains bear neither metadata nor tags nor addresses.
    state.servers.put({ ...after, metadata: {}, tags: [], portIds: [], volumes: [], fault: null });
    return;
  }
  if (step.effect === 'connect') {
    const lost = connectPorts(state, server, step.at);
    if (lost !== undefined) {
      const fault = { message: `Port ${lost.id} is still in use.`, at: step.at };
      state.servers.put({ ...after, vmState: 'error', taskState: null, fault, steps: [] });
      return;
    }
  }
  state.servers.put(after);
}

/**
 * Takes in what was kept, and lets time catch up.
 * @throws Error that names the first document that is not what this version of the simulator keeps.
 */
export function restore(state: State, documents: Iterable<readonly [key: string, document: unknown]>, now: number): void {
  const servers: ServerRecord[] = [];
  for (const [key, document] of documents) {
    const kind = key.slice(0, key.indexOf('/'));
    if (kind === 'server') servers.push(check(serverSchema, key, document));
    else if (kind === 'port') state.putPort(check(portSchema, key, document));
    else if (kind === 'group') state.putGroup(check(groupSchema, key, document));
    else if (kind === 'quota') state.putQuota(check(quotaSchema, key, document));
    else if (kind === 'volume') state.putVolume(check(volumeSchema, key, document));
    else if (kind === 'keypair') state.putKeyPair(check(keyPairSchema, key, document));
    else if (kind === 'token') state.putToken(check(tokenSchema, key, document));
    else throw new Error(`${CORRUPT}: it has a document with the unknown key ${JSON.stringify(key)}`);
  }
  state.servers.restore(servers);
  for (const server of servers) {
    const next = server.steps[0];
    if (next !== undefined) state.due.add(next.at, server.id);
  }
  state.unsaved = new Map();
  advance(state, now);
}

const CORRUPT = 'The kept state of the simulated cloud cannot be used; remove it to begin with an empty cloud';

function check<T>(schema: z.ZodType<T>, key: string, document: unknown): T {
  const result = schema.safeParse(document);
  if (result.success) return result.data;
  throw new Error(`${CORRUPT}: ${key}: ${z.prettifyError(result.error)}`);
}
