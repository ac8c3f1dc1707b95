import { z } from 'zod';
import { GROUP } from '../../resources/metadata.js';
import { StoreError } from '../errors.js';

/** What was asked of the API server, for messages and to tell what is missing. */
export interface Subject {
  /** `update VirtualMachine/default/web`. */
  readonly call: string;
  /** `virtualmachines` and the like; absent for what is no resource. */
  readonly resource?: { readonly group: string; readonly version: string; readonly plural: string };
  /** True if what the API server says of a value may hold that value, and it is secret. */
  readonly secret?: boolean;
}

/** An answer that is no success, or the `object` of an ERROR that a watch told. */
export interface Refusal {
  readonly status: number;
  /** The parsed body; undefined if it is no JSON. */
  readonly body: unknown;
  /** What Retry-After asks for. */
  readonly retryAfterMs?: number;
}

const causeSchema = z.looseObject({
  reason: z.string().optional(),
  message: z.string().optional(),
  field: z.string().optional(),
});
const statusSchema = z.looseObject({
  kind: z.literal('Status'),
  message: z.string().optional(),
  reason: z.string().optional(),
  code: z.int().optional(),
  details: z
    .looseObject({
      name: z.string().optional(),
      kind: z.string().optional(),
      causes: z.array(causeSchema).nullish(),
      retryAfterSeconds: z.number().optional(),
    })
    .optional(),
});
type Status = Partial<z.infer<typeof statusSchema>>;

const APPLY_CRDS = 'apply the CustomResourceDefinitions of this version: kubectl apply --server-side -f manifests/crds';

/** What an answer of the API server means to who uses a store. Pure. */
export function storeErrorOf(refusal: Refusal, subject: Subject): StoreError {
  const status: Status = statusSchema.safeParse(refusal.body).data ?? {};
  const text = `${subject.call}: ${wordsOf(refusal, status, subject)}`;
  const code = refusal.status;
  if (code === 404) return isOfResource(status) ? new StoreError('NotFound', text) : notServed(subject);
  if (code === 409) return new StoreError(status.reason === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict', text);
  if (code === 410) return new StoreError('Expired', text);
  if (code === 401) {
    return new StoreError(
      'Unavailable',
      `${subject.call}: the API server does not accept the credentials: renew those of the kubeconfig`,
    );
  }
  if (code === 403 || isForbiddenFinalizer(status)) return new StoreError('Forbidden', text);
  if (isUnknownField(status)) return new StoreError('Invalid', `${text}: ${APPLY_CRDS}`);
  if (code === 429 || code >= 500 || code < 400) {
    const asked = refusal.retryAfterMs ?? (status.details?.retryAfterSeconds ?? 0) * 1_000;
    return new StoreError('Unavailable', text, asked > 0 ? { retryAfterMs: asked } : {});
  }
  return new StoreError('Invalid', text);
}

/** No answer came at all. */
export function unavailable(server: string, subject: Subject, cause: unknown): StoreError {
  return new StoreError('Unavailable', `${subject.call}: the API server ${server} does not answer (${reasonOf(cause)})`, {
    cause,
  });
}

function wordsOf({ status: code }: Refusal, { message, reason, details }: Status, { secret }: Subject): string {
  if (!secret || code === 403 || code === 404 || code === 409) return message ?? reason ?? `the API server answered ${code}`;
  const fields = (details?.causes ?? []).flatMap(({ field }) => field ?? []);
  return `${reason ?? `the API server answered ${code}`}${fields.length > 0 ? ` (${fields.join(', ')})` : ''}`;
}

/** True if something of that name is missing; false if the API server does not know the whole resource. */
function isOfResource({ details }: Status): boolean {
  return !!details?.name;
}

function notServed({ call, resource }: Subject): StoreError {
  if (!resource) return new StoreError('Unavailable', `${call}: the API server does not serve it`);
  const { group, version, plural } = resource;
  const todo = group === GROUP ? APPLY_CRDS : 'it needs Kubernetes 1.22 or later';
  const name = group === '' ? plural : `${plural}.${group}`;
  return new StoreError('Unavailable', `${call}: the API server does not serve ${name} in version ${version}: ${todo}`);
}

/** How the API server says that a finalizer cannot be added to what is being deleted. */
function isForbiddenFinalizer({ details }: Status): boolean {
  const causes = details?.causes ?? [];
  return causes.some(({ reason, field }) => reason === 'FieldValueForbidden' && field === 'metadata.finalizers');
}

/** How it answers, with a 500, the server-side apply of a field that the CustomResourceDefinition does not have. */
function isUnknownField({ message = '' }: Status): boolean {
  return message.startsWith('failed to create typed patch object');
}

/** undici gathers failed attempts (IPv6, IPv4) in an error without a message of its own. */
function reasonOf(cause: unknown): string {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  return first instanceof Error ? first.message || first.name : String(first);
}
