import { createHash, generateKeyPairSync } from 'node:crypto';

/** A new RSA key pair: PEM and OpenSSH's form. */
export function newSshKey(): { privateKey: string; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const blob = Buffer.concat([field(Buffer.from('ssh-rsa')), field(number(e)), field(number(n))]);
  return {
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    publicKey: `ssh-rsa ${blob.toString('base64')} Generated-by-Nova`,
  };
}

/** The MD5 fingerprint of a public key in OpenSSH's form; undefined if it is none. */
export function fingerprintOf(publicKey: string): string | undefined {
  const [type = '', text = ''] = publicKey.trim().split(/\s+/);
  const blob = Buffer.from(text, 'base64');
  if (blob.length < 8 || blob.readUInt32BE(0) !== type.length || blob.toString('latin1', 4, 4 + type.length) !== type) {
    return undefined;
  }
  return createHash('md5')
    .update(blob)
    .digest('hex')
    .replace(/..(?=.)/g, '$&:');
}

/** SSH's multi-precision integer: no leading zeros, but for one that keeps it positive. */
function number(base64url: string): Buffer {
  const bytes = Buffer.from(base64url, 'base64url');
  return (bytes[0] ?? 0) >= 128 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
