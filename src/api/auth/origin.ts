import type { IncomingMessage } from 'node:http';
import type { Environment } from '../../environment.js';

/** Which request this is, and where it comes from: what the audit and the log know it by. */
export interface Origin {
  /** The client's own `Audit-Id`, as in Kubernetes, or a new one. */
  readonly requestId: string;
  /** An IPv4 or IPv6 address; '' if the client has gone. */
  readonly address: string;
}

/** The origin of a request. Headers of proxies are not believed. */
export function originOf({ headers, socket }: IncomingMessage, environment: Environment): Origin {
  const given = headers['audit-id'];
  const requestId = typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : environment.id();
  return { requestId, address: (socket.remoteAddress ?? '').replace(/^::ffff:/, '') };
}
