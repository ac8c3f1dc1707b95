import { z } from 'zod';
import { ApiError } from '../resources/errors.js';
import { assignRelease } from './assign-release.js';
import { V1Error } from './errors.js';
import { firewall } from './firewall.js';
import { type Operation, operation, operationWithBody } from './operation.js';
import { reads } from './reads.js';
import { startStop } from './start-stop.js';
import { storage } from './storage.js';

const tested = z.object({ status: z.literal('ok'), test: z.literal('passed'), authenticated: z.literal('yes') });

/** Every row of v1. Where more than one path fits, the first that serves the method is meant. */
export const ROWS: readonly Operation[] = [
  operation({
    methods: ['GET', 'POST'],
    path: '/',
    access: 'anybody',
    summary: 'Says that the service is there.',
    answer: z.object({ status: z.literal('ok') }),
    handle: async () => ({ code: 200, body: { status: 'ok' } }),
  }),
  operationWithBody({
    methods: ['POST'],
    path: '/auth',
    access: 'anybody',
    summary: 'Gives a token for a name and password. It is good for 12 hours.',
    body: z.strictObject({ username: z.string().min(1).max(253), password: z.string().max(1024) }),
    answer: z.object({ status: z.literal('ok'), status_code: z.literal(200), token: z.string() }),
    handle: async ({ context, origin }, { username, password }) => {
      try {
        const { token } = await context.login.logIn(username, password, origin);
        return { code: 200, body: { status: 'ok', status_code: 200, token } };
      } catch (error) {
        if (error instanceof ApiError && error.reason === 'Unauthorized')
          throw new V1Error(403, error.message.replace(/^Unauthorized: /, ''));
        throw error;
      }
    },
  }),
  ...reads,
  ...startStop,
  ...assignRelease,
  ...['/test/start', '/test/{user_id}/kill'].map((path) =>
    operation({
      methods: ['PUT'],
      path,
      access: 'always a token',
      summary: 'Says that the token is good.',
      answer: tested,
      handle: async () => ({ code: 200, body: { status: 'ok', test: 'passed', authenticated: 'yes' } }),
    }),
  ),
  ...firewall,
  ...storage,
];
