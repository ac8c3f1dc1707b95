import { describe, expect, test } from '@jest/globals';
import type { LabelSelector, Listing } from '../../src/store/store.js';
import { eventually } from '../support/eventually.js';
import { expectFailure, type Room } from './store-fixtures.js';

const SELECTORS: ReadonlyArray<{ reason: string; selector: LabelSelector; names: string[] }> = [
  { reason: 'none chooses all', selector: [], names: ['both', 'none', 'role', 'tier'] },
  { reason: 'In one', selector: [{ key: 'role', operator: 'In', values: ['web'] }], names: ['both'] },
  { reason: 'In several', selector: [{ key: 'role', operator: 'In', values: ['web', 'db'] }], names: ['both', 'role'] },
  {
    reason: 'NotIn also chooses what lacks the label',
    selector: [{ key: 'role', operator: 'NotIn', values: ['web'] }],
    names: ['none', 'role', 'tier'],
  },
  { reason: 'Exists, an empty value too', selector: [{ key: 'tier', operator: 'Exists', values: [] }], names: ['both', 'tier'] },
  { reason: 'DoesNotExist', selector: [{ key: 'tier', operator: 'DoesNotExist', values: [] }], names: ['none', 'role'] },
  { reason: 'In the empty value', selector: [{ key: 'tier', operator: 'In', values: [''] }], names: ['tier'] },
  {
    reason: 'all requirements must hold',
    selector: [
      { key: 'role', operator: 'Exists', values: [] },
      { key: 'tier', operator: 'In', values: ['gold'] },
    ],
    names: ['both'],
  },
];

/** Lists, selectors and pages. */
export function readingContract(room: () => Room): void {
  describe('list', () => {
    test('is ordered by name, byte by byte', async () => {
      const { store, vm, namespace } = room();
      for (const name of ['ab', 'a', 'a0', 'a-b', 'a.b', 'z', 'b']) await store.create(vm(name));
      const { items } = await store.list('VirtualMachine', { namespace });
      expect(items.map(({ metadata }) => metadata.name)).toEqual(['a', 'a-b', 'a.b', 'a0', 'ab', 'b', 'z']);
    });

    test('of all namespaces holds those of each, and of one kind only', async () => {
      const { store, vm, namespace } = room();
      const made = await store.create(vm('a'));
      await store.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a', namespace } });
      expect((await store.list('VirtualMachine')).items).toContainEqual(made);
      expect((await store.list('Secret', { namespace })).items.map(({ kind }) => kind)).toEqual(['Secret']);
      expect((await store.list('VirtualMachine', { namespace: 'contract-nowhere' })).items).toEqual([]);
    });

    test.each(SELECTORS)('selects by labels: $reason', async ({ selector, names }) => {
      const { store, vm, namespace } = room();
      await store.create(vm('both', { labels: { role: 'web', tier: 'gold' } }));
      await store.create(vm('role', { labels: { role: 'db' } }));
      await store.create(vm('tier', { labels: { tier: '' } }));
      await store.create(vm('none'));
      const { items } = await store.list('VirtualMachine', { namespace, labels: selector });
      expect(items.map(({ metadata }) => metadata.name)).toEqual(names);
    });
  });

  describe('pages', () => {
    test('hold everything once, and say how it goes on', async () => {
      const { store, vm, namespace } = room();
      for (let index = 0; index < 7; index++) await store.create(vm(`vm-${index}`));
      const listings = await pages(room(), 3, async () => undefined);
      expect(listings.map(({ items }) => items.length)).toEqual([3, 3, 1]);
      expect(names(listings)).toEqual(Array.from({ length: 7 }, (_, index) => `vm-${index}`));
      expect(listings.map((listing) => listing.continue !== undefined)).toEqual([true, true, false]);
      const exact = await store.list('VirtualMachine', { namespace }, { limit: 7 });
      expect(exact.continue).toBeUndefined();
    });

    test('survive writes in between: what stood throughout comes exactly once', async () => {
      const { store, vm, key } = room();
      const standing = Array.from({ length: 12 }, (_, index) => `m-${String(index).padStart(2, '0')}`);
      for (const name of [...standing, 'a-doomed', 'z-doomed']) await store.create(vm(name));
      let page = 0;
      const listings = await pages(room(), 3, async () => {
        page++;
        await store.create(vm(`a-new-${page}`));
        await store.create(vm(`z-new-${page}`));
        await store.update(vm(standing[page] ?? '', { labels: { page: String(page) } }));
        if (page === 1) await Promise.all([store.delete(key('a-doomed')), store.delete(key('z-doomed'))]);
      });
      const found = names(listings);
      expect(new Set(found).size).toBe(found.length);
      expect(found.filter((name) => name.startsWith('m-'))).toEqual(standing);
    });

    test('select like a list', async () => {
      const { store, vm, namespace } = room();
      for (let index = 0; index < 6; index++)
        await store.create(vm(`vm-${index}`, { labels: { even: String(index % 2 === 0) } }));
      const selection = { namespace, labels: [{ key: 'even', operator: 'In' as const, values: ['true'] }] };
      const first = await store.list('VirtualMachine', selection, { limit: 2 });
      const token = first.continue;
      expect(token).toBeDefined();
      const second = await store.list('VirtualMachine', selection, {
        limit: 2,
        ...(token === undefined ? {} : { continue: token }),
      });
      expect(names([first, second])).toEqual(['vm-0', 'vm-2', 'vm-4']);
    });

    test('a watch from the version of any page tells what no page could hold', async () => {
      const { store, vm, follow } = room();
      for (let index = 0; index < 6; index++) await store.create(vm(`m-${index}`));
      let page = 0;
      const listings = await pages(room(), 2, async () => {
        await store.create(vm(`a-behind-${++page}`));
      });
      expect(listings).toHaveLength(3);
      for (const { resourceVersion } of listings) {
        const follower = follow(resourceVersion);
        await eventually(() => expect(follower.told()).toEqual(expect.arrayContaining(['Added a-behind-1', 'Added a-behind-2'])));
      }
    });

    test('Invalid for a continue that no store gave', async () => {
      const { store, namespace } = room();
      await expectFailure(store.list('VirtualMachine', { namespace }, { limit: 2, continue: 'bm90IG91cnM' }), 'Invalid');
    });

    test('Expired for a continue that is too old', async () => {
      const { store, vm, namespace, subject } = room();
      if (!subject.forgetHistory) return;
      for (const name of ['a', 'b', 'c']) await store.create(vm(name));
      const token = (await store.list('VirtualMachine', { namespace }, { limit: 1 })).continue ?? '';
      await store.create(vm('d'));
      await subject.forgetHistory();
      await expectFailure(store.list('VirtualMachine', { namespace }, { limit: 1, continue: token }), 'Expired');
    });
  });

  test('get answers undefined for what is not there', async () => {
    const { store, key } = room();
    expect(await store.get(key('nothing'))).toBeUndefined();
    expect(await store.get({ kind: 'Cloud', namespace: '', name: 'contract-nothing' })).toBeUndefined();
  });
}

/** All pages of the room's VirtualMachines; `between` is called after each page but the last. */
async function pages({ store, namespace }: Room, limit: number, between: () => Promise<void>): Promise<Listing[]> {
  const listings: Listing[] = [];
  let token: string | undefined;
  do {
    const listing = await store.list(
      'VirtualMachine',
      { namespace },
      { limit, ...(token === undefined ? {} : { continue: token }) },
    );
    listings.push(listing);
    token = listing.continue;
    if (token !== undefined) await between();
  } while (token !== undefined);
  return listings;
}

function names(listings: readonly Listing[]): string[] {
  return listings.flatMap(({ items }) => items.map(({ metadata }) => metadata.name));
}
