import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Logger } from 'pino';
import { ZodError, z } from 'zod';
import type { Environment } from '../../environment.js';
import { cinder } from './cinder/cinder.js';
import { glance } from './glance.js';
import { html } from './http/replies.js';
import { route } from './http/service.js';
import { Transport } from './http/transport.js';
import { keystone } from './keystone.js';
import { KNOB_HELP, type Knobs, turn } from './knobs.js';
import { State } from './model/state.js';
import { restore } from './model/time.js';
import { neutron } from './neutron/neutron.js';
import { nova } from './nova/nova.js';
import { Saver, type SimulatorPersistence } from './persistence.js';

/** What a simulated cloud is started with. */
interface SimulatorOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Those that are not given have the defaults of knobs.ts. */
  readonly knobs?: Partial<Knobs>;
  /** Without it, nothing outlives the process. */
  readonly persistence?: SimulatorPersistence;
  readonly environment: Environment;
  readonly log: Logger;
}

/** A simulated cloud that is being served. */
export interface Simulator {
  /** Where to log in: `http://HOST:PORT/identity/v3`. Users: demo (password demo-secret, project demo), admin (admin-secret). */
  readonly url: string;
  knobs(): Knobs;
  /** Turns some knobs, at once. @throws ZodError for a value out of its range. */
  setKnobs(changes: Partial<Knobs>): void;
  /** How often each operation was called since the start: `nova POST /v2.1/servers`, `nova 429`. */
  calls(): Record<string, number>;
  /** Stops serving; what was changed is kept. */
  close(): Promise<void>;
}

/** Nova takes no larger body. */
const LARGEST_BODY = 114_688;

/**
 * Serves a simulated OpenStack: Keystone, Nova, Glance, Neutron and Cinder below one address, and beside them
 * `GET /knobs`, `PUT /knobs` (a JSON object with those to turn) and `GET /calls`.
 * @throws Error if the kept state cannot be used, or the address is taken.
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { host, port, persistence, environment, log } = options;
  const state = new State(environment, options.knobs ?? {});
  if (persistence !== undefined) restore(state, await persistence.load(), environment.now().getTime());
  const saver = new Saver(state, persistence);
  const transport = new Transport(state, saver, log);
  const setKnobs = (changes: unknown) => {
    const { seed } = state.knobs;
    state.knobs = turn(state.knobs, changes);
    if (state.knobs.seed !== seed) state.chance.reseed(state.knobs.seed);
  };
  const calls = () => Object.fromEntries([...transport.counts].sort());
  const server = createServer(application(state, transport, setKnobs, calls));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${portOf(server.address())}/identity/v3`;
  log.info({ url }, 'simulated cloud listening');
  return {
    url,
    knobs: () => state.knobs,
    setKnobs,
    calls,
    close: async () => {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      await saver.saved();
    },
  };
}

function application(
  state: State,
  transport: Transport,
  setKnobs: (changes: unknown) => void,
  calls: () => Record<string, number>,
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(express.json({ limit: LARGEST_BODY, type: () => true, strict: false }));
  app.use('/identity', route(keystone(state), transport.perform));
  app.use('/compute', route(nova(state), transport.perform));
  app.use('/image', route(glance(state), transport.perform));
  app.use('/network', route(neutron(state), transport.perform));
  app.use('/volume', route(cinder(state), transport.perform));
  app.get('/knobs', (_request, response) => {
    response.json({ knobs: state.knobs, help: KNOB_HELP });
  });
  app.put('/knobs', (request, response) => {
    setKnobs(request.body);
    response.json({ knobs: state.knobs });
  });
  app.get('/calls', (_request, response) => {
    response.json(calls());
  });
  app.use((_request, response) => {
    response.status(404).type('html').send(html('404 Not Found', 'The resource could not be found.'));
  });
  app.use(unusable);
  return app;
}

/** What could not be read as a request. Four parameters make it an error handler for express. */
const unusable: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
  if (error instanceof ZodError) {
    response.status(400).json({ badRequest: { code: 400, message: z.prettifyError(error) } });
    return;
  }
  const { status } = z.object({ status: z.number() }).catch({ status: 500 }).parse(error);
  if (status === 413) {
    const message = `Request is too large. Larger than max_request_body_size (${LARGEST_BODY}).`;
    response.status(413).type('html').send(html('413 Request Entity Too Large', message));
    return;
  }
  response.status(status).json({ badRequest: { code: status, message: 'Malformed request body' } });
};

function portOf(address: string | AddressInfo | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
