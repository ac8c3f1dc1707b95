import { z } from 'zod';
import { catalog } from './http/catalog.js';
import type { Call, Reply, Service } from './http/service.js';
import { DOMAIN, PROJECTS, type ProjectContent, USERS, type UserContent } from './model/content.js';
import type { TokenRecord } from './model/records.js';
import { Refusal } from './model/refusal.js';
import type { State } from './model/state.js';

const domainSchema = z.object({ id: z.string().optional(), name: z.string().optional() });
const loginSchema = z.object({
  auth: z.object({
    identity: z.object({
      methods: z.array(z.enum(['password', 'token'])),
      password: z
        .object({
          user: z.object({
            id: z.string().optional(),
            name: z.string().optional(),
            domain: domainSchema.optional(),
            password: z.string(),
          }),
        })
        .optional(),
      token: z.object({ id: z.string() }).optional(),
    }),
    scope: z
      .union([
        z.literal('unscoped'),
        z.object({
          project: z
            .object({ id: z.string().optional(), name: z.string().optional(), domain: domainSchema.optional() })
            .optional(),
        }),
      ])
      .optional(),
  }),
});
type Login = z.infer<typeof loginSchema>['auth'];

const UNAUTHORIZED = 'The request you have made requires authentication.';

/** Keystone v3: logging in, and who one is. */
export function keystone(state: State): Service<Call> {
  return {
    name: 'keystone',
    admit: (call) => call,
    decline,
    headers: (call) => ({ vary: 'X-Auth-Token', 'x-openstack-request-id': call.requestId }),
    routes: {
      'GET /': (call) => ({
        status: 300,
        json: { versions: { values: [version(call)] } },
        headers: { location: `${call.origin}/identity/v3/` },
      }),
      'GET /v3': (call) => ({ status: 200, json: { version: version(call) } }),
      'POST /v3/auth/tokens': (call) => {
        const token = logIn(state, call);
        return { status: 201, json: { token: show(token, state, call) }, headers: { 'x-subject-token': token.id } };
      },
      'GET /v3/auth/tokens': (call) => {
        const token = subject(state, call);
        return { status: 200, json: { token: show(token, state, call) }, headers: { 'x-subject-token': token.id } };
      },
      'DELETE /v3/auth/tokens': (call) => {
        state.removeToken(subject(state, call).id);
        return { status: 204 };
      },
      'GET /v3/auth/catalog': (call) => {
        const token = own(state, call);
        return {
          status: 200,
          json: { catalog: catalog(call.origin, token.projectId ?? '', state.knobs), links: { self: url(call) } },
        };
      },
      'GET /v3/auth/projects': (call) => listProjects(call, userOf(own(state, call)).projects),
      'GET /v3/users/:id/projects': (call) => {
        const user = userOf(own(state, call));
        if (call.params.id !== user.id && !isAdmin(user)) throw forbidden('list_user_projects');
        return listProjects(call, USERS.find(({ id }) => id === call.params.id)?.projects ?? []);
      },
      'GET /v3/projects': (call) => {
        if (!isAdmin(userOf(own(state, call)))) throw forbidden('list_projects');
        const name = call.query.get('name');
        return listProjects(
          call,
          PROJECTS.filter((project) => name === null || project.name === name),
        );
      },
      'GET /v3/projects/:id': (call) => {
        const user = userOf(own(state, call));
        const project = PROJECTS.find(({ id }) => id === call.params.id);
        if (project === undefined && isAdmin(user)) throw new Refusal(404, `Could not find project: ${call.params.id}.`);
        if (project === undefined || !(isAdmin(user) || user.projects.includes(project))) throw forbidden('get_project');
        return { status: 200, json: { project: showProject(call, project) } };
      },
    },
  };
}

/** @throws Refusal 401 for whatever is wrong, as Keystone does, so that nothing can be learnt from it. */
function logIn(state: State, call: Call): TokenRecord {
  if (typeof call.body !== 'object' || call.body === null || !('auth' in call.body)) {
    throw new Refusal(400, `Expecting to find auth in request body. ${MALFORMED}`);
  }
  const parsed = loginSchema.safeParse(call.body);
  if (!parsed.success) throw new Refusal(400, `${z.prettifyError(parsed.error)} ${MALFORMED}`);
  const { auth } = parsed.data;
  const { user, expires } = identify(state, auth, call);
  const project = scope(user, auth);
  for (const token of state.tokens.values()) if (token.expires <= call.now) state.removeToken(token.id);
  const id = `${state.environment.id()}${state.environment.id()}`.replaceAll('-', '');
  const token: TokenRecord = {
    id: `gAAAAAB${id}`,
    userId: user.id,
    projectId: project?.id ?? null,
    methods: auth.identity.methods,
    auditId: id.slice(0, 22),
    issued: call.now,
    // Whole seconds, as the answer tells it.
    expires: Math.min(expires, Math.floor((call.now + state.knobs.tokenTtl) / 1000) * 1000),
  };
  state.putToken(token);
  return token;
}

const MALFORMED = [
  'The server could not comply with the request since it is either malformed or otherwise incorrect.',
  'The client is assumed to be in error.',
].join(' ');

function identify(state: State, { identity }: Login, call: Call): { user: UserContent; expires: number } {
  if (identity.methods.includes('token') && identity.token !== undefined) {
    const token = state.tokens.get(identity.token.id);
    if (token === undefined || token.expires <= call.now) throw new Refusal(401, UNAUTHORIZED);
    return { user: userOf(token), expires: token.expires };
  }
  const given = identity.methods.includes('password') ? identity.password?.user : undefined;
  const user = USERS.find(({ id, name }) => id === given?.id || (name === given?.name && isOurs(given?.domain)));
  if (given === undefined || user === undefined || user.password !== given.password) throw new Refusal(401, UNAUTHORIZED);
  return { user, expires: Number.POSITIVE_INFINITY };
}

function scope(user: UserContent, { scope: wanted }: Login): ProjectContent | undefined {
  if (wanted === 'unscoped') return undefined;
  if (wanted?.project === undefined) return undefined;
  const { id, name, domain } = wanted.project;
  const project = user.projects.find((own) => own.id === id || (own.name === name && isOurs(domain)));
  if (project === undefined) throw new Refusal(401, UNAUTHORIZED);
  return project;
}

function isOurs(domain: z.infer<typeof domainSchema> | undefined): boolean {
  return domain?.id === DOMAIN.id || domain?.name?.toLowerCase() === DOMAIN.name.toLowerCase();
}

function own(state: State, call: Call): TokenRecord {
  const token = state.tokens.get(call.header('x-auth-token') ?? '');
  if (token === undefined || token.expires <= call.now) throw new Refusal(401, UNAUTHORIZED);
  return token;
}

/** The token that a call asks about. One may ask about one's own alone, an administrator about any. */
function subject(state: State, call: Call): TokenRecord {
  const asking = own(state, call);
  const token = state.tokens.get(call.header('x-subject-token') ?? '');
  if (token === undefined || token.expires <= call.now) {
    throw new Refusal(404, `Could not find token: ${call.header('x-subject-token') === undefined ? 'None' : 'as given'}.`);
  }
  if (token.userId !== asking.userId && !isAdmin(userOf(asking))) throw forbidden('validate_token');
  return token;
}

function userOf({ userId }: TokenRecord): UserContent {
  const user = USERS.find(({ id }) => id === userId);
  if (user === undefined) throw new Refusal(401, UNAUTHORIZED);
  return user;
}

function isAdmin(user: UserContent): boolean {
  return user.roles.includes('admin');
}

function forbidden(action: string): Refusal {
  return new Refusal(403, `You are not authorized to perform the requested action: identity:${action}.`);
}

function show(token: TokenRecord, { knobs }: State, call: Call): object {
  const user = userOf(token);
  const project = PROJECTS.find(({ id }) => id === token.projectId);
  return {
    methods: token.methods,
    user: { domain: DOMAIN, id: user.id, name: user.name, password_expires_at: null },
    audit_ids: [token.auditId],
    expires_at: precise(token.expires),
    issued_at: precise(token.issued),
    ...(project !== undefined && {
      project: { domain: DOMAIN, id: project.id, name: project.name },
      is_domain: false,
      roles: user.roles.map((name) => ({ id: Buffer.from(name.padEnd(16, '.')).toString('hex'), name })),
      catalog: catalog(call.origin, project.id, knobs),
    }),
  };
}

function precise(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}.000000Z`;
}

function listProjects(call: Call, projects: readonly ProjectContent[]): Reply {
  const shown = projects.map((project) => showProject(call, project));
  return { status: 200, json: { projects: shown, links: { next: null, self: url(call), previous: null } } };
}

function showProject({ origin }: Call, { id, name }: ProjectContent): object {
  return {
    id,
    name,
    domain_id: DOMAIN.id,
    description: '',
    enabled: true,
    parent_id: DOMAIN.id,
    is_domain: false,
    tags: [],
    options: {},
    links: { self: `${origin}/identity/v3/projects/${id}` },
  };
}

function url({ origin, target }: Call): string {
  return `${origin}${target.replace(/\?.*$/, '')}`;
}

function version({ origin }: Call): object {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${origin}/identity/v3/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  };
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

function decline(call: Call, code: number, message: string): Reply {
  const json = { error: { code, message, title: TITLES[code] ?? 'Internal Server Error' } };
  const challenge = { 'www-authenticate': `Keystone uri="${call.origin}/identity/v3"` };
  return { status: code, json, ...(code === 401 && { headers: challenge }) };
}
