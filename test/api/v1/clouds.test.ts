import { describe, expect, test } from '@jest/globals';
import { chooseCloud, servedCloud } from '../../../src/api/v1/clouds.js';

function cloud(name: string, annotations: Record<string, string> = {}, spec: object = { engine: 'simulator' }) {
  const metadata = {
    name,
    uid: name,
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    annotations,
  };
  const served = servedCloud({ apiVersion: 'dispatcher.dev/v1alpha1', kind: 'Cloud', metadata, spec });
  if (!served) throw new Error(`the Cloud ${name} is not served`);
  return served;
}

const old = (name: string) => ({ 'dispatcher.dev/v1-name': name });
const MARKED = { 'dispatcher.dev/v1-default': 'true' };

describe('the cloud that is meant', () => {
  test.each([
    { what: 'its name', clouds: [cloud('lab'), cloud('other')], asked: 'lab', found: 'lab' },
    { what: 'its old name', clouds: [cloud('lab', old('fake_driver')), cloud('other')], asked: 'fake_driver', found: 'lab' },
    { what: 'its name, though it has an old one', clouds: [cloud('lab', old('fake_driver'))], asked: 'lab', found: 'lab' },
    { what: 'default, so named', clouds: [cloud('default'), cloud('lab', MARKED)], asked: 'default', found: 'default' },
    { what: 'default, so named of old', clouds: [cloud('a', old('default')), cloud('b', MARKED)], asked: undefined, found: 'a' },
    { what: 'default, so marked', clouds: [cloud('other'), cloud('lab', MARKED)], asked: 'default', found: 'lab' },
    { what: 'nothing, which is default', clouds: [cloud('other'), cloud('lab', MARKED)], asked: undefined, found: 'lab' },
  ])('by $what', ({ clouds, asked, found }) => {
    expect(chooseCloud(clouds, asked).cloud).toBe(found);
  });

  test.each([
    { what: 'none of that name', clouds: [cloud('lab')], asked: 'absent', message: /there is no cloud "absent"$/ },
    { what: 'no default', clouds: [cloud('lab')], asked: undefined, message: /there is no cloud "default": mark one/ },
    {
      what: 'two marked',
      clouds: [cloud('a', MARKED), cloud('b', MARKED)],
      asked: undefined,
      message: /more than one .*: a, b$/,
    },
    { what: 'two of one old name', clouds: [cloud('a', old('x')), cloud('b', old('x'))], asked: 'x', message: /: a, b$/ },
    { what: 'an old name that is another name', clouds: [cloud('a', old('b')), cloud('b')], asked: 'b', message: /: a, b$/ },
  ])('refused: $what', ({ clouds, asked, message }) => {
    const failing = () => chooseCloud(clouds, asked);
    expect(failing).toThrow(expect.objectContaining({ code: 500, message: expect.stringMatching(/^Cloud not valid - /) }));
    expect(failing).toThrow(message);
  });
});

test('a cloud is told with the host of its identity service, without what else its URL may hold', () => {
  const spec = { engine: 'openstack', endpoint: 'https://user:secret@cloud.example:5000/v3' };
  expect(cloud('lab', {}, spec)).toMatchObject({ engine: 'openstack', host: 'cloud.example:5000' });
});
