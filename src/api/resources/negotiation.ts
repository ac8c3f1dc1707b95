import { stringify } from 'yaml';
import { ApiError } from './errors.js';

/** What a client accepts: the encoding, and the form that `as=` asks for. */
export interface Accepted {
  readonly encoding: 'json' | 'yaml';
  /** Object: the resources themselves. Discovery: the aggregated document, of the version in `version`. */
  readonly form: 'Object' | 'Table' | 'Metadata' | 'Discovery';
  /** The version of the form that was asked for: v1, v2, v2beta1. */
  readonly version: string;
}

const FORMS: Readonly<
  Record<string, { readonly form: Accepted['form']; readonly group: string; readonly versions: readonly string[] }>
> = {
  Table: { form: 'Table', group: 'meta.k8s.io', versions: ['v1', 'v1beta1'] },
  PartialObjectMetadata: { form: 'Metadata', group: 'meta.k8s.io', versions: ['v1', 'v1beta1'] },
  PartialObjectMetadataList: { form: 'Metadata', group: 'meta.k8s.io', versions: ['v1', 'v1beta1'] },
  APIGroupDiscoveryList: { form: 'Discovery', group: 'apidiscovery.k8s.io', versions: ['v2', 'v2beta1'] },
};
const ENCODINGS: Readonly<Record<string, Accepted['encoding']>> = {
  'application/json': 'json',
  'application/*': 'json',
  '*/*': 'json',
  'application/yaml': 'yaml',
  'text/yaml': 'yaml',
};

const MEMORY = 64;
const remembered = new Map<string, Accepted>();

/**
 * The first alternative of an Accept header that can be served, in the order given; qualities are not weighed, as clients
 * of Kubernetes list their wishes in order.
 *
 * @throws ApiError NotAcceptable if none can be.
 */
export function negotiate(header: string | undefined): Accepted {
  const text = header ?? '*/*';
  const known = remembered.get(text);
  if (known) return known;
  for (const alternative of text.split(',')) {
    const accepted = read(alternative);
    if (!accepted) continue;
    // Clients send a handful of constant headers; a full memory is dropped rather than managed.
    if (remembered.size >= MEMORY) remembered.clear();
    remembered.set(text, accepted);
    return accepted;
  }
  throw new ApiError('NotAcceptable', 'only application/json and application/yaml can be served (Accept)', {
    causes: [{ reason: 'FieldValueNotSupported', message: `cannot serve ${text.slice(0, 256)}`, field: 'Accept' }],
  });
}

function read(alternative: string): Accepted | undefined {
  const [type = '', ...parameters] = alternative.split(';').map((part) => part.trim());
  const encoding = ENCODINGS[type.toLowerCase()];
  if (!encoding) return undefined;
  const given = new Map(parameters.map((parameter) => splitOnce(parameter)));
  const as = given.get('as');
  if (as === undefined) return { encoding, form: 'Object', version: 'v1' };
  const form = FORMS[as];
  const version = given.get('v') ?? 'v1';
  if (!form || form.group !== given.get('g') || !form.versions.includes(version)) return undefined;
  return { encoding, form: form.form, version };
}

function splitOnce(parameter: string): [string, string] {
  const at = parameter.indexOf('=');
  return at < 0 ? [parameter, ''] : [parameter.slice(0, at), parameter.slice(at + 1)];
}

/** The bytes of an answer and their type. */
export function encode(
  value: unknown,
  { encoding }: Pick<Accepted, 'encoding'>,
): { readonly type: string; readonly text: string } {
  if (encoding === 'json') return { type: 'application/json', text: `${JSON.stringify(value)}\n` };
  return { type: 'application/yaml', text: stringify(value, { aliasDuplicateObjects: false }) };
}
