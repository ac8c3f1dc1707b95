import { expect } from '@jest/globals';
import { z } from 'zod';
import { type AssignmentSpec, assignmentStatusSchema } from '../../../src/resources/assignment.js';
import { type PoolSpec, poolStatusSchema } from '../../../src/resources/pool.js';
import type { RecipeSpec } from '../../../src/resources/recipe.js';
import { eventually } from '../../support/eventually.js';
import { conditionOf, type Lab, LOOK_EVERY_MS, type Manifest, metadataSchema, PATIENCE_MS } from './lab.js';

const assignmentSchema = z.object({ metadata: metadataSchema, status: assignmentStatusSchema.default({}) });
const poolSchema = z.object({ metadata: metadataSchema, status: poolStatusSchema.default({}) });
const eventsSchema = z.object({
  items: z.array(
    z.looseObject({
      reason: z.string(),
      message: z.string(),
      involvedObject: z.looseObject({ kind: z.string(), name: z.string() }),
    }),
  ),
});

/** An assignment as kubectl shows it. */
export type ShownAssignment = z.infer<typeof assignmentSchema>;

/** An assignment that is bound: what has to be there then is there. */
export interface Bound {
  /** The VirtualMachine's name. */
  readonly machine: string;
  /** The server's id. */
  readonly id: string;
  readonly status: ShownAssignment['status'];
}

/** The pools and assignments of a lab. */
export class Stock {
  constructor(private readonly lab: Lab) {}

  /** A Recipe of the suite that serves one application: the tiny image and flavor of the lab. */
  recipe(name: string, application: string): Manifest {
    const spec: RecipeSpec = { image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', applications: [application] };
    return declared('Recipe', this.lab.named(name), spec);
  }

  /** A pool of the suite in the Cloud `lab`, made from the Recipe of the same name. */
  pool(name: string, spec: Omit<PoolSpec, 'cloudRef' | 'recipeRef'>): Manifest {
    const refs = { cloudRef: { name: 'lab' }, recipeRef: { name: this.lab.named(name) } };
    return declared('VirtualMachinePool', this.lab.named(name), { ...refs, ...spec });
  }

  /** An assignment for the user of that name. */
  assignment(user: string, spec: Omit<AssignmentSpec, 'user'>): Manifest {
    return declared('VirtualMachineAssignment', user, { user, ...spec });
  }

  /** `kubectl delete` of assignments, without waiting until they are gone. */
  async release(...users: string[]): Promise<void> {
    await this.lab.dispatcher.kubectl(['delete', 'vma', '--wait=false', ...users]);
  }

  /** An assignment, by kubectl. */
  async get(user: string): Promise<ShownAssignment> {
    return assignmentSchema.parse(JSON.parse(await this.lab.dispatcher.kubectl(['get', 'vma', user, '-o', 'json'])));
  }

  /** The names of all assignments. */
  async users(): Promise<string[]> {
    const lines = (await this.lab.dispatcher.kubectl(['get', 'vma', '-o', 'name'])).split('\n');
    return lines.filter((line) => line !== '').map((line) => line.slice(line.indexOf('/') + 1));
  }

  /** Waits until it is bound, to another machine than `other` where one is given. */
  async untilBound(user: string, other?: Bound): Promise<Bound> {
    return eventually(
      async () => {
        const assignment = await this.get(user);
        const { status } = assignment;
        expect(conditionOf(assignment, 'Ready')).toMatchObject({ status: 'True', reason: 'Bound' });
        const { virtualMachine, id } = status;
        if (!virtualMachine || id === undefined) throw new Error(`${user} is bound to nothing: ${JSON.stringify(status)}`);
        expect(id).not.toBe(other?.id);
        return { machine: virtualMachine.name, id, status };
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
  }

  /** Waits until the pool has as many free machines as are wanted, and `assigned` ones, and no other. @returns its status. */
  async untilFull(name: string, assigned: number): Promise<z.infer<typeof poolStatusSchema>> {
    return eventually(
      async () => {
        const shown = await this.lab.dispatcher.kubectl(['get', 'vmpool', this.lab.named(name), '-o', 'json']);
        const pool = poolSchema.parse(JSON.parse(shown));
        const { status } = pool;
        expect(conditionOf(pool, 'Ready')).toMatchObject({ status: 'True', reason: 'PoolReady' });
        const { wanted = 0 } = status;
        expect(status).toMatchObject({ free: wanted, assigned, faulty: 0, creating: 0, total: wanted + assigned });
        return status;
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
  }

  /** What the events of that reason say of an assignment, oldest first. */
  async events(user: string, reason: string): Promise<string[]> {
    const shown = await this.lab.dispatcher.kubectl(['get', 'events', '-o', 'json']);
    const mine = eventsSchema.parse(JSON.parse(shown)).items.filter((event) => {
      const { kind, name } = event.involvedObject;
      return kind === 'VirtualMachineAssignment' && name === user && event.reason === reason;
    });
    return mine.map(({ message }) => message);
  }
}

function declared(kind: string, name: string, spec: object): Manifest {
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind, metadata: { name, namespace: 'default' }, spec };
}
