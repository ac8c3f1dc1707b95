import { z } from 'zod';
import type { Environment } from '../../environment.js';
import { CloudError, isCloudError } from '../errors.js';
import type { TransportResponse } from '../transport.js';
import { malformed } from './errors.js';

/** Who logs in. The id of the domain goes before its name. */
export type Credentials =
  | { readonly username: string; readonly password: string; readonly userDomain: string; readonly userDomainId?: string }
  | { readonly applicationCredentialId: string; readonly applicationCredentialSecret: string };

/** Which project; by id, or by name and its domain, by id or name (default `Default`). */
export interface ProjectReference {
  readonly id?: string;
  readonly name?: string;
  readonly domain?: string;
  readonly domainId?: string;
}

/** The services that are used. */
export type Service = 'compute' | 'image' | 'network' | 'volume';

/** What catalogs call them; the first that is there counts. */
const TYPES: Readonly<Record<Service, readonly string[]>> = {
  compute: ['compute'],
  image: ['image'],
  network: ['network'],
  // The official one, and what most clouds have.
  volume: ['block-storage', 'volumev3', 'volume'],
};

/** Versions of cinder that are long gone. */
const OLD_VOLUMES = /\/v[12](\/|$)/;

/** What a login gave. */
export interface Token {
  readonly value: string;
  readonly projectId: string;
  /** Without a slash at the end. */
  readonly endpoints: Readonly<Partial<Record<Service, string>>>;
  readonly region: string;
  /** By our own clock, milliseconds. From `renewAt` on a new one is fetched beside, from `expiresAt` on it is not used. */
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** What a {@link Session} is made with. */
interface SessionOptions {
  readonly credentials: Credentials;
  readonly project?: ProjectReference | undefined;
  readonly region?: string | undefined;
  readonly environment: Environment;
  /** POSTs the body to /auth/tokens; throws CloudError, and gives back answers of success only. */
  login(body: unknown): Promise<TransportResponse>;
}

/** A token is renewed this long before it expires, or a quarter of its life before if that is less. Milliseconds. */
const MARGIN_MS = 60_000;
/** A refused login is not tried again so soon: clouds lock accounts. Milliseconds. */
const REFUSAL_HOLDS_MS = 10_000;
/** After a renewal that failed while the old token still serves. Milliseconds. */
const RENEWAL_PAUSE_MS = 5_000;

const tokenSchema = z.object({
  token: z.object({
    expires_at: z.string(),
    issued_at: z.string(),
    project: z.object({ id: z.string() }).optional(),
    catalog: z
      .array(
        z.object({
          type: z.string(),
          endpoints: z.array(
            z.object({ interface: z.string(), url: z.string(), region_id: z.string().nullish(), region: z.string().nullish() }),
          ),
        }),
      )
      .default([]),
  }),
});
type Catalog = z.infer<typeof tokenSchema>['token']['catalog'];

/** The token in use: fetched at need, by one login at a time, renewed before it expires and after it was refused. */
export class Session {
  readonly #options: SessionOptions;
  #current: Token | undefined;
  #pending: Promise<Token> | undefined;
  #refusal: { readonly error: CloudError; readonly until: number } | undefined;
  #nextRenewal = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** @throws CloudError Unauthorized for refused credentials, Invalid for an unknown region, Unavailable. */
  async token(): Promise<Token> {
    const current = this.#current;
    const now = this.#now();
    if (current === undefined || now >= current.expiresAt) return this.#renew();
    if (now >= current.renewAt && now >= this.#nextRenewal) {
      this.#nextRenewal = now + RENEWAL_PAUSE_MS;
      // The old one serves meanwhile; a failure shows when it is needed.
      this.#renew().catch(() => undefined);
    }
    return current;
  }

  /** Says that the cloud refused this token: the next call fetches another. */
  refused(token: Token): void {
    if (this.#current === token) this.#current = undefined;
  }

  #renew(): Promise<Token> {
    this.#pending ??= this.#login().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #login(): Promise<Token> {
    const began = this.#now();
    if (this.#refusal !== undefined && began < this.#refusal.until) throw this.#refusal.error;
    this.#refusal = undefined;
    try {
      const response = await this.#options.login(loginBody(this.#options));
      this.#current = readToken(response, began, this.#options.region);
      return this.#current;
    } catch (error) {
      // An unknown application credential is "not found".
      const refused = isCloudError(error, 'NotFound') || isCloudError(error, 'Unauthorized');
      if (!refused) throw error;
      const refusal = new CloudError('Unauthorized', error.message, { cause: error });
      this.#refusal = { error: refusal, until: this.#now() + REFUSAL_HOLDS_MS };
      throw refusal;
    }
  }

  #now(): number {
    return this.#options.environment.now().getTime();
  }
}

/** Where tokens are fetched, from the endpoint a person wrote: with or without /v3. */
export function identityUrl(endpoint: string): string {
  const url = endpoint.replace(/\/+$/, '');
  return /\/v3$/.test(url) ? url : `${url}/v3`;
}

function loginBody({ credentials, project }: SessionOptions): unknown {
  if ('applicationCredentialId' in credentials) {
    const { applicationCredentialId: id, applicationCredentialSecret: secret } = credentials;
    // It bears its own project: a scope beside it is refused.
    return { auth: { identity: { methods: ['application_credential'], application_credential: { id, secret } } } };
  }
  const { username, password, userDomain, userDomainId } = credentials;
  const user = { name: username, password, domain: userDomainId === undefined ? { name: userDomain } : { id: userDomainId } };
  return { auth: { identity: { methods: ['password'], password: { user } }, ...scope(project) } };
}

function scope(project: ProjectReference | undefined): { scope?: unknown } {
  if (project?.id !== undefined) return { scope: { project: { id: project.id } } };
  if (project?.name === undefined) return {};
  const domain = project.domainId === undefined ? { name: project.domain ?? 'Default' } : { id: project.domainId };
  return { scope: { project: { name: project.name, domain } } };
}

function readToken(response: TransportResponse, began: number, wantedRegion: string | undefined): Token {
  const call = { operation: 'login', effect: false };
  const value = response.headers['x-subject-token'];
  const parsed = tokenSchema.safeParse(response.body);
  if (value === undefined) throw malformed(call, response.status, 'no X-Subject-Token');
  if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
  const { token } = parsed.data;
  if (token.project === undefined) throw new CloudError('Invalid', 'login: the user has no default project: set spec.project');
  // Its life is measured by the cloud's clock, and counted from before the request by ours: they need not agree.
  const life = Date.parse(token.expires_at) - Date.parse(token.issued_at);
  if (!(life > 0)) throw malformed(call, response.status, `it expires at ${token.expires_at}`);
  const region = wantedRegion ?? firstRegion(token.catalog);
  return {
    value,
    projectId: token.project.id,
    region,
    endpoints: endpointsOf(token.catalog, region),
    renewAt: began + life - Math.min(MARGIN_MS, life / 4),
    expiresAt: began + life - 1_000,
  };
}

const regionOf = (endpoint: { region_id?: string | null | undefined; region?: string | null | undefined }) =>
  endpoint.region_id ?? endpoint.region ?? '';

function firstRegion(catalog: Catalog): string {
  const compute = catalog.find((service) => service.type === 'compute');
  const endpoint = compute?.endpoints.find((candidate) => candidate.interface === 'public');
  return endpoint === undefined ? '' : regionOf(endpoint);
}

function endpointsOf(catalog: Catalog, region: string): Partial<Record<Service, string>> {
  const find = (service: Service): Partial<Record<Service, string>> => {
    for (const type of TYPES[service]) {
      const all = catalog.filter((entry) => entry.type === type).flatMap((entry) => entry.endpoints);
      const found = all.find(
        (endpoint) =>
          endpoint.interface === 'public' &&
          regionOf(endpoint) === region &&
          !(service === 'volume' && OLD_VOLUMES.test(endpoint.url)),
      );
      if (found !== undefined) return { [service]: found.url.replace(/\/+$/, '') };
    }
    return {};
  };
  const endpoints = { ...find('compute'), ...find('image'), ...find('network'), ...find('volume') };
  if ('compute' in endpoints) return endpoints;
  const regions = new Set(catalog.flatMap((service) => service.endpoints.map(regionOf)));
  throw new CloudError(
    'Invalid',
    `login: the catalog has no public compute endpoint in region "${region}"; its regions are: ${[...regions].sort().join(', ') || 'none'}`,
  );
}
