/** A manifest that no API may take, whichever plane it is sent to. */
export interface BadManifest {
  /** Why it must be refused. */
  readonly reason: string;
  readonly manifest: { readonly kind: string } & Readonly<Record<string, unknown>>;
  /** The field that our own API names as the cause. */
  readonly field: string;
  /** Not in the schema: refused as a bad request where unknown fields are (`fieldValidation=Strict`), which our own API does. */
  readonly unknownField?: true;
}

const spec = { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny' };

/** A VirtualMachine named `bad` that is good but for `changes`. */
export const virtualMachine = (changes: object = {}, metadata: object = { name: 'bad' }) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata,
  spec: { ...spec, ...changes },
});

/** A Cloud named `bad`. */
export const cloud = (cloudSpec: object) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'Cloud',
  metadata: { name: 'bad' },
  spec: cloudSpec,
});

/** A Secret named `bad`. */
export const secret = (fields: object, metadata: object = { name: 'bad' }) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata,
  ...fields,
});

const keyPair = (publicKey: unknown) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'KeyPair',
  metadata: { name: 'bad' },
  spec: { cloudRef: { name: 'lab' }, publicKey },
});
const ours = (kind: string, name: string, fields: object) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind,
  metadata: { name },
  spec: fields,
});
const stock = { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 2, maxSize: 4 };
const { recipeRef: _, ...withoutRecipe } = stock;

/** A VirtualMachinePool named `bad` (or otherwise) that is good but for `changes`. */
export const pool = (changes: object = {}, name = 'bad') => ours('VirtualMachinePool', name, { ...stock, ...changes });
const templated = (changes: object = {}) =>
  ours('VirtualMachinePool', 'bad', { ...withoutRecipe, template: { spec: { image: 'cirros', flavor: 'tiny', ...changes } } });
const scheduled = (changes: object) => pool({ schedules: [{ cron: '0 8 * * 1-5', replicas: 1, ...changes }] });

/** A VirtualMachineAssignment named `bad` (or otherwise) that is good but for `changes`. */
export const assignment = (changes: object = {}, name = 'bad') =>
  ours('VirtualMachineAssignment', name, { user: 'alice', application: 'galaxy', ...changes });

/** A FirewallRule named `bad` (or otherwise) that is good but for `changes`. */
export const firewallRule = (changes: object = {}, name = 'bad') =>
  ours('FirewallRule', name, {
    cloudRef: { name: 'lab' },
    virtualMachineRef: { name: 'web-1' },
    direction: 'Ingress',
    protocol: 'TCP',
    cidrs: ['192.0.2.0/24'],
    ...changes,
  });
const portsOf = (...ports: readonly object[]) => firewallRule({ ports });
const networks = (...cidrs: readonly string[]) => firewallRule({ cidrs });
const icmp = (changes: object = {}) => firewallRule({ protocol: 'ICMP', icmp: { type: 8 }, ...changes });

/** A Volume named `bad` (or otherwise) that is good but for `changes`. */
export const volume = (changes: object = {}, name = 'bad') =>
  ours('Volume', name, { cloudRef: { name: 'lab' }, sizeGiB: 1, ...changes });
const opened = (...ports: readonly object[]) => assignment({ ports, userCidrs: ['198.51.100.7/32'] });

const recipe = (changes: object = {}) =>
  ours('Recipe', 'bad', { image: 'cirros', flavor: 'tiny', applications: ['galaxy'], ...changes });
const written = (parameters: readonly object[]) => recipe({ userData: { parameters, template: '#cloud-config' } });
const simulated = (changes: object) => cloud({ engine: 'simulator', ...changes });
const everySecond = (count: number) => Array.from({ length: count }, (_, index) => ({ from: 1 + 2 * index }));
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 'x']));

const bad = (reason: string, manifest: BadManifest['manifest'], field: string): BadManifest => ({ reason, manifest, field });
const unknown = (reason: string, manifest: BadManifest['manifest'], field: string): BadManifest => ({
  ...bad(reason, manifest, field),
  unknownField: true,
});

/** The table: every way in which a manifest is wrong that has a rule of its own. */
export const BAD_MANIFESTS: readonly BadManifest[] = [
  bad(
    'a field that must be there is missing',
    { ...virtualMachine(), spec: { cloudRef: { name: 'lab' }, flavor: 'tiny' } },
    'spec.image',
  ),
  bad(
    'the whole spec is missing',
    { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine', metadata: { name: 'bad' } },
    'spec',
  ),
  bad('a number stands where text must', virtualMachine({ image: 7 }), 'spec.image'),
  bad('text stands where an object must', virtualMachine({ cloudRef: 'lab' }), 'spec.cloudRef'),
  bad('null is no image', virtualMachine({ image: null }), 'spec.image'),
  bad('an empty name of an image', virtualMachine({ image: '' }), 'spec.image'),
  bad('a name longer than 255 characters', virtualMachine({ flavor: 'x'.repeat(256) }), 'spec.flavor'),
  bad('the name of a cloud that no cloud can have', virtualMachine({ cloudRef: { name: 'Lab_1' } }), 'spec.cloudRef.name'),
  bad('a hostname with a space', virtualMachine({ hostname: 'a b' }), 'spec.hostname'),
  bad('user data longer than what a cloud takes', virtualMachine({ userData: 'x'.repeat(65_536) }), 'spec.userData'),
  bad('a power state that does not exist', virtualMachine({ powerState: 'Sleeping' }), 'spec.powerState'),
  bad('a flag that is text', virtualMachine({ paused: 'yes' }), 'spec.paused'),
  bad('a network without a name', virtualMachine({ networks: [{ name: 'a' }, {}] }), 'spec.networks[1].name'),
  bad('a network that is text', virtualMachine({ networks: ['a'] }), 'spec.networks[0]'),
  bad('networks that are neither a list nor none', virtualMachine({ networks: 'all' }), 'spec.networks'),
  bad('networks that are an object', virtualMachine({ networks: { name: 'a' } }), 'spec.networks'),
  bad('networks that are an empty object', virtualMachine({ networks: {} }), 'spec.networks'),
  bad('networks that are a number', virtualMachine({ networks: 1 }), 'spec.networks'),
  bad('networks that are a flag', virtualMachine({ networks: false }), 'spec.networks'),
  bad('an empty list of networks', virtualMachine({ networks: [] }), 'spec.networks'),
  bad(
    'more networks than a server can have',
    virtualMachine({ networks: Array.from({ length: 17 }, () => ({ name: 'a' })) }),
    'spec.networks',
  ),
  bad(
    'two sources of user data',
    virtualMachine({ userData: 'a', userDataFrom: { secretRef: { name: 'a', key: 'b' } } }),
    'spec.userDataFrom',
  ),
  bad('both ways to say which server to adopt', virtualMachine({ adopt: { id: 'a', name: 'b' } }), 'spec.adopt'),
  bad('neither way to say which server to adopt', virtualMachine({ adopt: {} }), 'spec.adopt'),
  bad(
    'a metadata key that is kept for us',
    virtualMachine({ metadata: { 'dispatcher.owner': 'x' } }),
    'spec.metadata[dispatcher.owner]',
  ),
  bad('a metadata key that Nova refuses', virtualMachine({ metadata: { 'a/b': 'x' } }), 'spec.metadata[a/b]'),
  bad('an empty metadata key', virtualMachine({ metadata: { '': 'x' } }), 'spec.metadata.'),
  bad(
    'a metadata key longer than 255 characters',
    virtualMachine({ metadata: { ['x'.repeat(256)]: 'x' } }),
    `spec.metadata.${'x'.repeat(256)}`,
  ),
  bad('a metadata value that is a number', virtualMachine({ metadata: { role: 1 } }), 'spec.metadata.role'),
  bad('more metadata than a server can have', virtualMachine({ metadata: keys(121) }), 'spec.metadata'),
  bad('a tag with a comma', virtualMachine({ tags: ['a,b'] }), 'spec.tags[0]'),
  bad('a tag that is kept for us', virtualMachine({ tags: ['dispatcher:owner'] }), 'spec.tags[0]'),
  bad('a name in upper case', virtualMachine({}, { name: 'Bad' }), 'metadata.name'),
  bad('a name longer than 253 characters', virtualMachine({}, { name: 'x'.repeat(254) }), 'metadata.name'),
  bad('no name at all', virtualMachine({}, {}), 'metadata.name'),
  bad('a label with a space', virtualMachine({}, { name: 'bad', labels: { role: 'a b' } }), 'metadata.labels.role'),
  bad('a label that is a number', virtualMachine({}, { name: 'bad', labels: { role: 1 } }), 'metadata.labels.role'),
  bad('a cloud that needs an endpoint and has none', cloud({ engine: 'openstack' }), 'spec.endpoint'),
  bad(
    'a cloud that needs credentials and has none',
    cloud({ engine: 'openstack', endpoint: 'https://cloud.example:5000/v3' }),
    'spec.endpoint',
  ),
  bad('an endpoint that is no URL', simulated({ endpoint: 'cloud.example' }), 'spec.endpoint'),
  // What is white is not the same to all regular expressions.
  bad('an endpoint with a no-break space', simulated({ endpoint: 'http://cloud\u00a0.example' }), 'spec.endpoint'),
  bad('an engine that does not exist', cloud({ engine: 'abacus' }), 'spec.engine'),
  bad('a duration without a unit', simulated({ observe: { interval: '2' } }), 'spec.observe.interval'),
  bad('a rate below zero', simulated({ limits: { requestsPerSecond: -1 } }), 'spec.limits.requestsPerSecond'),
  bad('a rate of zero', simulated({ limits: { requestsPerSecond: 0 } }), 'spec.limits.requestsPerSecond'),
  bad('half a call in flight', simulated({ limits: { inFlight: 1.5 } }), 'spec.limits.inFlight'),
  bad('a namespace that none can be', simulated({ allowedNamespaces: ['a.b'] }), 'spec.allowedNamespaces[0]'),
  bad('a public key that is none', keyPair('-----BEGIN OPENSSH PRIVATE KEY-----'), 'spec.publicKey'),
  bad('a key pair without a key', keyPair(undefined), 'spec.publicKey'),
  bad('a Secret that is not base64', secret({ data: { password: 'not base64!' } }), 'data.password'),
  bad('a Secret whose text is a number', secret({ stringData: { password: 12_345 } }), 'stringData.password'),
  bad('the name of a namespace with a dot', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a.b' } }, 'metadata.name'),
  bad('fewer rebuilds than none', virtualMachine({ rebuilds: -1 }), 'spec.rebuilds'),
  bad('a claim of no epoch', virtualMachine({ claimRef: { name: 'a', uid: 'u', epoch: 0 } }), 'spec.claimRef.epoch'),
  bad('an inventory at no URL', simulated({ cistern: { endpoint: 'cistern.example' } }), 'spec.cistern.endpoint'),
  bad(
    'fewer assignments than none',
    simulated({ limits: { assignmentsPerNamespace: -1 } }),
    'spec.limits.assignmentsPerNamespace',
  ),
  bad('a pool of no cloud', pool({ cloudRef: undefined }), 'spec.cloudRef'),
  bad('a pool of both a recipe and a template', pool({ template: { spec: { image: 'a', flavor: 'b' } } }), 'spec.recipeRef'),
  bad('a pool of neither a recipe nor a template', pool({ recipeRef: undefined }), 'spec.recipeRef'),
  bad(
    'parameters without a recipe',
    ours('VirtualMachinePool', 'bad', { ...templated().spec, parameters: { greeting: 'hi' } }),
    'spec.parameters',
  ),
  bad('a parameter of a pool that no template can name', pool({ parameters: { 'a-b': 'x' } }), 'spec.parameters.a-b'),
  bad('more replicas than the pool may have', pool({ replicas: 5 }), 'spec.replicas'),
  bad('more replicas and standby than the pool may have', pool({ standby: 3 }), 'spec.replicas'),
  bad('fewer replicas than none', pool({ replicas: -1 }), 'spec.replicas'),
  bad('half a replica', pool({ replicas: 1.5 }), 'spec.replicas'),
  bad('a pool of no size', pool({ replicas: 0, maxSize: 0 }), 'spec.maxSize'),
  bad('a pool without bound', pool({ maxSize: undefined }), 'spec.maxSize'),
  bad('a way to give back that does not exist', pool({ reclaim: 'Keep' }), 'spec.reclaim'),
  bad('an order of leaving that does not exist', pool({ scaleDownOrder: 'Random' }), 'spec.scaleDownOrder'),
  bad('a schedule of words', scheduled({ cron: 'every day at eight' }), 'spec.schedules[0].cron'),
  bad('a schedule with seconds', scheduled({ cron: '0 0 8 * * 1-5' }), 'spec.schedules[0].cron'),
  bad('a schedule without replicas', scheduled({ replicas: undefined }), 'spec.schedules[0].replicas'),
  bad('a time zone that is an offset', scheduled({ timeZone: '+01:00' }), 'spec.schedules[0].timeZone'),
  bad('a template without an image', templated({ image: undefined }), 'spec.template.spec.image'),
  bad(
    'a template with two sources of user data',
    templated({ userData: 'a', userDataFrom: { secretRef: { name: 'a', key: 'b' } } }),
    'spec.template.spec.userDataFrom',
  ),
  bad('a pool whose machines would have names too long', pool({}, 'x'.repeat(59)), 'metadata.name'),
  bad(
    'a pool whose generated name would be too long',
    { ...pool(), metadata: { generateName: 'x'.repeat(54) } },
    'metadata.name',
  ),
  unknown('a template that says which cloud', templated({ cloudRef: { name: 'lab' } }), 'spec.template.spec.cloudRef'),
  unknown(
    'a template that is claimed',
    templated({ claimRef: { name: 'a', uid: 'u', epoch: 1 } }),
    'spec.template.spec.claimRef',
  ),
  bad('an assignment to nobody', assignment({ user: undefined }), 'spec.user'),
  bad('a user without a name', assignment({ user: '' }), 'spec.user'),
  bad('a user with a line break', assignment({ user: 'a\nb' }), 'spec.user'),
  bad('a user with a space at the end', assignment({ user: 'alice ' }), 'spec.user'),
  bad('a user with a no-break space at the end', assignment({ user: 'alice\u00a0' }), 'spec.user'),
  bad('an assignment for no application', assignment({ application: undefined }), 'spec.application'),
  bad(
    'both a pool and a machine to take',
    assignment({ poolRef: { name: 'a' }, virtualMachineRef: { name: 'b' } }),
    'spec.poolRef',
  ),
  bad(
    'both a pool and a selector',
    assignment({ poolRef: { name: 'a' }, selector: { matchLabels: { role: 'web' } } }),
    'spec.poolRef',
  ),
  bad(
    'both a machine and a selector',
    assignment({ virtualMachineRef: { name: 'a' }, selector: { matchLabels: { role: 'web' } } }),
    'spec.poolRef',
  ),
  bad('a selector of no labels', assignment({ selector: {} }), 'spec.selector.matchLabels'),
  bad(
    'a label to select that is none',
    assignment({ selector: { matchLabels: { role: 'a b' } } }),
    'spec.selector.matchLabels.role',
  ),
  bad('a time to live without a unit', assignment({ ttl: '8' }), 'spec.ttl'),
  bad('a time to live of words', assignment({ ttl: 'a while' }), 'spec.ttl'),
  bad('an idle time that is a number', assignment({ idleTimeout: 60 }), 'spec.idleTimeout'),
  bad('a priority that is text', assignment({ priority: 'high' }), 'spec.priority'),
  bad('a priority beyond all', assignment({ priority: 1_000_001 }), 'spec.priority'),
  bad('an answer to failure that does not exist', assignment({ onFailure: 'Panic' }), 'spec.onFailure'),
  bad('a way to release that does not exist', assignment({ release: 'Burn' }), 'spec.release'),
  unknown('a field of an assignment that does not exist', assignment({ users: ['a'] }), 'spec.users'),
  bad('a recipe for no application', recipe({ applications: [] }), 'spec.applications'),
  bad('a recipe that does not say for which', recipe({ applications: undefined }), 'spec.applications'),
  bad('an application without a name', recipe({ applications: ['galaxy', ''] }), 'spec.applications[1]'),
  bad('a recipe without an image', recipe({ image: undefined }), 'spec.image'),
  bad('a parameter without a name', written([{}]), 'spec.userData.parameters[0].name'),
  bad('a parameter with a hyphen', written([{ name: 'a-b' }]), 'spec.userData.parameters[0].name'),
  bad('a parameter that begins with a digit', written([{ name: '1st' }]), 'spec.userData.parameters[0].name'),
  bad('a default that is a number', written([{ name: 'a', default: 1 }]), 'spec.userData.parameters[0].default'),
  bad('two parameters of one name', written([{ name: 'a' }, { name: 'b' }, { name: 'a' }]), 'spec.userData.parameters'),
  bad('user data without a template', recipe({ userData: {} }), 'spec.userData.template'),
  bad(
    'a template longer than what a cloud takes',
    recipe({ userData: { template: 'x'.repeat(65_536) } }),
    'spec.userData.template',
  ),
  bad('a delay without a unit', recipe({ readiness: { delay: '60' } }), 'spec.readiness.delay'),
  bad('a rule of no cloud', firewallRule({ cloudRef: undefined }), 'spec.cloudRef'),
  bad('a rule for no machine', firewallRule({ virtualMachineRef: undefined }), 'spec.virtualMachineRef'),
  bad(
    'a rule for a machine and for a selector',
    firewallRule({ selector: { matchLabels: { app: 'web' } } }),
    'spec.virtualMachineRef',
  ),
  bad('a rule for a machine and for an assignment', firewallRule({ assignmentRef: { name: 'alice' } }), 'spec.virtualMachineRef'),
  bad(
    'a rule for a selector and for an assignment',
    firewallRule({
      virtualMachineRef: undefined,
      selector: { matchLabels: { app: 'web' } },
      assignmentRef: { name: 'alice' },
    }),
    'spec.virtualMachineRef',
  ),
  bad(
    'a rule for a label that is none',
    firewallRule({ virtualMachineRef: undefined, selector: { matchLabels: { app: 'a b' } } }),
    'spec.selector.matchLabels.app',
  ),
  bad('a rule that does not say which way', firewallRule({ direction: undefined }), 'spec.direction'),
  bad('a direction that does not exist', firewallRule({ direction: 'Sideways' }), 'spec.direction'),
  bad('a direction in small letters', firewallRule({ direction: 'ingress' }), 'spec.direction'),
  bad('a rule of no protocol', firewallRule({ protocol: undefined }), 'spec.protocol'),
  bad('a protocol that does not exist', firewallRule({ protocol: 'SCTP' }), 'spec.protocol'),
  bad('neither networks nor a peer', firewallRule({ cidrs: undefined }), 'spec.cidrs'),
  bad('both networks and a peer', firewallRule({ peerRef: { name: 'db' } }), 'spec.cidrs'),
  bad('no port at all', portsOf(), 'spec.ports'),
  bad('more ports than a rule may have', portsOf(...everySecond(33)), 'spec.ports'),
  bad('a port without a number', portsOf({ from: 80 }, {}), 'spec.ports[1].from'),
  bad('port 0', portsOf({ from: 0 }), 'spec.ports[0].from'),
  bad('port 65536', portsOf({ from: 80 }, { from: 65_536 }), 'spec.ports[1].from'),
  bad('a range up to port 65536', portsOf({ from: 1, to: 65_536 }), 'spec.ports[0].to'),
  bad('half a port', portsOf({ from: 80.5 }), 'spec.ports[0].from'),
  bad('a port by its name', portsOf({ from: 'http' }), 'spec.ports[0].from'),
  bad('a range that runs backwards', portsOf({ from: 80 }, { from: 8100, to: 8000 }), 'spec.ports[1]'),
  bad('one port twice', portsOf({ from: 80 }, { from: 443 }, { from: 80 }), 'spec.ports[2]'),
  bad('a port within a range', portsOf({ from: 8000, to: 8100 }, { from: 8050 }), 'spec.ports[1]'),
  bad('ranges that share one port', portsOf({ from: 1, to: 10 }, { from: 10, to: 20 }), 'spec.ports[1]'),
  bad('a range around another', portsOf({ from: 10, to: 20 }, { from: 1, to: 65_535 }), 'spec.ports[1]'),
  bad('ports of ICMP', firewallRule({ protocol: 'ICMP', ports: [{ from: 80 }] }), 'spec.ports'),
  bad('ports of any protocol', firewallRule({ protocol: 'Any', ports: [{ from: 80 }] }), 'spec.ports'),
  ...['TCP', 'UDP', 'Any'].map((protocol) => bad(`a message of ICMP with ${protocol}`, icmp({ protocol }), 'spec.icmp')),
  bad('a message without a type', icmp({ icmp: { code: 0 } }), 'spec.icmp.type'),
  bad('a type of message beyond all', icmp({ icmp: { type: 256 } }), 'spec.icmp.type'),
  bad('a code below zero', icmp({ icmp: { type: 8, code: -1 } }), 'spec.icmp.code'),
  bad('one message for both families', icmp({ cidrs: ['0.0.0.0/0', '::/0'] }), 'spec.cidrs'),
  bad('a message for a peer, whose family is not known', icmp({ cidrs: undefined, peerRef: { name: 'db' } }), 'spec.cidrs'),
  bad('no network at all', networks(), 'spec.cidrs'),
  bad('more networks than a rule may have', networks(...Array.from({ length: 65 }, (_, n) => `10.0.${n}.0/24`)), 'spec.cidrs'),
  ...[
    ['host bits', '10.0.0.5/8'],
    ['host bits of IPv6', '2001:db8::5/32'],
    ['a prefix too long', '10.0.0.0/33'],
    ['a prefix too long for IPv6', '2001:db8::/129'],
    ['a prefix below zero', '10.0.0.0/-1'],
    ['a prefix that begins with a zero', '10.0.0.0/08'],
    ['a prefix of IPv6 that begins with a zero', '2001:db8::/032'],
    ['a netmask', '10.0.0.0/255.0.0.0'],
    ['no prefix', '10.0.0.0'],
    ['an empty prefix', '10.0.0.0/'],
    ['two prefixes', '10.0.0.0/8/8'],
    ['a number that begins with a zero', '010.0.0.0/8'],
    ['three numbers', '10.0.0/8'],
    ['four hexadecimal numbers', '0xa.0.0.0/8'],
    ['a number beyond 255', '256.0.0.0/8'],
    ['a space at its end', '10.0.0.0/8 '],
    ['IPv4 within IPv6', '::ffff:10.0.0.0/104'],
    ['IPv4 within IPv6, in hexadecimal', '::ffff:a00:0/104'],
    ['IPv4 within IPv6, as of old', '::192.0.2.0/120'],
    ['IPv4 at the end of IPv6', '64:ff9b::192.0.2.0/120'],
    ['a zone', 'fe80::%eth0/64'],
    ['a group of five digits', '2001:00db8::/32'],
    ['two gaps', '2001::db8::/32'],
    ['a name', 'any'],
    ['an empty text', ''],
  ].map(([what, cidr]) => bad(`a network with ${what}`, networks('192.0.2.0/24', cidr ?? ''), 'spec.cidrs[1]')),
  bad('a network that is a number', firewallRule({ cidrs: [10] }), 'spec.cidrs[0]'),
  bad(
    'the name of a peer that no rule can have',
    firewallRule({ cidrs: undefined, peerRef: { name: 'D B' } }),
    'spec.peerRef.name',
  ),
  unknown('a field of a rule that does not exist', firewallRule({ action: 'Deny' }), 'spec.action'),
  unknown('a field of a range that does not exist', portsOf({ from: 80, until: 90 }), 'spec.ports[0].until'),
  bad('ports for nobody', assignment({ ports: [{ from: 22, protocol: 'TCP' }] }), 'spec.userCidrs'),
  bad('addresses for no port', assignment({ userCidrs: ['198.51.100.7/32'] }), 'spec.userCidrs'),
  bad(
    'an assignment whose rules would have names too long',
    assignment({ ports: [{ from: 22, protocol: 'TCP' }], userCidrs: ['198.51.100.7/32'] }, 'x'.repeat(244)),
    'metadata.name',
  ),
  bad('a port without a protocol', opened({ from: 22 }), 'spec.ports[0].protocol'),
  bad('a port of ICMP', opened({ from: 22, protocol: 'ICMP' }), 'spec.ports[0].protocol'),
  bad('a range for a user that runs backwards', opened({ from: 9, to: 8, protocol: 'UDP' }), 'spec.ports[0]'),
  bad(
    'ports of one protocol that overlap',
    opened({ from: 22, protocol: 'TCP' }, { from: 22, protocol: 'UDP' }, { from: 20, to: 30, protocol: 'TCP' }),
    'spec.ports[2]',
  ),
  bad('a list of no ports for a user', opened(), 'spec.ports'),
  bad(
    "a user's address with host bits",
    assignment({ ports: [{ from: 22, protocol: 'TCP' }], userCidrs: ['198.51.100.7/24'] }),
    'spec.userCidrs[0]',
  ),
  bad('a user at no address', assignment({ ports: [{ from: 22, protocol: 'TCP' }], userCidrs: [] }), 'spec.userCidrs'),
  bad('a volume in no cloud', volume({ cloudRef: undefined }), 'spec.cloudRef'),
  bad('a volume of no size', volume({ sizeGiB: undefined }), 'spec.sizeGiB'),
  bad('a volume of 0 GiB', volume({ sizeGiB: 0 }), 'spec.sizeGiB'),
  bad('a volume of less than nothing', volume({ sizeGiB: -1 }), 'spec.sizeGiB'),
  bad('half a GiB', volume({ sizeGiB: 1.5 }), 'spec.sizeGiB'),
  bad('a size with its unit', volume({ sizeGiB: '10Gi' }), 'spec.sizeGiB'),
  bad('a size beyond all', volume({ sizeGiB: 1_000_001 }), 'spec.sizeGiB'),
  bad('a volume type without a name', volume({ type: '' }), 'spec.type'),
  bad('a volume that is attached to nothing', volume({ attachTo: {} }), 'spec.attachTo'),
  bad(
    'a volume that is attached to a machine and to an assignment',
    volume({ attachTo: { virtualMachineRef: { name: 'web-1' }, assignmentRef: { name: 'alice' } } }),
    'spec.attachTo',
  ),
  bad('a volume whose end does not exist', volume({ deletionPolicy: 'Orphan' }), 'spec.deletionPolicy'),
  bad('a volume to adopt, twice told', volume({ adopt: { id: 'a', name: 'b' } }), 'spec.adopt'),
  bad('a volume to adopt, not told', volume({ adopt: {} }), 'spec.adopt'),
  unknown('a field of a volume that does not exist', volume({ size: 10 }), 'spec.size'),
  unknown('a field that does not exist', virtualMachine({ imagee: 'x' }), 'spec.imagee'),
  unknown('an unknown field deep inside', virtualMachine({ networks: [{ name: 'a', mtu: 9 }] }), 'spec.networks[0].mtu'),
  unknown('an unknown field at the root', { ...virtualMachine(), sepc: {} }, 'sepc'),
];

/** What our API refuses and Kubernetes cannot: each with what becomes of it there. */
export const TAKEN_BY_KUBERNETES: readonly (BadManifest & { readonly why: string; readonly becomes: object })[] = [
  {
    ...bad('null where a field may be left out', virtualMachine({ networks: null, paused: null, tags: null }), 'spec.paused'),
    why: 'the API server drops a null before it validates, as if the field was not there',
    becomes: { spec },
  },
  {
    ...bad('a time that no clock shows', scheduled({ cron: '61 8 * * *' }), 'spec.schedules[0].cron'),
    why: 'a pattern knows no numbers; the pool is Stalled, reason InvalidSpec, instead',
    becomes: scheduled({ cron: '61 8 * * *' }),
  },
  {
    ...bad('a time zone that is nowhere', scheduled({ timeZone: 'Mars/Olympus' }), 'spec.schedules[0].timeZone'),
    why: 'a pattern knows no places; the pool is Stalled, reason InvalidSpec, instead',
    becomes: scheduled({ timeZone: 'Mars/Olympus' }),
  },
];

/** Where a manifest of the table is posted: to its kind's collection, in the namespace `default` if it is in one. */
export function collectionOf({ kind }: BadManifest['manifest']): string {
  const path = COLLECTIONS[kind];
  if (path === undefined) throw new RangeError(`no collection for ${kind}`);
  return path;
}

const COLLECTIONS: Readonly<Record<string, string>> = {
  VirtualMachine: '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines',
  VirtualMachinePool: '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachinepools',
  VirtualMachineAssignment: '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachineassignments',
  FirewallRule: '/apis/dispatcher.dev/v1alpha1/namespaces/default/firewallrules',
  Volume: '/apis/dispatcher.dev/v1alpha1/namespaces/default/volumes',
  Recipe: '/apis/dispatcher.dev/v1alpha1/namespaces/default/recipes',
  KeyPair: '/apis/dispatcher.dev/v1alpha1/namespaces/default/keypairs',
  Cloud: '/apis/dispatcher.dev/v1alpha1/clouds',
  Secret: '/api/v1/namespaces/default/secrets',
  Namespace: '/api/v1/namespaces',
};
