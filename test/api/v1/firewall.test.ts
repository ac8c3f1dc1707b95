import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { failureOf } from '../../support/v1-client.js';
import { V1Door } from '../../support/v1-door.js';

const HTTP = { node: 's-web', port: 80, protocol: 'tcp', cidr: '192.0.2.0/24' };
const KIND = 'FirewallRule';

let door: V1Door;
beforeEach(async () => {
  door = await V1Door.open();
  await door.machine('web');
  await door.machine('db');
});
afterEach(() => door.close());

const open = (body: object = HTTP) => door.client('POST', '/fw/open', { body });
const close = (body: object = HTTP) => door.client('PUT', '/fw/close', { body });
const ready = () => {
  door.react = (resource) => (resource.kind === KIND ? door.report(resource, { Ready: 'True' }) : undefined);
};
const specs = async () => Object.values(await door.specs(KIND));

describe('POST /fw/open', () => {
  test.each([
    [HTTP, 'TCP', [{ from: 80 }], '192.0.2.0/24'],
    [{ ...HTTP, port: undefined, port_range: [8000, 8100], protocol: 'udp' }, 'UDP', [{ from: 8000, to: 8100 }], '192.0.2.0/24'],
    [{ ...HTTP, port: undefined, port_range: [80, 80] }, 'TCP', [{ from: 80 }], '192.0.2.0/24'],
    [{ ...HTTP, port: undefined, protocol: 'icmp', cidr: '2001:DB8::/32' }, 'ICMP', undefined, '2001:db8::/32'],
  ])('%j declares a rule of the machine’s own', async (body, protocol, ports, cidr) => {
    ready();
    const reply = await open(body);
    expect({ code: reply.code, body: reply.body }).toMatchObject({
      code: 200,
      body: {
        status: 'ok',
        rule: { namespace: 'default', nodes: ['s-web'], direction: 'ingress', cidrs: [cidr], state: 'open' },
      },
    });
    const [rule] = (await door.store.list(KIND)).items;
    expect(rule?.spec).toEqual({
      cloudRef: { name: 'lab' },
      virtualMachineRef: { name: 'web' },
      direction: 'Ingress',
      protocol,
      ...(ports && { ports }),
      cidrs: [cidr],
    });
    const machine = await door.store.get({ kind: 'VirtualMachine', namespace: 'default', name: 'web' });
    expect(rule?.metadata.ownerReferences).toEqual([expect.objectContaining({ name: 'web', uid: machine?.metadata.uid })]);
  });

  test('twice, or by another word for the same, is once', async () => {
    ready();
    const first = await open();
    const second = await open({ ...HTTP, node: undefined, hostname: 'web', port: undefined, port_range: [80, 80] });
    expect([first.code, second.code]).toEqual([200, 200]);
    expect(second.body).toMatchObject({ rule: { name: Object(first.body).rule.name } });
    expect(await specs()).toHaveLength(1);
  });

  test('of another machine, port, protocol or network is another', async () => {
    ready();
    for (const other of [{}, { node: 's-db' }, { port: 81 }, { protocol: 'udp' }, { cidr: '192.0.2.0/25' }])
      expect((await open({ ...HTTP, ...other })).code).toBe(200);
    expect(await specs()).toHaveLength(5);
  });

  test('that is not in force in time is 202, and stands', async () => {
    const reply = await open();
    expect({ code: reply.code, body: reply.body }).toMatchObject({
      code: 202,
      body: {
        message: expect.stringMatching(
          /^Port 80\/tcp for 192\.0\.2\.0\/24 of Node s-web is declared to be open, and is not yet; see /,
        ),
        look_at: expect.stringContaining('/namespaces/default/firewallrules/web-tcp-80-'),
      },
    });
    expect(await specs()).toHaveLength(1);
  });

  test('that cannot come to be is refused with its reason, and taken back', async () => {
    door.react = (resource) => door.report(resource, { Ready: 'False', Stalled: 'True' });
    expect(failureOf(await open())).toEqual({ code: 400, message: 'Tested: Stalled is True' });
    expect(await specs()).toEqual([]);
    expect(door.mutations).toEqual([`create ${KIND} 201`, `delete ${KIND} 200`]);
  });

  test('that cannot come to be, and was declared before, stands', async () => {
    await open();
    const [rule] = (await door.store.list(KIND)).items;
    if (rule) await door.report(rule, { Ready: 'False', Stalled: 'True' });
    expect(failureOf(await open()).code).toBe(400);
    expect(await specs()).toHaveLength(1);
  });

  test('waits for one that is just being closed, and says so if that does not go', async () => {
    ready();
    await open();
    const [rule] = (await door.store.list(KIND)).items;
    if (!rule) throw new Error('no rule');
    const held = await door.store.update({ ...rule, metadata: { ...rule.metadata, finalizers: ['dispatcher.dev/firewall'] } });
    await door.store.delete({ kind: KIND, namespace: 'default', name: rule.metadata.name });
    expect(failureOf(await open())).toEqual({
      code: 409,
      message: expect.stringContaining('is being closed, and is not gone yet'),
    });
    const again = open();
    const going = await door.store.get({ kind: KIND, namespace: 'default', name: held.metadata.name });
    if (going) await door.store.update({ ...going, metadata: { ...going.metadata, finalizers: [] } });
    expect((await again).code).toBe(200);
    expect((await door.store.list(KIND)).items.map(({ metadata }) => metadata.uid)).not.toContain(rule.metadata.uid);
  });

  test('whose rule somebody has changed is refused, and left', async () => {
    ready();
    await open();
    const [rule] = (await door.store.list(KIND)).items;
    if (rule) await door.store.update({ ...rule, spec: { ...Object(rule.spec), cidrs: ['0.0.0.0/0'] } });
    expect(failureOf(await open())).toEqual({ code: 409, message: expect.stringContaining('was changed to say something else') });
  });
});

describe('what does not validate', () => {
  test.each([
    ['no protocol', { protocol: undefined }, 'protocol'],
    ['a protocol that does not exist', { protocol: 'sctp' }, 'protocol'],
    ['no network: nobody opens to the world by leaving something out', { cidr: undefined }, 'cidr'],
    ['a network with host bits', { cidr: '192.0.2.7/24' }, 'cidr'],
    ['no port', { port: undefined }, 'port'],
    ['both a port and a range', { port_range: [80, 81] }, 'port'],
    ['port 0', { port: 0 }, 'port'],
    ['a port beyond all', { port: 65_536 }, 'port'],
    ['a port that is text', { port: '80' }, 'port'],
    ['a range that runs backwards', { port: undefined, port_range: [81, 80] }, 'port_range'],
    ['a range of one', { port: undefined, port_range: [80] }, 'port_range'],
    ['a range of three', { port: undefined, port_range: [80, 81, 82] }, 'port_range'],
    ['a port of icmp', { protocol: 'icmp' }, 'port'],
    ['a range of icmp', { port: undefined, port_range: [1, 2], protocol: 'icmp' }, 'port_range'],
    ['neither node nor hostname', { node: undefined }, 'exactly one of node and hostname'],
    ['both node and hostname', { hostname: 'web' }, 'exactly one of node and hostname'],
    ['an unknown key', { colour: 'red' }, 'colour'],
  ])('%s', async (_what, change, key) => {
    for (const send of [open, close]) {
      const failure = failureOf(await send({ ...HTTP, ...change }));
      expect(failure).toEqual({ code: 400, message: expect.stringMatching(/^Some key doesn't validate the schema - /) });
      expect(failure.message).toContain(key);
    }
    expect(await specs()).toEqual([]);
  });

  test('a machine that is not there', async () => {
    for (const send of [open, close])
      expect(failureOf(await send({ ...HTTP, node: 'absent' }))).toEqual({ code: 400, message: 'no useful node id here' });
  });
});

describe('PUT /fw/close', () => {
  test('withdraws just what was opened', async () => {
    ready();
    await open();
    await open({ ...HTTP, port: 81 });
    const reply = await close();
    expect({ code: reply.code, body: reply.body }).toMatchObject({
      code: 200,
      body: { result: 'Port 80/tcp for 192.0.2.0/24 of Node s-web closed', rule: { port_ranges: [[80, 80]], state: 'closing' } },
    });
    expect((await specs()).map(({ ports }) => ports)).toEqual([[{ from: 81 }]]);
  });

  test('withdraws what says the same, whoever declared it, and nothing that says more or is for others too', async () => {
    const said = { cloudRef: { name: 'lab' }, direction: 'Ingress', protocol: 'TCP', cidrs: ['192.0.2.0/24'] };
    const web = { ...said, virtualMachineRef: { name: 'web' } };
    await door.declare(KIND, 'same', { ...web, ports: [{ from: 80, to: 80 }] });
    await door.declare(KIND, 'more', { ...web, ports: [{ from: 80 }, { from: 443 }] });
    await door.declare(KIND, 'wider', { ...web, ports: [{ from: 80 }], cidrs: ['192.0.2.0/24', '::/0'] });
    await door.declare(KIND, 'outward', { ...web, ports: [{ from: 80 }], direction: 'Egress' });
    await door.declare(KIND, 'all', { ...said, ports: [{ from: 80 }], selector: { matchLabels: {} } });
    expect((await close()).code).toBe(200);
    expect(Object.keys(await door.specs(KIND)).sort()).toEqual(['all', 'more', 'outward', 'wider']);
  });

  test('of what nothing opens is refused', async () => {
    expect(failureOf(await close())).toEqual({
      code: 400,
      message: 'no useful rule here: no FirewallRule opens just Port 80/tcp for 192.0.2.0/24 of Node s-web',
    });
  });

  test('that is not done in time is 202, and is listed as being closed', async () => {
    ready();
    await open();
    const [rule] = (await door.store.list(KIND)).items;
    if (rule) await door.store.update({ ...rule, metadata: { ...rule.metadata, finalizers: ['dispatcher.dev/firewall'] } });
    expect((await close()).code).toBe(202);
    const listed = async (path: string) => Object((await door.client('GET', path)).body).rules;
    expect(await listed('/fw/close')).toEqual([expect.objectContaining({ name: rule?.metadata.name, state: 'closing' })]);
    expect(await listed('/fw/open')).toEqual([]);
    // Asked again, it waits again.
    expect((await close()).code).toBe(202);
  });
});

test('GET /fw/open tells of every rule of the cloud for which machines it is', async () => {
  await door.machine(
    'front',
    { labels: { app: 'web' } },
    { assignment: { name: 'alice', user: 'alice', application: 'galaxy' } },
  );
  const said = { cloudRef: { name: 'lab' }, direction: 'Ingress', protocol: 'TCP', cidrs: ['0.0.0.0/0', '::/0'] };
  await door.declare(KIND, 'labelled', {
    ...said,
    selector: { matchLabels: { app: 'web' } },
    ports: [{ from: 80 }, { from: 1, to: 9 }],
  });
  await door.declare(KIND, 'followed', { ...said, assignmentRef: { name: 'alice' }, protocol: 'Any' });
  await door.declare(KIND, 'named', {
    ...said,
    virtualMachineRef: { name: 'db' },
    direction: 'Egress',
    cidrs: undefined,
    peerRef: { name: 'named' },
  });
  await door.declare(KIND, 'elsewhere', { ...said, cloudRef: { name: 'other' }, virtualMachineRef: { name: 'db' } });
  const failed = await door.declare(KIND, 'failed', { ...said, virtualMachineRef: { name: 'absent' } });
  await door.report(failed, { Ready: 'False', Stalled: 'True' });
  const { body } = await door.client('GET', '/fw/open/lab');
  const rules: { name: string }[] = Object(body).rules;
  expect(rules.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    expect.objectContaining({ name: 'failed', nodes: [], state: 'failed', message: 'Ready is False' }),
    expect.objectContaining({ name: 'followed', nodes: ['s-front'], protocol: 'any', port_ranges: [] }),
    expect.objectContaining({
      name: 'labelled',
      nodes: ['s-front'],
      port_ranges: [
        [80, 80],
        [1, 9],
      ],
      cidrs: ['0.0.0.0/0', '::/0'],
      state: 'opening',
    }),
    expect.objectContaining({ name: 'named', nodes: ['s-db'], direction: 'egress', cidrs: [] }),
  ]);
});
