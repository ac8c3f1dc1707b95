import { createHash } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import { Registry } from 'prom-client';
import { z } from 'zod';
import { Login } from '../../src/api/auth/log-in.js';
import { plainHttp } from '../../src/api/http.js';
import { serveHttp } from '../../src/api/serve.js';
import { type V1Options, v1Api } from '../../src/api/v1/app.js';
import { currentCondition } from '../../src/api/v1/declared.js';
import { ownCallers } from '../../src/api/v1/own-callers.js';
import type { Knobs } from '../../src/clouds/simulator/knobs.js';
import { cloudReader } from '../../src/commands/serving/cloud-reader.js';
import { driverFactory } from '../../src/commands/serving/drivers.js';
import { startDispatcher } from '../../src/dispatcher.js';
import { systemEnvironment } from '../../src/environment.js';
import { PrismaClient } from '../../src/generated/prisma/client.js';
import { apiVersionOf } from '../../src/resources/kind.js';
import { kindNamed } from '../../src/resources/registry.js';
import { type Derive, Passwords } from '../../src/store/passwords.js';
import type { PostgresStore } from '../../src/store/postgres/open.js';
import { PostgresUsers } from '../../src/store/postgres/users.js';
import type { V1World } from '../contract/v1.js';
import { eventually } from './eventually.js';
import { silentLog } from './log.js';
import { makeDatabase } from './postgres.js';
import { simulate } from './simulator.js';

const namedSchema = z.looseObject({ kind: z.string(), metadata: z.object({ name: z.string(), namespace: z.string() }) });

const PASSWORD = 'correct-horse';

/** The Cloud that a {@link V1World} has. */
export function v1Cloud(spec: object) {
  const annotations = { 'dispatcher.dev/v1-name': 'fake_driver', 'dispatcher.dev/v1-default': 'true' };
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'Cloud', metadata: { name: 'lab', annotations }, spec };
}

/** The users that a {@link V1World} has, with the arguments of `dispatcher user create` that make them. */
export const V1_USERS = {
  admin: { username: 'root', password: PASSWORD, grant: { role: 'admin' } },
  agent: { username: 'ann', password: PASSWORD, grant: { role: 'agent', namespaces: ['default'] } },
  viewer: { username: 'vic', password: PASSWORD, grant: { role: 'viewer' } },
  stranger: { username: 'sam', password: PASSWORD, grant: { role: 'agent', namespaces: ['elsewhere'] } },
} as const;

/** Who may log in to the world, without what they may do. */
export function v1Users(): V1World['users'] {
  const { admin, agent, viewer, stranger } = V1_USERS;
  const login = ({ username, password }: { username: string; password: string }) => ({ username, password });
  return { admin: login(admin), agent: login(agent), viewer: login(viewer), stranger: login(stranger) };
}

/** In the place of scrypt, which takes a second a password. */
const quickKey: Derive = async (password, salt, length) =>
  createHash('sha256').update(salt).update(password).digest().subarray(0, length);

/** A world of the same process. */
export interface ServedV1World extends V1World {
  readonly store: PostgresStore;
  /** Resolves once a Cloud is Ready. */
  ready(cloud: string): Promise<void>;
}

/** v1 at its door, over a dispatcher at work in this process: PostgreSQL, and a quick simulated cloud. */
export async function v1World(
  { open = false, ...options }: Partial<V1Options> & { readonly open?: boolean } = {},
  knobs: Partial<Knobs> = {},
): Promise<ServedV1World> {
  const environment = systemEnvironment;
  const [database, simulator] = await Promise.all([makeDatabase(), simulate(knobs)]);
  const store = await database.open();
  const { tokens } = store;
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.connectionString }) });
  const users = new PostgresUsers(prisma, environment, new Passwords(quickKey));
  const installation = store.installationId;
  const makeDriver = driverFactory({ environment, log: silentLog, installation, simulatorUrl: simulator.url });
  const dispatcher = startDispatcher({ store, environment, log: silentLog, installation, makeDriver });
  await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } });
  for (const { username, password, grant } of Object.values(V1_USERS))
    await users.create({ name: username, password, grants: [grant] });
  await store.create(
    v1Cloud({ engine: 'simulator', observe: { interval: '100ms', auditInterval: '5s' }, limits: { requestsPerSecond: 1000 } }),
  );
  const login = new Login({ users, tokens, environment, record: () => undefined });
  const resourceApiUrl = () => 'https://127.0.0.1:5443';
  const clouds = cloudReader((cloud) => dispatcher.connection(cloud));
  const common = { log: silentLog, version: '0.0.0-test', environment, resourceApiUrl };
  const v1 = v1Api({ ...common, callers: ownCallers({ store, tokens, environment, open }), login, clouds, ...options });
  const snapshot = async () => ({ virtualMachines: [], clouds: [] });
  const app = plainHttp({ ...common, checks: {}, metrics: new Registry(), snapshot, v1 });
  const server = await serveHttp(app, { host: '127.0.0.1', port: 0 });
  return {
    url: server.url,
    store,
    ready: (name) =>
      eventually(async () => {
        const cloud = await store.get({ kind: 'Cloud', namespace: '', name });
        if (cloud && currentCondition(cloud, 'Ready')?.status === 'True') return;
        throw new Error(`the Cloud ${name} is not Ready`);
      }),
    users: v1Users(),
    cloud: 'lab',
    engine: 'simulator',
    image: 'cirros-fake',
    size: 'm1.tiny',
    prefix: '',
    patienceMs: 20_000,
    declare: async (manifest) => {
      const { kind, metadata } = namedSchema.parse(manifest);
      await store.create({ apiVersion: apiVersionOf(kindNamed(kind)), kind, metadata, spec: manifest.spec });
    },
    remove: async (manifest) => {
      const { kind, metadata } = namedSchema.parse(manifest);
      await store.delete({ kind, namespace: metadata.namespace, name: metadata.name });
    },
    close: async () => {
      await server.close(1000);
      await dispatcher.stop();
      await simulator.close();
      await prisma.$disconnect();
      await database.drop();
    },
  };
}
