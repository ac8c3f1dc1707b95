import { type CloudReader, CloudUnavailable } from '../../api/v1/cloud-reader.js';
import type { Connection } from '../../clouds/connection.js';
import { isCloudError } from '../../clouds/errors.js';

/** How old a list may be that is shown: what somebody has just made is soon there, and the cloud is not asked for every request. */
const SHOWN_MS = 5_000;

/** Reads of clouds through the connections that the reconcilers have. */
export function cloudReader(connectionOf: (cloud: string) => Connection | undefined): CloudReader {
  const connected = (cloud: string): Connection => {
    const connection = connectionOf(cloud);
    if (connection) return connection;
    throw new CloudUnavailable(
      `the cloud ${cloud} is not connected here: its status says why, or this process is a standby: ask the one that works`,
    );
  };
  const told = async <T>(cloud: string, ask: (connection: Connection) => Promise<T>): Promise<T> => {
    try {
      return await ask(connected(cloud));
    } catch (error) {
      if (!isCloudError(error)) throw error;
      throw new CloudUnavailable(`the cloud ${cloud} cannot be asked: ${error.message}`, { cause: error });
    }
  };
  return {
    servers: (cloud) => {
      const { observer } = connected(cloud);
      const { completeAt } = observer.health;
      if (!completeAt) throw new CloudUnavailable(`the cloud ${cloud} has not been listed yet`);
      return { servers: [...observer.servers()], observedAt: completeAt };
    },
    images: (cloud) => told(cloud, ({ catalog }) => catalog.images.get(SHOWN_MS)),
    flavors: (cloud) => told(cloud, ({ catalog }) => catalog.flavors.get(SHOWN_MS)),
    projects: (cloud) => told(cloud, ({ projects }) => projects.get(SHOWN_MS)),
    has: (cloud, what, id) =>
      told(cloud, async ({ catalog }) => {
        const found = await catalog.resolve(what, id);
        return found.kind === 'found' && found.value.id === id;
      }),
  };
}
