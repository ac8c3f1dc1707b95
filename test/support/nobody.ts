import type { ConnectionListener } from '../../src/clouds/connection.js';

const nothing = () => undefined;
const list = { changed: nothing, completed: nothing, healthChanged: nothing };

/** Nobody is woken by a connection. */
export const NOBODY: ConnectionListener = {
  servers: { serversChanged: nothing, completed: nothing, healthChanged: nothing },
  ports: list,
  groups: list,
  volumes: list,
};
