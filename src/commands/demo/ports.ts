import { createServer } from 'node:net';

/** An address of the form HOST:PORT itself if it can be listened on now, else the same host with port 0. */
export async function freeOr(address: string): Promise<string> {
  const [, host = '', port] = /^(.*):(\d+)$/.exec(address) ?? [];
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer()
      .once('error', () => resolve(false))
      .listen(Number(port), host, () => server.close(() => resolve(true)));
  });
  return free ? address : `${host}:0`;
}
