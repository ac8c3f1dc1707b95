import { resolve } from 'node:path';
import { z } from 'zod';
import { duration, milliseconds } from './resources/duration.js';
import { labelName } from './resources/metadata.js';

/** What a person configured cannot be used. The message is one sentence that names the flag; never a password. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** One setting: a flag, or an environment variable where the flag is not given. */
export interface Setting {
  /** As commander takes it: `--http <HOST:PORT>`. */
  readonly flags: string;
  readonly env: string;
  readonly help: string;
  readonly default?: string;
}

const listenAddress = z.string().transform((text, context) => {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return { host, port };
  context.addIssue(`must be HOST:PORT with a port up to 65535, such as 127.0.0.1:5070, got ${JSON.stringify(text)}`);
  return z.NEVER;
});

// Its value is never told: a URL that cannot be parsed may still hold a password.
const databaseUrl = z.string().refine((text) => /^postgres(ql)?:\/\/[^\s]+$/.test(text) && URL.canParse(text), {
  message: 'must be a URL such as postgresql://user:password@host:5432/database (what was given is not shown)',
});

const path = z
  .string()
  .min(1, 'must not be empty')
  .transform((text) => resolve(text));

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((number) => number >= least && number <= most, { message: `must be from ${least} to ${most}` });

const lifetime = duration.transform((text, context) => {
  const ms = milliseconds(text);
  if (ms >= 1000 && ms <= 100 * 365 * 24 * 3_600_000) return ms;
  context.addIssue(`must be from 1s to 876000h, got ${JSON.stringify(text)}`);
  return z.NEVER;
});

/** A flag without a value, or an environment variable. */
const onOrOff = z
  .union([z.boolean(), z.enum(['true', 'false', '1', '0', ''])], 'must be true or false')
  .default(false)
  .transform((value) => value === true || value === 'true' || value === '1');

/** Every setting of every command, and what makes a value of it. */
const TYPES = {
  dataDir: path,
  http: listenAddress,
  https: listenAddress,
  listen: listenAddress,
  databaseUrl: databaseUrl.optional(),
  logFormat: z.enum(['json', 'pretty'], 'must be json or pretty').optional(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error'], 'must be trace, debug, info, warn or error'),
  concurrency: wholeNumber(1, 10_000),
  tlsCert: path.optional(),
  tlsKey: path.optional(),
  encryptionKeyFile: path.optional(),
  v1Open: onOrOff,
  plane: z.enum(['postgres', 'kubernetes'], 'must be postgres or kubernetes'),
  kubeconfig: path.optional(),
  leaseNamespace: labelName.optional(),
  stateFile: path.optional(),
  user: z.string().regex(/^[^\s\p{Cc}]{1,253}$/u, 'must be 1 to 253 characters without spaces'),
  expiresIn: lifetime,
  role: z.enum(['admin', 'agent', 'viewer'], 'must be admin, agent or viewer'),
  namespace: z.array(labelName, 'must be the name of a namespace').optional(),
};

/** The flags of {@link TYPES} that commands share. */
export const SETTINGS = {
  plane: {
    flags: '--plane <PLANE>',
    env: 'DISPATCHER_PLANE',
    help: 'where resources live: postgres, which this serves an API for, or kubernetes, in whose cluster it is an operator',
    default: 'postgres',
  },
  kubeconfig: {
    flags: '--kubeconfig <FILE>',
    env: 'DISPATCHER_KUBECONFIG',
    help: 'for --plane kubernetes: how to reach it (default: what KUBECONFIG names, ~/.kube/config, or the service account of the pod)',
  },
  leaseNamespace: {
    flags: '--lease-namespace <NAME>',
    env: 'DISPATCHER_LEASE_NAMESPACE',
    help: 'for --plane kubernetes: where the replicas keep the lease of the one that works (default: the namespace of the pod or context)',
  },
  dataDir: {
    flags: '--data-dir <DIR>',
    env: 'DISPATCHER_DATA_DIR',
    help: 'where keys, certificates and the embedded PostgreSQL are kept; made if it is not there',
    default: '.dispatcher',
  },
  http: {
    flags: '--http <HOST:PORT>',
    env: 'DISPATCHER_HTTP',
    help: 'where health, metrics and API v1 are served; port 0: any free one',
    default: '127.0.0.1:5070',
  },
  https: {
    flags: '--https <HOST:PORT>',
    env: 'DISPATCHER_HTTPS',
    help: 'where the resource API is served, for kubectl and others; port 0: any free one',
    default: '127.0.0.1:5443',
  },
  databaseUrl: {
    flags: '--database-url <URL>',
    env: 'DATABASE_URL',
    help: 'a PostgreSQL of your own; without it, an embedded one under the data directory',
  },
  logFormat: {
    flags: '--log-format <FORMAT>',
    env: 'DISPATCHER_LOG_FORMAT',
    help: 'json, or pretty for people (default: pretty on a terminal, else json)',
  },
  logLevel: {
    flags: '--log-level <LEVEL>',
    env: 'DISPATCHER_LOG_LEVEL',
    help: 'trace, debug, info, warn or error',
    default: 'info',
  },
  concurrency: {
    flags: '--concurrency <NUMBER>',
    env: 'DISPATCHER_CONCURRENCY',
    help: 'how many resources of a kind are worked on at once',
    default: '64',
  },
  tlsCert: {
    flags: '--tls-cert <FILE>',
    env: 'DISPATCHER_TLS_CERT',
    help: 'a certificate (chain) in PEM for --https; without it, one of our own making',
  },
  tlsKey: { flags: '--tls-key <FILE>', env: 'DISPATCHER_TLS_KEY', help: 'its key in PEM' },
  encryptionKeyFile: {
    flags: '--encryption-key-file <FILE>',
    env: 'DISPATCHER_ENCRYPTION_KEY_FILE',
    help: '32 bytes in base64 that Secrets are encrypted with (default: encryption.key in the data directory, made at first start)',
  },
  v1Open: {
    // With a value that may be left out: of a flag without one, commander takes any text in the environment for yes.
    flags: '--v1-open [BOOLEAN]',
    env: 'DISPATCHER_V1_OPEN',
    help: 'let anybody use API v1 without a token, as an agent of the namespace default; only /api/v1/test demands one, as in 2015',
  },
} satisfies Record<string, Setting>;

/** What means nothing on the other plane: given all the same, it is a mistake. */
const FOR_ONE_PLANE = {
  postgres: ['databaseUrl', 'tlsCert', 'tlsKey', 'encryptionKeyFile'],
  kubernetes: ['kubeconfig', 'leaseNamespace'],
} as const;

/** What `dispatcher serve` runs with. */
export const serveSchema = z
  .object({
    plane: TYPES.plane,
    kubeconfig: TYPES.kubeconfig,
    leaseNamespace: TYPES.leaseNamespace,
    dataDir: TYPES.dataDir,
    http: TYPES.http,
    https: TYPES.https,
    databaseUrl: TYPES.databaseUrl,
    logFormat: TYPES.logFormat,
    logLevel: TYPES.logLevel,
    concurrency: TYPES.concurrency,
    tlsCert: TYPES.tlsCert,
    tlsKey: TYPES.tlsKey,
    encryptionKeyFile: TYPES.encryptionKeyFile,
    v1Open: TYPES.v1Open,
  })
  .superRefine((config, context) => {
    const { plane, tlsCert, tlsKey, v1Open } = config;
    for (const name of FOR_ONE_PLANE[plane === 'postgres' ? 'kubernetes' : 'postgres']) {
      if (config[name] !== undefined)
        context.addIssue({ code: 'custom', path: [name], message: `is not for --plane ${plane}: leave it out` });
    }
    if (plane === 'kubernetes' && v1Open)
      context.addIssue({ code: 'custom', path: ['v1Open'], message: 'is not for --plane kubernetes: leave it out' });
    if ((tlsCert === undefined) === (tlsKey === undefined)) return;
    const path = [tlsCert === undefined ? 'tlsCert' : 'tlsKey'];
    context.addIssue({ code: 'custom', path, message: 'must be given together with the other of --tls-cert and --tls-key' });
  });

/** {@link serveSchema}, checked. */
export type ServeConfig = z.infer<typeof serveSchema>;

/** What `dispatcher demo` runs with. */
export const demoSchema = z.object({ dataDir: TYPES.dataDir, untilConverged: z.boolean().default(false) });

/** What `dispatcher simulate` runs with, beside its knobs. */
export const simulateSchema = z.object({
  listen: TYPES.listen,
  stateFile: TYPES.stateFile,
  logFormat: TYPES.logFormat,
  logLevel: TYPES.logLevel,
});

/** What commands need that work on a server's database. */
export const databaseSchema = z.object({ dataDir: TYPES.dataDir, databaseUrl: TYPES.databaseUrl });

/** What a token is issued with. */
export const tokenSchema = databaseSchema.extend({ user: TYPES.user, expiresIn: TYPES.expiresIn });

/** What a command about one user needs. */
export const namedUserSchema = databaseSchema.extend({
  name: TYPES.user.refine((name) => !name.startsWith('system:'), { message: 'must not begin with system:' }),
});

/** What a user's role is given with. */
export const grantSchema = namedUserSchema.extend({ role: TYPES.role, namespace: TYPES.namespace });

/** What `dispatcher audit` shows. */
export const auditSchema = databaseSchema.extend({
  since: TYPES.expiresIn,
  user: TYPES.user.optional(),
  json: z.boolean().default(false),
});

/** Those of the settings that are given without a flag. */
const ARGUMENTS: readonly string[] = ['name'];

/**
 * Checks what commander read from flags and environment.
 *
 * @throws ConfigError that names the first flag that is wrong, and how it would be right.
 */
export function readConfig<Schema extends z.ZodType>(schema: Schema, values: unknown): z.output<Schema> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = String(issue?.path[0] ?? '');
  const flag = ARGUMENTS.includes(key) ? key.toUpperCase() : `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new ConfigError(`${flag}: ${issue?.message ?? 'is wrong'}`);
}
