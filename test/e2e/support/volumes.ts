import { expect } from '@jest/globals';
import { z } from 'zod';
import { type VolumeSpec, volumeStatusSchema } from '../../../src/resources/volume.js';
import { eventually } from '../../support/eventually.js';
import { conditionOf, type Lab, LOOK_EVERY_MS, type Manifest, metadataSchema, PATIENCE_MS } from './lab.js';
import { openstack, openstackJson } from './openstack.js';

const volumeSchema = z.object({ metadata: metadataSchema, status: volumeStatusSchema.default({}) });
const listSchema = z.object({ items: z.array(volumeSchema) });
const shownSchema = z
  .object({
    ID: z.string(),
    Name: z.string(),
    Status: z.string(),
    Size: z.number(),
    'Attached to': z.array(z.object({ server_id: z.string() })),
    Properties: z.record(z.string(), z.string()),
  })
  .transform(({ ID: id, Name: name, Status: status, Size: size, Properties: metadata, 'Attached to': attached }) => ({
    id,
    name,
    status,
    size,
    metadata,
    servers: attached.map(({ server_id }) => server_id),
  }));

/** A Volume as kubectl shows it. */
export type ShownVolume = z.infer<typeof volumeSchema>;

/** A volume as the stock client shows it. */
export type CloudShownVolume = z.infer<typeof shownSchema>;

/** The volumes of a lab. */
export class Volumes {
  constructor(private readonly lab: Lab) {}

  /** A Volume of the suite of 1 GiB, unless `spec` says otherwise. */
  manifest(name: string, spec: Partial<VolumeSpec> = {}): Manifest {
    return {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Volume',
      metadata: { name: this.lab.named(name), namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, sizeGiB: 1, ...spec },
    };
  }

  /** `kubectl patch` of a volume's spec: null clears a field. */
  async change(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.lab.dispatcher.kubectl(['patch', 'vol', this.lab.named(name), '--type=merge', '-p', JSON.stringify({ spec })]);
  }

  /** `kubectl delete`, without waiting until they are gone. */
  async delete(...names: string[]): Promise<void> {
    await this.lab.dispatcher.kubectl(['delete', 'vol', '--wait=false', ...names.map((name) => this.lab.named(name))]);
  }

  /** All volumes, by kubectl. */
  async all(): Promise<ShownVolume[]> {
    return listSchema.parse(JSON.parse(await this.lab.dispatcher.kubectl(['get', 'vol', '-o', 'json']))).items;
  }

  /** Waits until what is said of the present declaration is as given. */
  until(name: string, ready: { status: string; reason?: string; message?: unknown }): Promise<ShownVolume> {
    return eventually(
      async () => {
        const shown = await this.lab.dispatcher.kubectl(['get', 'vol', this.lab.named(name), '-o', 'json']);
        const volume = volumeSchema.parse(JSON.parse(shown));
        const { generation } = volume.metadata;
        expect(conditionOf(volume, 'Ready')).toMatchObject({ ...ready, observedGeneration: generation });
        return volume;
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
  }

  /** Waits until that record is gone. */
  untilGone(name: string): Promise<void> {
    return eventually(
      async () => expect((await this.all()).map(({ metadata }) => metadata.name)).not.toContain(this.lab.named(name)),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
  }

  /** The suite's volumes, by the stock client. */
  async inCloud(): Promise<CloudShownVolume[]> {
    const all = await openstackJson(z.array(shownSchema), 'volume', 'list', '--long');
    return all.filter(({ name }) => name.startsWith(`${this.lab.suite}-`));
  }

  /** The one volume of that name, by the stock client. */
  async shown(name: string): Promise<CloudShownVolume> {
    const [volume, ...others] = (await this.inCloud()).filter((one) => one.name === this.lab.named(name));
    if (!volume || others.length > 0)
      throw new Error(`${volume ? others.length + 1 : 0} volumes are named ${this.lab.named(name)}`);
    return volume;
  }

  /** Removes whatever volumes of the suite are left in the cloud, with the stock client. */
  async sweep(): Promise<void> {
    const left = (await this.inCloud()).map(({ id }) => id);
    if (left.length > 0) await openstack('volume', 'delete', ...left);
  }
}
