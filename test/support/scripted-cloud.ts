import type {
  CallReport,
  CloudDriver,
  CloudKeyPair,
  CreateServerRequest,
  Flavor,
  Image,
  Named,
  OwnerTag,
  Quota,
  Server,
  ServerListing,
  Watermark,
} from '../../src/clouds/driver.js';
import { CloudError, type CloudErrorDetails } from '../../src/clouds/errors.js';
import type { Environment } from '../../src/environment.js';
import { ScriptedGroups } from './scripted-groups.js';
import { ScriptedPorts } from './scripted-ports.js';
import { ScriptedVolumes } from './scripted-volumes.js';
import { WithoutServices } from './without-services.js';

/** The calls of a driver. */
export type Operation = Exclude<keyof CloudDriver, 'close'>;

/** A failure of a call, and whether the call had its effect all the same (a reply that was lost). */
interface Failure {
  readonly error: CloudError;
  readonly afterEffect: boolean;
}

/**
 * A cloud in which nothing happens but what a test says: no chance, no builds that end by themselves, no time that passes.
 * Every call is recorded when it arrives. See FakeCloud for one with a weather of its own.
 */
export class ScriptedCloud extends WithoutServices implements CloudDriver {
  /** `createServer web-1`, `deleteServer s1`, `listServers`: in the order in which they arrived. */
  readonly calls: string[] = [];
  /** What each create asked for. */
  readonly requests: CreateServerRequest[] = [];
  images: readonly Image[] = [
    { id: 'image-1', name: 'cirros', usable: true },
    { id: 'image-2', name: 'debian', usable: true },
  ];
  flavors: readonly Flavor[] = [
    { id: '1', name: 'm1.tiny', ramMiB: 512, cpus: 1, diskGiB: 1 },
    { id: '2', name: 'm1.small', ramMiB: 2048, cpus: 1, diskGiB: 20 },
  ];
  networks: readonly Named[] = [{ id: 'network-1', name: 'net' }];
  keyPairs: readonly CloudKeyPair[] = [];
  quota: Quota = { instances: 10, instancesUsed: 1, cores: 20, coresUsed: 1, ramMiB: 51_200, ramUsedMiB: 512 };
  closed = false;
  readonly volumes: ScriptedVolumes;
  readonly ports = new ScriptedPorts((...call) => this.#call(...call));
  readonly groups = new ScriptedGroups((...call) => this.#call(...call));
  /** Is told of every call as it arrives. */
  onCall: (call: string) => void = () => undefined;
  /** As drivers report calls: for whoever counts them. */
  onReport: (report: CallReport) => void = () => undefined;
  readonly #servers = new Map<string, Server>();
  /** When each server changed last, as a count of all changes. */
  readonly #changedAt = new Map<string, number>();
  readonly #failures = new Map<Operation, Failure[]>();
  readonly #down = new Map<Operation, CloudError>();
  readonly #gates = new Map<Operation, Promise<void>>();
  #changes = 0;
  #made = 0;

  constructor(private readonly environment: Environment) {
    super();
    this.volumes = new ScriptedVolumes(
      (...call) => this.#call(...call),
      () => environment.now(),
    );
  }

  /** The servers that are there, by id. */
  get servers(): ReadonlyMap<string, Server> {
    return this.#servers;
  }

  /** Puts a server there, or changes the one of that id: what is not said stays as it is, or as {@link serverOf} makes it. */
  put(id: string, change: Partial<Server> = {}): Server {
    const server = { ...(this.#servers.get(id) ?? serverOf(id)), ...change };
    this.#servers.set(id, server);
    this.#changedAt.set(id, ++this.#changes);
    return server;
  }

  /** Takes a server away at once: somebody deleted it and it is gone. */
  remove(id: string): void {
    this.volumes.release(id);
    this.ports.release(id);
    this.#servers.delete(id);
    this.#changedAt.set(id, ++this.#changes);
  }

  /** The next call of that kind fails; called twice, the one after it too. */
  fail(operation: Operation, error: CloudError, { afterEffect = false } = {}): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), { error, afterEffect }]);
  }

  /** All calls of that kind fail without an effect, until told otherwise. */
  break(operation: Operation, error: CloudError | undefined): void {
    if (error) this.#down.set(operation, error);
    else this.#down.delete(operation);
  }

  /** Calls of that kind wait before their effect until `open` is called; none of them is waiting for a limiter. */
  hold(operation: Operation): { open(): void } {
    let open = () => undefined as undefined;
    this.#gates.set(
      operation,
      new Promise<void>((resolve) => {
        open = () => void resolve();
      }),
    );
    return {
      open: () => {
        this.#gates.delete(operation);
        open();
      },
    };
  }

  /** How many calls of that kind arrived. */
  count(operation: Operation): number {
    return this.calls.filter((call) => call === operation || call.startsWith(`${operation} `)).length;
  }

  listServers(): Promise<ServerListing> {
    // Both as of the arrival: what changes while the call is under way is not in the answer.
    const servers = [...this.#servers.values()];
    const watermark = this.#watermark();
    return this.#call('listServers', '', () => ({ servers, watermark }));
  }

  listChanges(since: Watermark): Promise<ServerListing> {
    const changed = [...this.#changedAt].filter(([, at]) => at > Number(since)).map(([id]) => id);
    const servers = changed.map((id) => this.#servers.get(id) ?? deletedServer(id));
    const watermark = this.#watermark();
    return this.#call('listChanges', '', () => ({ servers, watermark }));
  }

  findServersByName(name: string): Promise<readonly Server[]> {
    return this.#call('findServersByName', name, () => [...this.#servers.values()].filter((server) => server.name === name));
  }

  getServer(id: string): Promise<Server> {
    return this.#call('getServer', id, () => this.#server(id));
  }

  createServer(request: CreateServerRequest, owner: OwnerTag): Promise<Server> {
    this.requests.push(request);
    return this.#call('createServer', request.name, () => {
      const { name, imageId, flavorId, keyName, networks, metadata, tags } = request;
      const key = keyName === undefined ? {} : { keyName };
      const id = `s${this.#made + 1}`;
      if (typeof networks === 'object' && 'portIds' in networks) this.ports.bind(id, networks.portIds);
      this.#made += 1;
      return this.put(id, { name, state: 'Building', owner, imageId, flavorId, metadata, tags, ...key });
    });
  }

  deleteServer(id: string): Promise<void> {
    return this.#call('deleteServer', id, () => {
      if (this.#servers.has(id)) this.put(id, { state: 'Deleting' });
    });
  }

  startServer = (id: string): Promise<void> => this.#change('startServer', id, { state: 'Running' });
  stopServer = (id: string): Promise<void> => this.#change('stopServer', id, { state: 'Stopped' });
  rebootServer = (id: string): Promise<void> => this.#change('rebootServer', id, {});
  rebuildServer = (id: string, imageId: string): Promise<void> => this.#change('rebuildServer', id, { imageId });
  confirmResize = (id: string): Promise<void> => this.#change('confirmResize', id, { state: 'Running' });
  resumeServer = (id: string): Promise<void> => this.#change('resumeServer', id, { state: 'Running' });
  renameServer = (id: string, name: string): Promise<void> => this.#change('renameServer', id, { name });

  resizeServer(id: string, flavorId: string): Promise<void> {
    return this.#change('resizeServer', id, { flavorId, state: 'AwaitingConfirmation' });
  }

  setServerMetadata(id: string, metadata: Readonly<Record<string, string>>, owner: OwnerTag | undefined): Promise<void> {
    return this.#call('setServerMetadata', id, () => {
      const { owner: _before, ...server } = this.#server(id);
      this.#servers.set(id, { ...server, ...(owner ? { owner } : {}) });
      // An owner tag that is not whole lacks the part in the tags: metadata alone do not mend it.
      this.put(id, { metadata, ownerTagWhole: owner !== undefined && server.ownerTagWhole });
    });
  }

  setServerTags(id: string, tags: readonly string[], owner: OwnerTag | undefined): Promise<void> {
    return this.#call('setServerTags', id, () => {
      this.put(id, { tags, ownerTagWhole: owner !== undefined && this.#server(id).owner !== undefined });
    });
  }

  listImages = (): Promise<readonly Image[]> => this.#call('listImages', '', () => this.images);
  listFlavors = (): Promise<readonly Flavor[]> => this.#call('listFlavors', '', () => this.flavors);
  listNetworks = (): Promise<readonly Named[]> => this.#call('listNetworks', '', () => this.networks);
  listProjects = (): Promise<readonly Named[]> => this.#call('listProjects', '', () => []);
  getQuota = (): Promise<Quota> => this.#call('getQuota', '', () => this.quota);
  listKeyPairs = (): Promise<readonly CloudKeyPair[]> => this.#call('listKeyPairs', '', () => this.keyPairs);

  createKeyPair(name: string, publicKey: string): Promise<CloudKeyPair> {
    return this.#call('createKeyPair', name, () => {
      if (this.keyPairs.some((one) => one.name === name)) throw new CloudError('Conflict', `there is a key pair ${name}`);
      const made = { name, publicKey, fingerprint: `fingerprint of ${publicKey.split(' ')[1]}` };
      this.keyPairs = [...this.keyPairs, made];
      return made;
    });
  }

  deleteKeyPair(name: string): Promise<void> {
    return this.#call('deleteKeyPair', name, () => {
      this.keyPairs = this.keyPairs.filter((one) => one.name !== name);
    });
  }

  override listPorts = (...given: Parameters<ScriptedPorts['listPorts']>) => this.ports.listPorts(...given);
  override createPorts = (...given: Parameters<ScriptedPorts['createPorts']>) => this.ports.createPorts(...given);
  override setPortGroups = (...given: Parameters<ScriptedPorts['setPortGroups']>) => this.ports.setPortGroups(...given);
  override disownPort = (...given: Parameters<ScriptedPorts['disownPort']>) => this.ports.disownPort(...given);
  override deletePort = (...given: Parameters<ScriptedPorts['deletePort']>) => this.ports.deletePort(...given);
  override attachPort = (...given: Parameters<ScriptedPorts['attachPort']>) => this.ports.attachPort(...given);
  override listSecurityGroups = (...given: Parameters<ScriptedGroups['listSecurityGroups']>) =>
    this.groups.listSecurityGroups(...given);
  override createSecurityGroups = (...given: Parameters<ScriptedGroups['createSecurityGroups']>) =>
    this.groups.createSecurityGroups(...given);
  override deleteSecurityGroup = (...given: Parameters<ScriptedGroups['deleteSecurityGroup']>) =>
    this.groups.deleteSecurityGroup(...given);
  override createSecurityGroupRules = (...given: Parameters<ScriptedGroups['createSecurityGroupRules']>) =>
    this.groups.createSecurityGroupRules(...given);
  override deleteSecurityGroupRule = (...given: Parameters<ScriptedGroups['deleteSecurityGroupRule']>) =>
    this.groups.deleteSecurityGroupRule(...given);
  override listVolumes = (...given: Parameters<ScriptedVolumes['listVolumes']>) => this.volumes.listVolumes(...given);
  override findVolumesByName = (...given: Parameters<ScriptedVolumes['findVolumesByName']>) =>
    this.volumes.findVolumesByName(...given);
  override getVolume = (...given: Parameters<ScriptedVolumes['getVolume']>) => this.volumes.getVolume(...given);
  override createVolume = (...given: Parameters<ScriptedVolumes['createVolume']>) => this.volumes.createVolume(...given);
  override deleteVolume = (...given: Parameters<ScriptedVolumes['deleteVolume']>) => this.volumes.deleteVolume(...given);
  override extendVolume = (...given: Parameters<ScriptedVolumes['extendVolume']>) => this.volumes.extendVolume(...given);
  override renameVolume = (...given: Parameters<ScriptedVolumes['renameVolume']>) => this.volumes.renameVolume(...given);
  override setVolumeOwner = (...given: Parameters<ScriptedVolumes['setVolumeOwner']>) => this.volumes.setVolumeOwner(...given);
  override attachVolume = (...given: Parameters<ScriptedVolumes['attachVolume']>) => this.volumes.attachVolume(...given);
  override detachVolume = (...given: Parameters<ScriptedVolumes['detachVolume']>) => this.volumes.detachVolume(...given);
  override listVolumeTypes = (...given: Parameters<ScriptedVolumes['listVolumeTypes']>) => this.volumes.listVolumeTypes(...given);

  async close(): Promise<void> {
    this.closed = true;
    await Promise.resolve();
  }

  #change(operation: Operation, id: string, change: Partial<Server>): Promise<void> {
    return this.#call(operation, id, () => {
      this.#server(id);
      this.put(id, change);
    });
  }

  #server(id: string): Server {
    const server = this.#servers.get(id);
    if (!server) throw new CloudError('NotFound', `there is no server ${id}`, { status: 404 });
    return server;
  }

  #watermark(): Watermark {
    return String(this.#changes) as Watermark;
  }

  async #call<Result>(operation: Operation, about: string, act: () => Result): Promise<Result> {
    const call = about === '' ? operation : `${operation} ${about}`;
    const startedAt = this.environment.now();
    this.calls.push(call);
    this.onCall(call);
    const report = (error?: CloudError) =>
      this.onReport({
        operation,
        effect: !/^(list|get|find)/.test(operation),
        status: error ? error.status : 200,
        error: error?.code,
        startedAt,
        durationMs: this.environment.now().getTime() - startedAt.getTime(),
      });
    await this.#gates.get(operation);
    const down = this.#down.get(operation);
    const failure = down ? { error: down, afterEffect: false } : this.#failures.get(operation)?.shift();
    try {
      if (failure && !failure.afterEffect) throw failure.error;
      const result = act();
      if (failure) throw failure.error;
      report();
      return result;
    } catch (error) {
      if (error instanceof CloudError) report(error);
      throw error;
    }
  }
}

/** A server that is running and is nobody's. */
export function serverOf(id: string, over: Partial<Server> = {}): Server {
  return {
    id,
    name: id,
    state: 'Running',
    imageId: 'image-1',
    flavorId: '1',
    metadata: {},
    tags: [],
    ownerTagWhole: true,
    addresses: [],
    createdAt: '2026-01-01T00:00:00Z',
    ...over,
  };
}

/** A failure that a cloud may give. */
export function failure(
  code: CloudError['code'],
  message = `the cloud says ${code}`,
  details: CloudErrorDetails = {},
): CloudError {
  return new CloudError(code, message, details);
}

/** As clouds tell of a server that is gone: without owner and metadata. */
function deletedServer(id: string): Server {
  return serverOf(id, { state: 'Deleted', ownerTagWhole: false });
}
