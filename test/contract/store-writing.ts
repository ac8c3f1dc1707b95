import { describe, expect, test } from '@jest/globals';
import { eventSchema } from '../../src/resources/core.js';
import type { Draft } from '../../src/store/store.js';
import { eventually } from '../support/eventually.js';
import { expectFailure, type Room } from './store-fixtures.js';

/** Create, update, updateStatus, dry runs. */
export function writingContract(room: () => Room): void {
  describe('create', () => {
    test('sets what a server sets, whatever was given, and drops status', async () => {
      const { store, vm, key } = room();
      const given = { uid: 'mine', resourceVersion: '7', generation: 9, deletionTimestamp: '2020-01-01T00:00:00Z' };
      const draft = vm('a', { ...given, creationTimestamp: '2020-01-01T00:00:00Z', labels: { role: 'web' } });
      const made = await store.create({ ...draft, status: { state: 'forged' } });
      expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(made.metadata.resourceVersion).toMatch(/^\d+$/);
      expect(made.metadata.generation).toBe(1);
      expect(made.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(made.metadata.creationTimestamp.startsWith('2020')).toBe(false);
      expect(made.metadata.deletionTimestamp).toBeUndefined();
      expect(made.metadata.labels).toEqual({ role: 'web' });
      expect(made.spec).toEqual(draft.spec);
      expect(made.status).toBeUndefined();
      expect(await store.get(key('a'))).toEqual(made);
    });

    test('AlreadyExists for a name that is taken, in its namespace only', async () => {
      const { store, vm } = room();
      await store.create(vm('a'));
      await expectFailure(store.create(vm('a', {}, { image: 'other' })), 'AlreadyExists');
      const other = await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: 'contract-' } });
      const namespace = other.metadata.name;
      expect((await store.create(vm('a', { namespace }))).metadata.namespace).toBe(namespace);
      await store.delete({ kind: 'Namespace', namespace: '', name: namespace });
    });

    test('of many at once with one name, exactly one is made', async () => {
      const { store, vm } = room();
      const calls = Array.from({ length: 8 }, () => store.create(vm('a')));
      const results = await Promise.allSettled(calls);
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const call of calls) await call.catch((error: unknown) => expect(error).toMatchObject({ code: 'AlreadyExists' }));
    });

    test('makes different names from generateName', async () => {
      const { store, vm } = room();
      const { name: _name, ...metadata } = vm('').metadata;
      const drafts = Array.from({ length: 5 }, () => ({ ...vm(''), metadata: { ...metadata, generateName: 'web-' } }));
      const made = await Promise.all(drafts.map((draft) => store.create(draft)));
      const names = new Set(made.map((each) => each.metadata.name));
      expect(names.size).toBe(5);
      for (const name of names) expect(name).toMatch(/^web-[a-z0-9]{5,}$/);
    });

    test('NotFound for a namespace that is not there', async () => {
      const { store, vm } = room();
      await expectFailure(store.create(vm('a', { namespace: 'contract-nowhere' })), 'NotFound');
    });

    test('keeps the fields of kinds without spec and status', async () => {
      const { store, namespace } = room();
      const data = { password: 'aHVudGVyMg==' };
      const made = await store.create({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's', namespace },
        type: 'Opaque',
        data,
      });
      expect(made).toMatchObject({ type: 'Opaque', data });
      const { resourceVersion: _version, ...metadata } = made.metadata;
      const changed = await store.update({ ...made, metadata, data: { password: 'bmV3' } });
      expect(changed.data).toEqual({ password: 'bmV3' });
      expect(await store.get({ kind: 'Secret', namespace, name: 's' })).toEqual(changed);
    });
  });

  describe('update', () => {
    test('raises the generation for a change of spec, and for nothing else', async () => {
      const { store, vm } = room();
      const made = await store.create(vm('a'));
      const labelled = await store.update({ ...made, metadata: { ...made.metadata, labels: { role: 'web' } } });
      expect(labelled.metadata.generation).toBe(1);
      expect(labelled.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
      const reported = await store.updateStatus({ ...labelled, status: { state: 'ACTIVE' } });
      expect(reported.metadata.generation).toBe(1);
      const changed = await store.update({ ...reported, spec: { ...(vm('a').spec as object), image: 'other' } });
      expect(changed.metadata.generation).toBe(2);
    });

    test('leaves status and what a server sets as they are', async () => {
      const { store, vm } = room();
      const made = await store.create(vm('a'));
      const reported = await store.updateStatus({ ...made, status: { state: 'ACTIVE' } });
      const forged = { generation: 99, creationTimestamp: '2020-01-01T00:00:00Z', deletionTimestamp: '2020-01-01T00:00:00Z' };
      const draft = vm('a', { ...forged, annotations: { note: 'x' } });
      const changed = await store.update({ ...draft, status: { state: 'forged' } });
      expect(changed.status).toEqual(reported.status);
      const { resourceVersion: _old, ...before } = made.metadata;
      const { resourceVersion: _new, ...after } = changed.metadata;
      expect(after).toEqual({ ...before, annotations: { note: 'x' } });
    });

    test('takes away what is no longer given', async () => {
      const { store, vm } = room();
      const made = await store.create(vm('a', { labels: { role: 'web' }, finalizers: ['dispatcher.dev/test'] }));
      const changed = await store.update(vm('a', { uid: made.metadata.uid }));
      expect(changed.metadata.labels ?? {}).toEqual({});
      expect(changed.metadata.finalizers ?? []).toEqual([]);
    });

    test('that changes nothing keeps the version and is told to nobody', async () => {
      const { store, vm, follow } = room();
      const made = await store.create(vm('a', { labels: { role: 'web' } }));
      const follower = follow(made.metadata.resourceVersion);
      const { resourceVersion: _version, ...metadata } = made.metadata;
      expect(await store.update(made)).toEqual(made);
      expect(await store.update({ ...made, metadata })).toEqual(made);
      await store.create(vm('b'));
      await eventually(() => expect(follower.told()).toContain('Added b'));
      expect(follower.told()).toEqual(['Added b']);
    });

    test('Conflict for a version or uid that is no longer true; without them it is unconditional', async () => {
      const { store, vm } = room();
      const first = await store.create(vm('a'));
      const second = await store.update({ ...first, metadata: { ...first.metadata, labels: { role: 'web' } } });
      await expectFailure(store.update({ ...first, metadata: { ...first.metadata, labels: { role: 'db' } } }), 'Conflict');
      await expectFailure(store.update(vm('a', { uid: '00000000-0000-4000-8000-000000000000' })), 'Conflict');
      const third = await store.update(vm('a', { uid: first.metadata.uid, labels: { role: 'cache' } }));
      expect(third.metadata.labels).toEqual({ role: 'cache' });
      expect(Number(third.metadata.resourceVersion)).toBeGreaterThan(Number(second.metadata.resourceVersion));
    });

    test('of many at once from one version, exactly one wins', async () => {
      const { store, vm, key } = room();
      const made = await store.create(vm('a'));
      const calls = Array.from({ length: 8 }, (_, index) =>
        store.update({ ...made, metadata: { ...made.metadata, labels: { writer: String(index) } } }),
      );
      const won = (await Promise.allSettled(calls)).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(won).toHaveLength(1);
      expect(await store.get(key('a'))).toEqual(won[0]);
    });

    test('NotFound for what is not there', async () => {
      const { store, vm } = room();
      await expectFailure(store.update(vm('a')), 'NotFound');
    });
  });

  describe('updateStatus', () => {
    test('replaces status whole, and nothing else', async () => {
      const { store, vm } = room();
      const made = await store.create(vm('a'));
      const first = await store.updateStatus({ ...made, status: { state: 'BUILD', id: '1' } });
      expect(first.status).toEqual({ state: 'BUILD', id: '1' });
      const forged = { ...vm('a', { labels: { forged: 'yes' }, finalizers: ['dispatcher.dev/forged'] }, { image: 'forged' }) };
      const second = await store.updateStatus({ ...forged, status: { state: 'ACTIVE' } });
      const { resourceVersion: _old, ...before } = made.metadata;
      const { resourceVersion: _new, ...after } = second.metadata;
      expect(second).toMatchObject({ spec: made.spec, status: { state: 'ACTIVE' } });
      expect(second.status).toEqual({ state: 'ACTIVE' });
      expect(after).toEqual(before);
    });

    test('comes back as it was reported: order, empty lists, and what is false or zero', async () => {
      const { store, vm, key } = room();
      const made = await store.create(vm('a'));
      const condition = (type: string, status: string) => ({
        ...{ type, status, observedGeneration: 1 },
        ...{ lastTransitionTime: '2026-01-01T00:00:00Z', reason: 'Because', message: '' },
      });
      const statuses = [
        { conditions: [condition('Ready', 'False'), condition('Stalled', 'True')], addresses: [], observedGeneration: 0 },
        { conditions: [condition('Healthy', 'Unknown'), condition('Ready', 'True')], plan: [{ step: 'create', detail: '' }] },
        { conditions: [condition('Ready', 'True'), condition('Healthy', 'Unknown')], plan: [], failures: failures(0) },
        { failures: failures(1), applied: { image: 'cirros' } },
        { failures: failures(1) },
        {},
      ];
      let { resourceVersion } = made.metadata;
      for (const status of statuses) {
        const written = await store.updateStatus({ ...vm('a', { resourceVersion }), status });
        expect(written.status ?? {}).toEqual(status);
        expect(await store.get(key('a'))).toEqual(written);
        resourceVersion = written.metadata.resourceVersion;
      }
    });

    test('that changes nothing keeps the version', async () => {
      const { store, vm } = room();
      const made = await store.create(vm('a'));
      const first = await store.updateStatus({ ...made, status: { state: 'ACTIVE' } });
      expect(await store.updateStatus({ ...first, status: { state: 'ACTIVE' } })).toEqual(first);
    });

    test('Conflict and NotFound as for update; in a crowd, each call has its own answer', async () => {
      const { store, vm } = room();
      const made = await Promise.all(Array.from({ length: 40 }, (_, index) => store.create(vm(`vm-${index}`))));
      for (const stale of made.slice(0, 10)) await store.updateStatus({ ...stale, status: { state: 'BUILD' } });
      const crowd = made.map((each) => store.updateStatus({ ...each, status: { state: 'ACTIVE' } }));
      const missing = store.updateStatus({ ...vm('missing'), status: { state: 'ACTIVE' } });
      const other = store.updateStatus({ ...vm('vm-39', { uid: '00000000-0000-4000-8000-000000000000' }), status: {} });
      const [results] = await Promise.all([
        Promise.allSettled(crowd),
        expectFailure(missing, 'NotFound'),
        expectFailure(other, 'Conflict'),
      ]);
      const outcomes = results.map((each) => (each.status === 'fulfilled' ? each.value.status : each.reason.code));
      expect(outcomes.slice(0, 10)).toEqual(Array(10).fill('Conflict'));
      expect(outcomes.slice(10)).toEqual(Array(30).fill({ state: 'ACTIVE' }));
    });
  });

  test('an Event keeps what happened to what; its repeats raise the count and the time of the last', async () => {
    const { store, vm, namespace, key } = room();
    const { metadata, apiVersion, kind } = await store.create(vm('a'));
    const { name, uid, resourceVersion } = metadata;
    const involvedObject = { apiVersion, kind, namespace, name, uid, resourceVersion };
    const said = {
      involvedObject,
      type: 'Warning',
      reason: 'Refused',
      message: 'it was refused',
      reportingComponent: 'dispatcher',
    };
    const draft = (count: number, lastTimestamp: string): Draft => ({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'a.1', namespace },
      ...said,
      ...{ source: { component: 'dispatcher' }, reportingInstance: 'replica-1' },
      ...{ count, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp },
    });
    await expectFailure(store.update(draft(2, '2026-01-01T00:01:00Z')), 'NotFound');
    expect(await store.create(draft(1, '2026-01-01T00:00:00Z'))).toMatchObject({ kind: 'Event', ...said, count: 1 });
    await store.update(draft(2, '2026-01-01T00:01:00Z'));
    await store.update(draft(3, '2026-01-01T00:02:00Z'));
    const found = eventSchema.loose().parse(await store.get(key('a.1', 'Event')));
    expect(found).toMatchObject({ ...said, source: { component: 'dispatcher' }, reportingInstance: 'replica-1', count: 3 });
    expect(Date.parse(found.firstTimestamp ?? '')).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(Date.parse(found.lastTimestamp ?? '')).toBe(Date.parse('2026-01-01T00:02:00Z'));
    await expectFailure(store.create(draft(1, '2026-01-01T00:00:00Z')), 'AlreadyExists');
    expect((await store.list('Event', { namespace })).items.map((event) => event.metadata.name)).toEqual(['a.1']);
  });

  test('a dry run answers like the real thing, and keeps nothing', async () => {
    const { store, vm, key, follow } = room();
    const made = await store.create(vm('a', { finalizers: ['dispatcher.dev/test'] }));
    const follower = follow(made.metadata.resourceVersion);
    const dryRun = { dryRun: true };
    expect((await store.create(vm('b'), dryRun)).metadata.name).toBe('b');
    await expectFailure(store.create(vm('a'), dryRun), 'AlreadyExists');
    const draft = { ...made, spec: { ...(vm('a').spec as object), image: 'other' } };
    expect((await store.update(draft, dryRun)).metadata.generation).toBe(2);
    await expectFailure(store.update(vm('a', { resourceVersion: '1' }), dryRun), 'Conflict');
    expect((await store.updateStatus({ ...made, status: { state: 'ACTIVE' } }, dryRun)).status).toEqual({ state: 'ACTIVE' });
    expect((await store.delete(key('a'), dryRun)).metadata.name).toBe('a');
    await expectFailure(store.delete(key('b'), dryRun), 'NotFound');
    expect(await store.get(key('b'))).toBeUndefined();
    expect(await store.get(key('a'))).toEqual(made);
    await store.create(vm('c'));
    await eventually(() => expect(follower.told()).toContain('Added c'));
    expect(follower.told()).toEqual(['Added c']);
  });
}

function failures(count: number) {
  return { count, at: '2026-01-01T00:00:00Z', message: '' };
}
