import { pino } from 'pino';
import type { Knobs } from '../../src/clouds/simulator/knobs.js';
import type { SimulatorPersistence } from '../../src/clouds/simulator/persistence.js';
import { type Simulator, startSimulator } from '../../src/clouds/simulator/simulator.js';
import { type Environment, systemEnvironment } from '../../src/environment.js';

/** The image that all examples use, and a network to be on. */
export const IMAGE = '11111111-1111-4111-8111-111111111111';
export const NETWORK = '44444444-4444-4444-8444-444444444444';

/** What a call was answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON, or the text if it is none. */
  readonly body: unknown;
}

/** A user who is logged in. */
export interface User {
  readonly token: string;
  /** Calls with the token; `version` is a microversion of Nova. Paths are below the simulator: `/compute/v2.1/servers`. */
  ask(method: string, path: string, body?: unknown, version?: string): Promise<Answer>;
}

/** A simulator on a port of its own, quick but for what `knobs` say. */
export async function simulate(
  knobs: Partial<Knobs> = {},
  { persistence, environment = systemEnvironment }: { persistence?: SimulatorPersistence; environment?: Environment } = {},
): Promise<Simulator & { readonly origin: string; logIn(username?: string, project?: string): Promise<User> }> {
  const simulator = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    knobs: { latency: 0, buildTime: 0, buildTimeJitter: 0, actionTime: 0, ...knobs },
    environment,
    log: pino({ level: 'silent' }),
    ...(persistence !== undefined && { persistence }),
  });
  const { origin } = new URL(simulator.url);
  const logIn = async (name = 'demo', project = name): Promise<User> => {
    const domain = { name: 'Default' };
    const password = name === 'admin' ? 'admin-secret' : 'demo-secret';
    const identity = { methods: ['password'], password: { user: { name, domain, password } } };
    const scope = { project: { name: project, domain } };
    const { status, headers } = await ask(`${origin}/identity/v3/auth/tokens`, 'POST', {}, { auth: { identity, scope } });
    const token = headers.get('x-subject-token');
    if (token === null) throw new Error(`login answered ${status}`);
    return {
      token,
      ask: (method, path, body, version) =>
        ask(
          `${origin}${path}`,
          method,
          { 'x-auth-token': token, ...(version !== undefined && { 'openstack-api-version': `compute ${version}` }) },
          body,
        ),
    };
  };
  return { ...simulator, origin, logIn };
}

/** One HTTP call. */
export async function ask(url: string, method = 'GET', headers: Record<string, string> = {}, body?: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parse(text) };
}

/** A body for a create. */
export function newServer(fields: Record<string, unknown> = {}): unknown {
  return { server: { name: 'web', imageRef: IMAGE, flavorRef: '1', networks: 'none', ...fields } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
