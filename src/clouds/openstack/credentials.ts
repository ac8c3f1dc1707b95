import { X509Certificate } from 'node:crypto';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import type { Credentials, ProjectReference } from './keystone.js';

/** What a Secret says. Where a Cloud says endpoint, region or project too, the Cloud wins. */
export interface ParsedCredentials {
  readonly credentials: Credentials;
  /** PEM. */
  readonly caBundle?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly project?: ProjectReference;
}

const text = z.string().min(1).optional();

/** One cloud of a clouds.yaml: what of it is used, all of it as text. */
const cloudSchema = z.object({
  auth: z.object({
    auth_url: text,
    username: text,
    password: text,
    user_domain_name: text,
    user_domain_id: text,
    domain_name: text,
    domain_id: text,
    project_id: text,
    project_name: text,
    project_domain_name: text,
    project_domain_id: text,
    application_credential_id: text,
    application_credential_secret: text,
  }),
  region_name: text,
  cacert: text,
  verify: text,
  interface: text,
});
const cloudsSchema = z.object({ clouds: z.record(z.string(), cloudSchema) });

/**
 * Reads the values of a Secret: `username`, `password` and `userDomain` (default Default); or `applicationCredentialId` and
 * `applicationCredentialSecret`; or `clouds.yaml`, of which `cloudName` or `cloud` names the entry (default: the first).
 * `ca.crt` or `cacert` goes with each.
 * @throws Error naming the key that is missing or wrong, never a value.
 */
export function parseCredentials(values: Readonly<Record<string, string>>): ParsedCredentials {
  // Values made from files end in a line break that nobody meant.
  const read = (key: string) => values[key]?.replace(/[\r\n]+$/, '') || undefined;
  const caKey = read('ca.crt') === undefined ? 'cacert' : 'ca.crt';
  const caBundle = read(caKey);
  if (caBundle !== undefined) checkCertificates(caBundle, caKey);
  const found = values['clouds.yaml'] === undefined ? fromKeys(read) : fromCloudsYaml(values['clouds.yaml'], read, caBundle);
  return { ...found, ...(caBundle === undefined ? {} : { caBundle }) };
}

type Read = (key: string) => string | undefined;

function fromKeys(read: Read): ParsedCredentials {
  const applicationCredentialId = read('applicationCredentialId');
  const applicationCredentialSecret = read('applicationCredentialSecret');
  if (applicationCredentialId !== undefined || applicationCredentialSecret !== undefined) {
    return {
      credentials: {
        applicationCredentialId: needed(applicationCredentialId, 'applicationCredentialId'),
        applicationCredentialSecret: needed(applicationCredentialSecret, 'applicationCredentialSecret'),
      },
    };
  }
  const username = read('username');
  const password = read('password');
  if (username === undefined && password === undefined) {
    throw new Error(
      'the Secret has none of username and password, applicationCredentialId and applicationCredentialSecret, or clouds.yaml',
    );
  }
  return {
    credentials: {
      username: needed(username, 'username'),
      password: needed(password, 'password'),
      userDomain: read('userDomain') ?? 'Default',
    },
  };
}

function fromCloudsYaml(yaml: string, read: Read, caBundle: string | undefined): ParsedCredentials {
  const cloud = chooseCloud(yaml, read('cloudName') ?? read('cloud'));
  const { auth } = cloud;
  const at = (key: string) => `clouds.yaml: clouds.${cloud.name}.${key}`;
  if (cloud.verify?.toLowerCase() === 'false') {
    throw new Error(
      `${at('verify')} is false, which is not supported: put the certificate of the authority under the key ca.crt`,
    );
  }
  if (cloud.interface !== undefined && !/^public(URL)?$/.test(cloud.interface)) {
    throw new Error(`${at('interface')} is not supported: only public is`);
  }
  const inline = caBundle === undefined ? cloud.cacert : undefined;
  if (inline !== undefined) {
    if (!inline.includes('-----BEGIN')) throw new Error(`${at('cacert')} names a file: put what is in it under the key ca.crt`);
    checkCertificates(inline, at('cacert'));
  }
  const project = projectOf(auth);
  return {
    credentials: credentialsOf(auth, at),
    ...(auth.auth_url === undefined ? {} : { endpoint: auth.auth_url }),
    ...(cloud.region_name === undefined ? {} : { region: cloud.region_name }),
    ...(project === undefined ? {} : { project }),
    ...(inline === undefined ? {} : { caBundle: inline }),
  };
}

type Auth = z.infer<typeof cloudSchema>['auth'];

function credentialsOf(auth: Auth, at: (key: string) => string): Credentials {
  if (auth.application_credential_id !== undefined || auth.application_credential_secret !== undefined) {
    return {
      applicationCredentialId: needed(auth.application_credential_id, at('auth.application_credential_id')),
      applicationCredentialSecret: needed(auth.application_credential_secret, at('auth.application_credential_secret')),
    };
  }
  const userDomainId = auth.user_domain_id ?? auth.domain_id;
  return {
    username: needed(auth.username, at('auth.username')),
    password: needed(auth.password, at('auth.password')),
    userDomain: auth.user_domain_name ?? auth.domain_name ?? 'Default',
    ...(userDomainId === undefined ? {} : { userDomainId }),
  };
}

function projectOf(auth: Auth): ProjectReference | undefined {
  if (auth.project_id !== undefined) return { id: auth.project_id };
  if (auth.project_name === undefined) return undefined;
  const domain = auth.project_domain_name ?? auth.domain_name;
  const domainId = auth.project_domain_id ?? auth.domain_id;
  return {
    name: auth.project_name,
    ...(domain === undefined ? {} : { domain }),
    ...(domainId === undefined ? {} : { domainId }),
  };
}

function chooseCloud(yaml: string, wanted: string | undefined): z.infer<typeof cloudSchema> & { name: string } {
  // failsafe: every scalar is text, so that a password of digits stays one. The parser's own messages quote the text: not used.
  const document = parseDocument(yaml, { schema: 'failsafe', merge: true, prettyErrors: true });
  const [problem] = document.errors;
  if (problem !== undefined)
    throw new Error(`clouds.yaml is not YAML: line ${problem.linePos?.[0].line ?? '?'} (${problem.code})`);
  const parsed = cloudsSchema.safeParse(document.toJS());
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`clouds.yaml: ${issue?.path.join('.') || 'the top'} ${issue?.message ?? 'is wrong'}`);
  }
  const [name, cloud] =
    Object.entries(parsed.data.clouds).find(([candidate]) => wanted === undefined || candidate === wanted) ?? [];
  if (name === undefined || cloud === undefined) {
    throw new Error(
      wanted === undefined ? 'clouds.yaml: clouds is empty' : 'clouds.yaml has no cloud of the name under cloudName',
    );
  }
  return { ...cloud, name };
}

function needed(value: string | undefined, key: string): string {
  if (value === undefined) throw new Error(`${key} is missing or empty`);
  return value;
}

/** Node passes over certificates that it cannot read, and the trouble would show as a distrusted cloud. */
function checkCertificates(pem: string, key: string): void {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error(`${key} has no PEM certificate (-----BEGIN CERTIFICATE-----)`);
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      throw new Error(`${key}: certificate ${index + 1} cannot be read`);
    }
  }
}
