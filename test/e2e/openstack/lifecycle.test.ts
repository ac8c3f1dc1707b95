import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { conditionOf, Lab, PATIENCE_MS } from '../support/lab.js';
import { describeOnOpenStack, openstack } from '../support/openstack.js';

jest.setTimeout(240_000);

/** A flavor of up.sh that no host has room for. */
const IMPOSSIBLE = 'x1.impossible';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl dispatcher';

describeOnOpenStack('The life of a machine on a real OpenStack', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open('life');
  });
  afterAll(() => lab?.close());

  it('adopts the one server of a name, and says how many there are when it is not one', async () => {
    const id = await lab.nova.create(lab.named('legacy'));
    await lab.apply(lab.machine('legacy', { adopt: { name: lab.named('legacy') }, metadata: { role: 'web' } }));
    const adopted = await lab.until('legacy', { status: 'True' });
    expect(adopted.status.id).toBe(id);
    expect((await lab.server('legacy')).metadata).toMatchObject({ role: 'web', 'dispatcher.uid': adopted.metadata.uid });

    const twins = [await lab.nova.create(lab.named('twin')), await lab.nova.create(lab.named('twin'))];
    await lab.apply(lab.machine('twin', { adopt: { name: lab.named('twin') } }));
    await lab.until('twin', {
      status: 'False',
      reason: 'AdoptionAmbiguous',
      message: expect.stringContaining(`2 servers have the name "${lab.named('twin')}"`),
    });
    await lab.change('twin', { adopt: { name: null, id: twins[1] } });
    expect((await lab.until('twin', { status: 'True' })).status.id).toBe(twins[1]);
    await lab.nova.delete(twins[0] ?? '');
  });

  it('with management Observe shows what it would do, touches nothing, and does it once it may', async () => {
    const id = await lab.nova.create(lab.named('watched'));
    const spec = { adopt: { id }, management: 'Observe', powerState: 'Stopped' } as const;
    await lab.apply(lab.machine('watched', spec));
    const { status } = await lab.until('watched', { status: 'False', reason: 'WouldChange' });
    await eventually(async () => {
      const plan = (await lab.get('watched')).status.plan?.map(({ step }) => step);
      expect(plan).toEqual(['Own', 'Stop']);
    }, PATIENCE_MS);
    expect(status.id).toBe(id);
    expect(await lab.server('watched')).toMatchObject({ id, status: 'ACTIVE', metadata: { by: 'hand' }, tags: [] });
    await lab.change('watched', { management: 'Manage' });
    await lab.until('watched', { status: 'True', reason: 'Stopped' });
    expect((await lab.server('watched')).status).toBe('SHUTOFF');
  });

  it('stops, starts and resizes in place', async () => {
    await lab.apply(lab.machine('changing', { powerState: 'Stopped' }));
    const { status } = await lab.until('changing', { status: 'True', reason: 'Stopped' });
    await lab.change('changing', { powerState: null, flavor: 'm1.small' });
    await lab.until('changing', { status: 'True', reason: 'Running' });
    expect(await lab.server('changing')).toMatchObject({ id: status.id, status: 'ACTIVE', flavor: 'm1.small' });
  });

  it('holds a change that needs another server, and replaces it when that is declared', async () => {
    await lab.apply(lab.machine('replaced', { userData: '#cloud-config\n' }));
    const { status } = await lab.until('replaced', { status: 'True' });
    await lab.change('replaced', { userData: '#cloud-config\nruncmd: [[echo, hello]]\n' });
    await lab.until('replaced', { status: 'False', reason: 'ChangeHeld' });
    expect((await lab.server('replaced')).id).toBe(status.id);
    await lab.change('replaced', { onChange: 'Replace' });
    const after = await lab.until('replaced', { status: 'True' });
    expect(after.status.id).not.toBe(status.id);
    expect((await lab.server('replaced')).id).toBe(after.status.id);
  });

  it('leaves the server behind with deletionPolicy Orphan, and keeps a protected one', async () => {
    await lab.apply(lab.machine('orphan', { deletionPolicy: 'Orphan' }), lab.machine('kept', { protected: true }));
    const { status } = await lab.until('orphan', { status: 'True' });
    await lab.until('kept', { status: 'True' });
    await lab.delete('orphan', 'kept');
    await eventually(async () => {
      const names = (await lab.machines()).map(({ metadata }) => metadata.name);
      expect(names).not.toContain(lab.named('orphan'));
    }, PATIENCE_MS);
    const server = await lab.server('orphan');
    expect(server).toMatchObject({ id: status.id, status: 'ACTIVE', tags: [] });
    expect(Object.keys(server.metadata)).toEqual([]);
    await lab.until('kept', { status: 'False', reason: 'Protected' });
    expect((await lab.server('kept')).status).toBe('ACTIVE');
    await lab.change('kept', { protected: false });
    await eventually(
      async () => expect((await lab.servers()).map(({ name }) => name)).not.toContain(lab.named('kept')),
      PATIENCE_MS,
    );
  });

  it('tells in the words of the cloud why a build fails, and heals when the declaration does', async () => {
    await lab.apply(lab.machine('impossible', { flavor: IMPOSSIBLE }));
    await eventually(async () => {
      const ready = conditionOf(await lab.get('impossible'), 'Ready');
      expect(ready).toMatchObject({ status: 'False', reason: 'BuildFailed', message: expect.stringContaining('No valid host') });
    }, PATIENCE_MS);
    await lab.change('impossible', { flavor: 'm1.tiny' });
    await lab.until('impossible', { status: 'True' }, 120_000);
  });

  it('boots with a key pair that is declared beside it', async () => {
    await lab.apply(lab.machine('keyed', { keyName: lab.named('key') }), {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'KeyPair',
      metadata: { name: lab.named('key'), namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, publicKey: KEY },
    });
    await lab.until('keyed', { status: 'True' });
    expect(await openstack('server', 'show', lab.named('keyed'), '-f', 'value', '-c', 'key_name')).toBe(lab.named('key'));
    await lab.delete('keyed');
    await lab.dispatcher.kubectl(['delete', 'keypair', lab.named('key')]);
    expect(await openstack('keypair', 'list', '-f', 'value', '-c', 'Name')).not.toContain(lab.named('key'));
  });

  it('makes what psql inserts, and says in the status of a bad row what is wrong with it', async () => {
    await lab.dispatcher.psql(
      `INSERT INTO virtual_machines (name, spec) VALUES
         ('${lab.named('by-sql')}', '{"cloudRef": {"name": "lab"}, "image": "cirros-fake", "flavor": "m1.tiny", "networks": "none"}'),
         ('${lab.named('bad-row')}', '{"cloudRef": {"name": "lab"}, "image": 5, "flavour": "m1.tiny"}')`,
    );
    await lab.until('by-sql', { status: 'True' });
    const said = await eventually(async () => {
      const [words] = (
        await lab.dispatcher.psql(
          `SELECT condition ->> 'reason' || ': ' || (condition ->> 'message') FROM virtual_machines,
           jsonb_array_elements(status -> 'conditions') AS condition
         WHERE name = '${lab.named('bad-row')}' AND condition ->> 'type' = 'Stalled'`,
        )
      ).split('\n');
      expect(words).toContain('InvalidSpec');
      return words;
    }, PATIENCE_MS);
    expect(said).toMatch(/spec\.image: must be a string, got 5.*flavour/);
    await lab.dispatcher.psql(`DELETE FROM virtual_machines WHERE name IN ('${lab.named('by-sql')}', '${lab.named('bad-row')}')`);
    await eventually(
      async () => expect((await lab.servers()).map(({ name }) => name)).not.toContain(lab.named('by-sql')),
      PATIENCE_MS,
    );
  });
});
