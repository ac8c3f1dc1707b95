import { parse as parseYaml } from 'yaml';
import { ApiError, badRequest } from './errors.js';
import { PROTOBUF, parseProtobuf } from './protobuf.js';

/** The largest request body, in bytes: 3 MiB, as in Kubernetes. */
export const BODY_LIMIT = 3 * 1024 * 1024;

/** The type of a Content-Type header, without parameters and in lower case; JSON if there is none. */
export function mediaType(header: string | undefined): string {
  return (header ?? 'application/json').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** What bodies of resources may be written in. */
const ENCODINGS: Readonly<Record<string, 'json' | 'yaml' | 'protobuf'>> = {
  'application/json': 'json',
  'application/yaml': 'yaml',
  'application/x-yaml': 'yaml',
  'text/yaml': 'yaml',
  [PROTOBUF]: 'protobuf',
};

/**
 * The value of a body, read as its Content-Type says; undefined for an empty body.
 *
 * @throws ApiError UnsupportedMediaType; BadRequest as for {@link parseBody}.
 */
export function readBody(body: unknown, contentType: string | undefined): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  const media = mediaType(contentType);
  const encoding = ENCODINGS[media];
  if (encoding === undefined) throw unsupportedMedia(media, ['application/json', 'application/yaml']);
  return encoding === 'protobuf' ? parseProtobuf(body) : parseBody(body, encoding);
}

/** A 415 that says what is accepted. */
export function unsupportedMedia(media: string, offered: readonly string[]): ApiError {
  const message = `the body of the request was in an unknown format - accepted media types include: ${offered.join(', ')}`;
  return new ApiError('UnsupportedMediaType', message, {
    causes: [{ reason: 'FieldValueNotSupported', message: `got ${media.slice(0, 128)}`, field: 'Content-Type' }],
  });
}

/**
 * The value that a JSON or YAML body holds; undefined for an empty body.
 *
 * @throws ApiError BadRequest if it is not well formed, or holds the key `__proto__`. The message never quotes the body.
 */
export function parseBody(body: unknown, encoding: 'json' | 'yaml'): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  const text = body.toString('utf8');
  const value = encoding === 'json' ? parseJson(text) : parseYamlText(text);
  if (mayNamePrototype(text) && namesPrototype(value)) throw badRequest('', 'the request body holds the key "__proto__"');
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 quotes the body in its message; only the position is told.
    const position = error instanceof Error ? (/position \d+/.exec(error.message)?.[0] ?? 'its end') : 'its end';
    throw badRequest('', `the request body is not valid JSON: it breaks off or goes wrong at ${position}`);
  }
}

function parseYamlText(text: string): unknown {
  // JSON is YAML, and kubectl sends JSON under YAML's name: the faster parser goes first.
  if (/^\s*[{[]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      // Flow YAML: the next parser takes it.
    }
  }
  try {
    return parseYaml(text, { prettyErrors: false });
  } catch (error) {
    const position = typeof error === 'object' && error !== null && 'pos' in error ? ` near position ${String(error.pos)}` : '';
    throw badRequest('', `the request body is not valid YAML${position}`);
  }
}

/** A cheap look before the costly one: the key, plain or with escapes. */
const mayNamePrototype = (text: string) => text.includes('__proto__') || /\\(u00|x)5f/i.test(text);

function namesPrototype(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.keys(value).includes('__proto__') || Object.values(value).some(namesPrototype);
}
