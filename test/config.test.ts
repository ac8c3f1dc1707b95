import { resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, readConfig, SETTINGS, serveSchema, tokenSchema } from '../src/config.js';

const defaults = {
  plane: SETTINGS.plane.default,
  dataDir: SETTINGS.dataDir.default,
  http: SETTINGS.http.default,
  https: SETTINGS.https.default,
  logLevel: SETTINGS.logLevel.default,
  concurrency: SETTINGS.concurrency.default,
};

describe('what serve runs with', () => {
  test('the defaults are what the help says, with paths made absolute', () => {
    expect(readConfig(serveSchema, defaults)).toEqual({
      plane: 'postgres',
      dataDir: resolve('.dispatcher'),
      http: { host: '127.0.0.1', port: 5070 },
      https: { host: '127.0.0.1', port: 5443 },
      logLevel: 'info',
      concurrency: 64,
      v1Open: false,
    });
  });

  test.each([
    { reason: 'a name', text: 'localhost:80', address: { host: 'localhost', port: 80 } },
    { reason: 'port 0: any', text: '0.0.0.0:0', address: { host: '0.0.0.0', port: 0 } },
    { reason: 'IPv6 in brackets', text: '[::1]:65535', address: { host: '::1', port: 65_535 } },
  ])('$reason is an address', ({ text, address }) => {
    expect(readConfig(serveSchema, { ...defaults, http: text })).toMatchObject({ http: address });
  });

  test.each([
    { reason: 'no port', change: { http: 'localhost' }, message: /^--http: must be HOST:PORT .*got "localhost"$/ },
    { reason: 'no host', change: { http: ':5070' }, message: /^--http: must be HOST:PORT/ },
    { reason: 'a port beyond all ports', change: { https: 'localhost:65536' }, message: /^--https: must be HOST:PORT/ },
    { reason: 'a URL', change: { http: 'http://localhost:80' }, message: /^--http: must be HOST:PORT/ },
    { reason: 'IPv6 without brackets', change: { http: '::1:80' }, message: /^--http: must be HOST:PORT/ },
    { reason: 'an empty path', change: { dataDir: '' }, message: /^--data-dir: must not be empty$/ },
    { reason: 'no number', change: { concurrency: 'many' }, message: /^--concurrency: must be a whole number from 1/ },
    { reason: 'nobody would work', change: { concurrency: '0' }, message: /^--concurrency: must be from 1 to 10000$/ },
    { reason: 'a format of no kind', change: { logFormat: 'xml' }, message: /^--log-format: must be json or pretty$/ },
    { reason: 'a level of no kind', change: { logLevel: 'loud' }, message: /^--log-level: must be trace, debug/ },
    { reason: 'a plane of no kind', change: { plane: 'sqlite' }, message: /^--plane: must be postgres or kubernetes$/ },
    {
      reason: 'what is for the other plane',
      change: { plane: 'kubernetes', databaseUrl: 'postgresql://u:p@h/d' },
      message: /^--database-url: is not for --plane kubernetes: leave it out$/,
    },
    { reason: 'and the other way round', change: { kubeconfig: 'c' }, message: /^--kubeconfig: is not for --plane postgres/ },
    {
      reason: 'a namespace of no name',
      change: { plane: 'kubernetes', leaseNamespace: 'A_b' },
      message: /^--lease-namespace: must consist of lower case/,
    },
    {
      reason: 'v1 where there are no users',
      change: { plane: 'kubernetes', v1Open: true },
      message: /^--v1-open: is not for --plane/,
    },
    { reason: 'neither yes nor no', change: { v1Open: 'perhaps' }, message: /^--v1-open: must be true or false$/ },
    { reason: 'a certificate without its key', change: { tlsCert: 'a.pem' }, message: /^--tls-key: must be given together/ },
    { reason: 'a key without its certificate', change: { tlsKey: 'a.pem' }, message: /^--tls-cert: must be given together/ },
  ])('refused: $reason', ({ change, message }) => {
    expect(() => readConfig(serveSchema, { ...defaults, ...change })).toThrow(ConfigError);
    expect(() => readConfig(serveSchema, { ...defaults, ...change })).toThrow(message);
  });

  test.each(['mysql://u:hunter2@h/d', 'u:hunter2@h', 'postgresql://u:hunter2@ho st/d', 'postgresql://u:hunter2@h:port/d'])(
    'a bad database URL is refused without showing its password: %s',
    (databaseUrl) => {
      const read = () => readConfig(serveSchema, { ...defaults, databaseUrl });
      expect(read).toThrow(/^--database-url: must be a URL such as postgresql:\/\//);
      expect(read).not.toThrow(/hunter2/);
    },
  );
});

describe('what tokens are issued with', () => {
  test.each([
    { reason: 'hours', expiresIn: '12h', ms: 43_200_000 },
    { reason: 'the least', expiresIn: '1s', ms: 1000 },
  ])('a lifetime in $reason', ({ expiresIn, ms }) => {
    expect(readConfig(tokenSchema, { dataDir: 'd', user: 'ann', expiresIn })).toMatchObject({ expiresIn: ms });
  });

  test.each([
    { reason: 'no unit', change: { expiresIn: '12' }, message: /^--expires-in: must be a duration such as/ },
    { reason: 'over at once', change: { expiresIn: '0s' }, message: /^--expires-in: must be from 1s to 876000h/ },
    { reason: 'for ever and a day', change: { expiresIn: '876001h' }, message: /^--expires-in: must be from/ },
    { reason: 'nobody', change: { user: '' }, message: /^--user: must be 1 to 253 characters/ },
    { reason: 'a line break in a name', change: { user: 'a\nb' }, message: /^--user: must be 1 to 253 characters/ },
  ])('refused: $reason', ({ change, message }) => {
    expect(() => readConfig(tokenSchema, { dataDir: 'd', user: 'ann', expiresIn: '1h', ...change })).toThrow(message);
  });
});
