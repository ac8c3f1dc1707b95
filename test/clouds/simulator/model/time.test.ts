import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Knobs } from '../../../../src/clouds/simulator/knobs.js';
import type { ServerRecord } from '../../../../src/clouds/simulator/model/records.js';
import { Refusal } from '../../../../src/clouds/simulator/model/refusal.js';
import { ACTIONS, type ActionName, act } from '../../../../src/clouds/simulator/model/server-actions.js';
import { listServers } from '../../../../src/clouds/simulator/model/server-list.js';
import { isScheduling } from '../../../../src/clouds/simulator/model/server-store.js';
import { createServer, deleteServer, type NewServer } from '../../../../src/clouds/simulator/model/servers.js';
import { State } from '../../../../src/clouds/simulator/model/state.js';
import { advance, restore } from '../../../../src/clouds/simulator/model/time.js';

const PROJECT = 'project';
const asker = { projectId: PROJECT, userId: 'user', requestId: 'req-1' };
const START = Date.UTC(2026, 0, 1);

/** What a person may do next; `server` chooses among those made so far. */
type Move =
  | { readonly kind: 'create'; readonly flavorId: string }
  | { readonly kind: 'delete'; readonly server: number }
  | { readonly kind: 'act'; readonly server: number; readonly action: ActionName }
  | { readonly kind: 'wait'; readonly ms: number };

const actionNames = Object.keys(ACTIONS).filter((name): name is ActionName => name in ACTIONS);
const server = fc.nat(20);
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('create' as const), flavorId: fc.constantFrom('1', '2', '99') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), server }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('act' as const), server, action: fc.constantFrom(...actionNames) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3000 }) }) },
);

/** A simulated cloud with a clock that only `play` moves. */
class World {
  readonly state: State;
  readonly ids: string[] = [];
  now = START;
  #number = 0;

  constructor(knobs: Partial<Knobs> = {}) {
    const environment = { now: () => new Date(this.now), after: () => () => undefined, random: () => 0.5, id: () => this.#id() };
    this.state = new State(environment, { buildTime: 1000, actionTime: 300, buildErrorRate: 0.1, seed: 3, ...knobs });
  }

  /** Does a move, as a request does: time catches up first. Refusals are part of life. */
  play(next: Move): void {
    if (next.kind === 'wait') this.now += next.ms;
    advance(this.state, this.now);
    if (next.kind === 'create') {
      const id = this.#id();
      this.ids.push(id);
      createServer(this.state, id, request(next.flavorId), asker, this.now);
    }
    if (next.kind !== 'delete' && next.kind !== 'act') return;
    const chosen = this.state.servers.get(this.ids[next.server % Math.max(1, this.ids.length)] ?? '');
    if (chosen === undefined || chosen.vmState === 'deleted') return;
    if (next.kind === 'delete') deleteServer(this.state, chosen, asker, this.now);
    else if (!isScheduling(chosen)) tolerate(() => act(this.state, chosen, next.action, asker, this.now));
  }

  /** All servers by one page after the other, to the empty one. */
  walk(limit: number): string[] {
    const ids: string[] = [];
    for (;;) {
      const query = new URLSearchParams({ limit: String(limit), ...(ids.length > 0 && { marker: ids.at(-1) ?? '' }) });
      const { servers } = listServers(this.state, [PROJECT], query, 79);
      if (servers.length === 0) return ids;
      ids.push(...servers.map(({ id }) => id));
    }
  }

  #id(): string {
    this.#number += 1;
    return `00000000-0000-4000-8000-${String(this.#number).padStart(12, '0')}`;
  }
}

function request(flavorId: string): NewServer {
  const nothing = { description: null, keyName: null, userData: null, metadata: {}, tags: [], portIds: [] };
  return { ...nothing, name: 'web', imageId: 'image', flavorId };
}

function tolerate(attempt: () => unknown): void {
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

/** Nova's own table of what may follow what, once more and apart from the code. */
const MAY_FOLLOW: Readonly<Record<ServerRecord['vmState'], readonly ServerRecord['vmState'][]>> = {
  building: ['active', 'error', 'deleted'],
  active: ['stopped', 'paused', 'suspended', 'resized', 'deleted'],
  stopped: ['active', 'resized', 'deleted'],
  paused: ['active', 'deleted'],
  suspended: ['active', 'deleted'],
  resized: ['active', 'stopped', 'deleted'],
  error: ['deleted'],
  deleted: [],
};

describe('the model as time passes', () => {
  it('moves servers along allowed edges only, and never shows two tasks at once', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const world = new World();
        const before = new Map<string, ServerRecord>();
        for (const next of moves) {
          // In small steps, so that no state is passed over unseen.
          const steps: Move[] =
            next.kind === 'wait' ? Array.from({ length: 30 }, () => ({ kind: 'wait', ms: next.ms / 30 })) : [next];
          for (const step of steps) {
            world.play(step);
            for (const id of world.ids) {
              const [was, is] = [before.get(id), world.state.servers.get(id)];
              if (was !== undefined && is !== undefined && was.vmState !== is.vmState) {
                expect(MAY_FOLLOW[was.vmState]).toContain(is.vmState);
              }
              if (is === undefined) before.delete(id);
              else before.set(id, is);
            }
          }
        }
      }),
    );
  });

  it('comes to rest: when enough time has passed, nothing is under way', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const world = new World();
        for (const next of moves) world.play(next);
        world.play({ kind: 'wait', ms: 60_000 });
        for (const one of world.state.servers.list(PROJECT)) expect(one).toMatchObject({ taskState: null, steps: [] });
      }),
    );
  });

  it('lists every server that was accepted until it is deleted, in pages of any size, none twice', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), fc.integer({ min: 1, max: 7 }), (moves, size) => {
        const world = new World();
        for (const next of moves) world.play(next);
        const alive = world.ids.filter((id) => (world.state.servers.get(id)?.vmState ?? 'deleted') !== 'deleted');
        const walked = world.walk(size);
        expect([...walked].sort()).toEqual([...alive].sort());
        expect(walked).toEqual(world.walk(1000));
        expect(world.state.servers.count(PROJECT)).toBe(alive.length);
      }),
    );
  });

  it('tells by changes-since all that changed since, but for those that their host has not touched', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), fc.nat(20_000), (moves, age) => {
        const world = new World();
        for (const next of moves) world.play(next);
        const since = new Date(world.now - age).toISOString();
        const { servers } = listServers(world.state, [PROJECT], new URLSearchParams({ 'changes-since': since }), 79);
        const expected = world.ids.filter((id) => {
          const one = world.state.servers.get(id);
          const seen = one !== undefined && isScheduling(one) ? one.created : one?.updated;
          return seen != null && seen >= Math.floor(Date.parse(since) / 1000) * 1000;
        });
        expect(servers.map(({ id }) => id).sort()).toEqual(expected.sort());
      }),
    );
  });

  it('is the same after a restart at any moment, as what was kept and the time say all', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), fc.array(move, { maxLength: 10 }), fc.nat(3000), (moves, more, pause) => {
        const world = new World();
        const kept = new Map<string, unknown>();
        for (const next of moves) {
          world.play(next);
          for (const [key, document] of world.state.unsaved) {
            if (document === undefined) kept.delete(key);
            else kept.set(key, JSON.parse(JSON.stringify(document)));
          }
          world.state.unsaved = new Map();
        }
        const again = new World();
        again.now = world.now + pause;
        again.ids.push(...world.ids);
        restore(again.state, kept, again.now);
        world.play({ kind: 'wait', ms: pause });
        const waits = more.filter((next) => next.kind === 'wait');
        for (const next of waits) {
          world.play(next);
          again.play(next);
        }
        expect(again.walk(3)).toEqual(world.walk(3));
        for (const id of world.ids) expect(again.state.servers.get(id)).toEqual(world.state.servers.get(id));
      }),
    );
  });
});
