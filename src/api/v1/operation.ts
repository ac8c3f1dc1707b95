import { z } from 'zod';
import type { Environment } from '../../environment.js';
import { formatPath } from '../../resources/validate.js';
import type { Login } from '../auth/log-in.js';
import type { Origin } from '../auth/origin.js';
import type { Acts } from './acts.js';
import type { Caller } from './callers.js';
import type { CloudReader } from './cloud-reader.js';
import type { ServedCloud } from './clouds.js';
import { offSchema } from './errors.js';

/** What all requests work with. */
export interface V1Context {
  readonly clouds: CloudReader;
  readonly login: Pick<Login, 'logIn'>;
  readonly environment: Environment;
  /** How long a request waits for what it has declared, in milliseconds. */
  readonly waitMs: number;
  /** Where the resource API is served: https://127.0.0.1:5443. */
  readonly resourceApiUrl: () => string;
}

/** One request, understood. */
export interface Call {
  readonly context: V1Context;
  readonly caller: Caller;
  readonly acts: Acts;
  readonly origin: Origin;
  /** The parts of the path that stand in braces, but for `{cloud}`. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The Cloud that the path means. @throws V1Error 500 "Cloud not valid". */
  cloud(): Promise<ServedCloud>;
  /** All Clouds that are served. */
  clouds(): Promise<readonly ServedCloud[]>;
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

/** What is answered when what was asked for is declared, and not done yet. */
export const acceptedSchema = z.object({
  status: z.literal('accepted'),
  status_code: z.literal(202),
  message: z.string().describe('What is waited for.'),
  look_at: z.string().describe('The URL of the declaration in the resource API: its status says what comes of it.'),
});

/** {@link acceptedSchema}. */
export type Accepted = z.infer<typeof acceptedSchema>;

/** What a request is answered with: 200, or 202 for what is not done yet. */
export type Reply<Body> = { readonly code: 200; readonly body: Body } | { readonly code: 202; readonly body: Accepted };

/** Methods that v1 serves. HEAD is GET without the body. */
export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One row of v1: what routes requests, checks them, and tells of them in OpenAPI and on the page. */
export interface Operation {
  readonly methods: readonly Method[];
  /** Below /api/v1, with `{name}` for parts that vary. */
  readonly path: string;
  /** True if `/{cloud}` may stand behind it. */
  readonly perCloud: boolean;
  /** Who is let in: anybody; who has a token, or anybody with --v1-open; only who has a token. */
  readonly access: 'anybody' | 'token' | 'always a token';
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  /** What 200 bears; undefined for an operation that only fails. */
  readonly answer?: z.ZodType;
  /** True if it may answer 202. */
  readonly mayWait: boolean;
  /** @param body parsed JSON, without the token; undefined for none. @throws V1Error, ApiError, StoreError. */
  run(call: Call, body: unknown): Promise<Reply<unknown>>;
}

interface Row<Body, Answer> extends Pick<Operation, 'methods' | 'path' | 'summary'> {
  readonly perCloud?: boolean;
  readonly access?: Operation['access'];
  readonly query?: z.ZodObject;
  readonly answer: z.ZodType<Answer>;
  readonly mayWait?: boolean;
  handle(call: Call, body: Body): Promise<Reply<Answer>>;
}

const DEFAULTS = { perCloud: false, access: 'token', mayWait: false } as const;

/** A row that takes no body: what is sent all the same is not looked at. */
export function operation<Answer>({ handle, ...row }: Row<undefined, Answer>): Operation {
  return { ...DEFAULTS, ...row, run: (call) => handle(call, undefined) };
}

/** A row that takes a JSON object. */
export function operationWithBody<Fields extends z.ZodObject, Answer>({
  handle,
  ...row
}: Row<z.output<Fields>, Answer> & { readonly body: Fields }): Operation {
  return { ...DEFAULTS, ...row, run: async (call, body) => handle(call, checked(row.body, body)) };
}

/** A row that only fails. */
export function failing(row: Pick<Operation, 'methods' | 'path' | 'perCloud' | 'summary'>, error: () => Error): Operation {
  return { ...DEFAULTS, ...row, run: () => Promise.reject(error()) };
}

/** What a query or body says. @throws V1Error 400 that names the first key that is wrong; values are not quoted. */
export function checked<Schema extends z.ZodObject>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = formatPath(issue?.path ?? []);
  throw offSchema(`${where === '' ? 'the body' : where}: ${issue?.message ?? 'is wrong'}`);
}
