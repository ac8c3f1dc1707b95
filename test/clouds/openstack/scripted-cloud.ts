import { pino } from 'pino';
import type { CallReport } from '../../../src/clouds/driver.js';
import { type OpenStackDriver, type OpenStackOptions, openStackDriver } from '../../../src/clouds/openstack/driver.js';
import { type Environment, systemEnvironment } from '../../../src/environment.js';
import { type ReceivedRequest, startServer } from '../../support/http-server.js';

/** What a call is answered with. */
export type Reply =
  | {
      readonly status: number;
      readonly body?: unknown;
      readonly text?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The connection is cut. */
  | 'reset'
  /** Nothing, ever. */
  | 'silence';

/** An OpenStack that answers as a test says. Keystone and the version documents of nova and cinder answer well unless the test says otherwise. */
export interface ScriptedCloud {
  readonly driver: OpenStackDriver;
  readonly endpoint: string;
  readonly reports: readonly CallReport[];
  /** Requests so far whose `METHOD /path?query` matches. */
  count(pattern: RegExp): number;
  requests(pattern: RegExp): readonly ReceivedRequest[];
  /** From now on, calls whose `METHOD /path?query` matches are answered so. The last rule that matches counts. */
  on(pattern: RegExp, reply: Reply | ((request: ReceivedRequest) => Reply)): void;
  /** Another driver on the same cloud. */
  connect(options: Partial<OpenStackOptions>): OpenStackDriver;
  close(): Promise<void>;
}

/** The real time, moved by a test. */
export interface MovableClock extends Environment {
  forward(ms: number): void;
}

/** A clock that goes with the real one until it is moved. Timers are real. */
export function movableClock(): MovableClock {
  let ahead = 0;
  return {
    ...systemEnvironment,
    now: () => new Date(systemEnvironment.now().getTime() + ahead),
    forward: (ms) => {
      ahead += ms;
    },
  };
}

/** Starts one, on loopback. Endpoints: nova /compute/v2.1, glance /image, neutron /network, cinder /volume/v3/project-1. */
export async function startCloud(options: Partial<OpenStackOptions> = {}): Promise<ScriptedCloud> {
  const rules: { pattern: RegExp; reply: (request: ReceivedRequest) => Reply }[] = [];
  const line = (request: ReceivedRequest) => `${request.method} ${request.path}`;
  const server = await startServer((request, response, socket) => {
    const rule = rules.findLast(({ pattern }) => pattern.test(line(request)));
    const reply: Reply = rule?.reply(request) ?? { status: 404, text: '<html>nothing here</html>' };
    if (reply === 'reset') return void socket.destroy();
    if (reply === 'silence') return;
    const text = reply.text ?? (reply.body === undefined ? '' : JSON.stringify(reply.body));
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers }).end(text);
  });
  const on: ScriptedCloud['on'] = (pattern, reply) =>
    void rules.push({ pattern, reply: typeof reply === 'function' ? reply : () => reply });

  let logins = 0;
  on(/^POST \/identity\/v3\/auth\/tokens$/, () => {
    logins += 1;
    return login(server.url, `token-${logins}`);
  });
  on(/^GET \/compute\/v2\.1\/$/, { status: 200, body: { version: { version: '2.93', min_version: '2.1' } } });
  on(/^GET \/volume\/v3\/$/, { status: 200, body: { versions: [{ id: 'v3.0', version: '3.70', min_version: '3.0' }] } });

  const reports: CallReport[] = [];
  const drivers: OpenStackDriver[] = [];
  const connect = (more: Partial<OpenStackOptions>) => {
    const driver = openStackDriver({
      endpoint: `${server.url}/identity`,
      project: { name: 'demo' },
      credentials: { username: 'demo', password: 'the-password', userDomain: 'Default' },
      limits: { requestsPerSecond: 10_000, inFlight: 64 },
      environment: systemEnvironment,
      log: pino({ level: 'silent' }),
      onCall: (report) => reports.push(report),
      installation: 'our-installation',
      ...more,
    });
    drivers.push(driver);
    return driver;
  };
  return {
    driver: connect(options),
    endpoint: server.url,
    reports,
    connect,
    on,
    requests: (pattern) => server.requests.filter((request) => pattern.test(line(request))),
    count: (pattern) => server.requests.filter((request) => pattern.test(line(request))).length,
    close: async () => {
      await Promise.all(drivers.map((driver) => driver.close()));
      await server.close();
    },
  };
}

/** Keystone's answer to a login. @param lifeMs how long the token lives, by a clock that is hours off ours. @param lacking what the catalog has not. */
export function login(url: string, token: string, lifeMs = 3_600_000, lacking: readonly string[] = []): Reply {
  const issued = Date.UTC(2031, 4, 5, 6, 7, 8);
  const service = (type: string, path: string) => ({
    type,
    endpoints: [
      { interface: 'admin', region_id: 'here', url: 'http://admin.invalid' },
      { interface: 'public', region_id: 'here', url: url + path },
      { interface: 'public', region_id: 'elsewhere', url: 'http://elsewhere.invalid' },
    ],
  });
  return {
    status: 201,
    headers: { 'x-subject-token': token },
    body: {
      token: {
        issued_at: new Date(issued).toISOString(),
        expires_at: new Date(issued + lifeMs).toISOString(),
        project: { id: 'project-1', name: 'demo' },
        catalog: [
          service('compute', '/compute/v2.1'),
          service('image', '/image/'),
          service('network', '/network'),
          service('volumev3', '/volume/v3/project-1'),
        ].filter(({ type }) => !lacking.includes(type)),
      },
    },
  };
}
