import { request } from 'node:http';
import { z } from 'zod';

/** What came back. */
export interface V1Reply {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The parsed JSON; undefined for an empty body. */
  readonly body: unknown;
}

/** What is sent: an object goes as JSON, a text as it is. */
export interface V1Sending {
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Sends one request of v1. */
export type V1Client = (method: string, path: string, sending?: V1Sending) => Promise<V1Reply>;

const envelopeSchema = z.strictObject({
  status: z.literal('error'),
  status_code: z.int(),
  status_short_message: z.string().min(1),
  status_long_message: z.string().min(1),
  message: z.string().min(1),
});

/**
 * A plain HTTP client of v1, which sends a body with any method, as old clients do.
 * @param url of the server: http://127.0.0.1:5070.
 */
export function v1Client(url: string, token?: string): V1Client {
  return (method, path, sending = {}) =>
    new Promise((resolve, reject) => {
      const { headers, body } = sending;
      const bearer = 'token' in sending ? sending.token : token;
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const sent = request(`${url}/api/v1${path}`, {
        method,
        agent: false,
        headers: {
          ...(bearer !== undefined && { 'X-Auth-Token': bearer }),
          ...(text !== undefined && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
          ...headers,
        },
      });
      sent.once('error', reject).once('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('error', reject);
        response.once('end', () => {
          const said = Buffer.concat(chunks).toString('utf8');
          const json: unknown =
            said === '' || !/json/.test(response.headers['content-type'] ?? '') ? undefined : JSON.parse(said);
          resolve({ code: response.statusCode ?? 0, headers: response.headers, text: said, body: json });
        });
      });
      sent.end(text);
    });
}

/** What an error envelope says, if the reply is a whole one whose status is that of HTTP. @throws ZodError or Error if not. */
export function failureOf({ code, body }: V1Reply): { readonly code: number; readonly message: string } {
  const { status_code, message } = envelopeSchema.parse(body);
  if (status_code !== code) throw new Error(`the envelope says ${status_code}, HTTP says ${code}`);
  return { code, message };
}
