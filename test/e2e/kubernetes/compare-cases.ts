import { stringify } from 'yaml';
import type { Side } from '../support/side.js';

/** Commands that are run on both planes, in a namespace of their own. */
export interface Case {
  /** What must be alike. */
  readonly reason: string;
  run(side: Side, namespace: string): Promise<void>;
}

const API = 'dispatcher.dev/v1alpha1';
const machine = (changes: object = {}, metadata: object = {}) =>
  stringify({
    apiVersion: API,
    kind: 'VirtualMachine',
    metadata: { name: 'web-1', ...metadata },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny', ...changes },
  });
const cloud = (name: string, changes: object = {}) =>
  stringify({ apiVersion: API, kind: 'Cloud', metadata: { name }, spec: { engine: 'simulator', ...changes } });
const ours = (kind: string, name: string, spec: object) => stringify({ apiVersion: API, kind, metadata: { name }, spec });
const recipe = (changes: object = {}) =>
  ours('Recipe', 'galaxy', { image: 'cirros', flavor: 'tiny', applications: ['galaxy'], ...changes });
const pool = (changes: object = {}, name = 'galaxy') =>
  ours('VirtualMachinePool', name, {
    cloudRef: { name: 'lab' },
    recipeRef: { name: 'galaxy' },
    replicas: 5,
    maxSize: 40,
    reclaim: 'Recycle',
    schedules: [{ cron: '0 8 * * 1-5', timeZone: 'Europe/Rome', replicas: 10 }],
    ...changes,
  });
const assignment = (changes: object = {}, name = 'alice') =>
  ours('VirtualMachineAssignment', name, {
    user: 'alice',
    application: 'galaxy',
    poolRef: { name: 'galaxy' },
    ttl: '8h',
    ...changes,
  });
const firewallRule = (changes: object = {}, name = 'web') =>
  ours('FirewallRule', name, {
    cloudRef: { name: 'lab' },
    selector: { matchLabels: { app: 'web' } },
    direction: 'Ingress',
    protocol: 'TCP',
    ports: [{ from: 80 }, { from: 8000, to: 8100 }],
    cidrs: ['0.0.0.0/0', '::/0'],
    ...changes,
  });
const volume = (changes: object = {}, name = 'alice-home') =>
  ours('Volume', name, {
    cloudRef: { name: 'lab' },
    sizeGiB: 10,
    attachTo: { assignmentRef: { name: 'alice' } },
    deletionPolicy: 'Retain',
    ...changes,
  });
const secret = (fields: object, metadata: object = {}) =>
  stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', ...metadata }, ...fields });
const all = (...manifests: readonly string[]) => ({ input: manifests.join('---\n') });
const input = (text: string) => ({ input: text });

const READY = {
  status: {
    conditions: [
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z', reason: 'Running', message: 'all is well' },
    ],
    state: 'Running',
    id: 'server-1',
    addresses: [{ network: 'demo-net', address: '10.0.0.7', type: 'Fixed' }],
  },
};
const report = (status: object = READY) => `patch vm web-1 --subresource=status --type=merge -p '${JSON.stringify(status)}'`;

const eventAbout = (name: string, uid: string, namespace: string, fields: object) =>
  stringify({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.1`, namespace },
    involvedObject: { apiVersion: API, kind: 'VirtualMachine', name, namespace, uid },
    firstTimestamp: '2026-01-02T03:04:05Z',
    lastTimestamp: '2026-01-02T03:04:05Z',
    count: 1,
    source: { component: 'dispatcher' },
    ...fields,
  });
const uidOf = (side: Side, name: string) => side.ask(`get vm ${name} -o jsonpath={.metadata.uid}`);

/** A machine that has been reported on, and two events of which one is about it. */
async function withEvents(side: Side, namespace: string): Promise<void> {
  await side.ask('create -f -', `${machine()}---\n${machine({}, { name: 'web-2' })}`);
  await side.ask(report());
  const created = { reason: 'ServerCreated', message: 'the server is made', type: 'Normal' };
  const failed = { reason: 'BuildFailed', message: 'no host was found', type: 'Warning' };
  await side.ask('create -f -', eventAbout('web-1', await uidOf(side, 'web-1'), namespace, created));
  await side.ask('create -f -', eventAbout('web-2', await uidOf(side, 'web-2'), namespace, failed));
}

/** Three machines with labels. */
async function withThree(side: Side): Promise<void> {
  const three = { 'web-1': 'web', 'web-2': 'web', 'db-1': 'db' };
  const manifests = Object.entries(three).map(([name, role]) => machine({}, { name, labels: { role } }));
  await side.ask('create -f -', manifests.join('---\n'));
}

/** Commands one after another, each without an input. */
const commands =
  (...list: readonly string[]) =>
  async (side: Side) => {
    for (const command of list) await side.run(command);
  };

export const CASES: readonly Case[] = [
  {
    reason: 'apply on the client’s side creates, finds unchanged, changes, and removes what is no longer declared',
    async run(side) {
      await side.run('apply -f -', input(machine({ powerState: 'Stopped', metadata: { role: 'web', tier: 'a' } })));
      await side.run('apply -f -', input(machine({ powerState: 'Stopped', metadata: { role: 'web', tier: 'a' } })));
      await side.run('apply -f -', input(machine({ metadata: { role: 'db' } })));
      await side.run('get vm web-1 -o yaml');
      await side.run('apply view-last-applied vm web-1');
      await side.run('apply -f - -o name', input(machine({ image: 'debian' })));
      await side.run('apply -f - -o yaml', input(machine({ image: 'fedora' })));
    },
  },
  {
    reason: 'apply takes several manifests and a List, and goes on after one that is refused',
    async run(side) {
      await side.run('apply -f -', all(machine(), machine({ colour: 'red' }, { name: 'web-2' }), machine({}, { name: 'web-3' })));
      await side.run('get vm');
      const list = await side.ask('get vm -o yaml');
      await side.run('apply -f -', input(list));
      await side.run('delete -f -', all(machine(), machine({}, { name: 'web-3' })));
    },
  },
  {
    reason: 'apply prunes what a set of manifests holds no more',
    async run(side) {
      const labels = { app: 'shop' };
      await side.run('apply -f -', all(machine({}, { labels }), machine({}, { name: 'web-2', labels })));
      await side.run(
        'apply -f - --prune -l app=shop --prune-allowlist=dispatcher.dev/v1alpha1/VirtualMachine',
        input(machine({}, { labels })),
      );
    },
  },
  {
    reason: 'get shows a table with the columns of the kind, and of wide and of labels',
    async run(side) {
      await side.ask('create -f -', machine({}, { labels: { role: 'web' } }));
      await side.ask('create -f -', machine({ image: 'debian' }, { name: 'web-2' }));
      await side.ask(report());
      await commands(
        'get vm',
        'get vm web-1',
        'get vms web-1 web-2',
        'get virtualmachine -o wide',
        'get virtualmachines.dispatcher.dev --show-labels',
        'get virtualmachines.v1alpha1.dispatcher.dev -L role',
        'get vm --no-headers',
        'get vm --sort-by=.spec.image',
        'get vm/web-1 vm/web-2',
        'get vm --show-kind',
        'get dispatcher',
        'get vm -A --field-selector metadata.name=web-1 -l role=nothing',
        'get vm web-1 --subresource=status',
        'get all',
      )(side);
    },
  },
  {
    reason: 'get in every form of output',
    async run(side) {
      await side.ask('create -f -', machine({ networks: [{ name: 'demo-net' }] }, { labels: { role: 'web' } }));
      await side.ask(report());
      await commands(
        'get vm web-1 -o yaml',
        'get vm web-1 -o json',
        'get vm -o yaml',
        'get vm -o json',
        'get vm -o name',
        'get vm -o jsonpath={.items[*].spec.image}',
        'get vm -o \'jsonpath={range .items[*]}{.metadata.name}{"\\t"}{.status.state}{"\\n"}{end}\'',
        'get vm -o jsonpath-as-json={.items[*].status.conditions}',
        "get vm -o 'go-template={{range .items}}{{.spec.flavor}} {{end}}'",
        'get vm -o custom-columns=NAME:.metadata.name,IMAGE:.spec.image,NONE:.spec.keyName',
        'get vm web-1 -o kyaml',
        'get vm web-1 -o yaml --show-managed-fields',
      )(side);
    },
  },
  {
    reason: 'get of nothing, and of what is not there',
    run: commands(
      'get vm',
      'get vm -A -l no=such',
      'get vm absent',
      'get vm absent --ignore-not-found',
      'get cloud absent',
      'get secret absent',
      'get ns absent',
      'get vm -o yaml',
      'get vm -n no-such-namespace',
      'get unknowns',
      'get virtualmachines.example.com',
      'get vm,unknowns',
      'describe vm absent',
      'delete vm absent',
      'delete vm absent --ignore-not-found',
    ),
  },
  {
    reason: 'describe shows a resource with its events',
    async run(side, namespace) {
      await withEvents(side, namespace);
      await side.run('describe vm web-1');
      await side.run('describe vm');
      await side.run('describe vm web-1 --show-events=false');
      await side.run('describe vm/web-1 vm/web-2 --show-events=false');
      await side.run('describe vm web --show-events=false');
    },
  },
  {
    reason: 'events are listed for all, for one, and by type',
    async run(side, namespace) {
      await side.run('events');
      await side.run('get events');
      await withEvents(side, namespace);
      await commands(
        'events',
        'events --for vm/web-1',
        'events --types=Warning',
        'events --for vm/web-1 -o yaml',
        'get events --sort-by=.metadata.name',
        'get events -o wide --sort-by=.metadata.name',
        'get events --field-selector involvedObject.name=web-2',
        'get events --field-selector type!=Normal,reason=BuildFailed -o name',
        'get ev web-1.1',
        'describe event web-1.1',
        'delete event web-1.1',
      )(side);
    },
  },
  {
    reason: 'apply --server-side keeps who owns what, and refuses what another owns until it is forced',
    async run(side) {
      const as = (manager: string, more = '') => `apply --server-side --field-manager=${manager} ${more} -f -`;
      await side.run(as('ann'), input(machine({ keyName: 'k' }, { labels: { role: 'web' } })));
      await side.run(as('ann'), input(machine({ keyName: 'k' }, { labels: { role: 'web' } })));
      await side.run('get vm web-1 -o yaml --show-managed-fields');
      await side.run(as('bob'), input(machine({ image: 'debian' })));
      await side.run(as('bob'), input(machine({ image: 'debian', flavor: 'large' }, { labels: { role: 'db' } })));
      await side.run('get vm web-1 -o jsonpath={.spec.image}');
      await side.run(as('bob', '--force-conflicts'), input(machine({ image: 'debian' })));
      await side.run('get vm web-1 -o yaml --show-managed-fields');
      await side.run(as('ann'), input(machine()));
      await side.run('patch vm web-1 --type=merge --field-manager=hand -p {"spec":{"flavor":"large"}}');
      await side.run(as('bob'), input(machine({ image: 'debian' })));
      await side.run('get vm web-1 -o yaml --show-managed-fields');
    },
  },
  {
    reason: 'apply --server-side after one on the client’s side, and the other way round',
    async run(side) {
      await side.run('apply -f -', input(machine({ keyName: 'k' })));
      await side.run('apply --server-side -f -', input(machine({ image: 'debian' })));
      await side.run('apply --server-side -f -', input(machine({ image: 'fedora' })));
      await side.run('get vm web-1 -o jsonpath={.spec}');
      await side.run('apply -f -', input(machine({ image: 'suse' })));
      await side.run('get vm web-1 -o jsonpath={.spec}');
      await side.run('create -f -', input(machine({}, { name: 'web-2' })));
      await side.run('apply --server-side --field-manager=ann -f -', input(machine({ image: 'debian' }, { name: 'web-2' })));
    },
  },
  {
    reason: 'diff on both sides says what would change, by its exit status too',
    async run(side) {
      await side.run('diff -f -', input(machine()));
      await side.ask('apply -f -', machine());
      await side.run('diff -f -', input(machine()));
      await side.run('diff -f -', input(machine({ image: 'debian', keyName: 'k' })));
      await side.run('diff -f -', input(machine({ image: 7 })));
      await side.ask('apply --server-side -f -', machine({}, { name: 'web-2' }));
      await side.run('diff --server-side -f -', input(machine({ image: 'debian' }, { name: 'web-2' })));
      await side.run('diff --server-side --field-manager=bob -f -', input(machine({ image: 'debian' }, { name: 'web-2' })));
    },
  },
  {
    reason: 'dry runs say what would be done, and do nothing',
    async run(side) {
      await side.run('create --dry-run=server -f -', input(machine()));
      await side.run('create --dry-run=server -o yaml -f -', input(machine()));
      await side.run('apply --dry-run=server -f -', input(machine()));
      await side.run('apply --server-side --dry-run=server -f -', input(machine()));
      await side.run('apply --dry-run=client -f -', input(machine()));
      await side.run('create --dry-run=server -f -', input(machine({ image: 7 })));
      await side.run('get vm');
      await side.ask('create -f -', machine());
      await commands(
        'label --dry-run=server vm web-1 role=web',
        'annotate --dry-run=server vm web-1 note=text',
        'patch vm web-1 --dry-run=server --type=merge -p {"spec":{"image":"debian"}}',
        'delete --dry-run=server vm web-1',
        'delete --dry-run=server vm --all',
        'create namespace dry --dry-run=server',
        'get ns dry',
        'get vm web-1 -o jsonpath={.spec.image}{.metadata.labels}{.metadata.annotations}{.metadata.generation}',
      )(side);
    },
  },
  {
    reason: 'edit changes, changes nothing, and is refused, through an editor',
    async run(side) {
      await side.ask('create -f -', machine());
      const editor = (name: string, script: string) => side.file(name, `#!/bin/sh\n${script}\n`, 0o700);
      const edit = async (name: string, script: string, command = 'edit vm web-1') =>
        side.run(command, { environment: { KUBE_EDITOR: await editor(name, script) } });
      await edit('debian', 'sed -i "s/image: cirros/image: debian/" "$1"');
      await edit('nothing', 'exit 0');
      await edit('wrong', 'sed -i "s/powerState: .*//; s/flavor: tiny/powerState: Flying\\n  flavor: tiny/" "$1"');
      await edit('empty', ': > "$1"');
      await edit('failing', 'exit 3');
      await edit('status', 'sed -i "s/^spec:/status:\\n  state: Running\\nspec:/" "$1"', 'edit vm web-1 --subresource=status');
      await side.run('get vm web-1 -o yaml');
    },
  },
  {
    reason: 'patch of each type, with what can be wrong in it',
    async run(side) {
      await side.ask('create -f -', machine());
      const patch = (type: string, text: string, more = '') => `patch vm web-1 --type=${type} ${more} -p '${text}'`;
      await commands(
        patch('merge', '{"spec":{"image":"debian","networks":"none"}}'),
        patch('merge', '{"spec":{"image":"debian"}}'),
        patch('merge', '{"spec":{"networks":null}}', '-o yaml'),
        patch(
          'json',
          '[{"op":"replace","path":"/spec/image","value":"fedora"},{"op":"add","path":"/spec/networks","value":"none"}]',
        ),
        patch('json', '[{"op":"test","path":"/spec/image","value":"other"}]'),
        patch('json', '[{"op":"remove","path":"/spec/keyName"}]'),
        patch('json', '[{"op":"remove","path":"/spec/nothing/at/all"}]'),
        patch('json', '[{"op":"jump","path":"/spec"}]'),
        patch('json', '{"op":"remove"}'),
        patch('strategic', '{"spec":{"image":"suse"}}'),
        patch('merge', '{"spec":{"image":7}}'),
        patch('merge', '{"spec":{"colour":"red"}}'),
        patch('merge', '{"spec":{"cloudRef":{"name":"other"}}}'),
        patch('merge', '{"metadata":{"resourceVersion":"1"}}'),
        patch('merge', '{"metadata":{"name":"other"}}'),
        patch('merge', '{"metadata":{"labels":{"a b":"c"}}}'),
        patch('merge', '[]'),
        'patch vm absent --type=merge -p {"spec":{"image":"suse"}}',
        'get vm web-1 -o yaml',
      )(side);
    },
  },
  {
    reason: 'the status is written through its subresource alone',
    async run(side) {
      await side.ask('create -f -', machine());
      await commands(
        'patch vm web-1 --type=merge -p {"status":{"state":"Wrong"}}',
        'patch vm web-1 --type=merge --subresource=status -p {"spec":{"image":"debian"},"status":{"state":"Running"}}',
        'patch vm web-1 --type=merge --subresource=status -p {"status":{"state":7}}',
        'patch vm web-1 --type=merge --subresource=nothing -p {"status":{"state":"Running"}}',
        'get vm web-1 -o yaml',
        'scale vm web-1 --replicas=2',
      )(side);
    },
  },
  {
    reason: 'pools, assignments and recipes are declared, shown in their columns, changed and deleted',
    async run(side) {
      await side.run('apply -f -', all(recipe(), pool(), assignment()));
      await side.run('apply -f -', all(recipe(), pool(), assignment()));
      await side.run('diff -f -', input(pool({ replicas: 7, schedules: [] })));
      await side.run('apply -f -', input(pool({ replicas: 7, schedules: [] })));
      const status = (name: string, fields: object) =>
        `patch ${name} --subresource=status --type=merge -p '${JSON.stringify({ status: fields })}'`;
      const conditions = READY.status.conditions;
      await side.run(
        status('vmpool galaxy', { conditions, wanted: 7, free: 6, assigned: 1, creating: 1, faulty: 0, replicas: 7 }),
      );
      const bound = { name: 'galaxy-0', uid: 'u-1' };
      await side.run(status('vma alice', { conditions, virtualMachine: bound, epoch: 1, addresses: READY.status.addresses }));
      await side.run(status('vma alice', { place: 0 }));
      await side.run(status('recipe galaxy', { conditions, usedBy: ['galaxy'] }));
      await commands(
        'get vmpool',
        'get virtualmachinepools.dispatcher.dev galaxy -o wide',
        'get vmpool galaxy -o yaml',
        'get vma',
        'get vmas alice -o wide',
        'get vma alice -o yaml',
        'get recipe',
        'get recipes galaxy -o wide',
        'get recipe galaxy -o json',
        'get vmpool,vma,recipe -o name',
        'get dispatcher',
        'describe vmpool galaxy',
        'describe vma alice',
        'describe recipe galaxy',
        'explain vmpool.spec.schedules',
        'explain vmpool.spec.template.spec',
        'explain vma.spec',
        'explain vma.status',
        'explain recipe.spec.userData --recursive',
        'patch vma alice --type=merge -p {"spec":{"ttl":"1h"}}',
        'patch vma alice --type=merge -p {"spec":{"user":"bob"}}',
        'patch vma alice --type=json -p [{"op":"remove","path":"/spec/poolRef"}]',
        'patch vmpool galaxy --type=merge -p {"spec":{"cloudRef":{"name":"other"}}}',
        'patch vmpool galaxy --type=merge -p {"spec":{"maxSize":1}}',
        'annotate vma alice dispatcher.dev/active-at=2026-01-02T03:04:05Z',
        'label recipe galaxy role=web',
      )(side);
      await side.run('create -f -', input(pool({ replicas: 41 }, 'bad')));
      await side.run('create -f -', input(pool({ template: { spec: { image: 'a', flavor: 'b' } } }, 'bad')));
      await side.run('create -f -', input(pool({}, 'x'.repeat(59))));
      await side.run('create -f -', input(assignment({ virtualMachineRef: { name: 'a' } }, 'bad')));
      await side.run('create -f -', input(assignment({ ttl: 'long' }, 'bad')));
      await side.run('create -f -', input(recipe({ applications: [] })));
      await side.run(
        'apply --server-side --force-conflicts -f -',
        all(recipe(), pool({ replicas: 6 }), assignment({ priority: 3 })),
      );
      await side.run('delete -f -', all(recipe(), pool(), assignment()));
      await side.run('get vmpool,vma,recipe');
    },
  },
  {
    reason: 'firewall rules and volumes are declared, shown in their columns, changed and deleted',
    async run(side) {
      await side.run('apply -f -', all(firewallRule(), volume()));
      await side.run('apply -f -', all(firewallRule(), volume()));
      await side.run('diff -f -', input(firewallRule({ ports: [{ from: 80 }] })));
      await side.run('apply -f -', input(firewallRule({ ports: [{ from: 80 }] })));
      await side.run('diff -f -', input(volume({ sizeGiB: 20, deletionPolicy: undefined })));
      const status = (name: string, fields: object) =>
        `patch ${name} --subresource=status --type=merge -p '${JSON.stringify({ status: fields })}'`;
      const conditions = READY.status.conditions;
      const securityGroup = { id: 'group-1', name: 'dispatcher-1' };
      await side.run(status('fw web', { conditions, securityGroup, rules: 2, targets: { matched: 3, reached: 2 } }));
      await side.run(status('fw web', { targets: { matched: -1 } }));
      const attachment = { virtualMachine: 'web-1', serverId: 'server-1', device: '/dev/vdb' };
      await side.run(status('vol alice-home', { conditions, id: 'volume-1', state: 'InUse', sizeGiB: 10, attachment }));
      await commands(
        'get fw',
        'get firewallrules.dispatcher.dev web -o wide',
        'get fws web -o yaml',
        'get vol',
        'get vols alice-home -o wide',
        'get volume alice-home -o json',
        'get fw,vol -o name',
        'get dispatcher',
        'describe fw web',
        'describe vol alice-home',
        'explain fw.spec',
        'explain firewallrule.spec.ports',
        'explain fw.status --recursive',
        'explain vol.spec',
        'explain volume.spec.attachTo',
        'explain vol.status',
        'explain vma.spec.ports',
        'patch fw web --type=merge -p {"spec":{"direction":"Egress","protocol":"Any","ports":null}}',
        'patch fw web --type=merge -p {"spec":{"selector":null,"assignmentRef":{"name":"alice"}}}',
        'patch fw web --type=json -p [{"op":"remove","path":"/spec/cidrs"},{"op":"add","path":"/spec/peerRef","value":{"name":"web"}}]',
        'patch fw web --type=merge -p {"spec":{"cloudRef":{"name":"other"}}}',
        'patch vol alice-home --type=merge -p {"spec":{"sizeGiB":20,"attachTo":null}}',
        'patch vol alice-home --type=merge -p {"spec":{"sizeGiB":19}}',
        'patch vol alice-home --type=merge -p {"spec":{"type":"fast"}}',
        'patch vol alice-home --type=merge -p {"spec":{"adopt":{"name":"other"}}}',
        'label fw web role=web',
        'auth can-i create fw',
        'auth can-i delete vol',
      )(side);
      await side.run('create -f -', input(firewallRule({ ports: [{ from: 80 }, { from: 70, to: 90 }] }, 'bad')));
      await side.run('create -f -', input(firewallRule({ cidrs: ['10.0.0.5/8'] }, 'bad')));
      await side.run('create -f -', input(firewallRule({ assignmentRef: { name: 'alice' } }, 'bad')));
      await side.run('create -f -', input(firewallRule({ protocol: 'ICMP' }, 'bad')));
      await side.run('create -f -', input(firewallRule({ protocol: 'SCTP' }, 'bad')));
      await side.run('create -f -', input(volume({ sizeGiB: 0 }, 'bad')));
      await side.run('create -f -', input(volume({ attachTo: {} }, 'bad')));
      await side.run('create -f -', input(volume({ adopt: { id: 'a', name: 'b' } }, 'bad')));
      await side.run('create -f -', input(assignment({ ports: [{ from: 22, protocol: 'TCP' }] }, 'bad')));
      await side.run('apply --server-side --force-conflicts -f -', all(firewallRule({}, 'other'), volume({ sizeGiB: 30 })));
      await side.run('delete -f -', all(firewallRule(), firewallRule({}, 'other'), volume()));
      await side.run('get fw,vol');
    },
  },
  {
    reason: 'a pool is scaled, with every precondition and every form of patch',
    async run(side, namespace) {
      await side.ask('create -f -', pool());
      const patch = (type: string, text: string, more = '') =>
        `patch vmpool galaxy --subresource=scale --type=${type} ${more} -p '${text}'`;
      await commands(
        'scale vmpool galaxy --replicas=3',
        'scale vmpool/galaxy --replicas=4 --current-replicas=3',
        'scale vmpool/galaxy --replicas=5 --current-replicas=3',
        'scale vmpool/galaxy --replicas=6 --dry-run=server',
        'scale vmpool/galaxy --replicas=6 -o name',
        'scale vmpool --all --replicas=7',
        'scale vmpool galaxy --replicas=41',
        'scale vmpool galaxy --replicas=-1',
        'scale vmpool absent --replicas=1',
        'get vmpool galaxy --subresource=scale',
        'get vmpool galaxy --subresource=scale -o yaml',
        'get vmpool galaxy --subresource=scale -o jsonpath={.spec.replicas}',
        'get vmpool absent --subresource=scale',
        patch('merge', '{"spec":{"replicas":8}}', '-o yaml'),
        patch('merge', '{"spec":{"replicas":8}}'),
        patch('json', '[{"op":"replace","path":"/spec/replicas","value":9}]'),
        patch('strategic', '{"spec":{"replicas":8}}'),
        patch('merge', '{"spec":{"replicas":"many"}}'),
        patch('merge', '{"spec":{"replicas":-3}}'),
        patch('merge', '{"spec":{"replicas":41}}'),
        patch('merge', '{"metadata":{"resourceVersion":"1"}}'),
        patch('merge', '{"status":{"replicas":9}}', '-o jsonpath={.status.replicas}'),
        patch('merge', '{"spec":{"replicas":null}}'),
        'get vmpool galaxy -o jsonpath={.spec.replicas}',
        'scale vmpool galaxy --replicas=2 --current-replicas=0',
        'get vmpool galaxy -o jsonpath={.spec.replicas}{.metadata.generation}',
        'patch vmpool galaxy --subresource=status --type=merge -p {"status":{"replicas":2,"selector":"dispatcher.dev/pool=galaxy"}}',
        'get vmpool galaxy --subresource=scale -o jsonpath={.status}',
        'auth can-i patch vmpool --subresource=scale',
        'explain scale --api-version=autoscaling/v1',
      )(side);
      await side.run(`replace --raw /apis/${API}/namespaces/${namespace}/virtualmachinepools/galaxy/scale -f -`, {
        input: JSON.stringify({
          kind: 'Scale',
          apiVersion: 'autoscaling/v1',
          metadata: { name: 'other' },
          spec: { replicas: 1 },
        }),
      });
      await side.run('autoscale vmpool galaxy --min=1 --max=5 --dry-run=client -o name');
      await side.run('apply --server-side --field-manager=git -f -', input(pool({ replicas: 2 })));
      await side.run('scale vmpool galaxy --replicas=3');
      await side.run('apply --server-side --field-manager=git -f -', input(pool({ replicas: 2 })));
      await side.run('get vmpool galaxy -o yaml');
    },
  },
  {
    reason: 'label and annotate set, overwrite, remove, and refuse what is no label',
    async run(side) {
      await side.ask('create -f -', machine());
      await commands(
        'label vm web-1 role=web',
        'label vm web-1 role=web',
        'label vm web-1 role=db',
        'label vm web-1 role=db --overwrite',
        'label vm web-1 --list',
        'label vm --all tier=a',
        'label vm web-1 role-',
        'label vm web-1 nothing-',
        'label vm web-1 bad=a/b',
        'label vm absent role=web',
        "annotate vm web-1 'note=a longer text'",
        'annotate vm web-1 note=other',
        'annotate vm web-1 note=other --overwrite',
        'annotate vm web-1 note-',
        'get vm web-1 -o yaml',
      )(side);
    },
  },
  {
    reason: 'delete by name, by label, by file and all, and what is said of it',
    async run(side) {
      await withThree(side);
      await side.ask('create -f -', machine({}, { name: 'db-2', labels: { role: 'db' } }));
      await commands(
        'delete vm web-1',
        'delete vm web-1 web-2',
        'delete vm -l role=db -o name',
        'get vm',
        'delete vm',
        'delete vm --all',
      )(side);
      await side.run('delete -f -', input(machine()));
      await side.ask('create -f -', machine());
      await side.run('delete -f - --now', input(machine()));
      await side.ask('create -f -', machine());
      await side.run('delete vm web-1 --grace-period=0 --force');
      await side.ask('create -f -', machine());
      await side.run('delete vm --all --cascade=foreground');
    },
  },
  {
    reason: 'a finalizer keeps what is deleted until it goes, and nothing can be added meanwhile',
    async run(side) {
      await side.ask('create -f -', machine({}, { finalizers: ['example.com/hold'] }));
      await commands(
        'delete vm web-1 --wait=false',
        'delete vm web-1 --timeout=1s',
        'get vm web-1 -o yaml',
        'patch vm web-1 --type=merge -p {"metadata":{"finalizers":["example.com/hold","example.com/more"]}}',
        'patch vm web-1 --type=merge -p {"spec":{"image":"debian"}}',
        'describe vm web-1',
      )(side);
      const waiting = side.ask('wait --for=delete vm/web-1 --timeout=30s');
      await side.run('patch vm web-1 --type=json -p [{"op":"remove","path":"/metadata/finalizers"}]');
      await waiting;
      await side.run('get vm web-1');
      await side.run('wait --for=delete vm/web-1 --timeout=30s');
    },
  },
  {
    reason: 'what is owned goes with its owner, or stays without it',
    async run(side) {
      const own = async (owner: string, name: string) => {
        const reference = { apiVersion: API, kind: 'VirtualMachine', name: owner, uid: await uidOf(side, owner) };
        await side.ask('create -f -', machine({}, { name, ownerReferences: [reference] }));
      };
      for (const owner of ['a', 'b', 'c']) {
        await side.ask('create -f -', machine({}, { name: owner }));
        await own(owner, `of-${owner}`);
      }
      await side.run('get vm of-a -o yaml');
      await side.run('delete vm a --cascade=orphan');
      await side.run('get vm of-a -o name');
      await side.run('delete vm b');
      await side.run('wait vm/of-b --for=delete --timeout=30s');
      await side.run('delete vm c --cascade=foreground');
      await side.run('get vm -o name');
    },
  },
  {
    reason: 'wait for a condition, a field, and for too long',
    async run(side) {
      await side.ask('create -f -', machine());
      await side.run('wait vm/web-1 --for=condition=Ready --timeout=1s');
      const ready = side.run('wait vm/web-1 --for=condition=Ready --timeout=30s');
      await side.ask(report({ status: { state: 'Building' } }));
      await side.ask(report());
      await ready;
      await commands(
        'wait vm --all --for=condition=Ready=True --timeout=30s',
        'wait vm -l no=such --for=condition=Ready --timeout=1s',
        'wait vm/web-1 --for=jsonpath={.status.state}=Running --timeout=30s',
        'wait vm/web-1 --for=jsonpath={.spec.image} --timeout=30s',
        'wait vm/web-1 --for=jsonpath={.status.state}=Stopped --timeout=1s',
        'wait vm/web-1 --for=condition=Stalled --timeout=1s',
        'wait vm/absent --for=condition=Ready --timeout=1s',
        'wait vm/absent --for=delete --timeout=1s',
        'wait vm/web-1 --for=delete --timeout=1s',
      )(side);
    },
  },
  {
    reason: 'get --watch tells what changes, as it changes',
    async run(side) {
      await side.ask('create -f -', machine());
      const watch = async (command: string, enough: RegExp) => {
        await side.ask('patch vm web-1 --type=merge -p {"spec":{"image":"first"}}');
        await side.watch(command, enough, async () => {
          await side.ask('patch vm web-1 --type=merge -p {"spec":{"image":"middle"}}');
          await side.ask('create -f -', machine({}, { name: 'web-2' }));
          await side.ask('delete vm web-2');
          await side.ask('patch vm web-1 --type=merge -p {"spec":{"image":"last"}}');
        });
      };
      await watch('get vm -w -o custom-columns=NAME:.metadata.name,IMAGE:.spec.image', /last/);
      await watch('get vm -w --output-watch-events -o wide', /last/);
      await watch('get vm web-1 -w -o name', /(web-1\n(.|\n)*){3}/);
      await watch('get vm -w -o yaml', /image: last/);
      await watch('get vm -A -w --field-selector metadata.name=web-1 --no-headers -o wide', /last/);
    },
  },
  {
    reason: 'explain tells of every kind of ours and its fields',
    run: commands(
      'explain vm',
      'explain vm.spec',
      'explain vm.spec.networks',
      'explain vm.spec.cloudRef.name',
      'explain vm.spec.powerState',
      'explain vm.status.conditions',
      'explain virtualmachine --recursive',
      'explain vm.spec.nothing',
      'explain vm --api-version=dispatcher.dev/v1alpha1',
      'explain cloud --recursive',
      'explain cloud.spec.limits',
      'explain keypair',
      'explain keypair.spec.publicKey',
      'explain unknown',
      'explain vm -o plaintext-openapiv2',
    ),
  },
  {
    reason: 'explain tells of the kinds of Kubernetes that are served',
    run: commands('explain secret.data', 'explain secret.stringData', 'explain namespace.status.phase', 'explain event.reason'),
  },
  {
    reason: 'api-resources and api-versions tell what is served',
    run: commands(
      'api-resources --api-group=dispatcher.dev',
      'api-resources --api-group=dispatcher.dev -o wide',
      'api-resources --api-group=dispatcher.dev -o name',
      'api-resources --api-group=dispatcher.dev --namespaced=false',
      'api-resources --categories=dispatcher',
      'api-resources --no-headers --sort-by=name',
      'api-versions',
    ),
  },
  {
    reason: 'auth tells who one is and what one may do',
    run: commands(
      'auth whoami',
      'auth whoami -o jsonpath={.status.userInfo.groups}',
      'auth can-i delete vm',
      'auth can-i create clouds',
      'auth can-i get vm/web-1',
      'auth can-i get vm --subresource=status',
      "auth can-i '*' '*'",
      'auth can-i get /healthz',
      'auth can-i fly unknowns',
      'auth can-i --list --no-headers',
      'auth can-i list vm --as=nobody',
    ),
  },
  {
    reason: 'labels and fields choose, and what cannot be understood is refused',
    async run(side) {
      await withThree(side);
      await commands(
        'get vm -l role=web -o name',
        'get vm -l role==db -o name',
        'get vm -l role!=web -o name',
        "get vm -l 'role in (web,db)' -o name",
        "get vm -l 'role notin (web),role' -o name",
        'get vm -l role -o name',
        'get vm -l !role -o name',
        'get vm --selector=role=web,name=x -o name',
        'get vm -l role=a=b',
        "get vm -l 'role in web'",
        'get vm --field-selector metadata.name=db-1 -o name',
        'get vm --field-selector metadata.name!=db-1 -o name',
        'get vm -A --field-selector metadata.name=db-1,metadata.namespace=nowhere',
        'get vm --field-selector spec.image=cirros',
        'get vm --field-selector nonsense',
        'get secrets --field-selector type=Opaque',
        'get ns --field-selector status.phase=Terminating',
      )(side);
    },
  },
  {
    reason: 'lists come in pages',
    async run(side, namespace) {
      await withThree(side);
      await side.run('get vm --chunk-size=1 -o name');
      await side.run('get vm --chunk-size=2');
      const path = `/apis/dispatcher.dev/v1alpha1/namespaces/${namespace}/virtualmachines`;
      const page = await side.ask(`get --raw ${path}?limit=2`);
      const { metadata, items }: { metadata: { continue: string; remainingItemCount: number }; items: unknown[] } =
        JSON.parse(page);
      if (items.length !== 2 || metadata.remainingItemCount !== 1) throw new Error(page);
      await side.ask('delete vm db-1');
      const next: { items: unknown[] } = JSON.parse(
        await side.ask(`get --raw ${path}?limit=2&continue=${encodeURIComponent(metadata.continue)}`),
      );
      if (next.items.length !== 1) throw new Error(JSON.stringify(next));
      await side.run(`get --raw ${path}?limit=2&continue=nonsense`);
      await side.run(`get --raw ${path}?limit=x`);
    },
  },
  {
    reason: 'get --raw reads discovery, health and resources',
    async run(side, namespace) {
      await side.ask('create -f -', machine());
      const own = '/apis/dispatcher.dev/v1alpha1';
      await commands(
        'get --raw /apis/dispatcher.dev',
        `get --raw ${own}`,
        'get --raw /healthz',
        'get --raw /livez',
        'get --raw /readyz',
        `get --raw ${own}/namespaces/${namespace}/virtualmachines/web-1`,
        `get --raw ${own}/namespaces/${namespace}/virtualmachines/absent`,
        `get --raw ${own}/namespaces/${namespace}/unknowns`,
        'get --raw /nothing/here',
        'get --raw /apis/example.com/v1',
        `get --raw ${own}/namespaces/${namespace}/virtualmachines?resourceVersion=x`,
        `delete --raw ${own}/namespaces/${namespace}/virtualmachines/web-1`,
      )(side);
    },
  },
  {
    reason: 'create makes, gives names, and refuses what is there',
    async run(side) {
      await side.run('create -f -', input(machine()));
      await side.run('create -f -', input(machine()));
      await side.run('create -f -', input(machine({}, { name: undefined, generateName: 'generated-' })));
      await side.run('create -f - -o name', input(machine({}, { name: undefined, generateName: 'generated-' })));
      await side.run(
        'create -f - -o yaml',
        input(machine({}, { name: 'web-2', uid: 'mine', generation: 7, resourceVersion: '' })),
      );
      await side.run('create -f -', input(machine({}, { name: 'web-3', resourceVersion: '1' })));
      await side.run('create -f -', input(machine({}, { name: undefined })));
      await side.run('create -f - --save-config', input(machine({}, { name: 'web-4' })));
      await side.run('get vm web-4 -o yaml');
      await side.run('create -f -', all(machine({}, { name: 'web-5' }), machine({}, { name: 'web-5' })));
    },
  },
  {
    reason: 'unknown fields are refused, told, or dropped, as is asked for',
    async run(side) {
      const strange = machine({ imagee: 'x', metadata: { role: 'web' }, keyname: 'y' });
      await side.run('create -f -', input(strange));
      await side.run('create --validate=warn -f -', input(strange));
      await side.run('get vm web-1 -o jsonpath={.spec}');
      await side.run('apply --validate=ignore -f -', input(machine({ imagee: 'x' }, { name: 'web-2' })));
      await side.run('apply --validate=strict -f -', input(machine({ imagee: 'x' }, { name: 'web-3' })));
      await side.run('apply --server-side -f -', input(machine({ imagee: 'x' }, { name: 'web-4' })));
      await side.run('create -f -', input(machine({ networks: [{ name: 'a', speed: 1 }] }, { name: 'web-4' })));
      await side.run('create -f -', input(machine({}, { name: 'web-5', colour: 'red' })));
      await side.run('create -f -', input(`${machine({}, { name: 'web-6' })}colour: red\n`));
    },
  },
  {
    reason: 'replace needs the version that was read, and --force makes anew',
    async run(side) {
      await side.run('replace -f -', input(machine()));
      await side.ask('create -f -', machine());
      const resourceVersion = await side.ask('get vm web-1 -o jsonpath={.metadata.resourceVersion}');
      await side.run('replace -f -', input(machine({ image: 'debian' }, { resourceVersion })));
      await side.run('replace -f -', input(machine({ image: 'fedora' }, { resourceVersion })));
      await side.run('replace -f -', input(machine({ image: 'suse' })));
      await side.run('replace -f -', input(machine({ image: 'suse' }, { resourceVersion: 'x' })));
      await side.run('get vm web-1 -o jsonpath={.spec.image}');
      await side.run('replace --force -f -', input(machine({ image: 'arch' })));
      await side.run('get vm web-1 -o yaml');
    },
  },
  {
    reason: 'bad manifests are refused with the field’s name',
    async run(side) {
      const refuse = (text: string) => side.run('create -f -', input(text));
      await refuse(machine({ image: 7 }));
      await refuse(machine({ image: undefined }));
      await refuse(machine({ image: '' }));
      await refuse(machine({ image: undefined, flavor: 7 }));
      await refuse(machine({ powerState: 'Flying' }));
      await refuse(machine({ hostname: 'under_score' }));
      await refuse(machine({ networks: 'some' }));
      await refuse(machine({ networks: [] }));
      await refuse(machine({ paused: 'yes' }));
      await refuse(machine({ userData: 'a', userDataFrom: { secretRef: { name: 's', key: 'k' } } }));
      await refuse(machine({}, { name: 'Web_1' }));
      await refuse(machine({}, { labels: { 'a b': 'c' } }));
      await refuse(machine({}, { labels: { a: 'b c' } }));
      await refuse(machine({}, { labels: { a: 1 } }));
      await refuse(machine({}, { finalizers: ['no/such/thing'] }));
      await refuse(cloud('bad-cloud', { engine: 'steam' }));
      await refuse(cloud('bad-cloud', { limits: { inFlight: 0 } }));
      await refuse(cloud('bad-cloud', { observe: { interval: 'soon' } }));
      await refuse(stringify({ apiVersion: API, kind: 'VirtualMachine', metadata: { name: 'web-1' } }));
      await refuse(stringify({ apiVersion: API, kind: 'VirtualMachine', metadata: { name: 'web-1' }, spec: 'text' }));
      await refuse(stringify({ apiVersion: API, kind: 'VirtualMachine', metadata: 'text', spec: {} }));
      await refuse(stringify({ apiVersion: API, kind: 'Unknown', metadata: { name: 'x' } }));
      await refuse(stringify({ apiVersion: 'dispatcher.dev/v9', kind: 'VirtualMachine', metadata: { name: 'x' } }));
      await refuse(stringify({ apiVersion: API, metadata: { name: 'x' } }));
      await refuse('a: [');
      await refuse('');
      await side.run('get vm');
    },
  },
  {
    reason: 'wrong namespaces are refused',
    async run(side) {
      await side.run('create -f -', input(machine({}, { namespace: 'no-such-namespace' })));
      await side.run('create -n default -f -', input(machine({}, { namespace: 'other' })));
      await side.run('apply -n no-such-namespace -f -', input(machine()));
      await side.run('apply --server-side -n no-such-namespace -f -', input(machine()));
      await side.run('apply -f -', input(cloud('lab-in-namespace').replace('metadata:', 'metadata:\n  namespace: default')));
      await side.run('get cloud lab-in-namespace -o yaml');
      await side.run('delete cloud lab-in-namespace');
    },
  },
  {
    reason: 'Clouds are cluster-scoped, and KeyPairs have their columns',
    async run(side, namespace) {
      const name = `cloud-of-${namespace}`;
      await side.run('apply -f -', input(cloud(name, { observe: { interval: '2s' }, limits: { requestsPerSecond: 200 } })));
      await commands(
        `get cloud ${name}`,
        `get clouds.dispatcher.dev ${name} -o wide`,
        `get cloud ${name} -o yaml`,
        `describe cloud ${name}`,
        `get cloud ${name} -n no-such-namespace -o name`,
      )(side);
      const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 someone';
      await side.run(
        'apply -f -',
        input(stringify({ apiVersion: API, kind: 'KeyPair', metadata: { name: 'k' }, spec: { cloudRef: { name }, publicKey } })),
      );
      await side.run('get kp');
      await side.run('get keypair k -o yaml');
      await side.run('get vm,kp -o name');
      await side.run(`delete keypair/k cloud/${name}`);
    },
  },
  {
    reason: 'secrets are made, shown without what they hold, merged, and kept when they are immutable',
    async run(side) {
      await commands(
        "create secret generic keys --from-literal=a='secret text' --from-literal=b=2",
        'create secret generic keys --from-literal=a=1',
        'get secrets',
        'get secret keys -o wide',
        'get secret keys -o yaml',
        'describe secret keys',
        'get secret keys -o jsonpath={.data.a}',
        'patch secret keys -p {"data":{"b":null},"stringData":{"c":"text"}}',
        'patch secret keys -p {"metadata":{"labels":{"role":"keys"}}}',
        'patch secret keys --type=merge -p {"type":"other"}',
        'patch secret keys --type=json -p [{"op":"add","path":"/data/d","value":"!"}]',
        'get secret keys -o jsonpath={.data}',
      )(side);
      await side.run('apply -f -', input(secret({ data: { a: 'YQ==', b: 'Yg==' } })));
      await side.run('apply -f -', input(secret({ data: { a: 'YQ==', c: 'Yw==' } })));
      await side.run('apply -f -', input(secret({ data: { a: 'YQ==', c: 'Yw==' } })));
      await side.run('diff -f -', input(secret({ data: { a: 'Yg==', c: 'Yw==' } })));
      await side.run('get secret s -o jsonpath={.data}');
      await side.run('apply -f -', input(secret({ stringData: { a: 'text' } })));
      await side.run('apply --server-side -f -', input(secret({ stringData: { a: 'text' } }, { name: 't' })));
      await side.run('get secret t -o yaml');
      await side.run('create -f -', input(secret({ data: { a: 'no base64!' } }, { name: 'u' })));
      await side.run('create -f -', input(secret({ data: { 'a b': 'YQ==' } }, { name: 'u' })));
      await side.run('create -f -', input(secret({ data: { a: 7 } }, { name: 'u' })));
      await side.run('create -f -', input(secret({ colour: 'red' }, { name: 'u' })));
      await side.run('create -f -', input(secret({ data: { a: 'YQ==' }, immutable: true }, { name: 'fixed' })));
      await side.run('patch secret fixed -p {"data":{"a":"Yg=="}}');
      await side.run('patch secret fixed -p {"immutable":false}');
      await side.run('replace -f -', input(secret({ stringData: { a: 'other' } })));
      await side.run('delete secret keys s t fixed');
    },
  },
  {
    reason: 'namespaces are made, shown, and go with what is in them',
    async run(side, namespace) {
      const name = `${namespace}-team`;
      await commands(
        `create namespace ${name}`,
        `create ns ${name}`,
        `get ns ${name}`,
        `get namespace ${name} -o yaml`,
        `describe ns ${name}`,
        `label ns ${name} team=a`,
        `annotate ns ${name} note=text`,
        `get ns -l team=a --show-labels`,
        'create namespace Bad_Name',
      )(side);
      await side.ask(`create -n ${name} -f -`, machine());
      await side.run(`delete ns ${name}`);
      await side.run(`get ns ${name}`);
      await side.run(`get vm -n ${name}`);
      await side.run('delete ns default');
      await side.run(
        'apply -f -',
        input(stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `${namespace}-applied` } })),
      );
      await side.run(
        'apply -f -',
        input(stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `${namespace}-applied` } })),
      );
    },
  },
];
