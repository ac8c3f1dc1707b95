import { z } from 'zod';
import type { CloudKeyPair, Flavor, Named, Quota } from '../driver.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';
import type { Nova } from './nova.js';

const PAGE = 1000;

const flavorsSchema = z.object({
  flavors: z.array(z.object({ id: z.string(), name: z.string(), ram: z.number(), vcpus: z.number(), disk: z.number() })),
});
const keyPairSchema = z.object({
  keypair: z.object({ name: z.string(), public_key: z.string(), fingerprint: z.string() }),
});
const keyPairsSchema = z.object({ keypairs: z.array(keyPairSchema) });
const limitsSchema = z.object({
  limits: z.object({
    absolute: z.object({
      maxTotalInstances: z.number(),
      totalInstancesUsed: z.number(),
      maxTotalCores: z.number(),
      totalCoresUsed: z.number(),
      maxTotalRAMSize: z.number(),
      totalRAMUsed: z.number(),
    }),
  }),
});
const projectsSchema = z.object({ projects: z.array(z.object({ id: z.string(), name: z.string() })) });

/** Flavors of everybody, and private ones that the project may use. */
export async function listFlavors(nova: Nova, signal?: AbortSignal): Promise<Flavor[]> {
  const found = new Map<string, Flavor>();
  for (let marker: string | undefined; ; ) {
    const query = pageQuery(marker);
    const { data } = await nova.ask({ operation: 'listFlavors', path: `/flavors/detail?${query}`, signal }, flavorsSchema);
    const last = data.flavors.at(-1);
    if (last === undefined || last.id === marker) return [...found.values()];
    for (const { id, name, ram, vcpus, disk } of data.flavors) {
      found.set(id, { id, name, ramMiB: ram, cpus: vcpus, diskGiB: disk });
    }
    marker = last.id;
  }
}

/** The user's: key pairs belong to users, not projects. */
export async function listKeyPairs(nova: Nova, signal?: AbortSignal): Promise<CloudKeyPair[]> {
  const found = new Map<string, CloudKeyPair>();
  for (let marker: string | undefined; ; ) {
    const { data } = await nova.ask(
      { operation: 'listKeyPairs', path: `/os-keypairs?${pageQuery(marker)}`, signal },
      keyPairsSchema,
    );
    const last = data.keypairs.at(-1)?.keypair.name;
    if (last === undefined || last === marker) return [...found.values()];
    for (const { keypair } of data.keypairs) found.set(keypair.name, toKeyPair(keypair));
    marker = last;
  }
}

export async function createKeyPair(nova: Nova, name: string, publicKey: string, signal?: AbortSignal): Promise<CloudKeyPair> {
  const body = { keypair: { name, public_key: publicKey } };
  const call = { operation: 'createKeyPair', method: 'POST', path: '/os-keypairs', body, effect: true, creates: true } as const;
  const { data } = await nova.ask({ ...call, signal }, keyPairSchema);
  return toKeyPair(data.keypair);
}

export async function deleteKeyPair(nova: Nova, name: string, signal?: AbortSignal): Promise<void> {
  const path = `/os-keypairs/${encodeURIComponent(name)}`;
  await nova.call({ operation: 'deleteKeyPair', method: 'DELETE', path, effect: true, signal });
}

export async function getQuota(nova: Nova, signal?: AbortSignal): Promise<Quota> {
  const { data } = await nova.ask({ operation: 'getQuota', path: '/limits', signal }, limitsSchema);
  const limits = data.limits.absolute;
  return {
    instances: limits.maxTotalInstances,
    instancesUsed: limits.totalInstancesUsed,
    cores: limits.maxTotalCores,
    coresUsed: limits.totalCoresUsed,
    ramMiB: limits.maxTotalRAMSize,
    ramUsedMiB: limits.totalRAMUsed,
  };
}

/** The projects that these credentials may be used for. */
export async function listProjects(client: Client, signal?: AbortSignal): Promise<Named[]> {
  const call = { operation: 'listProjects', service: 'identity', method: 'GET', effect: false } as const;
  const response = await client.call({ ...call, url: (endpoint) => `${endpoint}/auth/projects`, signal });
  const parsed = projectsSchema.safeParse(response.body);
  if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
  return parsed.data.projects;
}

function pageQuery(marker: string | undefined): URLSearchParams {
  return new URLSearchParams({ limit: String(PAGE), ...(marker === undefined ? {} : { marker }) });
}

function toKeyPair(keypair: z.infer<typeof keyPairSchema>['keypair']): CloudKeyPair {
  return { name: keypair.name, publicKey: keypair.public_key, fingerprint: keypair.fingerprint };
}
