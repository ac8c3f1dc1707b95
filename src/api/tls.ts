import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import type { Environment } from '../environment.js';
import type { ServerCertificate } from './serve.js';

/** A certificate to serve with, and what clients need to trust it. */
export interface TlsMaterial extends ServerCertificate {
  /** The authority that signed it, in PEM; the certificate's own for one that was given. */
  readonly ca: string;
  /** When it ends. */
  readonly validUntil: Date;
}

/** Where the certificate comes from. */
export interface TlsOptions {
  /** Holds ca.crt, ca.key, server.crt and server.key of our own making; made if it is not there. Keys are for the owner only. */
  readonly directory: string;
  /** What clients call this server, beside localhost, 127.0.0.1 and ::1: names and addresses. */
  readonly hosts: readonly string[];
  /** The paths of a certificate (chain), its key, and optionally the authority: used as they are, nothing is made. */
  readonly given?: { readonly cert: string; readonly key: string; readonly ca?: string };
  readonly environment: Environment;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
/** Short enough for every client's rules on certificates (397 days at most). */
const SERVER_DAYS = 365;
/** With less than this left, a certificate is made anew. */
const RENEW_DAYS = 30;
const ALWAYS = ['localhost', '127.0.0.1', '::1'];

/**
 * The certificate to serve with: the given one, or one of our own making under `directory`, reused while it lasts, covers the
 * hosts and fits its key, and made anew otherwise (clients keep trusting the authority). Call it again each day to renew.
 *
 * @throws Error that names the file, if one cannot be read or written, or is no certificate.
 */
export async function tlsMaterial({ directory, hosts, given, environment }: TlsOptions): Promise<TlsMaterial> {
  if (given) return givenMaterial(given);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const now = environment.now();
  const names = [...new Set([...ALWAYS, ...hosts])];
  const authority = (await kept(directory, 'ca', now)) ?? (await keep(directory, 'ca', await makeAuthority(now)));
  const standing = await kept(directory, 'server', now);
  const usable = standing && covers(standing.cert, names) && isSignedBy(standing.cert, authority.cert);
  const server = usable ? standing : await keep(directory, 'server', await makeServer(names, authority, now));
  return { ...server, ca: authority.cert, validUntil: new Date(new X509Certificate(server.cert).validTo) };
}

async function givenMaterial(given: NonNullable<TlsOptions['given']>): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all(
    [given.cert, given.key, given.ca ?? given.cert].map((path) => readFile(path, 'utf8')),
  );
  if (cert === undefined || key === undefined || ca === undefined || !fits({ cert, key })) {
    throw new Error(`the certificate ${given.cert} and the key ${given.key} do not belong together`);
  }
  return { cert, key, ca, validUntil: new Date(new X509Certificate(cert).validTo) };
}

async function kept(directory: string, name: string, now: Date): Promise<ServerCertificate | undefined> {
  try {
    const cert = await readFile(join(directory, `${name}.crt`), 'utf8');
    const pair = { cert, key: await readFile(join(directory, `${name}.key`), 'utf8') };
    const left = Date.parse(new X509Certificate(cert).validTo) - now.getTime();
    return left > RENEW_DAYS * DAY_MS && fits(pair) ? pair : undefined;
  } catch (error) {
    if (isUnreadable(error))
      throw new Error(`cannot read the certificate ${name} in ${directory}: ${error.message}`, { cause: error });
    // Not there, or no certificate: made anew.
    return undefined;
  }
}

/** A file that is there and cannot be read is not one that is absent: overwriting it would lose what clients trust. */
function isUnreadable(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EIO');
}

/** The key goes first: a certificate without its key is made anew, never served. */
async function keep(directory: string, name: string, pair: ServerCertificate): Promise<ServerCertificate> {
  for (const [suffix, text] of [
    ['key', pair.key],
    ['crt', pair.cert],
  ] as const) {
    const path = join(directory, `${name}.${suffix}`);
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }
  return pair;
}

async function makeAuthority(now: Date): Promise<ServerCertificate> {
  const made = await generate([{ name: 'commonName', value: 'Dispatcher' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(now.getTime() - DAY_MS),
    notAfterDate: new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { cert: made.cert, key: made.private };
}

async function makeServer(names: readonly string[], authority: ServerCertificate, now: Date): Promise<ServerCertificate> {
  const made = await generate([{ name: 'commonName', value: 'dispatcher-server' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    // An hour back, for clients whose clocks are behind.
    notBeforeDate: new Date(now.getTime() - DAY_MS / 24),
    notAfterDate: new Date(now.getTime() + SERVER_DAYS * DAY_MS),
    ca: authority,
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: names.map((name) => (isIP(name) ? { type: 7, ip: name } : { type: 2, value: name })) },
    ],
  });
  return { cert: made.cert, key: made.private };
}

function fits({ cert, key }: ServerCertificate): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}

function covers(cert: string, names: readonly string[]): boolean {
  const certificate = new X509Certificate(cert);
  return names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined);
}

function isSignedBy(cert: string, authority: string): boolean {
  return new X509Certificate(cert).verify(new X509Certificate(authority).publicKey);
}
