/** What the simulated cloud holds from the first moment: the same for everybody, so that examples work everywhere. */

/** A flavor of servers. */
export interface FlavorContent {
  readonly id: string;
  readonly name: string;
  readonly ram: number;
  readonly vcpus: number;
  readonly disk: number;
}

/** The flavors, in the order of their lists. No host has room for the last one. */
export const FLAVORS: readonly FlavorContent[] = [
  { id: '1', name: 'm1.tiny', ram: 512, vcpus: 1, disk: 1 },
  { id: '2', name: 'm1.small', ram: 2048, vcpus: 1, disk: 20 },
  { id: '3', name: 'm1.medium', ram: 4096, vcpus: 2, disk: 40 },
  { id: '4', name: 'm1.large', ram: 8192, vcpus: 4, disk: 80 },
  { id: '5', name: 'm1.xlarge', ram: 16384, vcpus: 8, disk: 160 },
  { id: '99', name: 'x1.impossible', ram: 2_000_000_000, vcpus: 1, disk: 1 },
];

/** RAM in MiB above which no host is found. */
export const LARGEST_HOST_RAM = 1_000_000;

/** An image that servers boot from. */
export interface ImageContent {
  readonly id: string;
  readonly name: string;
  readonly distribution: string;
  readonly size: number;
}

/** The images, in the order of their lists. */
export const IMAGES: readonly ImageContent[] = [
  { id: '11111111-1111-4111-8111-111111111111', name: 'cirros-fake', distribution: 'cirros', size: 65_536 },
  { id: '22222222-2222-4222-8222-222222222222', name: 'debian-12', distribution: 'debian', size: 348_127_232 },
  { id: '33333333-3333-4333-8333-333333333333', name: 'ubuntu-24.04', distribution: 'ubuntu', size: 612_892_672 },
];

/** The one domain. */
export const DOMAIN = { id: 'default', name: 'Default' } as const;

/** The one region. */
export const REGION = 'RegionOne';

/** A project. */
export interface ProjectContent {
  readonly id: string;
  readonly name: string;
  /** Its security group `default`. */
  readonly defaultGroupId: string;
}

const demo: ProjectContent = {
  id: 'd3300000000000000000000000000001',
  name: 'demo',
  defaultGroupId: 'd3300000-0000-4000-8000-00000000006a',
};
const alt: ProjectContent = {
  id: 'a1700000000000000000000000000002',
  name: 'alt',
  defaultGroupId: 'a1700000-0000-4000-8000-00000000006a',
};
const admin: ProjectContent = {
  id: 'ad300000000000000000000000000003',
  name: 'admin',
  defaultGroupId: 'ad300000-0000-4000-8000-00000000006a',
};

/** The projects. */
export const PROJECTS: readonly ProjectContent[] = [demo, alt, admin];

/** A person. `projects` are those that they may log in to, the first their usual one. */
export interface UserContent {
  readonly id: string;
  readonly name: string;
  readonly password: string;
  readonly roles: readonly string[];
  readonly projects: readonly ProjectContent[];
}

/** The people. Their passwords are public: it is a simulation. */
export const USERS: readonly UserContent[] = [
  {
    id: 'de500000000000000000000000000001',
    name: 'demo',
    password: 'demo-secret',
    roles: ['member', 'reader'],
    projects: [demo],
  },
  { id: 'a1500000000000000000000000000002', name: 'alt', password: 'demo-secret', roles: ['member', 'reader'], projects: [alt] },
  {
    id: 'ad500000000000000000000000000003',
    name: 'admin',
    password: 'admin-secret',
    roles: ['admin', 'member', 'reader'],
    projects: [admin, demo, alt],
  },
];

/** A network with its one subnet. */
export interface NetworkContent {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly external: boolean;
  readonly subnet: { readonly id: string; readonly name: string; readonly cidr: string; readonly gateway: string };
  /** The first address given out, and how many follow it. */
  readonly pool: { readonly first: string; readonly last: string };
}

/** The networks. Every project sees those that are external. */
export const NETWORKS: readonly NetworkContent[] = [
  {
    id: '44444444-4444-4444-8444-444444444444',
    name: 'demo-net',
    projectId: demo.id,
    external: false,
    subnet: { id: '45454545-4545-4545-8545-454545454545', name: 'demo-subnet', cidr: '10.77.0.0/16', gateway: '10.77.0.1' },
    pool: { first: '10.77.0.2', last: '10.77.255.254' },
  },
  {
    id: '55555555-5555-4555-8555-555555555555',
    name: 'public',
    projectId: admin.id,
    external: true,
    subnet: { id: '56565656-5656-4656-8656-565656565656', name: 'public-subnet', cidr: '172.24.0.0/16', gateway: '172.24.0.1' },
    pool: { first: '172.24.0.2', last: '172.24.255.254' },
  },
];

/** When the content above was made, as its records say. */
export const CONTENT_SINCE = '2025-01-01T00:00:00Z';
