import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;
beforeEach(async () => {
  rig = new Rig();
  await rig.declareCloud();
});
afterEach(() => rig.stop());

/** What was done for machines: their writes, and the calls of the cloud that are not polls. */
const doings = () =>
  rig.journal.filter(
    (line) => /VirtualMachine|cloud: (create|delete|find|get|set|start|stop|rename|resize)/.test(line) && !/getQuota/.test(line),
  );

/** A dispatcher that has seen the cloud. */
async function atWork() {
  const running = rig.start();
  await rig.pass(500);
  return running;
}

const creates = () => rig.cloud.count('createServer');

describe('one creation', () => {
  test('is, in this order: the finalizer, the ledger, the create, the id', async () => {
    await atWork();
    await rig.declare('web-1', { hostname: 'web', keyName: 'mine', metadata: { role: 'db' }, tags: ['blue'], userData: '#!x' });
    rig.cloud.keyPairs = [{ name: 'mine', publicKey: 'k', fingerprint: 'f' }];
    await rig.pass(1_000);
    expect(doings()).toEqual([
      'store: update VirtualMachine web-1',
      'store: updateStatus VirtualMachine web-1',
      'cloud: createServer web',
      'store: updateStatus VirtualMachine web-1',
    ]);
    const { uid } = rig.get('VirtualMachine', 'web-1').metadata;
    const { ledger } = rig.status('web-1');
    expect(rig.cloud.requests).toEqual([
      {
        name: 'web',
        imageId: 'image-1',
        flavorId: '1',
        keyName: 'mine',
        userData: '#!x',
        metadata: { role: 'db' },
        tags: ['blue'],
      },
    ]);
    expect(rig.cloud.servers.get('s1')?.owner).toEqual({ installation: INSTALLATION, uid, attempt: ledger?.token });
    expect(rig.status('web-1')).toMatchObject({
      id: 's1',
      state: 'Building',
      ledger: { attempt: 1, serverName: 'web' },
      applied: { attempt: ledger?.token, image: 'cirros', imageId: 'image-1', keyName: 'mine' },
    });
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'False Building', Reconciling: 'True Building' });
  });

  test('has its ledger durable before the create leaves', async () => {
    let seen: unknown;
    rig.cloud.onCall = (call) => {
      if (call.startsWith('createServer')) seen = rig.status('web-1').ledger;
    };
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    expect(seen).toMatchObject({ attempt: 1, serverName: 'web-1' });
  });

  test('makes nothing while the ledger cannot be written', async () => {
    rig.faults = {
      beforeWrite: (operation, { kind }) => {
        if (operation === 'updateStatus' && kind === 'VirtualMachine') throw new Error('the store is away');
      },
    };
    await atWork();
    await rig.declare('web-1');
    await rig.pass(300_000);
    expect(creates()).toBe(0);
    rig.faults = {};
    await rig.pass(120_000);
    expect(creates()).toBe(1);
  });

  test('ends Ready, with one write more and without another call', async () => {
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    rig.journal.length = 0;
    rig.cloud.put('s1', { state: 'Running', addresses: [{ network: 'net', address: '10.0.0.1', type: 'Fixed' }] });
    await rig.pass(3_000);
    expect(doings()).toEqual(['store: updateStatus VirtualMachine web-1']);
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'True Running' });
    expect(rig.status('web-1').addresses).toEqual([{ network: 'net', address: '10.0.0.1', type: 'Fixed' }]);
    expect(rig.events('web-1')).toEqual(['Normal Created']);
    expect(rig.eventMessages('web-1')).toEqual(['create server web-1']);
  });

  test('writes nothing more while nothing changes, whatever is polled and audited', async () => {
    await rig.stop();
    rig = new Rig();
    await rig.withReadyMachine();
    rig.journal.length = 0;
    await rig.pass(1_300_000);
    expect(rig.cloud.count('listServers')).toBeGreaterThan(20);
    expect(doings()).toEqual([]);
  });

  test('asks for image, flavor and key pair once for all machines', async () => {
    rig.cloud.keyPairs = [{ name: 'mine', publicKey: 'k', fingerprint: 'f' }];
    rig.start();
    for (let index = 0; index < 20; index += 1) await rig.declare(`web-${index}`, { keyName: 'mine' });
    await rig.pass(1_000);
    expect(creates()).toBe(20);
    for (const list of ['listImages', 'listFlavors', 'listKeyPairs'] as const)
      expect([list, rig.cloud.count(list)]).toEqual([list, 1]);
  });
});

describe('a create that is refused', () => {
  test('closes the ledger, says the words of the cloud, and is tried anew as another attempt', async () => {
    rig.cloud.fail('createServer', failure('Quota', 'Quota exceeded for cores: 21 of 20'));
    await atWork();
    await rig.declare('web-1');
    await rig.until(
      'the refusal is told',
      () => rig.find('VirtualMachine', 'web-1')?.status !== undefined && !!rig.status('web-1').ledger?.closed,
    );
    expect(rig.status('web-1').ledger).toMatchObject({ attempt: 1, closed: 'refused: Quota exceeded for cores: 21 of 20' });
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'False Quota', Reconciling: 'True Quota' });
    expect(rig.message('VirtualMachine', 'web-1')).toContain('Quota exceeded for cores: 21 of 20');
    expect(rig.message('VirtualMachine', 'web-1')).toContain('raise the quota');
    await rig.until('it is bound', () => !!rig.status('web-1').id, 60_000);
    await rig.pass(1_000);
    expect(rig.status('web-1').ledger).toMatchObject({ attempt: 2 });
    expect(rig.status('web-1').ledger?.closed).toBeUndefined();
    expect(rig.cloud.servers.size).toBe(1);
    expect(rig.events('web-1')).toEqual(['Warning Quota', 'Normal Created']);
  });

  test('as invalid is not tried again until the declaration changes', async () => {
    rig.cloud.break('createServer', failure('Invalid', 'user data is too long'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(300_000);
    expect(creates()).toBe(1);
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'False Invalid', Stalled: 'True Invalid' });
    rig.cloud.break('createServer', undefined);
    await rig.edit('VirtualMachine', 'web-1', { userData: 'short' });
    await rig.pass(1_000);
    expect(creates()).toBe(2);
    expect(rig.status('web-1').id).toBe('s1');
  });

  test('for load is tried again when the cloud allows it', async () => {
    rig.cloud.fail('createServer', failure('RateLimited', 'slow down', { retryAfterMs: 20_000 }));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(19_000);
    expect(creates()).toBe(1);
    await rig.pass(2_000);
    expect(creates()).toBe(2);
  });
});

describe('a create of unknown outcome', () => {
  test('whose server was made is adopted, and not made twice', async () => {
    rig.cloud.fail('createServer', failure('UnknownOutcome', 'the connection was reset'), { afterEffect: true });
    await atWork();
    await rig.declare('web-1');
    await rig.pass(500);
    expect(rig.status('web-1').id).toBeUndefined();
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'False OutcomeUnknown', Reconciling: 'True OutcomeUnknown' });
    await rig.pass(3_000);
    expect(rig.status('web-1').id).toBe('s1');
    expect(rig.events('web-1')).toEqual(['Warning OutcomeUnknown', 'Normal Bound']);
    await rig.pass(300_000);
    expect(creates()).toBe(1);
  });

  test('waits out the settle time, looks at all, asks by name, and only then makes another', async () => {
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(29_000);
    expect(creates()).toBe(1);
    rig.journal.length = 0;
    await rig.pass(3_000);
    const order = rig.journal.filter((line) => /cloud: (listServers|find|create)|store: updateStatus Virt/.test(line));
    expect(order).toEqual([
      'cloud: listServers',
      'cloud: findServersByName web-1',
      'store: updateStatus VirtualMachine web-1',
      'cloud: createServer web-1',
      'store: updateStatus VirtualMachine web-1',
    ]);
    expect(rig.status('web-1').ledger?.attempt).toBe(2);
  });

  test('whose server comes late within the settle time is adopted', async () => {
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(25_000);
    const { uid } = rig.get('VirtualMachine', 'web-1').metadata;
    const attempt = rig.status('web-1').ledger?.token ?? '';
    rig.cloud.put('late', { name: 'web-1', state: 'Building', owner: { installation: INSTALLATION, uid, attempt } });
    await rig.pass(60_000);
    expect(rig.status('web-1').id).toBe('late');
    expect(creates()).toBe(1);
  });

  test('whose server comes after another was made has it deleted, and keeps the one that is bound', async () => {
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(10_000);
    const { uid } = rig.get('VirtualMachine', 'web-1').metadata;
    const attempt = rig.status('web-1').ledger?.token ?? '';
    await rig.until('another is made', () => rig.status('web-1').id === 's1', 60_000);
    rig.cloud.put('twin', { name: 'web-1', state: 'Building', owner: { installation: INSTALLATION, uid, attempt } });
    await rig.pass(20_000);
    expect(rig.status('web-1').id).toBe('s1');
    expect(rig.cloud.calls).toContain('deleteServer twin');
    expect(rig.cloud.calls).not.toContain('deleteServer s1');
    expect(rig.eventMessages('web-1')).toContain('delete server twin: a twin: this record has server s1');
  });

  test('by a kill after the ledger was written makes nothing before the settle time', async () => {
    const first = await atWork();
    rig.faults = {
      afterWrite: (operation, { kind }) => {
        if (operation === 'updateStatus' && kind === 'VirtualMachine') first.process.kill();
      },
    };
    await rig.declare('web-1');
    await rig.until('it was killed', () => !first.process.alive, 60_000);
    rig.faults = {};
    expect(creates()).toBe(0);
    rig.start();
    await rig.pass(29_000);
    expect(creates()).toBe(0);
    await rig.until('it is made', () => !!rig.status('web-1').id, 60_000);
    expect(creates()).toBe(1);
  });

  test('by a kill before the ledger was written makes it at once', async () => {
    const first = await atWork();
    rig.faults = {
      beforeWrite: async (operation, { kind }) => {
        if (operation !== 'updateStatus' || kind !== 'VirtualMachine' || !first.process.alive) return;
        first.process.kill();
        await new Promise(() => undefined);
      },
    };
    await rig.declare('web-1');
    await rig.until('it was killed', () => !first.process.alive, 60_000);
    rig.faults = {};
    rig.start();
    await rig.pass(2_000);
    expect(rig.status('web-1').id).toBe('s1');
    expect(rig.cloud.calls.filter((call) => /find|create/.test(call))).toEqual(['findServersByName web-1', 'createServer web-1']);
  });
});

describe('a create that cannot be sent in time', () => {
  test('is called off at a third of the settle time, and made later as another attempt', async () => {
    const { cloud } = rig;
    const sent: number[] = [];
    const create = cloud.createServer.bind(cloud);
    const full = { limiter: true };
    // A limiter that is full: it waits until it is called off.
    cloud.createServer = async (request, owner, signal?: AbortSignal) => {
      if (!full.limiter) return create(request, owner);
      await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
      sent.push(rig.world.milliseconds);
      throw failure('Unavailable', 'it was called off before it was sent');
    };
    await atWork();
    await rig.declare('web-1');
    await rig.until('it was called off', () => sent.length > 0, 60_000);
    const { ledger } = rig.status('web-1');
    expect((sent[0] ?? 0) - Date.parse(ledger?.at ?? '')).toBe(10_000);
    full.limiter = false;
    await rig.until('it is bound', () => !!rig.status('web-1').id, 60_000);
    expect(rig.status('web-1').ledger?.attempt).toBe(2);
    expect(cloud.count('createServer')).toBe(1);
  });

  test('because its process stood still after the ledger was written is not sent at all', async () => {
    const { world } = rig;
    rig.faults = {
      afterWrite: async (operation, { kind }) => {
        if (operation !== 'updateStatus' || kind !== 'VirtualMachine') return;
        rig.faults = {};
        await new Promise<void>((resolve) => void world.after(15_000, resolve));
      },
    };
    await atWork();
    await rig.declare('web-1');
    await rig.pass(29_000);
    expect(creates()).toBe(0);
    await rig.until('it is bound', () => !!rig.status('web-1').id, 60_000);
    expect(creates()).toBe(1);
    expect(rig.status('web-1').ledger?.attempt).toBe(2);
  });
});

describe('builds that fail', () => {
  test('are deleted, counted in the words of the cloud, and tried again later each time, then said to be stalled', async () => {
    await atWork();
    await rig.declare('web-1');
    for (let round = 1; round <= 4; round += 1) {
      await rig.until(`server ${round} is asked for`, () => rig.cloud.servers.has(`s${round}`), 600_000);
      rig.cloud.put(`s${round}`, { state: 'Error', fault: `No valid host was found (${round})` });
      await rig.until('its deletion is asked for', () => rig.cloud.calls.includes(`deleteServer s${round}`), 60_000);
      rig.cloud.remove(`s${round}`);
    }
    await rig.pass(5_000);
    expect(rig.status('web-1').failures).toMatchObject({ count: 4, message: 'No valid host was found (4)' });
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({ Ready: 'False BuildFailed', Stalled: 'True BuildFailed' });
    rig.cloud.calls.length = 0;
    await rig.until('a fifth is made', () => rig.cloud.servers.has('s5'), 100_000);
    rig.cloud.put('s5', { state: 'Running' });
    await rig.until('it is Ready', () => rig.said('VirtualMachine', 'web-1').Ready === 'True Running', 60_000);
    expect(rig.status('web-1').failures).toBeUndefined();
    expect(creates()).toBe(1);
  });
});

describe('limits.servers', () => {
  test('is never exceeded, however many are declared at once', async () => {
    await rig.edit('Cloud', 'lab', { limits: { servers: 3 } });
    rig.start();
    for (let index = 0; index < 12; index += 1) await rig.declare(`web-${index}`);
    await rig.pass(60_000);
    expect(creates()).toBe(3);
    const said = Array.from({ length: 12 }, (_, index) => rig.said('VirtualMachine', `web-${index}`).Ready);
    expect(said.filter((one) => one === 'False ServerLimitReached')).toHaveLength(9);
  });

  test('counts a create whose reply was lost', async () => {
    await rig.edit('Cloud', 'lab', { limits: { servers: 1 } });
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    await rig.declare('web-2');
    await rig.pass(25_000);
    expect(creates()).toBe(1);
    await rig.pass(60_000);
    expect(rig.status('web-1').id).toBe('s1');
    expect(rig.said('VirtualMachine', 'web-2').Ready).toBe('False ServerLimitReached');
  });

  test('makes the next one soon after there is room again', async () => {
    await rig.edit('Cloud', 'lab', { limits: { servers: 1 } });
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    await rig.declare('web-2');
    await rig.pass(1_000);
    expect(rig.said('VirtualMachine', 'web-2').Ready).toBe('False ServerLimitReached');
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('its deletion is asked for', () => rig.cloud.calls.includes('deleteServer s1'), 10_000);
    rig.cloud.remove('s1');
    await rig.until('web-2 is bound', () => rig.status('web-2').id === 's2', 30_000);
  });

  test('leaves room again after a create was refused, or an attempt came to nothing', async () => {
    await rig.edit('Cloud', 'lab', { limits: { servers: 1 } });
    rig.cloud.fail('createServer', failure('Invalid', 'no'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    await rig.declare('web-2');
    await rig.pass(1_000);
    expect(rig.status('web-2').id).toBe('s1');
  });
});
