import { Agent, request } from 'undici';
import { z } from 'zod';

const statusSchema = z.looseObject({
  kind: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  details: z
    .looseObject({
      name: z.string().optional(),
      kind: z.string().optional(),
      causes: z.array(z.looseObject({ reason: z.string(), field: z.string(), message: z.string() })).optional(),
    })
    .optional(),
});

/** What came back. `body` is the parsed JSON, or undefined if there was none. */
export interface Reply {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; `status` reads it as a Status. */
  json(): unknown;
  status(): z.infer<typeof statusSchema>;
}

/** What is sent: an object goes as JSON, text and bytes as they are. */
export interface Sending {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | string | Buffer | undefined;
  readonly type?: string | undefined;
}

/** A client of the resource API at `url` that trusts `ca`. Close it. */
export function apiClient(url: string, ca: string) {
  const agent = new Agent({ connect: { ca } });
  const send = async (path: string, sending: Sending = {}): Promise<Reply> => {
    const { method = 'GET', token = 'admin-token', headers = {}, body, type = 'application/json' } = sending;
    const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const response = await request(`${url}${path}`, {
      dispatcher: agent,
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(raw === undefined ? {} : { 'content-type': type }),
        ...headers,
      },
      body: raw ?? null,
    });
    const text = await response.body.text();
    const json = (): unknown => JSON.parse(text);
    return { code: response.statusCode, headers: response.headers, text, json, status: () => statusSchema.parse(json()) };
  };
  return { agent, send, close: () => agent.destroy() };
}
