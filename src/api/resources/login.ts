import express, { type Router } from 'express';
import { z } from 'zod';
import type { Login } from '../auth/log-in.js';
import { readBody } from './body.js';
import { badRequest } from './errors.js';

const LIMIT = 16 * 1024;
const bodySchema = z.strictObject({ username: z.string().min(1).max(253), password: z.string().max(1024) });

/** `POST /api/v2/login` with `{"username", "password"}`, which answers `{"token", "expiresAt"}`. For a door with TLS only. */
export function loginRoute(login: Login): Router {
  return express.Router().post('/api/v2/login', express.raw({ type: () => true, limit: LIMIT }), async (request, response) => {
    const body = bodySchema.safeParse(readBody(request.body, request.headers['content-type']));
    if (!body.success) throw badRequest('', 'the body must be {"username": "...", "password": "..."}');
    const { username, password } = body.data;
    const { token, expiresAt } = await login.logIn(username, password, response.locals.origin);
    response.status(200).set('Cache-Control', 'no-store').json({ token, expiresAt: expiresAt.toISOString() });
  });
}
