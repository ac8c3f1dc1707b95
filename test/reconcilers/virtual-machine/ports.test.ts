import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

const NET = { networks: [{ name: 'net' }], onChange: 'Replace' };

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

/** What was done to the cloud. */
const effects = () =>
  rig.cloud.calls.filter((call) => /^(create|delete|attach|disown)/.test(call) && !call.startsWith('createKeyPair'));
const ready = (name: string) => rig.said('VirtualMachine', name).Ready;

/** The server that the record is bound to runs from now on. */
function runs(name = 'web-1'): void {
  rig.cloud.put(rig.status(name).id ?? '', { state: 'Running' });
}

async function untilBound(name = 'web-1'): Promise<void> {
  await rig.until(`${name} is bound`, () => rig.find('VirtualMachine', name)?.status !== undefined && !!rig.status(name).id);
}

async function untilReady(name = 'web-1'): Promise<void> {
  await rig.until(`${name} is ready`, () => ready(name) === 'True Running', 300_000);
}

describe('a machine with a declared network', () => {
  test('is made with a port of its own, in one call for each and without a write more', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(500);
    rig.journal.length = 0;
    const { metadata } = await rig.declare('web-1', NET);
    await untilBound();
    expect(effects()).toEqual(['createPorts web-1', 'createServer web-1']);
    expect(rig.cloud.ports.requests).toEqual([
      { name: 'web-1', networkId: 'network-1', owner: { installation: INSTALLATION, key: metadata.uid } },
    ]);
    expect(rig.cloud.requests[0]?.networks).toEqual({ portIds: ['p1'] });
    expect(rig.status('web-1').ports).toMatchObject([{ id: 'p1', network: 'network-1', address: '10.0.0.1' }]);
    expect(rig.journal.filter((line) => line.includes('VirtualMachine'))).toEqual([
      'store: update VirtualMachine web-1',
      'store: updateStatus VirtualMachine web-1',
      'store: updateStatus VirtualMachine web-1',
    ]);
  });

  test('shares its calls with others that are declared at the same time', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(500);
    const gate = rig.cloud.hold('createPorts');
    for (let index = 0; index < 40; index += 1) await rig.declare(`web-${index}`, NET);
    await rig.pass(1_000);
    gate.open();
    await rig.until('all are asked for', () => rig.cloud.count('createServer') === 40);
    expect(rig.cloud.count('createPorts')).toBeLessThan(6);
    expect(new Set(rig.cloud.requests.map(({ networks }) => JSON.stringify(networks))).size).toBe(40);
  });

  test('is one of many that a list is taken for now and then', async () => {
    await rig.withReadyMachine('web-1', NET);
    await rig.pass(60_000);
    rig.cloud.calls.length = 0;
    rig.journal.length = 0;
    await rig.pass(600_000);
    expect(effects()).toEqual([]);
    expect(rig.cloud.count('listPorts')).toBe(60);
    expect(rig.journal.filter((line) => line.includes('VirtualMachine'))).toEqual([]);
  });

  test('has what a killed process made, and not another', async () => {
    await rig.declareCloud();
    const { process } = rig.start();
    await rig.pass(500);
    rig.cloud.onCall = (call) => {
      if (call.startsWith('createPorts')) process.kill();
    };
    await rig.declare('web-1', NET);
    await rig.pass(5_000);
    rig.cloud.onCall = () => undefined;
    expect([...rig.cloud.ports.all.keys()]).toEqual(['p1']);
    rig.start();
    await untilBound();
    expect(rig.cloud.requests.map(({ networks }) => networks)).toEqual([{ portIds: ['p1'] }]);
    expect(rig.cloud.ports.requests).toHaveLength(1);
  });

  test('takes the port whose making was not answered, once a list shows it', async () => {
    rig.cloud.fail('createPorts', failure('UnknownOutcome'), { afterEffect: true });
    await rig.declareCloud();
    rig.start();
    await rig.declare('web-1', NET);
    await untilBound();
    expect(rig.cloud.ports.requests).toHaveLength(1);
    expect(rig.status('web-1').ports).toMatchObject([{ id: 'p1' }]);
  });

  test('makes it again when the list shows that it was not made', async () => {
    rig.cloud.fail('createPorts', failure('UnknownOutcome'));
    await rig.declareCloud();
    rig.start();
    await rig.declare('web-1', NET);
    await untilBound();
    expect(rig.cloud.ports.requests).toHaveLength(2);
    expect([...rig.cloud.ports.all.keys()]).toEqual(['p1']);
  });

  test('is not made twice by an attempt that comes late: the port is taken, and its server is found', async () => {
    // Accepted, and listed by nothing until after the settle time.
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await rig.declareCloud();
    rig.start();
    const { metadata } = await rig.declare('web-1', NET);
    await rig.until('the first attempt is sent', () => rig.cloud.count('createServer') === 1);
    const attempt = rig.status('web-1').ledger?.token ?? '';
    rig.cloud.fail('findServersByName', failure('Unavailable'));
    rig.cloud.onCall = (call) => {
      if (call !== 'createServer web-1') return;
      rig.cloud.onCall = () => undefined;
      rig.cloud.ports.bind('s0', ['p1']);
      rig.cloud.put('s0', {
        name: 'web-1',
        state: 'Building',
        owner: { installation: INSTALLATION, uid: metadata.uid, attempt },
      });
    };
    await untilBound();
    expect(rig.status('web-1').id).toBe('s0');
    expect(rig.cloud.servers.size).toBe(1);
    expect(rig.events('web-1')).toContain('Warning Conflict');
  });

  test('has the security groups that rules ask for from the first packet, where the cloud makes the port too', async () => {
    await rig.declareCloud();
    rig.start();
    for (const name of ['web-1', 'plain']) {
      await rig.store.create({
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'FirewallRule',
        metadata: { name, namespace: 'default' },
        spec: { cloudRef: { name: 'lab' }, virtualMachineRef: { name }, direction: 'Ingress', protocol: 'TCP', cidrs: ['::/0'] },
      });
    }
    await rig.declare('web-1', NET);
    await rig.declare('plain');
    await untilBound();
    await untilBound('plain');
    const groups = ['default', expect.stringMatching(/^g\d$/)];
    expect(rig.cloud.ports.requests).toMatchObject([{ name: 'web-1', groupIds: groups }]);
    expect(rig.cloud.requests.map(({ name, groupIds }) => [name, groupIds]).sort()).toEqual([
      ['plain', groups],
      ['web-1', undefined],
    ]);
    expect(rig.cloud.count('setPortGroups')).toBe(0);
  });

  test('waits without a network service, says so, and is made when there is one', async () => {
    rig.cloud.break('listPorts', failure('Unsupported', 'this cloud has no network service'));
    await rig.declareCloud();
    rig.start();
    await rig.declare('web-1', NET);
    await rig.declare('plain');
    await untilBound('plain');
    await rig.pass(60_000);
    expect(rig.said('VirtualMachine', 'web-1')).toEqual({
      Ready: 'False NetworkUnsupported',
      Stalled: 'True NetworkUnsupported',
    });
    rig.cloud.break('listPorts', undefined);
    await untilBound();
  });
});

describe('a port', () => {
  test('stays when the server is replaced, and so does its address', async () => {
    await rig.withReadyMachine('web-1', NET);
    await rig.edit('VirtualMachine', 'web-1', { userData: '#!other' });
    await rig.until('the first server is deleted', () => rig.cloud.count('deleteServer') === 1);
    rig.cloud.remove('s1');
    await rig.until('another is made', () => rig.status('web-1').id === 's2');
    runs();
    await untilReady();
    expect(rig.status('web-1').ports).toMatchObject([{ id: 'p1', address: '10.0.0.1' }]);
    expect(rig.cloud.ports.requests).toHaveLength(1);
  });

  test('is given back to the server that lost it', async () => {
    await rig.withReadyMachine('web-1', NET);
    rig.cloud.ports.detach('p1');
    await rig.until('it is on its server again', () => rig.cloud.ports.all.get('p1')?.serverId === 's1', 60_000);
    await rig.pass(1_000);
    expect(ready('web-1')).toBe('True Running');
    expect(rig.events('web-1')).toContain('Normal AttachPort');
  });

  test('that the loser of two creates took off the winner is given back too, though nothing changed since', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.declare('web-1', NET);
    await untilBound();
    rig.cloud.ports.detach('p1');
    await rig.pass(30_000);
    expect(rig.cloud.count('attachPort')).toBe(0);
    runs();
    await rig.until('it is on its server again', () => rig.cloud.ports.all.get('p1')?.serverId === 's1', 60_000);
  });

  test('that is gone is made anew and attached, and the new address told', async () => {
    await rig.withReadyMachine('web-1', NET);
    rig.cloud.ports.remove('p1');
    await rig.until('another is on the server', () => rig.cloud.ports.all.get('p2')?.serverId === 's1', 60_000);
    await rig.pass(1_000);
    expect(rig.status('web-1').ports).toMatchObject([{ id: 'p2', address: '10.0.0.2' }]);
    expect(rig.eventMessages('web-1')).toContain('make a port: 10.0.0.1 is gone, the address becomes another');
    expect(ready('web-1')).toBe('True Running');
  });

  test('goes with the record, after the server', async () => {
    await rig.withReadyMachine('web-1', NET);
    rig.cloud.calls.length = 0;
    await rig.remove('VirtualMachine', 'web-1');
    await rig.pass(10_000);
    expect(effects()).toEqual(['deleteServer s1']);
    rig.cloud.remove('s1');
    await rig.until('the record is gone', () => rig.find('VirtualMachine', 'web-1') === undefined);
    expect(effects()).toEqual(['deleteServer s1', 'deletePort p1']);
    expect(rig.cloud.ports.all.size).toBe(0);
  });

  test('is left with a server that is left, and is nobody’s then', async () => {
    await rig.withReadyMachine('web-1', { ...NET, deletionPolicy: 'Orphan' });
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('the record is gone', () => rig.find('VirtualMachine', 'web-1') === undefined);
    expect(rig.cloud.ports.all.get('p1')).toMatchObject({ serverId: 's1' });
    expect(rig.cloud.ports.all.get('p1')?.owner).toBeUndefined();
  });

  test('of a network that is not declared any more goes with the old server', async () => {
    rig.cloud.networks = [
      { id: 'network-1', name: 'net' },
      { id: 'network-2', name: 'other' },
    ];
    await rig.withReadyMachine('web-1', NET);
    await rig.edit('VirtualMachine', 'web-1', { networks: [{ name: 'other' }] });
    await rig.until('the first server is deleted', () => rig.cloud.count('deleteServer') === 1);
    rig.cloud.remove('s1');
    await rig.until('another is made', () => rig.status('web-1').id === 's2');
    expect([...rig.cloud.ports.all.values()]).toMatchObject([{ id: 'p2', networkId: 'network-2', serverId: 's2' }]);
  });
});

describe('a port that nobody has', () => {
  const leftOver = (uid: string) => ({ owner: { installation: INSTALLATION, key: uid } });

  test('is deleted when no record has its uid, after the grace period and three lists', async () => {
    await rig.declareCloud({ orphans: { gracePeriod: '5m' } });
    rig.start();
    rig.cloud.ports.put('p9', leftOver('uid-of-nobody'));
    rig.cloud.ports.put('p8', { owner: { installation: 'another', key: 'uid-of-nobody' } });
    rig.cloud.ports.put('p7');
    await rig.pass(290_000);
    expect(rig.cloud.ports.all.size).toBe(3);
    await rig.pass(120_000);
    expect([...rig.cloud.ports.all.keys()]).toEqual(['p8', 'p7']);
  });

  test('is deleted when its record has a server, and names others', async () => {
    await rig.withReadyMachine('web-1', NET);
    rig.cloud.ports.put('p9', leftOver(rig.get('VirtualMachine', 'web-1').metadata.uid));
    await rig.pass(1_200_000);
    expect([...rig.cloud.ports.all.keys()]).toEqual(['p1']);
  });

  test('is kept while its record has no server: it may take it yet', async () => {
    await rig.declareCloud();
    rig.start();
    const { metadata } = await rig.declare('web-1', { ...NET, paused: true });
    rig.cloud.ports.put('p9', leftOver(metadata.uid));
    await rig.pass(1_800_000);
    expect(rig.cloud.ports.all.has('p9')).toBe(true);
  });

  test('is kept while the store cannot be read whole', async () => {
    await rig.declareCloud({ orphans: { gracePeriod: '1s' } });
    rig.start();
    await rig.pass(1_000);
    rig.cloud.ports.put('p9', leftOver('uid-of-nobody'));
    rig.faults = {
      beforeRead: (operation) => {
        if (operation === 'list') throw new Error('the store is away');
      },
    };
    await rig.pass(1_800_000);
    expect(rig.cloud.ports.all.has('p9')).toBe(true);
    rig.faults = {};
    await rig.pass(1_800_000);
    expect(rig.cloud.ports.all.has('p9')).toBe(false);
  });
});
