import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freeOr } from '../../../src/commands/demo/ports.js';

let server: Server;
let address: string;

beforeEach(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  address = `127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

test('an address that is taken gives way to any port, and one that is free stays', async () => {
  expect(await freeOr(address)).toBe('127.0.0.1:0');
  await new Promise((resolve) => server.close(resolve));
  expect(await freeOr(address)).toBe(address);
});
