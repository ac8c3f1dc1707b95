import { createServer as createTcpServer } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { CisternClient, type CisternClientOptions } from '../../src/cistern/client.js';
import { CISTERN_ERRORS, type CisternError, isCisternError } from '../../src/cistern/errors.js';
import { retryOf } from '../../src/controllers/retry.js';
import { type Environment, systemEnvironment } from '../../src/environment.js';
import { type ReceivedRequest, startServer, type TestServer } from '../support/http-server.js';

const toFree: (() => unknown)[] = [];
afterEach(async () => {
  for (const free of toFree.splice(0).reverse()) await free();
});

/** Pauses (all that is shorter than the time limit of a call) end at once, and are written down. */
function quick(pauses: number[] = []): Environment {
  return {
    ...systemEnvironment,
    random: () => 1,
    after: (ms, callback) => {
      if (ms >= 10_000) return systemEnvironment.after(ms, callback);
      pauses.push(ms);
      return systemEnvironment.after(0, callback);
    },
  };
}

function client(endpoint: string, options: Partial<CisternClientOptions> = {}): CisternClient {
  const made = new CisternClient({ endpoint, cloud: 'lab', environment: quick(), ...options });
  toFree.push(() => made.close());
  return made;
}

/** A Cistern that gives each request the next of `answers`, and the last one for ever. */
async function cistern(...answers: (Answer | ((request: ReceivedRequest) => Answer))[]): Promise<TestServer> {
  let given = 0;
  const made = await startServer((request, response, socket) => {
    const next = answers[Math.min(given++, answers.length - 1)];
    const answer = typeof next === 'function' ? next(request) : next;
    if (answer === 'reset') socket.destroy();
    else if (answer !== undefined && answer !== 'silence') {
      const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
      response.writeHead(answer.status ?? 200, answer.headers).end(text);
    }
  });
  toFree.push(() => made.close());
  return made;
}

type Answer = { status?: number; body: unknown; headers?: Record<string, string> } | 'reset' | 'silence';

const base = (server: TestServer) => `${server.url}/api/v1`;
const nodes = (...list: unknown[]): Answer => ({ body: { status: 'ok', nodes: list } });
const wants = z.object({ with_faulty_nodes: z.boolean() });
const withFaulty = (request: ReceivedRequest) => wants.parse(JSON.parse(request.text)).with_faulty_nodes;
const free = {
  id: 3,
  id_vm: 'uuid-1',
  hostname: 'vm-1',
  cloud: 'lab',
  status: 1,
  status_desc: 'FREE',
  recipe: 'test',
  recipe_id: 2,
  user: '',
};
const known = { id: '3', serverId: 'uuid-1', hostname: 'vm-1', user: '', recipe: 'test', status: 'FREE', faulty: false };

async function failureOf(call: Promise<unknown>): Promise<CisternError> {
  const failure = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isCisternError(failure)) return failure;
  throw new Error(`no CisternError but ${String(failure)}`);
}

describe('nodes', () => {
  test('are asked for by GET with a body, first all and then the active ones, with the token', async () => {
    const server = await cistern(nodes(free));
    expect(await client(base(server), { cloud: 'fake driver', token: 'secret' }).nodes()).toEqual([known]);
    expect(server.requests.map(({ method, path, text }) => `${method} ${path} ${text}`)).toEqual([
      'GET /api/v1/nodes/fake%20driver {"with_faulty_nodes":true}',
      'GET /api/v1/nodes/fake%20driver {"with_faulty_nodes":false}',
    ]);
    expect(server.requests[0]?.headers).toMatchObject({
      'x-auth-token': 'secret',
      'content-type': 'application/json',
      'content-length': '26',
    });
  });

  test('are asked for without a token where there is none, and with the name and password of the endpoint', async () => {
    const server = await cistern(nodes());
    await client(base(server)).nodes();
    expect(server.requests[0]?.headers).not.toHaveProperty('x-auth-token');
    expect(server.requests[0]?.headers).not.toHaveProperty('authorization');
    await client(`${base(server).replace('//', '//me:p%40ss@')}//`).nodes();
    expect(server.requests.at(-1)).toMatchObject({
      path: '/api/v1/nodes/lab',
      headers: { authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}` },
    });
  });

  test.each<{ reason: string; node: unknown; expected: object[] }>([
    { reason: 'one that is free', node: free, expected: [known] },
    { reason: 'a user that is null', node: { ...free, user: null }, expected: [known] },
    { reason: 'no user at all', node: { ...free, user: undefined }, expected: [known] },
    { reason: 'one that is assigned', node: { ...free, user: 'alice' }, expected: [{ ...known, user: 'alice' }] },
    {
      reason: 'numbers where texts are usual',
      node: { ...free, id_vm: 7, user: 8 },
      expected: [{ ...known, serverId: '7', user: '8' }],
    },
    { reason: 'texts where numbers are usual', node: { ...free, id: '3', status: '1', recipe_id: '2' }, expected: [known] },
    { reason: 'keys that nobody knows', node: { ...free, rack: { row: 4 } }, expected: [known] },
    {
      reason: 'its application and its last activity',
      node: { ...free, application: 'galaxy', last_activity: '2026-01-01T10:00:00+01:00' },
      expected: [{ ...known, application: 'galaxy', lastActivity: new Date('2026-01-01T09:00:00Z') }],
    },
    { reason: 'a last activity that cannot be read', node: { ...free, last_activity: 'today' }, expected: [known] },
    {
      reason: 'a fault in words, though it is listed as active',
      node: { ...free, status_desc: 'Faulty' },
      expected: [{ ...known, status: 'Faulty', faulty: true }],
    },
    { reason: 'one that has no server yet', node: { ...free, id_vm: null }, expected: [] },
    {
      reason: 'no more than its server',
      node: { id_vm: 'uuid-1' },
      expected: [{ id: '', serverId: 'uuid-1', hostname: '', user: '', recipe: '', status: '', faulty: false }],
    },
  ])('read $reason', async ({ node, expected }) => {
    expect(await client(base(await cistern(nodes(node)))).nodes()).toEqual(expected);
  });

  test.each([
    { reason: 'an empty list', answer: nodes() },
    { reason: 'an empty object, as the reference does', answer: { body: { status: 'ok', nodes: {} } } },
  ])('are none by $reason', async ({ answer }) => {
    expect(await client(base(await cistern(answer))).nodes()).toEqual([]);
  });

  test('that are listed only when faulty ones are asked for are faulty', async () => {
    const second = { ...free, id: 4, id_vm: 'uuid-2', user: 'bob' };
    const server = await cistern((request) => (withFaulty(request) ? nodes(free, second) : nodes(free)));
    expect(await client(base(server)).nodes()).toEqual([
      known,
      { ...known, id: '4', serverId: 'uuid-2', user: 'bob', faulty: true },
    ]);
    expect(server.requests.map(withFaulty)).toEqual([true, false, true]);
  });

  test('that go or come between the two lists are not taken for faulty', async () => {
    const gone = { ...free, id_vm: 'gone' };
    const come = { ...free, id_vm: 'come' };
    const server = await cistern(nodes(free, gone), nodes(free, come), nodes(free, come));
    expect(await client(base(server)).nodes()).toEqual([known, { ...known, serverId: 'come' }]);
  });

  test('that are listed twice are told once', async () => {
    const server = await cistern(nodes({ ...free, user: 'old' }, free));
    expect(await client(base(server)).nodes()).toEqual([known]);
  });

  test('are listed over one connection', async () => {
    const server = await cistern(nodes());
    await client(base(server)).nodes();
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 1]);
  });
});

describe('a read that fails', () => {
  test.each<{ reason: string; answer: Answer; message: string }>([
    { reason: 'the connection is cut', answer: 'reset', message: 'no answer: socket hang up' },
    { reason: '503', answer: { status: 503, body: 'down' }, message: 'HTTP 503' },
    {
      reason: '500 in the envelope',
      answer: { status: 500, body: { status: 'error', message: 'no database' } },
      message: 'HTTP 500: no database',
    },
  ])('is tried three times when $reason', async ({ answer, message }) => {
    const pauses: number[] = [];
    const server = await cistern(answer);
    const error = await failureOf(client(base(server), { environment: quick(pauses) }).nodes());
    expect(error).toMatchObject({
      code: 'Unreachable',
      message: `Cistern at ${base(server)}: GET /nodes/lab: ${message}`,
    });
    expect(server.requests).toHaveLength(3);
    expect(pauses).toEqual([250, 500]);
  });

  test('succeeds when Cistern is back in time', async () => {
    const server = await cistern('reset', { status: 502, body: '' }, nodes(free));
    expect(await client(base(server)).nodes()).toEqual([known]);
    expect(server.requests).toHaveLength(4);
  });

  test('is Unreachable when nobody listens', async () => {
    const server = await cistern(nodes());
    await server.close();
    expect(await failureOf(client(base(server)).nodes())).toMatchObject({
      code: 'Unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test.each<{ reason: string; answer: Answer; code: CisternError['code']; message: string }>([
    {
      reason: 'an error with 200',
      answer: { body: { status: 'error', message: 'Cloud not valid' } },
      code: 'Refused',
      message: 'HTTP 200: Cloud not valid',
    },
    {
      reason: 'an error with 400',
      answer: { status: 400, body: { status: 'error', status_code: 400, message: 'Node not found' } },
      code: 'Refused',
      message: 'HTTP 400: Node not found',
    },
    { reason: 'a page with 404', answer: { status: 404, body: '<html>' }, code: 'Refused', message: 'HTTP 404' },
    { reason: '401', answer: { status: 401, body: '' }, code: 'Unauthorized', message: 'HTTP 401' },
    {
      reason: '403 in the envelope',
      answer: { status: 403, body: { status: 'error', message: 'Token not valid' } },
      code: 'Unauthorized',
      message: 'HTTP 403: Token not valid',
    },
    {
      reason: 'broken JSON',
      answer: { body: '{"status":"ok","nodes":[' },
      code: 'InvalidAnswer',
      message: 'the answer is no JSON',
    },
    { reason: 'nothing', answer: { status: 204, body: '' }, code: 'InvalidAnswer', message: 'the answer is no JSON' },
    {
      reason: 'no nodes, which is not the same as none',
      answer: { body: { status: 'ok' } },
      code: 'InvalidAnswer',
      message: 'nodes',
    },
    { reason: 'nodes: null', answer: { body: { status: 'ok', nodes: null } }, code: 'InvalidAnswer', message: 'nodes' },
    {
      reason: 'nodes that are an object of something',
      answer: { body: { status: 'ok', nodes: { a: free } } },
      code: 'InvalidAnswer',
      message: 'nodes',
    },
    { reason: 'a node that is none', answer: nodes(free, 'vm-2'), code: 'InvalidAnswer', message: 'nodes' },
    { reason: 'another status', answer: { body: { status: 'OKAY', nodes: [] } }, code: 'InvalidAnswer', message: 'status' },
    { reason: 'JSON of something else', answer: { body: [1] }, code: 'InvalidAnswer', message: 'not as it should be' },
    {
      reason: 'more than 16 MiB',
      answer: { body: ' '.repeat(17 * 1024 * 1024) },
      code: 'InvalidAnswer',
      message: 'larger than 16777216 bytes',
    },
  ])('is not tried again for $reason', async ({ answer, code, message }) => {
    const server = await cistern(answer);
    expect(await failureOf(client(base(server)).nodes())).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(server.requests).toHaveLength(1);
  });

  test('does not follow a redirection with its token', async () => {
    const other = await cistern(nodes());
    const server = await cistern({ status: 307, body: '', headers: { location: base(other) } });
    expect(await failureOf(client(base(server), { token: 'secret' }).nodes())).toMatchObject({ code: 'InvalidAnswer' });
    expect(other.requests).toEqual([]);
  });

  test('ends with the reason of the signal, be it under way or before', async () => {
    const stop = new AbortController();
    const server = await cistern(() => {
      stop.abort(new Error('stopping'));
      return 'silence';
    });
    const made = client(base(server));
    await expect(made.nodes(stop.signal)).rejects.toThrow('stopping');
    await expect(made.nodes(stop.signal)).rejects.toThrow('stopping');
    expect(server.requests).toHaveLength(1);
  });

  test('ends when its client is closed', async () => {
    const server = await cistern(() => {
      made.close();
      return 'silence';
    });
    const made = client(base(server));
    expect(await failureOf(made.nodes())).toMatchObject({ code: 'Unreachable' });
  });
});

describe('assign and release', () => {
  const done = { body: { status: 'ok', id_vm: 'uuid-1', id: 3, result: 'Node uuid-1 assigned' } };

  test('are sent as Cistern wants them', async () => {
    const server = await cistern(done);
    const made = client(base(server), { token: 'secret' });
    const receipt = { serverId: 'uuid-1', result: 'Node uuid-1 assigned' };
    expect(await made.assign({ hostname: 'vm-1', user: 'alice', vmType: 'galaxy' })).toEqual(receipt);
    expect(await made.release('vm-1')).toEqual(receipt);
    expect(server.requests.map(({ method, path, text }) => `${method} ${path} ${text}`)).toEqual([
      'POST /api/v1/vm/assign/lab {"hostname":"vm-1","user":"alice","vm_type":"galaxy"}',
      'PUT /api/v1/vm/release/lab {"hostname":"vm-1"}',
    ]);
    expect(server.requests.map(({ headers }) => headers['x-auth-token'])).toEqual(['secret', 'secret']);
  });

  test('are done though the answer says no more than that', async () => {
    const server = await cistern({ body: { status: 'ok' } });
    expect(await client(base(server)).release('vm-1')).toEqual({ serverId: '', result: '' });
  });

  test.each<{ reason: string; answer: Answer; code: CisternError['code']; outcome: 'none' | 'unknown' }>([
    { reason: 'the connection is cut', answer: 'reset', code: 'Unreachable', outcome: 'unknown' },
    { reason: 'the answer is 503', answer: { status: 503, body: '' }, code: 'Unreachable', outcome: 'unknown' },
    { reason: 'the answer is rubbish', answer: { body: 'done!' }, code: 'InvalidAnswer', outcome: 'unknown' },
    { reason: 'it is refused', answer: { body: { status: 'error', message: 'taken' } }, code: 'Refused', outcome: 'none' },
    { reason: 'it may not', answer: { status: 403, body: '' }, code: 'Unauthorized', outcome: 'none' },
  ])('are sent once, and their outcome is $outcome, when $reason', async ({ answer, code, outcome }) => {
    const server = await cistern(answer);
    const made = client(base(server));
    for (const call of [made.assign({ hostname: 'vm-1', user: 'alice', vmType: 'galaxy' }), made.release('vm-1')]) {
      const error = await failureOf(call);
      expect(error.code).toBe(code);
      expect(CISTERN_ERRORS[error.code].outcome).toBe(outcome);
    }
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    { reason: 'never answers', drip: false },
    { reason: 'begins to answer and never ends', drip: true },
  ])('end at the time limit when Cistern $reason', async ({ drip }) => {
    const server = await startServer((_, response) => {
      if (!drip) return;
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    });
    toFree.push(() => server.close());
    const made = client(base(server), { requestTimeoutMs: 150, environment: systemEnvironment });
    expect(await failureOf(made.release('vm-1'))).toMatchObject({
      code: 'Unreachable',
      message: expect.stringContaining('no answer within 150 ms'),
    });
    expect(server.requests).toHaveLength(1);
  });

  test('look at the signal before they are sent, and not after', async () => {
    const stop = new AbortController();
    const server = await cistern(() => {
      stop.abort(new Error('stopping'));
      return done;
    });
    const made = client(base(server));
    await expect(made.release('vm-1', stop.signal)).resolves.toMatchObject({ serverId: 'uuid-1' });
    await expect(made.release('vm-1', stop.signal)).rejects.toThrow('stopping');
    expect(server.requests).toHaveLength(1);
  });
});

describe('what is secret', () => {
  test('is in no error, though Cistern gives it back', async () => {
    const basic = Buffer.from('me:p@ss').toString('base64');
    const echo: Answer = { status: 400, body: { status: 'error', message: `no secret-token, p@ss, p%40ss, ${basic}` } };
    for (const answer of [echo, 'reset'] as const) {
      const server = await cistern(answer);
      const made = client(base(server).replace('//', '//me:p%40ss@'), { token: 'secret-token' });
      const error = await failureOf(made.nodes());
      const all = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error);
      for (const secret of ['secret-token', 'p@ss', 'p%40ss', basic]) expect(all).not.toContain(secret);
    }
  });

  test.each([
    { reason: 'no URL', endpoint: 'me:p@ss' },
    { reason: 'no URL that can be parsed', endpoint: 'http://me:p@ss@' },
    { reason: 'of another protocol', endpoint: 'ftp://me:p@ss@host/api/v1' },
    { reason: 'with a query', endpoint: 'http://host/api/v1?auth_token=p@ss' },
    { reason: 'with a password that cannot be decoded', endpoint: 'http://me:p@ss%zz@host/api/v1' },
  ])('is not told of an endpoint that is $reason; another try needs a change', ({ endpoint }) => {
    const make = () => new CisternClient({ endpoint, cloud: 'lab', environment: systemEnvironment });
    let error: unknown;
    try {
      make();
    } catch (thrown) {
      error = thrown;
    }
    expect(isCisternError(error, 'InvalidEndpoint')).toBe(true);
    expect(inspect(error)).not.toMatch(/p@ss|p%40ss/);
    expect(retryOf(error)).toEqual({ kind: 'change' });
  });

  test('is not drowned: a long answer is cut in the message', async () => {
    const server = await cistern({ status: 400, body: { status: 'error', message: 'x'.repeat(10_000) } });
    expect((await failureOf(client(base(server)).nodes())).message.length).toBeLessThan(600);
  });
});

describe('what answers there', () => {
  test('is Unreachable when it speaks no HTTP', async () => {
    const tcp = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume().end('220 mail ready\r\n');
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    toFree.push(() => new Promise<void>((resolve) => tcp.close(() => resolve())));
    const address = tcp.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const error = await failureOf(client(`http://127.0.0.1:${address.port}/api/v1`).release('vm-1'));
    expect(error.code).toBe('Unreachable');
    expect(retryOf(error)).toEqual({ kind: 'backoff' });
  });
});
