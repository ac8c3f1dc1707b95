import type { Logger } from 'pino';
import { parseCredentials } from '../../clouds/openstack/credentials.js';
import { openStackDriver } from '../../clouds/openstack/driver.js';
import type { Environment } from '../../environment.js';
import type { DriverFactory } from '../../reconcilers/cloud/connections.js';
import { milliseconds } from '../../resources/duration.js';

/** What drivers are made with, beside what a Cloud says. */
export interface DriverTools {
  readonly environment: Environment;
  readonly log: Logger;
  readonly installation: string;
  /** Where the simulated cloud that is built in is logged in to. */
  readonly simulatorUrl: string;
}

/** As the schema of Cloud tells them. */
const DEFAULT_LIMITS = { requestsPerSecond: 50, inFlight: 16 };

/** Every simulated Cloud is this user's project in the one simulated OpenStack of this server. */
const SIMULATED = {
  project: { name: 'demo', domain: 'Default' },
  credentials: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
};

/** The engines: how a Cloud's driver is made. What a Cloud says wins over what its Secret says. */
export function driverFactory({ environment, log, installation, simulatorUrl }: DriverTools): DriverFactory {
  return (name, spec, values, onCall) => {
    const limits = {
      requestsPerSecond: spec.limits?.requestsPerSecond ?? DEFAULT_LIMITS.requestsPerSecond,
      inFlight: spec.limits?.inFlight ?? DEFAULT_LIMITS.inFlight,
    };
    const requestTimeoutMs = spec.requestTimeout === undefined ? {} : { requestTimeoutMs: milliseconds(spec.requestTimeout) };
    const tools = { limits, environment, installation, onCall, ...requestTimeoutMs, log: log.child({ cloud: name }) };
    if (spec.engine === 'simulator') return openStackDriver({ ...tools, ...SIMULATED, endpoint: simulatorUrl });
    const { credentials, caBundle, ...said } = parseCredentials(values ?? {});
    const endpoint = spec.endpoint ?? said.endpoint;
    const region = spec.region ?? said.region;
    const project = spec.project ? definedOf(spec.project) : said.project;
    if (endpoint === undefined) throw new Error('neither spec.endpoint nor the Secret says where the cloud is');
    return openStackDriver({
      ...tools,
      endpoint,
      credentials,
      ...(region !== undefined && { region }),
      ...(project !== undefined && { project }),
      ...(caBundle !== undefined && { caBundle }),
    });
  };
}

/** Without the fields that are there but undefined. */
function definedOf({ name, id, domain }: { name?: string | undefined; id?: string | undefined; domain?: string | undefined }) {
  return { ...(name !== undefined && { name }), ...(id !== undefined && { id }), ...(domain !== undefined && { domain }) };
}
