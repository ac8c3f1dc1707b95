import { ChangeJournal } from './change-journal.js';
import { OrderedIds } from './ordered-ids.js';
import type { ServerRecord } from './records.js';

/** The servers of one project, in the order of Nova's lists: those without a host first, each part the newest first. */
interface ProjectServers {
  readonly scheduling: OrderedIds;
  readonly hosted: OrderedIds;
}

/** Servers, with what their lists need: by project and order, by name, by time of change. Deleted ones stay known by id. */
export class ServerStore {
  readonly #byId = new Map<string, ServerRecord>();
  readonly #byName = new Map<string, Set<string>>();
  readonly #projects = new Map<string, ProjectServers>();
  readonly #journal = new ChangeJournal();
  #sequence = 0;

  /** The number for the next new server. */
  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  /** How many servers of a project are not deleted. */
  count(projectId: string): number {
    const servers = this.#projects.get(projectId);
    return servers === undefined ? 0 : servers.scheduling.size + servers.hosted.size;
  }

  /** The server of that id, deleted ones too. */
  get(id: string): ServerRecord | undefined {
    return this.#byId.get(id);
  }

  /** Puts a new server or a new state of one in its place. */
  put(server: ServerRecord): void {
    this.#place(server);
    const seen = seenAt(server);
    if (seen === null) this.#journal.forget(server.id);
    else if (seen !== this.#journalled.get(server.id)) this.#journal.note(seen, server.id);
    if (seen === null) this.#journalled.delete(server.id);
    else this.#journalled.set(server.id, seen);
  }

  readonly #journalled = new Map<string, number>();

  /** Forgets a server as if it had never been. */
  remove(id: string): void {
    const server = this.#byId.get(id);
    if (server === undefined) return;
    this.#displace(server);
    this.#byId.delete(id);
    this.#journal.forget(id);
    this.#journalled.delete(id);
  }

  /** Takes in servers that were kept, in any order. */
  restore(servers: readonly ServerRecord[]): void {
    for (const server of [...servers].sort((one, other) => one.sequence - other.sequence)) {
      this.#sequence = Math.max(this.#sequence, server.sequence);
      this.#place(server);
    }
    for (const server of [...servers].sort((one, other) => (seenAt(one) ?? 0) - (seenAt(other) ?? 0))) this.put(server);
  }

  /**
   * The servers of a project that are not deleted, in the order of Nova's lists, those after `marker` if one is given.
   * A marker that left the first part of the list meanwhile continues from its place in the second, as in Nova: who walks
   * pages while servers are built can miss some.
   */
  *list(projectId: string, marker?: ServerRecord): Generator<ServerRecord> {
    const servers = this.#projects.get(projectId);
    if (servers === undefined) return;
    const from = marker?.sequence ?? Number.POSITIVE_INFINITY;
    if (marker === undefined || isScheduling(marker)) yield* this.#records(servers.scheduling.below(from));
    const rest = marker === undefined || isScheduling(marker) ? Number.POSITIVE_INFINITY : from;
    yield* this.#records(servers.hosted.below(rest));
  }

  /** The servers of a project with exactly that name but for upper and lower case, the newest first. */
  named(projectId: string, name: string): ServerRecord[] {
    const servers = [...this.#records(this.#byName.get(name.toLowerCase()) ?? [])];
    return servers.filter((server) => server.projectId === projectId).sort(newestFirst);
  }

  /** The servers of a project that changed at `since` or after, deleted ones too, the newest first. */
  changedSince(projectId: string, since: number): ServerRecord[] {
    const servers = [...this.#records(this.#journal.since(since))];
    return servers.filter((server) => server.projectId === projectId).sort(newestFirst);
  }

  /** The projects that have had servers. */
  projects(): string[] {
    return [...this.#projects.keys()];
  }

  /** True while a server of the project is without a host. */
  isBuilding(projectId: string): boolean {
    return (this.#projects.get(projectId)?.scheduling.size ?? 0) > 0;
  }

  *#records(ids: Iterable<string>): Generator<ServerRecord> {
    for (const id of ids) {
      const server = this.#byId.get(id);
      if (server !== undefined) yield server;
    }
  }

  #place(server: ServerRecord): void {
    const before = this.#byId.get(server.id);
    this.#byId.set(server.id, server);
    if (before !== undefined && groupOf(before) === groupOf(server) && before.name === server.name) return;
    if (before !== undefined) this.#displace(before);
    const group = groupOf(server);
    if (group === 'gone') return;
    const project = this.#projects.get(server.projectId) ?? { scheduling: new OrderedIds(), hosted: new OrderedIds() };
    this.#projects.set(server.projectId, project);
    project[group].add(server.sequence, server.id);
    const name = server.name.toLowerCase();
    const namesakes = this.#byName.get(name);
    if (namesakes === undefined) this.#byName.set(name, new Set([server.id]));
    else namesakes.add(server.id);
  }

  #displace(server: ServerRecord): void {
    const group = groupOf(server);
    if (group === 'gone') return;
    this.#projects.get(server.projectId)?.[group].remove(server.sequence);
    const name = server.name.toLowerCase();
    const namesakes = this.#byName.get(name);
    namesakes?.delete(server.id);
    if (namesakes?.size === 0) this.#byName.delete(name);
  }
}

/** True until a host was looked for: such a server is not yet known to any cell of Nova. */
export function isScheduling(server: ServerRecord): boolean {
  return server.taskState === 'scheduling';
}

/** Orders servers as Nova's lists do: those without a host first, each part the newest first. */
function newestFirst(one: ServerRecord, other: ServerRecord): number {
  return Number(isScheduling(other)) - Number(isScheduling(one)) || other.sequence - one.sequence;
}

/** The time by which `changes-since` knows a server; null: it leaves the server out. */
function seenAt(server: ServerRecord): number | null {
  return isScheduling(server) ? server.created : server.updated;
}

function groupOf(server: ServerRecord): 'scheduling' | 'hosted' | 'gone' {
  if (server.vmState === 'deleted') return 'gone';
  return isScheduling(server) ? 'scheduling' : 'hosted';
}
