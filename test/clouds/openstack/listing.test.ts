import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isCloudError } from '../../../src/clouds/errors.js';
import { type MovableClock, movableClock, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const LIST = /^GET \/compute\/v2\.1\/servers\/detail/;

/** A server as the scripted nova keeps it; the newest stand first. */
interface Row {
  readonly id: string;
  status: string;
  name: string;
  /** Whole seconds since 1970 by the cloud's clock. */
  updated: number;
}

let cloud: ScriptedCloud;
let clock: MovableClock;
let rows: Row[];
let pageSize: number;
let cloudTime: number;
/** Does something to the cloud between two pages. */
let betweenPages: (query: URLSearchParams) => void;

beforeEach(async () => {
  clock = movableClock();
  cloud = await startCloud({ environment: clock });
  rows = [];
  pageSize = 1000;
  cloudTime = Date.UTC(2031, 0, 1);
  betweenPages = () => undefined;
  cloud.on(LIST, ({ path }) => {
    const query = new URL(path, 'http://nova').searchParams;
    betweenPages(query);
    return list(query);
  });
});
afterEach(() => cloud.close());

function list(query: URLSearchParams) {
  const marker = query.get('marker');
  const since = query.get('changes-since');
  const pattern = query.get('name');
  const start = marker === null ? 0 : rows.findIndex((row) => row.id === marker) + 1;
  if (marker !== null && start === 0) {
    return { status: 400, body: { badRequest: { code: 400, message: `marker [${marker}] not found` } } };
  }
  const servers = rows
    .slice(start)
    .filter((row) => (since === null ? row.status !== 'DELETED' : row.updated * 1000 >= Date.parse(since)))
    .filter((row) => query.get('status') === null || row.status === query.get('status'))
    .filter((row) => pattern === null || new RegExp(pattern, 'i').test(row.name))
    .slice(0, Math.min(pageSize, Number(query.get('limit'))))
    .map((row) => ({ ...row, created: '2026-01-01T00:00:00Z', updated: null, metadata: {}, tags: [] }));
  return { status: 200, headers: { date: new Date(cloudTime).toUTCString() }, body: { servers } };
}

const add = (id: string, more: Partial<Row> = {}) =>
  void rows.unshift({ id, status: 'ACTIVE', name: id, updated: cloudTime / 1000, ...more });
const ids = async () => (await cloud.driver.listServers()).servers.map((server) => server.id);
async function callsOf(action: () => Promise<unknown>): Promise<number> {
  const before = cloud.count(LIST);
  await action();
  return cloud.count(LIST) - before;
}

describe('listServers', () => {
  it('finds exactly what is there, whatever came and went between the lists, with pages of any size', async () => {
    const event = fc.oneof(
      fc.record({
        kind: fc.constant('add' as const),
        count: fc.integer({ min: 1, max: 9 }),
        status: fc.constantFrom('ACTIVE', 'BUILD'),
      }),
      fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
      fc.record({ kind: fc.constant('finish' as const) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(900_000) }),
      fc.record({ kind: fc.constant('list' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(event, { maxLength: 30 }), async (size, events) => {
        rows = [];
        pageSize = size;
        let made = 0;
        const driver = cloud.connect({ environment: clock });
        for (const step of [...events, { kind: 'list' as const }]) {
          if (step.kind === 'add') for (let i = 0; i < step.count; i += 1) add(`s${made++}`, { status: step.status });
          if (step.kind === 'remove') rows.splice(step.at % Math.max(1, rows.length), 1);
          if (step.kind === 'finish') for (const row of rows) row.status = 'ACTIVE';
          if (step.kind === 'wait') clock.forward(step.ms);
          if (step.kind !== 'list') continue;
          const found = (await driver.listServers()).servers.map((server) => server.id);
          expect(found.sort()).toEqual(rows.map((row) => row.id).sort());
        }
        await driver.close();
      }),
      { numRuns: 60 },
    );
  });

  it('costs a call a page while nothing happens, and looks beyond its pages again after ten minutes', async () => {
    pageSize = 10;
    for (let i = 0; i < 100; i += 1) add(`s${i}`);
    expect(await callsOf(ids)).toBe(11);
    expect(await callsOf(ids)).toBe(10);
    expect(await callsOf(ids)).toBe(10);
    clock.forward(600_000);
    expect(await callsOf(ids)).toBe(11);
    expect(await callsOf(ids)).toBe(10);
  });

  it.each([
    { reason: 'a known server is not seen', change: () => void rows.splice(50, 1) },
    { reason: 'a server is being built', change: () => add('new', { status: 'BUILD' }) },
    {
      reason: 'the last server seen is not known',
      change: () => void rows.push({ id: 'old', name: '', status: 'ACTIVE', updated: 0 }),
    },
  ])('goes on to the empty page when $reason', async ({ change }) => {
    pageSize = 10;
    for (let i = 0; i < 99; i += 1) add(`s${i}`);
    await ids();
    change();
    expect((await ids()).sort()).toEqual(rows.map((row) => row.id).sort());
    const queries = cloud.requests(LIST).map((request) => new URL(request.path, 'http://nova').searchParams);
    expect(queries.filter((query) => !query.has('status') && !query.has('changes-since'))).toHaveLength(22);
  });

  it.each([
    { reason: 'that is still building', status: 'BUILD' },
    { reason: 'that is done meanwhile', status: 'ACTIVE' },
  ])('misses no server $reason, which slipped to a page that was read already', async ({ status }) => {
    pageSize = 3;
    for (let i = 0; i < 5; i += 1) add(`old${i}`);
    await ids();
    for (let i = 0; i < 5; i += 1) add(`building${i}`, { status: 'BUILD' });
    let page = 0;
    betweenPages = () => {
      page += 1;
      if (page !== 2) return;
      // It is given to a host: nova now shows it before those that it stood behind.
      const [slipping] = rows.splice(4, 1);
      if (slipping !== undefined) rows.unshift({ ...slipping, status, updated: cloudTime / 1000 });
    };
    expect((await ids()).sort()).toEqual(rows.map((row) => row.id).sort());
  });

  it('drops a server that went while it was read', async () => {
    pageSize = 2;
    for (let i = 0; i < 5; i += 1) add(`s${i}`, { status: 'BUILD' });
    let page = 0;
    betweenPages = () => {
      page += 1;
      if (page === 3) for (const row of rows.slice(0, 1)) row.status = 'DELETED';
    };
    expect((await ids()).sort()).toEqual(['s0', 's1', 's2', 's3']);
  });

  it('takes a marker that went without a trace for a list to be begun anew', async () => {
    pageSize = 2;
    for (let i = 0; i < 4; i += 1) add(`s${i}`);
    let page = 0;
    betweenPages = () => {
      page += 1;
      if (page === 2) rows.splice(1, 1);
    };
    const failure = await cloud.driver.listServers().catch((error: unknown) => error);
    expect(isCloudError(failure, 'Unavailable')).toBe(true);
  });

  it('ends when the cloud gives the same page for ever', async () => {
    cloud.on(LIST, () => list(new URLSearchParams({ limit: '2' })));
    add('a');
    add('b');
    const failure = await cloud.driver.listServers().catch((error: unknown) => error);
    expect(isCloudError(failure, 'Unavailable')).toBe(true);
  });
});

describe('listChanges', () => {
  it("asks from before the last look, by the cloud's own clock, and tells deletions", async () => {
    pageSize = 2;
    for (let i = 0; i < 5; i += 1) add(`s${i}`, { updated: cloudTime / 1000 - 3600 });
    const { watermark } = await cloud.driver.listServers();
    expect(watermark).toMatch(/^2030-12-31T23:59:(49|50)Z$/);
    for (const row of rows.slice(1)) row.updated = cloudTime / 1000;
    for (const row of rows.slice(3, 4)) row.status = 'DELETED';
    cloudTime += 30_000;
    const changes = await cloud.driver.listChanges(watermark);
    expect(changes.servers.map((server) => [server.id, server.state])).toEqual([
      ['s3', 'Running'],
      ['s2', 'Running'],
      ['s1', 'Deleted'],
      ['s0', 'Running'],
    ]);
    expect(changes.watermark > watermark).toBe(true);
    expect(await callsOf(() => cloud.driver.listChanges(changes.watermark))).toBe(1);
  });
});

describe('findServersByName', () => {
  it.each(['a.b', 'a+(b)', '^a$', '[ab]', 'a|b', 'a\\b', 'ü b', 'A'])('finds just %p', async (name) => {
    add('right', { name });
    for (const other of ['axb', 'a', 'b', 'ab', `${name}2`, `2${name}`])
      if (other !== name) add(`wrong-${other}`, { name: other });
    expect((await cloud.driver.findServersByName(name)).map((server) => server.id)).toEqual(['right']);
  });
});
