import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { FilePersistence } from '../../../src/clouds/simulator/file-persistence.js';
import type { SimulatorPersistence } from '../../../src/clouds/simulator/persistence.js';
import { systemEnvironment } from '../../../src/environment.js';
import { eventually } from '../../support/eventually.js';
import { NETWORK, newServer, simulate, type User } from '../../support/simulator.js';

const SERVERS = '/compute/v2.1/servers';
const found = z.object({ servers: z.array(z.looseObject({ id: z.string(), name: z.string() })) });

/** Keeps in memory, as JSON, so that what is no JSON is lost as it would be in a database. */
class MemoryPersistence implements SimulatorPersistence {
  readonly kept = new Map<string, string>();
  saves = 0;
  failing = false;
  /** Called before each save; a save waits for it. */
  before: () => Promise<void> = async () => undefined;

  async load(): Promise<Iterable<readonly [string, unknown]>> {
    return Array.from(this.kept, ([key, text]) => [key, JSON.parse(text)] as const);
  }

  async save(changes: ReadonlyMap<string, unknown>): Promise<void> {
    this.saves += 1;
    const texts = Array.from(changes, ([key, value]) => [key, value === undefined ? undefined : JSON.stringify(value)] as const);
    await this.before();
    if (this.failing) throw new Error('the disk is full');
    for (const [key, text] of texts) {
      if (text === undefined) this.kept.delete(key);
      else this.kept.set(key, text);
    }
  }
}

describe('keeping a simulated cloud', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  afterEach(() => simulator.close());

  const servers = async (user: User) => found.parse((await user.ask('GET', `${SERVERS}/detail`, undefined, '2.79')).body).servers;
  const boot = (user: User, fields: Record<string, unknown> = {}) => user.ask('POST', SERVERS, newServer(fields), '2.79');

  it('brings back servers, addresses, key pairs, volumes and tokens after a restart', async () => {
    const persistence = new MemoryPersistence();
    simulator = await simulate({}, { persistence });
    const demo = await simulator.logIn();
    await boot(demo, { name: 'one', networks: [{ uuid: NETWORK }], tags: ['t'] });
    await boot(demo, { name: 'two' });
    await demo.ask('POST', '/compute/v2.1/os-keypairs', { keypair: { name: 'key' } });
    await demo.ask('POST', '/volume/v3/p/volumes', { volume: { name: 'data', size: 1 } });
    await eventually(async () => expect(await servers(demo)).toMatchObject([{ status: 'ACTIVE' }, { status: 'ACTIVE' }]));
    const before = await servers(demo);
    const { token } = demo;
    await simulator.close();

    simulator = await simulate({}, { persistence });
    const again = await simulator.logIn();
    const local = (text: string) => JSON.parse(text.replaceAll(/127\.0\.0\.1:\d+/g, 'here'));
    expect(local(JSON.stringify(await servers(again)))).toEqual(local(JSON.stringify(before)));
    expect((await again.ask('GET', '/compute/v2.1/os-keypairs')).body).toMatchObject({
      keypairs: [{ keypair: { name: 'key' } }],
    });
    expect((await again.ask('GET', '/volume/v3/p/volumes')).body).toMatchObject({ volumes: [{ name: 'data' }] });
    expect((await again.ask('GET', '/identity/v3/auth/projects')).status).toBe(200);
    const old = await fetch(`${simulator.origin}${SERVERS}`, { headers: { 'x-auth-token': token } });
    expect(old.status).toBe(200);
    const three = await boot(again, { name: 'three', networks: [{ uuid: NETWORK }] });
    expect(three.status).toBe(202);
    await eventually(async () => {
      const addresses = (await servers(again)).flatMap(
        ({ addresses }) => JSON.stringify(addresses).match(/10\.77\.\d+\.\d+/g) ?? [],
      );
      expect(new Set(addresses).size).toBe(2);
    });
  });

  it('brings back security groups, quotas, and volumes in the middle of what they do', async () => {
    const persistence = new MemoryPersistence();
    let now = Date.UTC(2026, 0, 1);
    const environment = { ...systemEnvironment, now: () => new Date(now) };
    const start = () => simulate({ actionTime: 60_000, tokenTtl: 86_400_000 }, { persistence, environment });
    simulator = await start();
    const demo = await simulator.logIn();
    const identified = z.looseObject({ id: z.string() });
    const made = await demo.ask('POST', '/network/v2.0/security-groups', { security_group: { name: 'web' } });
    const group = z.object({ security_group: identified }).parse(made.body).security_group;
    const rule = { security_group_id: group.id, direction: 'ingress', protocol: 'tcp' };
    await demo.ask('POST', '/network/v2.0/security-group-rules', { security_group_rule: rule });
    await demo.ask('DELETE', '/network/v2.0/security-group-rules/d3300000-0000-4000-8000-000000000061');
    const quota = '/network/v2.0/quotas/d3300000000000000000000000000001';
    await (await simulator.logIn('admin')).ask('PUT', quota, { quota: { port: 7 } });
    const server = z.object({ server: identified }).parse((await boot(demo)).body).server.id;
    const volumes: string[] = [];
    for (const name of ['detaching', 'growing', 'going']) {
      const { body } = await demo.ask('POST', '/volume/v3/p/volumes', { volume: { name, size: 1 } });
      volumes.push(z.object({ volume: identified }).parse(body).volume.id);
    }
    const [detaching, growing, going] = volumes;
    const attachments = `${SERVERS}/${server}/os-volume_attachments`;
    now += 60_000;
    await demo.ask('POST', attachments, { volumeAttachment: { volumeId: detaching } });
    now += 60_000;
    await demo.ask('DELETE', `${attachments}/${detaching}`);
    await demo.ask('POST', `/volume/v3/p/volumes/${growing}/action`, { 'os-extend': { new_size: 2 } });
    await demo.ask('DELETE', `/volume/v3/p/volumes/${going}`);
    const groups = (await demo.ask('GET', '/network/v2.0/security-groups')).body;
    await simulator.close();

    now += 60_000;
    simulator = await start();
    const again = await simulator.logIn();
    expect((await again.ask('GET', '/network/v2.0/security-groups')).body).toEqual(groups);
    expect((await again.ask('GET', quota)).body).toMatchObject({ quota: { port: 7 } });
    expect((await again.ask('GET', '/volume/v3/p/volumes/detail')).body).toMatchObject({
      volumes: [
        { id: growing, status: 'available', size: 2 },
        { id: detaching, status: 'available', attachments: [] },
      ],
    });
    expect((await again.ask('GET', attachments)).body).toEqual({ volumeAttachments: [] });
  });

  it('answers a create only when it is kept, so that a killed process loses none that was accepted', async () => {
    const persistence = new MemoryPersistence();
    simulator = await simulate({}, { persistence });
    const demo = await simulator.logIn();
    let proceed: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    persistence.before = () => gate;
    let answered = false;
    const create = boot(demo, { name: 'kept' }).then((answer) => {
      answered = true;
      return answer;
    });
    await eventually(() => expect(simulator.calls()['nova POST /v2.1/servers']).toBe(1));
    await demo.ask('GET', '/knobs');
    expect(answered).toBe(false);
    proceed();
    expect((await create).status).toBe(202);
    expect([...persistence.kept.values()].join()).toContain('"kept"');
  });

  it('keeps many creates with few writes', async () => {
    const persistence = new MemoryPersistence();
    simulator = await simulate({}, { persistence });
    const demo = await simulator.logIn();
    persistence.saves = 0;
    let proceed = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    persistence.before = () => gate;
    const creates = Promise.all(Array.from({ length: 100 }, (_, index) => boot(demo, { name: `n-${index}` })));
    await eventually(() => expect(simulator.calls()['nova POST /v2.1/servers']).toBe(100));
    proceed();
    await creates;
    expect(persistence.saves).toBeLessThan(10);
    expect([...persistence.kept.keys()].filter((key) => key.startsWith('server/'))).toHaveLength(100);
  });

  it('writes nothing for what follows from time alone', async () => {
    const persistence = new MemoryPersistence();
    simulator = await simulate({ buildTime: 30 }, { persistence });
    const demo = await simulator.logIn();
    await boot(demo, { networks: [{ uuid: NETWORK }] });
    const { saves } = persistence;
    await eventually(async () => expect(await servers(demo)).toMatchObject([{ status: 'ACTIVE' }]));
    expect(persistence.saves).toBe(saves);
  });

  it('answers 500 while it cannot keep, and keeps all with the first write that succeeds', async () => {
    const persistence = new MemoryPersistence();
    simulator = await simulate({}, { persistence });
    const demo = await simulator.logIn();
    persistence.failing = true;
    expect((await boot(demo, { name: 'first' })).status).toBe(500);
    persistence.failing = false;
    expect((await boot(demo, { name: 'second' })).status).toBe(202);
    const text = [...persistence.kept.values()].join();
    expect(text).toContain('"first"');
    expect(text).toContain('"second"');
  });

  it.each<{ reason: string; key: string; document: unknown; says: RegExp }>([
    { reason: 'a server without its fields', key: 'server/x', document: { id: 'x' }, says: /server\/x.*sequence/s },
    { reason: 'a server that is a number', key: 'server/x', document: 5, says: /server\/x/ },
    { reason: 'a kind that is not known', key: 'nonsense/x', document: {}, says: /unknown key "nonsense\/x"/ },
  ])('refuses to start from $reason, and says what to do', async ({ key, document, says }) => {
    simulator = await simulate();
    const persistence = new MemoryPersistence();
    persistence.kept.set(key, JSON.stringify(document));
    const start = simulate({}, { persistence });
    await expect(start).rejects.toThrow(says);
    await expect(start).rejects.toThrow(/remove it to begin with an empty cloud/);
  });
});

describe('FilePersistence', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simulator-'));
    path = join(folder, 'cloud.jsonl');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const reopen = async (): Promise<Record<string, unknown>> => {
    const file = new FilePersistence(path);
    const documents = Object.fromEntries(await file.load());
    await file.close();
    return documents;
  };
  const save = async (changes: Record<string, unknown>): Promise<void> => {
    const file = new FilePersistence(path);
    await file.load();
    await file.save(new Map(Object.entries(changes)));
    await file.close();
  };

  it('begins empty, keeps the last of each key, and drops what was removed', async () => {
    expect(await reopen()).toEqual({});
    await save({ a: { n: 1 }, b: 'text' });
    await save({ a: { n: 2 }, b: undefined });
    expect(await reopen()).toEqual({ a: { n: 2 } });
    expect(await readFile(path, 'utf8')).toBe('["a",{"n":2}]\n');
  });

  it('leaves out a last line that a crash cut off', async () => {
    await save({ a: 1, b: 2 });
    await appendFile(path, '["c",{"unfini');
    expect(await reopen()).toEqual({ a: 1, b: 2 });
  });

  it.each<{ reason: string; text: string; line: number }>([
    { reason: 'a broken line in the middle', text: '["a",1]\n["b",\n["c",3]\n', line: 2 },
    { reason: 'another kind of file', text: 'hello\n', line: 1 },
  ])('refuses $reason, names the line, and leaves the file as it is', async ({ text, line }) => {
    await writeFile(path, text);
    await expect(reopen()).rejects.toThrow(`line ${line} is not part of a simulated cloud`);
    expect(await readFile(path, 'utf8')).toBe(text);
  });
});
