import { expect } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Cloud, cloudStatusSchema } from '../../../src/resources/cloud.js';
import { type VirtualMachineSpec, virtualMachineStatusSchema } from '../../../src/resources/virtual-machine.js';
import { eventually } from '../../support/eventually.js';
import { Dispatcher } from './dispatcher.js';
import { Nova, type NovaServer } from './nova.js';
import { AUTH_URL, DEMO } from './openstack.js';

/** What every resource has. */
export const metadataSchema = z.looseObject({ name: z.string(), uid: z.string(), generation: z.number() });
const machineSchema = z.object({ metadata: metadataSchema, status: virtualMachineStatusSchema.default({}) });
const cloudSchema = z.object({ metadata: metadataSchema, status: cloudStatusSchema.default({}) });
const listSchema = z.object({ items: z.array(machineSchema) });

/** A VirtualMachine as kubectl shows it. */
export type Machine = z.infer<typeof machineSchema>;

type Conditions = Machine['status']['conditions'];

/** A resource as it is applied. */
export type Manifest = Readonly<Record<string, unknown>>;

/** How long anything may take that needs no waiting by design, on a busy machine. */
export const PATIENCE_MS = 60_000;

/** Between two looks: kubectl takes a tenth of a second of a core for each. */
export const LOOK_EVERY_MS = 500;

/** The Secret with which the suites log in. */
export function secret(name: string, password: string = DEMO.password): Manifest {
  const stringData = { username: DEMO.username, password, userDomain: 'Default' };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, stringData };
}

/** A dispatcher with one Cloud in it, `lab`: the real OpenStack. Every server of a suite bears the suite's name as prefix. */
export class Lab {
  readonly nova = new Nova();

  private constructor(
    readonly suite: string,
    readonly dispatcher: Dispatcher,
  ) {}

  /** Starts it. `settings` are those of the Cloud beside where it is; audits every 10 s unless they say otherwise. Close it. */
  static async open(suite: string, settings: Partial<Cloud['spec']> = {}): Promise<Lab> {
    const lab = new Lab(suite, await Dispatcher.start());
    try {
      // A run that was cut off may have left some.
      await lab.#deleteServers();
      await lab.apply(secret('openstack'), lab.cloud(settings));
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** The Cloud `lab` with such settings. */
  cloud(settings: Partial<Cloud['spec']> = {}): Manifest {
    return {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'lab' },
      spec: {
        engine: 'openstack',
        endpoint: AUTH_URL,
        region: 'RegionOne',
        project: { name: DEMO.project, domain: 'Default' },
        credentialsRef: { namespace: 'default', name: 'openstack' },
        observe: { interval: '1s', auditInterval: '10s' },
        limits: { inFlight: 64, requestsPerSecond: 200 },
        ...settings,
      },
    };
  }

  /** A VirtualMachine of this suite: a tiny one without a network, unless `spec` says otherwise. */
  machine(name: string, spec: Partial<VirtualMachineSpec> = {}): Manifest {
    return {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name: this.named(name), namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', ...spec },
    };
  }

  /** That name with the suite's prefix. */
  named(name: string): string {
    return `${this.suite}-${name}`;
  }

  /** `kubectl apply` of all of them at once. */
  async apply(...manifests: Manifest[]): Promise<void> {
    await this.dispatcher.kubectl(['apply', '-f', '-'], manifests.map((manifest) => stringify(manifest)).join('---\n'));
  }

  /** `kubectl patch` of a machine's spec: null clears a field. */
  async change(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.dispatcher.kubectl(['patch', 'vm', this.named(name), '--type=merge', '-p', JSON.stringify({ spec })]);
  }

  /** `kubectl delete` of machines, without waiting until they are gone. */
  async delete(...names: string[]): Promise<void> {
    await this.dispatcher.kubectl(['delete', 'vm', '--wait=false', ...names.map((name) => this.named(name))]);
  }

  /** All machines, by kubectl. */
  async machines(): Promise<Machine[]> {
    return listSchema.parse(JSON.parse(await this.dispatcher.kubectl(['get', 'vm', '-o', 'json']))).items;
  }

  /** One machine, by kubectl. */
  async get(name: string): Promise<Machine> {
    return machineSchema.parse(JSON.parse(await this.dispatcher.kubectl(['get', 'vm', this.named(name), '-o', 'json'])));
  }

  /** The Cloud, by kubectl. */
  async getCloud(): Promise<z.infer<typeof cloudSchema>> {
    return cloudSchema.parse(JSON.parse(await this.dispatcher.kubectl(['get', 'cloud', 'lab', '-o', 'json'])));
  }

  /** The suite's servers, by Nova. */
  servers(): Promise<NovaServer[]> {
    return this.nova.servers(`${this.suite}-`);
  }

  /** The one server of that name. @throws if there is none, or more than one. */
  async server(name: string): Promise<NovaServer> {
    const [server, ...others] = (await this.servers()).filter((one) => one.name === this.named(name));
    if (!server || others.length > 0) throw new Error(`${server ? others.length + 1 : 0} servers are named ${this.named(name)}`);
    return server;
  }

  /** Waits until that machine's condition Ready is as given, and gives the machine. */
  async until(
    name: string,
    ready: { status: string; reason?: string; message?: unknown },
    withinMs = PATIENCE_MS,
  ): Promise<Machine> {
    return eventually(
      async () => {
        const machine = await this.get(name);
        const { generation } = machine.metadata;
        expect(conditionOf(machine, 'Ready')).toMatchObject({ ...ready, observedGeneration: generation });
        return machine;
      },
      withinMs,
      LOOK_EVERY_MS,
    );
  }

  /** Waits until all machines that are declared are Ready, and each has just the one server that is its own. @returns them. */
  async untilConverged(withinMs = PATIENCE_MS): Promise<Machine[]> {
    return eventually(
      async () => {
        const machines = await this.machines();
        const unready = machines.filter((machine) => conditionOf(machine, 'Ready')?.status !== 'True');
        expect(unready.map((machine) => [machine.metadata.name, conditionOf(machine, 'Ready')?.message])).toEqual([]);
        const owned = (await this.servers()).map(({ id, metadata }) => `${metadata['dispatcher.uid']} ${id}`);
        expect(owned.sort()).toEqual(machines.map(({ metadata, status }) => `${metadata.uid} ${status.id}`).sort());
        return machines;
      },
      withinMs,
      LOOK_EVERY_MS,
    );
  }

  /** `kubectl delete --all`, and waits until no record and no server of the suite is left. */
  async deleteAll(withinMs = PATIENCE_MS): Promise<void> {
    await this.dispatcher.kubectl(['delete', 'vm', '--all', '--wait=false']);
    await this.untilEmpty(withinMs);
  }

  /** Waits until no record and no server of the suite is left. */
  async untilEmpty(withinMs = PATIENCE_MS): Promise<void> {
    await eventually(
      async () => {
        const left = (await this.machines()).map((machine) => [machine.metadata.name, conditionOf(machine, 'Ready')?.message]);
        expect(left).toEqual([]);
        expect((await this.servers()).map(({ name, status, task }) => ({ name, status, task }))).toEqual([]);
      },
      withinMs,
      LOOK_EVERY_MS,
    );
  }

  /** Ends the dispatcher, and removes whatever servers of the suite are left. */
  async close(): Promise<void> {
    await this.dispatcher.close();
    await this.#deleteServers();
  }

  async #deleteServers(): Promise<void> {
    for (const { id } of await this.servers()) await this.nova.delete(id);
  }
}

/** A resource's condition of that type. */
export function conditionOf({ status }: { readonly status: { readonly conditions?: Conditions } }, type: string) {
  return status.conditions?.find((condition) => condition.type === type);
}
