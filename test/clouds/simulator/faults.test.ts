import { afterEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { newServer, simulate, type User } from '../../support/simulator.js';

const SERVERS = '/compute/v2.1/servers';
const names = z.object({ servers: z.array(z.object({ name: z.string() })) });

describe('the faults that knobs make', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  afterEach(() => simulator.close());

  const listed = async (user: User) => {
    const { body } = await user.ask('GET', SERVERS);
    return names.parse(body).servers.map(({ name }) => name);
  };

  it('answers 429 with Retry-After above the rate limit, and serves again when the knob is turned back', async () => {
    simulator = await simulate();
    const demo = await simulator.logIn();
    simulator.setKnobs({ rateLimit: 1 });
    const answers = await Promise.all(Array.from({ length: 4 }, () => demo.ask('GET', SERVERS)));
    const limited = answers.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(0);
    expect(Number(limited[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(limited[0]?.body).toMatchObject({ overLimit: { code: 429 } });
    expect(simulator.calls()['nova 429']).toBe(limited.length);
    simulator.setKnobs({ rateLimit: 0 });
    expect((await demo.ask('GET', SERVERS)).status).toBe(200);
  });

  it('answers 503 without effect', async () => {
    simulator = await simulate();
    const demo = await simulator.logIn();
    simulator.setKnobs({ errorRate: 1 });
    expect((await demo.ask('POST', SERVERS, newServer(), '2.79')).status).toBe(503);
    simulator.setKnobs({ errorRate: 0 });
    expect(await listed(demo)).toEqual([]);
  });

  it('resets the connection of a create that it makes', async () => {
    simulator = await simulate();
    const demo = await simulator.logIn();
    simulator.setKnobs({ lostReplyRate: 1 });
    await expect(demo.ask('POST', SERVERS, newServer({ name: 'lost' }), '2.79')).rejects.toThrow();
    expect(await listed(demo)).toEqual(['lost']);
  });

  it('resets the connection of a create at once, and makes it later', async () => {
    simulator = await simulate();
    const demo = await simulator.logIn();
    simulator.setKnobs({ lateEffectRate: 1, lateEffectDelay: 300 });
    await expect(demo.ask('POST', SERVERS, newServer({ name: 'late' }), '2.79')).rejects.toThrow();
    expect(await listed(demo)).toEqual([]);
    await eventually(async () => expect(await listed(demo)).toEqual(['late']));
  });

  it('leaves a server in BUILD for good, which then takes only DELETE', async () => {
    simulator = await simulate({ stuckBuildRate: 1 });
    const demo = await simulator.logIn();
    await demo.ask('POST', SERVERS, newServer(), '2.79');
    const found = z.object({ servers: z.array(z.looseObject({ id: z.string() })) });
    const [server] = found.parse((await demo.ask('GET', `${SERVERS}/detail`)).body).servers;
    expect(server).toMatchObject({ status: 'BUILD', 'OS-EXT-STS:task_state': 'scheduling' });
    expect((await demo.ask('POST', `${SERVERS}/${server?.id}/action`, { 'os-stop': null })).status).toBe(404);
    expect((await demo.ask('DELETE', `${SERVERS}/${server?.id}`)).status).toBe(204);
    expect(await listed(demo)).toEqual([]);
  });

  it('lets a part of the servers fail, the same ones for the same seed', async () => {
    const outcomes = [];
    for (const _ of [1, 2]) {
      simulator = await simulate({ buildErrorRate: 0.5, seed: 42 });
      const demo = await simulator.logIn();
      for (let count = 0; count < 20; count += 1) await demo.ask('POST', SERVERS, newServer({ name: `n-${count}` }), '2.79');
      const found = z.object({ servers: z.array(z.object({ name: z.string(), status: z.string() })) });
      const { servers } = found.parse((await demo.ask('GET', `${SERVERS}/detail`)).body);
      outcomes.push(servers.map(({ status }) => status));
      await simulator.close();
    }
    simulator = await simulate();
    expect(outcomes[0]).toEqual(outcomes[1]);
    expect(new Set(outcomes[0])).toEqual(new Set(['ACTIVE', 'ERROR']));
  });

  it('lets a token end after the time that the knob says', async () => {
    simulator = await simulate({ tokenTtl: 1000 });
    const demo = await simulator.logIn();
    await eventually(async () => expect((await demo.ask('GET', SERVERS)).status).toBe(401));
    expect((await (await simulator.logIn()).ask('GET', '/image/v2/images')).status).toBeLessThan(402);
  });

  it('turns knobs over HTTP, refuses what is out of range, and counts calls', async () => {
    simulator = await simulate();
    const demo = await simulator.logIn();
    expect(await demo.ask('PUT', '/knobs', { pageSize: 3 })).toMatchObject({ status: 200, body: { knobs: { pageSize: 3 } } });
    expect((await demo.ask('GET', '/knobs')).body).toMatchObject({ knobs: { pageSize: 3 }, help: expect.any(Array) });
    expect((await demo.ask('PUT', '/knobs', { pageSize: 0 })).status).toBe(400);
    expect((await demo.ask('PUT', '/knobs', { noSuchKnob: 1 })).status).toBe(400);
    expect(simulator.knobs().pageSize).toBe(3);
    await demo.ask('GET', SERVERS);
    expect((await demo.ask('GET', '/calls')).body).toMatchObject({ 'nova GET /v2.1/servers': 1 });
  });
});
