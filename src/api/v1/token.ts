import type { IncomingHttpHeaders } from 'node:http';
import { unauthorized } from '../auth/authenticate.js';
import { isObject } from '../resources/admission.js';

const KEY = 'auth_token';

/** The token that a request bears, and its body without it. */
export interface Borne {
  /** undefined: none is there. '' and what cannot be a token are there, and wrong. */
  readonly token: string | undefined;
  readonly body: unknown;
}

/** Takes the token from `X-Auth-Token`, `Authorization: Bearer`, `auth_token` in the query or in a JSON body: the first that is there. Pure. */
export function tokenOf(headers: IncomingHttpHeaders, query: URLSearchParams, body: unknown): Borne {
  const given = isObject(body) ? body[KEY] : undefined;
  const inBody = given === undefined || typeof given === 'string' ? given : '';
  const rest = isObject(body) ? Object.fromEntries(Object.entries(body).filter(([key]) => key !== KEY)) : body;
  const header = headers['x-auth-token'];
  const bearer = headers.authorization?.replace(/^Bearer +/i, '');
  const token = (Array.isArray(header) ? header[0] : header) ?? bearer ?? query.get(KEY) ?? inBody;
  return { token, body: rest };
}

/** A token that is there, and may be one. @throws ApiError Unauthorized if it is not. Pure. */
export function demandToken(token: string | undefined): string {
  if (token === undefined) throw unauthorized('a token is needed');
  if (!/^[A-Za-z0-9\-._~+/=]{1,4096}$/.test(token)) throw unauthorized('the token is unknown, expired or revoked');
  return token;
}
