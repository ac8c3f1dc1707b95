import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Environment } from '../environment.js';
import { Batch } from './batch.js';
import { Catalog } from './catalog.js';
import type { CloudDriver, CloudKeyPair, Named } from './driver.js';
import { isCloudError } from './errors.js';
import { type ListListener, ListObserver, type ListOptions } from './list-observer.js';
import type {
  CreatePortRequest,
  CreateSecurityGroupRequest,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupTraffic,
} from './network-driver.js';
import { CloudObserver, type ObserverListener, type ObserverSettings } from './observer.js';
import { SharedList } from './shared-list.js';
import type { CloudVolume } from './volume-driver.js';

/** What a cloud's owner may set, live. */
export interface ConnectionSettings extends ObserverSettings {
  /** How long after an attempt of unknown outcome its server may still appear. */
  readonly settleMs: number;
  readonly buildTimeoutMs: number;
  /** Servers of one installation at most; undefined: no limit. */
  readonly serverLimit: number | undefined;
}

/** Whom a connection wakes, by what is observed. */
export interface ConnectionListener {
  readonly servers: ObserverListener;
  readonly ports: ListListener<Port>;
  readonly groups: ListListener<SecurityGroup>;
  readonly volumes: ListListener<CloudVolume>;
}

/** A bulk call for more than this takes so long that others wait for it; two of a kind are under way at once. */
const MOST_AT_ONCE = 100;
const FLIGHTS = 2;

/** A rule to be, and the group that it is to be in. */
type NewRule = SecurityGroupTraffic & { readonly inGroup: string };

/** One cloud, connected: its driver, and what is shared by all that use it. */
export class Connection {
  readonly observer: CloudObserver;
  /** By `server/ID` that has them, by `group/ID` on them, and by `owner/INSTALLATION/UID` of the VirtualMachine whose they are. */
  readonly ports: ListObserver<Port>;
  /** By `owner/INSTALLATION/KEY`; and as `default` the project's own. */
  readonly groups: ListObserver<SecurityGroup>;
  /** By `owner/INSTALLATION/UID` of the Volume whose they are, by `server/ID` that has them, and by `name/NAME`. */
  readonly volumes: ListObserver<CloudVolume>;
  readonly catalog: Catalog;
  readonly volumeTypes: SharedList<Named>;
  readonly keyPairs: SharedList<CloudKeyPair>;
  readonly projects: SharedList<Named>;
  /** Keys and uids of resources whose server is asked for, and may not be in the observation yet. */
  readonly #reserved = new Map<string, string>();
  /** By uid of the resource: when ports were last asked for of which nobody knows whether they were made. */
  readonly #unsurePorts = new Map<string, Date>();
  readonly #newPorts: Batch<CreatePortRequest, Port>;
  readonly #newGroups: Batch<CreateSecurityGroupRequest, SecurityGroup>;
  readonly #newRules: Batch<NewRule, SecurityGroupRule>;
  readonly #stop = new AbortController();
  #settings: ConnectionSettings;
  #running: Promise<unknown> | undefined;

  constructor(
    readonly driver: CloudDriver,
    settings: ConnectionSettings,
    private readonly environment: Environment,
    log: Logger,
    listener: ConnectionListener,
  ) {
    this.#settings = settings;
    this.observer = new CloudObserver(driver, settings, environment, log, listener.servers);
    this.ports = new ListObserver(portsOf(driver), settings, environment, log, listener.ports);
    this.groups = new ListObserver(groupsOf(driver), settings, environment, log, listener.groups);
    this.volumes = new ListObserver(volumesOf(driver), settings, environment, log, listener.volumes);
    this.#newPorts = new Batch((requests) => driver.createPorts(requests), MOST_AT_ONCE, FLIGHTS);
    this.#newGroups = new Batch((requests) => driver.createSecurityGroups(requests), MOST_AT_ONCE, FLIGHTS);
    // neutron takes the rules of one group in a call.
    this.#newRules = new Batch(
      (rules) => driver.createSecurityGroupRules(rules),
      MOST_AT_ONCE,
      FLIGHTS,
      ({ inGroup }) => inGroup,
    );
    this.volumeTypes = new SharedList(() => driver.listVolumeTypes(), environment);
    this.catalog = new Catalog(driver, environment);
    this.keyPairs = new SharedList(() => driver.listKeyPairs(), environment);
    this.projects = new SharedList(() => driver.listProjects(), environment);
  }

  get settings(): ConnectionSettings {
    return this.#settings;
  }

  /** Takes over new settings at once. */
  configure(settings: ConnectionSettings): void {
    this.#settings = settings;
    for (const observer of [this.observer, this.ports, this.groups, this.volumes]) observer.configure(settings);
  }

  /** Starts observing. */
  start(): void {
    const observers = [this.observer, this.ports, this.groups, this.volumes];
    this.#running ??= Promise.all(observers.map((each) => each.run(this.#stop.signal)));
  }

  /** Makes a port, in one call with others that are asked for meanwhile, and knows of it. @throws CloudError as the driver does. */
  async createPort(request: CreatePortRequest): Promise<Port> {
    try {
      const port = await this.#newPorts.ask(request);
      this.ports.note(port);
      return port;
    } catch (error) {
      // A list that begins in the same millisecond may have begun before.
      const since = new Date(this.environment.now().getTime() + 1);
      if (isCloudError(error, 'UnknownOutcome')) this.#unsurePorts.set(request.owner.key, since);
      throw error;
    }
  }

  /** Since when it is not known which ports a resource has: until a list that begins then or later. Undefined: it is known. */
  portsUnsureSince(uid: string): Date | undefined {
    const since = this.#unsurePorts.get(uid);
    const { completeAt } = this.ports.health;
    if (since === undefined || completeAt === undefined || completeAt < since) return since;
    this.#unsurePorts.delete(uid);
    return undefined;
  }

  /** Makes a security group, as {@link createPort} does a port. */
  async createGroup(request: CreateSecurityGroupRequest): Promise<SecurityGroup> {
    const group = await this.#newGroups.ask(request);
    this.groups.note(group);
    return group;
  }

  /** Makes a rule of a security group, as {@link createPort} does a port. */
  async createRule(request: NewRule): Promise<void> {
    const rule = await this.#newRules.ask(request);
    const group = this.groups.get(request.inGroup)?.item;
    if (group && !group.rules.some(({ id }) => id === rule.id)) this.groups.note({ ...group, rules: [...group.rules, rule] });
  }

  /** Takes a rule out of a security group, and knows of it. @throws CloudError as the driver does. */
  async deleteRule(groupId: string, ruleId: string, signal?: AbortSignal): Promise<void> {
    await this.driver.deleteSecurityGroupRule(ruleId, signal);
    const group = this.groups.get(groupId)?.item;
    if (group) this.groups.note({ ...group, rules: group.rules.filter(({ id }) => id !== ruleId) });
  }

  /** True if the server limit leaves room for one of an installation's resource, those counted that others have reserved. */
  hasRoomFor(installation: string, uid: string): boolean {
    const { serverLimit } = this.#settings;
    if (serverLimit === undefined) return true;
    const unseen = [...this.#reserved.values()].filter(
      (other) => other !== uid && this.observer.ownedBy(installation, other).length === 0,
    );
    return this.observer.ownerCount(installation) + unseen.length < serverLimit;
  }

  /** Counts a server of a resource towards the limit, from before it is asked for until {@link free}. */
  reserve(key: string, uid: string): void {
    this.#reserved.set(key, uid);
  }

  /** Takes {@link reserve} back: the server is observed, or none will come. */
  free(key: string): void {
    this.#reserved.delete(key);
  }

  /** Expects nothing more for a resource that is gone. */
  forget(key: string): void {
    this.observer.setMoving(key, false);
    for (const list of [this.ports, this.groups, this.volumes]) list.setPace(key, undefined);
    this.free(key);
  }

  /** Stops observing and frees the driver. Calls in hand end first. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.driver.close();
  }
}

function portsOf(driver: CloudDriver): ListOptions<Port> {
  return {
    what: 'ports',
    list: (signal) => driver.listPorts(signal),
    index: ({ serverId, owner, groupIds }) => [
      ...(serverId === undefined ? [] : [`server/${serverId}`]),
      ...(owner ? [`owner/${owner.installation}/${owner.key}`] : []),
      ...groupIds.map((id) => `group/${id}`),
    ],
    same: (a, b) => isDeepStrictEqual(withoutOrder(a), withoutOrder(b)),
  };
}

/** The revision moves with what nobody here looks at, too. */
function withoutOrder({ revision: _revision, groupIds, ...port }: Port): unknown {
  return { ...port, groupIds: groupIds.toSorted() };
}

function groupsOf(driver: CloudDriver): ListOptions<SecurityGroup> {
  const inOrder = (group: SecurityGroup) => ({ ...group, rules: group.rules.toSorted((a, b) => (a.id < b.id ? -1 : 1)) });
  return {
    what: 'security groups',
    list: (signal) => driver.listSecurityGroups(signal),
    index: ({ owner, isDefault }) => [
      ...(owner ? [`owner/${owner.installation}/${owner.key}`] : []),
      ...(isDefault ? ['default'] : []),
    ],
    same: (a, b) => isDeepStrictEqual(inOrder(a), inOrder(b)),
  };
}

function volumesOf(driver: CloudDriver): ListOptions<CloudVolume> {
  return {
    what: 'volumes',
    list: (signal) => driver.listVolumes(signal),
    index: ({ name, owner, attachments }) => [
      `name/${name}`,
      ...attachments.map(({ serverId }) => `server/${serverId}`),
      ...(owner ? [`owner/${owner.installation}/${owner.uid}`] : []),
    ],
    same: isDeepStrictEqual,
  };
}
