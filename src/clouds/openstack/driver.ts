import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import type { CallReport, CloudDriver, CreateServerRequest } from '../driver.js';
import { isCloudError } from '../errors.js';
import { Limiter, type LimiterCounters, type Limits } from '../limiter.js';
import { createTransport } from '../transport.js';
import { Cinder } from './cinder.js';
import { Client } from './client.js';
import { listImages } from './glance.js';
import type { Credentials, ProjectReference } from './keystone.js';
import { ServerLists } from './listing.js';
import { defaultNetworks, listNetworks, type Network } from './networks.js';
import { Neutron } from './neutron.js';
import { Nova } from './nova.js';
import { attachPort, createPorts, deletePort, disownPort, listPorts, setPortGroups } from './ports.js';
import { createKeyPair, deleteKeyPair, getQuota, listFlavors, listKeyPairs, listProjects } from './project.js';
import {
  createSecurityGroupRules,
  createSecurityGroups,
  deleteSecurityGroup,
  deleteSecurityGroupRule,
  listSecurityGroups,
} from './security-groups.js';
import { Servers } from './servers.js';
import { Volumes } from './volumes.js';

/** What a driver for OpenStack is made with. */
export interface OpenStackOptions {
  /** Keystone's URL, with or without /v3. */
  readonly endpoint: string;
  /** Default: the first region of the catalog that has nova. */
  readonly region?: string;
  /** Not needed with an application credential, which bears one. */
  readonly project?: ProjectReference;
  readonly credentials: Credentials;
  /** PEM, trusted beside the usual authorities. */
  readonly caBundle?: string;
  readonly limits: Limits;
  readonly environment: Environment;
  readonly log: Logger;
  /** Hears of every HTTP call when it has ended. Must not throw. */
  readonly onCall?: (report: CallReport) => void;
  /** For one HTTP call. Default 30000. */
  readonly requestTimeoutMs?: number;
  /** Ours: lets a server that lost its metadata be recognised by what of it is left in its tag. */
  readonly installation?: string;
}

/** A driver whose throttle can be seen and changed while it works. */
export interface OpenStackDriver extends CloudDriver {
  setLimits(limits: Limits): void;
  limiterCounters(): LimiterCounters;
}

const REQUEST_TIMEOUT_MS = 30_000;
/** Creates that leave the network to us share one list of networks for so long. Milliseconds. */
const NETWORKS_SERVE_MS = 30_000;

/** The driver for OpenStack (Queens, nova 2.52, and later; older ones without tags in the create). Connects at the first call. */
export function openStackDriver(options: OpenStackOptions): OpenStackDriver {
  const { environment, log, installation } = options;
  const limiter = new Limiter(environment, options.limits);
  const transport = createTransport({
    environment,
    caBundle: options.caBundle,
    timeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
  });
  const onCall = (report: CallReport) => {
    log.debug({ ...report }, 'cloud call');
    options.onCall?.(report);
  };
  const client = new Client({
    endpoint: options.endpoint,
    region: options.region,
    project: options.project,
    credentials: options.credentials,
    environment,
    transport,
    limiter,
    onCall,
  });
  const nova = new Nova(client);
  const lists = new ServerLists(nova, environment, installation);
  const servers = new Servers(nova, installation);
  const neutron = new Neutron(client);
  const volumes = new Volumes(new Cinder(client), nova);
  const chooseNetworks = networkChooser(neutron, environment);

  const networksOf = async (request: CreateServerRequest, signal?: AbortSignal) => {
    if (typeof request.networks === 'object') return request.networks;
    const { networksAtCreate } = await nova.version();
    if (!networksAtCreate) return undefined;
    return request.networks ?? chooseNetworks(signal);
  };

  return {
    setLimits: (limits) => limiter.configure(limits),
    limiterCounters: () => limiter.counters(),

    listServers: (signal) => lists.all(signal),
    listChanges: (since, signal) => lists.changes(since, signal),
    findServersByName: (name, signal) => lists.named(name, signal),
    getServer: (id, signal) => servers.get(id, signal),
    createServer: async (request, owner, signal) => servers.create(request, await networksOf(request, signal), owner, signal),
    deleteServer: (id, signal) => absentIsDone(servers.delete(id, signal)),

    startServer: (id, signal) => servers.act('startServer', id, { 'os-start': null }, signal),
    stopServer: (id, signal) => servers.act('stopServer', id, { 'os-stop': null }, signal),
    rebootServer: (id, how, signal) => servers.act('rebootServer', id, { reboot: { type: how.toUpperCase() } }, signal),
    rebuildServer: (id, imageId, signal) => servers.act('rebuildServer', id, { rebuild: { imageRef: imageId } }, signal),
    resizeServer: (id, flavorId, signal) => servers.act('resizeServer', id, { resize: { flavorRef: flavorId } }, signal),
    confirmResize: (id, signal) => servers.act('confirmResize', id, { confirmResize: null }, signal),
    resumeServer: (id, from, signal) =>
      servers.act('resumeServer', id, from === 'Paused' ? { unpause: null } : { resume: null }, signal),

    renameServer: (id, name, signal) => servers.rename(id, name, signal),
    setServerMetadata: (id, metadata, owner, signal) => servers.setMetadata(id, metadata, owner, signal),
    setServerTags: (id, tags, owner, signal) => servers.setTags(id, tags, owner, signal),

    listImages: (signal) => listImages(client, signal),
    listFlavors: (signal) => listFlavors(nova, signal),
    listNetworks: async (signal) => (await listNetworks(neutron, signal)).map(({ id, name }) => ({ id, name })),
    listProjects: (signal) => listProjects(client, signal),
    getQuota: (signal) => getQuota(nova, signal),

    listKeyPairs: (signal) => listKeyPairs(nova, signal),
    createKeyPair: (name, publicKey, signal) => createKeyPair(nova, name, publicKey, signal),
    deleteKeyPair: (name, signal) => absentIsDone(deleteKeyPair(nova, name, signal)),

    listPorts: (signal) => listPorts(neutron, signal),
    createPorts: (requests, signal) => createPorts(neutron, requests, signal),
    setPortGroups: (port, groupIds, signal) => setPortGroups(neutron, port, groupIds, signal),
    disownPort: (id, signal) => absentIsDone(disownPort(neutron, id, signal)),
    deletePort: (id, signal) => absentIsDone(deletePort(neutron, id, signal)),
    attachPort: async (serverId, portId, signal) => {
      await neutron.require('attachPort');
      await attachPort(neutron, nova, serverId, portId, signal);
    },

    listSecurityGroups: (signal) => listSecurityGroups(neutron, signal),
    createSecurityGroups: (requests, signal) => createSecurityGroups(neutron, requests, signal),
    deleteSecurityGroup: (id, signal) => absentIsDone(deleteSecurityGroup(neutron, id, signal)),
    createSecurityGroupRules: (rules, signal) => createSecurityGroupRules(neutron, rules, signal),
    deleteSecurityGroupRule: (id, signal) => absentIsDone(deleteSecurityGroupRule(neutron, id, signal)),

    listVolumes: (signal) => volumes.list(signal),
    findVolumesByName: (name, signal) => volumes.named(name, signal),
    getVolume: (id, signal) => volumes.get(id, signal),
    createVolume: (request, owner, signal) => volumes.create(request, owner, signal),
    deleteVolume: (id, signal) => absentIsDone(volumes.delete(id, signal)),
    extendVolume: (id, sizeGiB, inUse, signal) => volumes.extend(id, sizeGiB, inUse, signal),
    renameVolume: (id, name, signal) => volumes.rename(id, name, signal),
    setVolumeOwner: (id, owner, signal) => volumes.setOwner(id, owner, signal),
    attachVolume: (serverId, volumeId, signal) => volumes.attach(serverId, volumeId, signal),
    detachVolume: (serverId, volumeId, signal) => absentIsDone(volumes.detach(serverId, volumeId, signal)),
    listVolumeTypes: (signal) => volumes.types(signal),

    close: () => transport.close(),
  };
}

/** Chooses the networks of a server for which none are named. Many creates share one look. */
function networkChooser(
  neutron: Neutron,
  environment: Environment,
): (signal?: AbortSignal) => Promise<'none' | readonly string[]> {
  let seen: { readonly choice: 'none' | readonly string[]; readonly until: number } | undefined;
  return async (signal) => {
    const now = environment.now().getTime();
    if (seen !== undefined && now < seen.until) return seen.choice;
    seen = {
      choice: defaultNetworks(await networksOrNone(neutron, signal), await neutron.projectId()),
      until: now + NETWORKS_SERVE_MS,
    };
    return seen.choice;
  };
}

/** A cloud without neutron has servers too. */
async function networksOrNone(neutron: Neutron, signal?: AbortSignal): Promise<readonly Network[]> {
  try {
    return await listNetworks(neutron, signal);
  } catch (error) {
    if (isCloudError(error, 'Unsupported')) return [];
    throw error;
  }
}

async function absentIsDone(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isCloudError(error, 'NotFound')) throw error;
  }
}
