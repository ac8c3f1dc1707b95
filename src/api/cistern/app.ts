import type { Express } from 'express';
import { serveRows, type V1Options } from '../v1/app.js';
import { assignRelease } from './assign-release.js';
import { nodes } from './nodes.js';

/** How long a request waits for what it has declared, in milliseconds. */
const WAIT_MS = 20_000;

/**
 * The built-in Cistern, to be mounted at /cistern/api/v1: what is declared here, in the protocol that another Dispatcher's Clouds speak.
 * Every request demands a token, `open` or not. On the event `drain` what waits is answered.
 */
export function cisternApi(options: V1Options): Express {
  return serveRows([...nodes, ...assignRelease], { waitMs: WAIT_MS, ...options });
}
