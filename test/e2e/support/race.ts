import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { assignmentStatusSchema } from '../../../src/resources/assignment.js';
import { virtualMachineSpecSchema } from '../../../src/resources/virtual-machine.js';
import { eventually } from '../../support/eventually.js';
import { simulate } from '../../support/simulator.js';
import { type Cloud, galaxy, type ReplicatedPlane, surroundings } from './replicas.js';
import { ServeProcess } from './serve-process.js';

/** Who asks, and the machines that are free for them. */
const CLIENTS = 64;
const MACHINES = 40;
/** Clients that ask at the same moment: each is a kubectl of its own. */
const AT_ONCE = 8;
const KILLS = 6;

const metadata = z.object({ name: z.string(), uid: z.string() });
const assignmentsSchema = z.object({ items: z.array(z.object({ metadata, status: assignmentStatusSchema.default({}) })) });
const machinesSchema = z.object({
  items: z.array(z.object({ metadata, spec: virtualMachineSpecSchema, status: z.looseObject({ id: z.string().optional() }) })),
});
const serversSchema = z.object({ servers: z.array(z.object({ id: z.string(), metadata: z.record(z.string(), z.string()) })) });

type Assignment = z.infer<typeof assignmentsSchema>['items'][number];

/**
 * Tests that of many who ask at once for few machines each has one to itself or waits in order, whatever becomes of the replicas. To be
 * called in a `describe`.
 */
export function raceContract(make: () => Promise<ReplicatedPlane>): void {
  const replicas = [new ServeProcess(), new ServeProcess()] as const;
  let plane: ReplicatedPlane;
  let cloud: Cloud;

  /** Asks until it is answered: a replica may be killed while it does. */
  const kubectl = (words: readonly string[], input?: string): Promise<string> =>
    eventually(() => plane.kubectl(words, input), 60_000, 200);
  const apply = (...manifests: readonly object[]) =>
    kubectl(['apply', '--server-side', '-f', '-'], manifests.map((manifest) => stringify(manifest)).join('---\n'));
  const assignments = async () => assignmentsSchema.parse(JSON.parse(await kubectl(['get', 'vma', '-o', 'json']))).items;
  const machines = async () => machinesSchema.parse(JSON.parse(await kubectl(['get', 'vm', '-o', 'json']))).items;
  const servers = async () => {
    const user = await cloud.logIn();
    return serversSchema.parse((await user.ask('GET', '/compute/v2.1/servers/detail')).body).servers;
  };
  const resize = (spec: object) => kubectl(['patch', 'vmpool', 'galaxy', '--type=merge', '-p', JSON.stringify({ spec })]);

  /** Waits until that many have a machine, and expects that each has one to itself: by both records, and by the cloud. */
  const untilBound = (count: number): Promise<Assignment[]> =>
    eventually(
      async () => {
        const all = await assignments();
        const bound = all.filter(({ status }) => saysBound(status));
        const named = bound.map(({ status }) => status.virtualMachine?.name);
        expect(new Set(named).size).toBe(named.length);
        expect(bound).toHaveLength(count);
        const claims = (await machines()).flatMap(({ metadata, spec, status }) =>
          spec.claimRef ? [`${spec.claimRef.uid} ${spec.claimRef.epoch} ${metadata.name} ${status.id}`] : [],
        );
        const said = bound.map(
          ({ metadata, status }) => `${metadata.uid} ${status.epoch} ${status.virtualMachine?.name} ${status.id}`,
        );
        expect(claims.sort()).toEqual(said.sort());
        const users = (await servers()).flatMap(({ id, metadata }) =>
          metadata['assigned-user'] ? [`${metadata['assigned-user']} ${id}`] : [],
        );
        expect(users.sort()).toEqual(bound.map(({ metadata, status }) => `${metadata.name} ${status.id}`).sort());
        return all;
      },
      120_000,
      500,
    );
  const waiting = (all: readonly Assignment[]) =>
    all
      .filter(({ status }) => !saysBound(status))
      .sort((a, b) => (a.status.place ?? 0) - (b.status.place ?? 0))
      .map(({ metadata }) => metadata.name);

  beforeAll(async () => {
    plane = await make();
    cloud = await simulate({ buildTime: 200, latency: 5 });
    await Promise.all(replicas.map((replica) => plane.start(replica)));
    await apply(...surroundings(cloud.url), ...galaxy(MACHINES));
    await kubectl(['wait', '--for=jsonpath={.status.free}=40', '--timeout=100s', 'vmpool/galaxy']);
  });
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await cloud?.close();
    await plane?.close();
  });

  test(`${CLIENTS} clients race for ${MACHINES} machines, while replicas are killed: each machine is one client's`, async () => {
    let done = false;
    const killing = (async () => {
      for (let kill = 0; kill < KILLS && !done; kill += 1) {
        const victim = replicas.find(({ leads }) => leads) ?? replicas[kill % 2];
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 700));
        await victim?.kill();
        if (victim) await plane.start(victim);
      }
    })();
    const names = Array.from({ length: CLIENTS }, (_, index) => `client-${index + 1}`);
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let name = names.shift(); name !== undefined; name = names.shift()) await apply(assignment(name));
      }),
    );
    await untilBound(MACHINES);
    done = true;
    await killing;
    const all = await untilBound(MACHINES);
    expect(waiting(all)).toHaveLength(CLIENTS - MACHINES);
    await eventually(async () => {
      const places = (await assignments()).flatMap(({ status }) => (status.place === undefined ? [] : [status.place]));
      expect(places.sort((a, b) => a - b)).toEqual(Array.from({ length: CLIENTS - MACHINES }, (_, index) => index + 1));
    }, 60_000);
  });

  test('those that wait have machines as they come, in order', async () => {
    for (let more = 1; more <= 3; more += 1) {
      const [next] = waiting(await assignments());
      await resize({ replicas: 1, maxSize: MACHINES + more });
      const all = await untilBound(MACHINES + more);
      expect(waiting(all)).not.toContain(next);
      await eventually(async () => expect((await assignments()).some(({ status }) => status.place === 1)).toBe(true), 60_000);
    }
    await resize({ replicas: 5, maxSize: CLIENTS });
    expect(waiting(await untilBound(CLIENTS))).toEqual([]);
  });

  test('all that is given back is rebuilt, and nothing is left when all is deleted', async () => {
    await kubectl(['delete', 'vma', '--all', '--timeout=100s']);
    await kubectl(['wait', '--for=jsonpath={.status.assigned}=0', '--timeout=100s', 'vmpool/galaxy']);
    expect((await machines()).filter(({ spec }) => spec.claimRef)).toEqual([]);
    expect((await machines()).some(({ spec }) => spec.rebuilds === 1)).toBe(true);
    await kubectl(['delete', 'vmpool', 'galaxy', '--timeout=100s']);
    expect(await servers()).toEqual([]);
  });
}

function saysBound({ conditions }: Assignment['status']): boolean {
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function assignment(name: string): object {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachineAssignment',
    metadata: { name, namespace: 'default' },
    spec: {
      user: name,
      application: 'galaxy',
      poolRef: { name: 'galaxy' },
      ttl: '8h',
      onFailure: 'Reassign',
      release: 'Recycle',
    },
  };
}
