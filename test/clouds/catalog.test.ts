import { describe, expect, test } from '@jest/globals';
import { Catalog } from '../../src/clouds/catalog.js';
import { failure, ScriptedCloud } from '../support/scripted-cloud.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

function catalogue() {
  const world = new VirtualEnvironment(1);
  const cloud = new ScriptedCloud(world);
  return { world, cloud, catalog: new Catalog(cloud, world), pass: (ms: number) => world.run(() => false, ms) };
}

const NETWORKS = [
  { id: 'n1', name: 'blue' },
  { id: 'n2', name: 'red' },
  { id: 'n3', name: 'red' },
  { id: 'n4', name: 'n1' },
];

describe('what a name or id stands for', () => {
  test.each([
    ['a name', 'blue', { kind: 'found', value: NETWORKS[0] }],
    ['an id', 'n4', { kind: 'found', value: NETWORKS[3] }],
    ['an id goes before a name that is the same', 'n1', { kind: 'found', value: NETWORKS[0] }],
    ['an id of one of two that share a name', 'n3', { kind: 'found', value: NETWORKS[2] }],
    ['a name that two have', 'red', { kind: 'ambiguous', message: '2 networks have the name "red": declare one by its id' }],
    ['a name that none has', 'green', { kind: 'missing', message: 'no network has the name or id "green"' }],
    ['names are told apart by case', 'Blue', { kind: 'missing', message: 'no network has the name or id "Blue"' }],
    ['no name at all', '', { kind: 'missing', message: 'no network has the name or id ""' }],
  ])('%s', async (_reason, asked, expected) => {
    const { cloud, catalog } = catalogue();
    cloud.networks = NETWORKS;
    expect(await catalog.resolve('network', asked)).toEqual(expected);
  });

  test('each list answers for its own kind', async () => {
    const { cloud, catalog } = catalogue();
    expect(await catalog.resolve('image', 'cirros')).toMatchObject({ kind: 'found', value: { id: 'image-1' } });
    expect(await catalog.resolve('flavor', 'm1.tiny')).toMatchObject({ kind: 'found', value: { id: '1' } });
    expect(await catalog.resolve('flavor', 'cirros')).toMatchObject({ kind: 'missing' });
    expect(cloud.calls.filter((call) => call === 'listImages')).toHaveLength(1);
  });
});

describe('the lists of a catalog', () => {
  test('are asked for once, however many objects are resolved in five minutes', async () => {
    const { cloud, catalog, pass } = catalogue();
    await Promise.all(Array.from({ length: 100 }, () => catalog.resolve('image', 'cirros')));
    await pass(299_999);
    await catalog.resolve('image', 'debian');
    expect(cloud.count('listImages')).toBe(1);
    await pass(1);
    await catalog.resolve('image', 'debian');
    expect(cloud.count('listImages')).toBe(2);
  });

  test('find what was just made, at one call in five seconds at most', async () => {
    const { cloud, catalog, pass } = catalogue();
    const ask = () => catalog.resolve('image', 'fresh');
    for (let index = 0; index < 20; index += 1) expect(await ask()).toMatchObject({ kind: 'missing' });
    expect(cloud.count('listImages')).toBe(1);
    cloud.images = [...cloud.images, { id: 'image-3', name: 'fresh', usable: true }];
    await pass(4_999);
    expect(await ask()).toMatchObject({ kind: 'missing' });
    await pass(1);
    expect(await Promise.all([ask(), ask(), ask()])).toMatchObject([{ kind: 'found' }, { kind: 'found' }, { kind: 'found' }]);
    expect(cloud.count('listImages')).toBe(2);
  });

  test('that fail fail who asked, and are asked for again', async () => {
    const { cloud, catalog } = catalogue();
    cloud.fail('listImages', failure('Unauthorized'));
    await expect(catalog.resolve('image', 'cirros')).rejects.toMatchObject({ code: 'Unauthorized' });
    expect(await catalog.resolve('image', 'cirros')).toMatchObject({ kind: 'found' });
  });
});
