import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { simulate } from '../../support/simulator.js';
import { ServeProcess } from './serve-process.js';

/** A simulated cloud in this process. */
export type Cloud = Awaited<ReturnType<typeof simulate>>;

/** A plane under test: how a replica is started on it, and how one declares there. */
export interface ReplicatedPlane {
  start(replica: ServeProcess): Promise<unknown>;
  /** Stock kubectl as an administrator. @throws with its words on failure. */
  kubectl(words: readonly string[], input?: string): Promise<string>;
  close(): Promise<void>;
}

/** Two replicas at work on a simulated cloud, for more tests in the same suite. */
export interface Replicas {
  readonly all: readonly [ServeProcess, ServeProcess];
  cloud(): Cloud;
  plane(): ReplicatedPlane;
  /** All servers in the cloud. */
  servers(): Promise<Servers>;
}

const serversSchema = z.object({
  servers: z.array(z.object({ id: z.string(), name: z.string(), metadata: z.record(z.string(), z.string()) })),
});
type Servers = z.infer<typeof serversSchema>['servers'];

/** How many machines are declared before the replica that works is killed, and how many more before it is frozen. */
const MACHINES = 100;
const MORE = 40;

/** The machines that are there when the contract has been tested. */
export const ALL_MACHINES = MACHINES + MORE;

/** The uid and the server of each machine. */
const ROWS = 'jsonpath={range .items[*]}{.metadata.uid}={.status.id}{"\\n"}{end}';

/**
 * Tests that two replicas make exactly one server for each machine, whatever becomes of the one that works. The machines are there
 * when they end. To be called in a `describe`.
 */
export function replicasContract(make: () => Promise<ReplicatedPlane>): Replicas {
  const all = [new ServeProcess(), new ServeProcess()] as const;
  let plane: ReplicatedPlane | undefined;
  let cloud: Cloud | undefined;
  const present = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('the replicas could not be started');
    return value;
  };
  const apply = async (...manifests: readonly object[]) => {
    const text = manifests.map((manifest) => stringify(manifest)).join('---\n');
    await present(plane).kubectl(['apply', '--server-side', '--validate=strict', '-f', '-'], text);
  };
  const servers = async (): Promise<Servers> => {
    const user = await present(cloud).logIn();
    return serversSchema.parse((await user.ask('GET', '/compute/v2.1/servers/detail')).body).servers;
  };
  const leader = () =>
    eventually(() => {
      const leaders = all.filter(({ leads }) => leads);
      expect(leaders).toHaveLength(1);
      return present(leaders[0]);
    }, 60_000);
  const machines = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => ({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name: `vm-${from + index}`, namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', keyName: 'demo' },
    }));
  /** Declares machines, and resolves when some of their servers are there and others are not. */
  const inTheMiddle = async (first: number, count: number) => {
    const declared = apply(...machines(first, count));
    await eventually(async () => expect((await servers()).length).toBeGreaterThan(first + 10), 60_000, 50);
    await declared;
  };
  const untilOneEach = async (count: number) => {
    const { kubectl } = present(plane);
    await kubectl(['wait', '--for=condition=Ready', '--timeout=150s', 'vm', '--all']);
    const rows = (await kubectl(['get', 'vm', '-o', ROWS])).trim().split('\n');
    const owned = (await servers()).map(({ id, metadata }) => `${metadata['dispatcher.uid']}=${id}`);
    expect(owned.sort()).toEqual(rows.sort());
    expect(owned).toHaveLength(count);
  };

  beforeAll(async () => {
    plane = await make();
    cloud = await simulate({ buildTime: 1000, latency: 20 });
    await Promise.all(all.map((replica) => present(plane).start(replica)));
    await apply(...surroundings(cloud.url));
    await plane.kubectl(['wait', '--for=condition=Ready', '--timeout=50s', 'cloud/lab', 'keypair/demo']);
  });
  afterAll(async () => {
    await Promise.all(all.map((replica) => replica.stop()));
    await cloud?.close();
    await plane?.close();
  });

  test(`make exactly ${MACHINES} servers, though the one that works is killed in the middle of it`, async () => {
    const killed = await leader();
    await inTheMiddle(1, MACHINES);
    await killed.kill();
    expect((await servers()).length).toBeLessThan(MACHINES);
    await untilOneEach(MACHINES);
    await present(plane).start(killed);
  });

  test(`make exactly ${MORE} more, though the one that works stands still until the other does its work, and then goes on`, async () => {
    const frozen = await leader();
    const other = present(all.find((replica) => replica !== frozen));
    await inTheMiddle(MACHINES + 1, MORE);
    frozen.freeze();
    try {
      expect((await servers()).length).toBeLessThan(ALL_MACHINES);
      await eventually(() => expect(other.leads).toBe(true), 60_000);
    } finally {
      // It has not been told that it does not lead any more, and finishes what it was in the middle of.
      frozen.thaw();
    }
    await untilOneEach(ALL_MACHINES);
    await eventually(() => expect(frozen.leads).toBe(false), 60_000);
  });

  return { all, cloud: () => present(cloud), plane: () => present(plane), servers };
}

/** What machines in a simulated cloud need beside them: a Secret, the Cloud `lab`, a KeyPair. */
export function surroundings(endpoint: string): object[] {
  const metadata = (name: string) => ({ name, namespace: 'default' });
  const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl demo';
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('openstack'),
      stringData: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
    },
    {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'lab' },
      spec: {
        engine: 'openstack',
        endpoint,
        project: { name: 'demo', domain: 'Default' },
        credentialsRef: { namespace: 'default', name: 'openstack' },
        observe: { interval: '1s', auditInterval: '5s', settleTime: '10s' },
        limits: { inFlight: 8, requestsPerSecond: 20 },
      },
    },
    {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'KeyPair',
      metadata: metadata('demo'),
      spec: { cloudRef: { name: 'lab' }, publicKey },
    },
  ];
}

/** The Recipe `galaxy`, and a pool of so many machines made from it in the Cloud `lab`. */
export function galaxy(machines: number): object[] {
  const named = { name: 'galaxy', namespace: 'default' };
  return [
    {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Recipe',
      metadata: named,
      spec: { image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', applications: ['galaxy'] },
    },
    {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachinePool',
      metadata: named,
      spec: {
        cloudRef: { name: 'lab' },
        recipeRef: { name: 'galaxy' },
        replicas: machines,
        maxSize: machines,
        reclaim: 'Recycle',
      },
    },
  ];
}
