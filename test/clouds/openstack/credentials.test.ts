import { describe, expect, it } from '@jest/globals';
import { generate } from 'selfsigned';
import { parseCredentials } from '../../../src/clouds/openstack/credentials.js';

const SECRET = 'hunter2-very-secret';

const yaml = (auth: string, rest = '') =>
  `clouds:\n  first:\n    auth:\n${auth.replace(/^/gm, '      ')}\n${rest.replace(/^/gm, '    ')}\n`;
const password = `auth_url: https://keystone/v3\nusername: demo\npassword: ${SECRET}`;

describe('parseCredentials', () => {
  it.each([
    {
      reason: 'user and password, in the domain Default',
      values: { username: 'demo', password: SECRET },
      expected: { credentials: { username: 'demo', password: SECRET, userDomain: 'Default' } },
    },
    {
      reason: 'values that end in a line break, as files do',
      values: { username: 'demo\n', password: `${SECRET}\r\n`, userDomain: 'people\n' },
      expected: { credentials: { username: 'demo', password: SECRET, userDomain: 'people' } },
    },
    {
      reason: 'an application credential',
      values: { applicationCredentialId: 'id', applicationCredentialSecret: SECRET },
      expected: { credentials: { applicationCredentialId: 'id', applicationCredentialSecret: SECRET } },
    },
    {
      reason: 'clouds.yaml with names of domains',
      values: {
        'clouds.yaml': yaml(`${password}\nproject_name: p\nuser_domain_name: u\nproject_domain_name: d`, 'region_name: R'),
      },
      expected: {
        credentials: { username: 'demo', password: SECRET, userDomain: 'u' },
        endpoint: 'https://keystone/v3',
        region: 'R',
        project: { name: 'p', domain: 'd' },
      },
    },
    {
      reason: 'clouds.yaml with ids of domains, as DevStack writes it',
      values: { 'clouds.yaml': yaml(`${password}\nproject_name: p\nuser_domain_id: default\nproject_domain_id: default`) },
      expected: {
        credentials: { username: 'demo', password: SECRET, userDomain: 'Default', userDomainId: 'default' },
        endpoint: 'https://keystone/v3',
        project: { name: 'p', domainId: 'default' },
      },
    },
    {
      reason: 'clouds.yaml with an application credential',
      values: { 'clouds.yaml': yaml(`application_credential_id: id\napplication_credential_secret: ${SECRET}`) },
      expected: { credentials: { applicationCredentialId: 'id', applicationCredentialSecret: SECRET } },
    },
    {
      reason: 'a password of digits, which stays text',
      values: { 'clouds.yaml': yaml('username: demo\npassword: 0123\nproject_id: 00e1') },
      expected: { credentials: { username: 'demo', password: '0123', userDomain: 'Default' }, project: { id: '00e1' } },
    },
    {
      reason: 'the cloud that cloudName names',
      values: {
        'clouds.yaml': `${yaml(password)}  second: {auth: {username: other, password: ${SECRET}}}\n`,
        cloudName: 'second',
      },
      expected: { credentials: { username: 'other', password: SECRET, userDomain: 'Default' } },
    },
    {
      reason: 'a cacert that names a file, when the certificate is under a key of its own',
      values: { 'clouds.yaml': yaml('username: demo\npassword: p', 'cacert: /etc/ca.pem'), cacert: 'PEM' },
      expected: { credentials: { username: 'demo', password: 'p', userDomain: 'Default' }, caBundle: 'PEM' },
    },
  ])('reads $reason', async ({ values, expected }) => {
    const { cert } = await generate([{ name: 'commonName', value: 'ca' }]);
    const filled = 'cacert' in values ? { ...values, cacert: cert } : values;
    const wanted = 'caBundle' in expected ? { ...expected, caBundle: cert.trimEnd() } : expected;
    expect(parseCredentials(filled)).toEqual(wanted);
  });

  it.each([
    { reason: 'nothing', values: {}, names: 'username and password' },
    { reason: 'no password', values: { username: 'demo' }, names: 'password is missing' },
    { reason: 'an empty password', values: { username: 'demo', password: '\n' }, names: 'password is missing or empty' },
    { reason: 'no user', values: { password: SECRET }, names: 'username is missing' },
    { reason: 'no application credential id', values: { applicationCredentialSecret: SECRET }, names: 'applicationCredentialId' },
    {
      reason: 'no application credential secret',
      values: { applicationCredentialId: 'x' },
      names: 'applicationCredentialSecret',
    },
    {
      reason: 'clouds.yaml without a password',
      values: { 'clouds.yaml': yaml('username: demo') },
      names: 'clouds.first.auth.password',
    },
    { reason: 'clouds.yaml without auth', values: { 'clouds.yaml': 'clouds: {first: {}}' }, names: 'clouds.first.auth' },
    { reason: 'clouds.yaml without clouds', values: { 'clouds.yaml': SECRET }, names: 'clouds.yaml: the top' },
    { reason: 'clouds.yaml without any cloud', values: { 'clouds.yaml': 'clouds: {}' }, names: 'clouds is empty' },
    { reason: 'clouds.yaml that is not YAML', values: { 'clouds.yaml': `a: [${SECRET}\nb: }` }, names: 'not YAML: line' },
    { reason: 'an unknown cloud', values: { 'clouds.yaml': yaml(password), cloudName: 'x' }, names: 'under cloudName' },
    { reason: 'verify: false', values: { 'clouds.yaml': yaml(password, 'verify: False') }, names: 'clouds.first.verify' },
    {
      reason: 'another interface',
      values: { 'clouds.yaml': yaml(password, 'interface: internal') },
      names: 'clouds.first.interface',
    },
    {
      reason: 'a cacert in a file',
      values: { 'clouds.yaml': yaml(password, 'cacert: /etc/ca.pem') },
      names: 'under the key ca.crt',
    },
    {
      reason: 'a ca.crt that is none',
      values: { username: 'u', password: SECRET, 'ca.crt': SECRET },
      names: 'ca.crt has no PEM',
    },
    {
      reason: 'a ca.crt that is broken',
      values: {
        username: 'u',
        password: SECRET,
        'ca.crt': `-----BEGIN CERTIFICATE-----\n${SECRET}\n-----END CERTIFICATE-----`,
      },
      names: 'ca.crt: certificate 1',
    },
  ])('names what is wrong with $reason, and shows no value', ({ values, names }) => {
    let message = '';
    try {
      parseCredentials(values);
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain(names);
    expect(message).not.toContain(SECRET);
  });
});
