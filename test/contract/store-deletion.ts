import { describe, expect, test } from '@jest/globals';
import type { OwnerReference, Resource } from '../../src/resources/metadata.js';
import { eventually } from '../support/eventually.js';
import { expectFailure, type Room } from './store-fixtures.js';

const FINALIZER = 'dispatcher.dev/test';

/** Deletion, finalizers, owners and namespaces. */
export function deletionContract(room: () => Room): void {
  describe('delete', () => {
    test('without finalizers takes the resource away at once', async () => {
      const { store, vm, key } = room();
      const made = await store.create(vm('a'));
      expect((await store.delete(key('a'))).metadata.uid).toBe(made.metadata.uid);
      expect(await store.get(key('a'))).toBeUndefined();
      await expectFailure(store.delete(key('a')), 'NotFound');
      expect((await store.create(vm('a'))).metadata.uid).not.toBe(made.metadata.uid);
    });

    test('with finalizers marks it, again and again without a change, until the last finalizer is taken', async () => {
      const { store, vm, key } = room();
      const made = await store.create(vm('a', { finalizers: [FINALIZER, 'dispatcher.dev/other'] }));
      const marked = await store.delete(key('a'));
      expect(marked.metadata.deletionTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(marked.metadata.uid).toBe(made.metadata.uid);
      expect(await store.delete(key('a'))).toEqual(marked);
      expect(await store.get(key('a'))).toEqual(marked);
      const half = await store.update({ ...marked, metadata: { ...marked.metadata, finalizers: [FINALIZER] } });
      expect(half.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp);
      expect(await store.get(key('a'))).toEqual(half);
      await store.update({ ...half, metadata: { ...half.metadata, finalizers: [] } });
      expect(await store.get(key('a'))).toBeUndefined();
    });

    test('a resource being deleted takes status, but no new finalizer', async () => {
      const { store, vm, key } = room();
      await store.create(vm('a', { finalizers: [FINALIZER] }));
      const marked = await store.delete(key('a'));
      const finalizers = [FINALIZER, 'dispatcher.dev/late'];
      await expectFailure(store.update({ ...marked, metadata: { ...marked.metadata, finalizers } }), 'Forbidden');
      const reported = await store.updateStatus({ ...marked, status: { state: 'DELETING' } });
      expect(reported.status).toEqual({ state: 'DELETING' });
      expect(reported.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp);
    });

    test('only if the uid and the version are as asked for', async () => {
      const { store, vm, key } = room();
      const made = await store.create(vm('a'));
      const changed = await store.update({ ...made, metadata: { ...made.metadata, labels: { role: 'web' } } });
      await expectFailure(store.delete(key('a'), { uid: '00000000-0000-4000-8000-000000000000' }), 'Conflict');
      await expectFailure(store.delete(key('a'), { resourceVersion: made.metadata.resourceVersion }), 'Conflict');
      const { uid, resourceVersion } = changed.metadata;
      await store.delete(key('a'), { uid, resourceVersion });
      expect(await store.get(key('a'))).toBeUndefined();
    });
  });

  describe('what a resource owns', () => {
    test('goes after it, to the last generation', async () => {
      const { store, vm, key } = room();
      const owner = await store.create(vm('owner'));
      const child = await store.create(vm('child', { ownerReferences: [ownedBy(owner)] }));
      await store.create(vm('grandchild', { ownerReferences: [ownedBy(child)] }));
      await store.create(vm('stranger'));
      await store.delete(key('owner'));
      await eventually(async () => expect(await store.get(key('grandchild'))).toBeUndefined());
      expect(await store.get(key('child'))).toBeUndefined();
      expect(await store.get(key('stranger'))).toBeDefined();
    });

    test('stays while its owner is still being deleted, and keeps its own finalizers', async () => {
      const { store, vm, key } = room();
      const owner = await store.create(vm('owner', { finalizers: [FINALIZER] }));
      await store.create(vm('child', { ownerReferences: [ownedBy(owner)], finalizers: [FINALIZER] }));
      const marked = await store.delete(key('owner'));
      expect((await store.get(key('child')))?.metadata.deletionTimestamp).toBeUndefined();
      await store.update({ ...marked, metadata: { ...marked.metadata, finalizers: [] } });
      await eventually(async () => expect((await store.get(key('child')))?.metadata.deletionTimestamp).toBeDefined());
    });

    test('with two owners goes with the last of them', async () => {
      const { store, vm, key } = room();
      const owners = [await store.create(vm('first')), await store.create(vm('second'))];
      await store.create(vm('child', { ownerReferences: owners.map(ownedBy) }));
      // Of the only owner: its end proves that the collector has come by.
      await store.create(vm('witness', { ownerReferences: owners.slice(0, 1).map(ownedBy) }));
      await store.delete(key('first'));
      await eventually(async () => expect(await store.get(key('witness'))).toBeUndefined());
      expect((await store.get(key('child')))?.metadata.deletionTimestamp).toBeUndefined();
      await store.delete(key('second'));
      await eventually(async () => expect(await store.get(key('child'))).toBeUndefined());
    });

    test('goes before it by Foreground: the owner waits until all is gone', async () => {
      const { store, vm, key } = room();
      const owner = await store.create(vm('owner'));
      const reference = { ...ownedBy(owner), blockOwnerDeletion: true };
      const child = await store.create(vm('child', { ownerReferences: [reference], finalizers: [FINALIZER] }));
      await store.create(vm('free', { ownerReferences: [reference] }));
      const marked = await store.delete(key('owner'), { propagation: 'Foreground' });
      expect(marked.metadata.deletionTimestamp).toBeDefined();
      await eventually(async () => expect((await store.get(key('child')))?.metadata.deletionTimestamp).toBeDefined());
      await eventually(async () => expect(await store.get(key('free'))).toBeUndefined());
      expect((await store.get(key('owner')))?.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp);
      const { resourceVersion: _version, ...metadata } = child.metadata;
      await store.update({ ...child, metadata: { ...metadata, finalizers: [] } });
      await eventually(async () => expect(await store.get(key('owner'))).toBeUndefined());
      expect(await store.get(key('child'))).toBeUndefined();
    });

    test('is kept by Orphan, without the reference', async () => {
      const { store, vm, key } = room();
      const owner = await store.create(vm('owner'));
      const other = await store.create(vm('other'));
      await store.create(vm('child', { ownerReferences: [ownedBy(owner), ownedBy(other)] }));
      await store.create(vm('only', { ownerReferences: [ownedBy(owner)] }));
      await store.delete(key('owner'), { propagation: 'Orphan' });
      await eventually(async () => expect(await store.get(key('owner'))).toBeUndefined());
      expect((await store.get(key('child')))?.metadata.ownerReferences).toEqual([ownedBy(other)]);
      const kept = await store.get(key('only'));
      expect(kept?.metadata.ownerReferences ?? []).toEqual([]);
      expect(kept?.metadata.deletionTimestamp).toBeUndefined();
    });
  });

  test('a namespace takes all that is in it along, and nothing new while it goes', async () => {
    const { store, vm } = room();
    const other = await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: 'contract-' } });
    const namespace = other.metadata.name;
    const held = await store.create(vm('held', { namespace, finalizers: [FINALIZER] }));
    await store.create(vm('free', { namespace }));
    await store.delete({ kind: 'Namespace', namespace: '', name: namespace });
    await expectFailure(store.create(vm('late', { namespace })), 'Forbidden');
    const find = (name: string) => store.get({ kind: 'VirtualMachine', namespace, name });
    await eventually(async () => expect(await find('free')).toBeUndefined());
    await eventually(async () => expect((await find('held'))?.metadata.deletionTimestamp).toBeDefined());
    expect((await store.get({ kind: 'Namespace', namespace: '', name: namespace }))?.metadata.deletionTimestamp).toBeDefined();
    const { finalizers: _held, resourceVersion: _version, ...metadata } = held.metadata;
    await store.update({ ...held, metadata });
    await eventually(async () => expect(await store.get({ kind: 'Namespace', namespace: '', name: namespace })).toBeUndefined());
    await expectFailure(store.create(vm('late', { namespace })), 'NotFound');
  });
}

function ownedBy({ apiVersion, kind, metadata }: Resource): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid };
}
