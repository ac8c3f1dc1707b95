import { describe, expect, test } from '@jest/globals';
import { isStoreError } from '../../../src/store/errors.js';
import { collectionPath, query, resourcePath, selectorText } from '../../../src/store/kubernetes/paths.js';
import { leftovers, withoutEmptyObjects } from '../../../src/store/kubernetes/status.js';
import { wireOf } from '../../../src/store/kubernetes/wire.js';
import { parseLabelSelector } from '../../../src/store/selectors.js';

const METADATA = {
  name: 'web',
  namespace: 'default',
  uid: 'u-1',
  resourceVersion: '7',
  creationTimestamp: '2026-01-01T00:00:00Z',
};

describe('a path', () => {
  test.each([
    { kind: 'VirtualMachine', namespace: 'default', path: '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines' },
    { kind: 'VirtualMachine', namespace: undefined, path: '/apis/dispatcher.dev/v1alpha1/virtualmachines' },
    { kind: 'Cloud', namespace: undefined, path: '/apis/dispatcher.dev/v1alpha1/clouds' },
    { kind: 'Secret', namespace: 'default', path: '/api/v1/namespaces/default/secrets' },
    { kind: 'Namespace', namespace: undefined, path: '/api/v1/namespaces' },
    { kind: 'Event', namespace: 'default', path: '/apis/events.k8s.io/v1/namespaces/default/events' },
  ])('of $kind in $namespace', ({ kind, namespace, path }) => {
    expect(collectionPath(wireOf(kind), namespace)).toBe(path);
  });

  test('of a resource needs a name, and a namespace where there are some', () => {
    const place = wireOf('VirtualMachine');
    const key = { kind: 'VirtualMachine', namespace: 'default', name: 'web' };
    expect(resourcePath(place, key)).toBe('/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines/web');
    expect(resourcePath(place, { ...key, name: '../x' })).toMatch(/virtualmachines\/\.\.%2Fx$/);
    expect(() => resourcePath(place, { ...key, namespace: '' })).toThrow('VirtualMachine web needs metadata.namespace');
    expect(() => resourcePath(place, { ...key, name: '' })).toThrow('VirtualMachine needs metadata.name');
  });

  test('with a query has what is there', () => {
    expect(query({ limit: 5, continue: undefined, labelSelector: 'a in (b,c)' })).toBe('?limit=5&labelSelector=a+in+%28b%2Cc%29');
    expect(query({ limit: undefined })).toBe('');
  });
});

test.each(['role=web', 'role!=web', 'role in (db,web)', 'role notin (db,web)', 'role', '!role', 'role=', 'a=b,!c,d'])(
  'the selector %s is written as it was read',
  (text) => {
    expect(selectorText(parseLabelSelector(text))).toBe(text);
    expect(selectorText([])).toBeUndefined();
  },
);

describe('a resource', () => {
  test('is sent without what the server sets, and without status where that is a subresource', () => {
    const server = { generation: 3, deletionTimestamp: '2026-01-01T00:00:00Z', managedFields: [] };
    const draft = {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { ...METADATA, ...server },
      spec: {},
    };
    const { creationTimestamp: _created, ...metadata } = METADATA;
    const expected = { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine', metadata, spec: {} };
    expect(wireOf('VirtualMachine').encode({ ...draft, status: { state: 'ACTIVE' } })).toEqual(expected);
  });

  test('is read without managedFields, with the kind that items of lists may lack', () => {
    const read = wireOf('Secret').decode({ metadata: { ...METADATA, managedFields: [{}] }, data: { a: 'Yg==' } });
    expect(read).toEqual({ apiVersion: 'v1', kind: 'Secret', metadata: { ...METADATA, generation: 1 }, data: { a: 'Yg==' } });
  });

  test.each([undefined, 'text', {}, { metadata: {} }, { metadata: { ...METADATA, labels: { a: 1 } } }])(
    'is not %j: Unavailable, for it is not the API server that says so',
    (object) => {
      const call = () => wireOf('VirtualMachine').decode(object);
      expect(call).toThrow('no VirtualMachine');
      try {
        call();
      } catch (error) {
        expect(isStoreError(error, 'Unavailable')).toBe(true);
      }
    },
  );
});

test('a status is applied without objects that hold nothing; lists and what is zero, false or empty text stay', () => {
  const status = { a: {}, b: { c: {}, d: 0 }, e: [], f: [{}], g: false, h: '', i: undefined, j: { k: { l: {} } } };
  expect(withoutEmptyObjects(status)).toEqual({ b: { d: 0 }, e: [], f: [{}], g: false, h: '' });
  for (const empty of [{}, undefined, null, { a: {} }]) expect(withoutEmptyObjects(empty)).toBeUndefined();
});

test('what others left in a status is found, to be removed from the end', () => {
  const type = (...types: string[]) => types.map((each) => ({ type: each, status: 'True' }));
  const applied = {
    state: 'ACTIVE',
    conditions: type('Ready', 'Backup'),
    applied: { image: 'a' },
    addresses: [{ address: '::1' }],
  };
  expect(leftovers(applied, applied)).toEqual([]);
  const found = {
    ...applied,
    conditions: type('Odd', 'Ready', 'Stalled', 'Backup'),
    applied: { image: 'a', keyName: 'k' },
    addresses: [{ address: '::1', network: 'atomic' }],
    'a/b~c': {},
  };
  const paths = leftovers(applied, found).map(({ path }) => path);
  expect(paths).toEqual(['/status/conditions/2', '/status/conditions/0', '/status/applied/keyName', '/status/a~1b~0c']);
  expect(leftovers(undefined, { state: 'X' })).toEqual([{ op: 'remove', path: '/status/state' }]);
  expect(leftovers({ state: 'X' }, undefined)).toEqual([]);
});

describe('an Event', () => {
  const object = { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine', namespace: 'default', name: 'web', uid: 'u-1' };
  const event = (own: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'web.1', namespace: 'default' },
    involvedObject: object,
    ...{ type: 'Warning', reason: 'Refused', message: 'it was refused', action: 'Create' },
    ...{ source: { component: 'dispatcher' }, reportingComponent: 'dispatcher', reportingInstance: 'replica-1' },
    ...{ count: 1, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:00Z' },
    ...own,
  });
  const { encode, decode } = wireOf('Event');

  test('that came once is no series, and bears nothing of the old API', () => {
    expect(encode(event())).toEqual({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'web.1', namespace: 'default' },
      regarding: object,
      ...{ type: 'Warning', reason: 'Refused', note: 'it was refused', action: 'Create' },
      ...{ reportingController: 'dispatcher', reportingInstance: 'replica-1', eventTime: '2026-01-01T00:00:00.000000Z' },
    });
  });

  test('that came again is a series; what Kubernetes asks for is there', () => {
    const written = encode(event({ count: 3, lastTimestamp: '2026-01-01T00:05:00Z', action: undefined }));
    expect(written).toMatchObject({ series: { count: 3, lastObservedTime: '2026-01-01T00:05:00.000000Z' }, action: 'None' });
  });

  test('is cut to 1024 bytes, never inside a character', () => {
    const { note } = encode(event({ message: 'ü'.repeat(1_000) }));
    expect(note).toBe('ü'.repeat(512));
    expect(encode(event({ message: `x${'ü'.repeat(1_000)}` })).note).toBe(`x${'ü'.repeat(511)}`);
  });

  test('comes back as it went', () => {
    const repeated = event({ count: 3, lastTimestamp: '2026-01-01T00:05:00Z' });
    const metadata = { ...METADATA, name: 'web.1' };
    const read = decode({ ...encode(repeated), metadata });
    const { firstTimestamp, lastTimestamp, ...same } = repeated;
    expect(read).toMatchObject({ ...same, metadata });
    expect(read).toMatchObject({ firstTimestamp: '2026-01-01T00:00:00.000000Z', lastTimestamp: '2026-01-01T00:05:00.000000Z' });
  });

  test('of a program that speaks the old API is read too', () => {
    const old = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: METADATA,
      regarding: object,
      ...{ note: 'pulled', eventTime: null, deprecatedSource: { component: 'kubelet' }, deprecatedCount: 4 },
      ...{ deprecatedFirstTimestamp: '2026-01-01T00:00:00Z', deprecatedLastTimestamp: '2026-01-01T00:01:00Z' },
    };
    expect(decode(old)).toMatchObject({
      ...{ apiVersion: 'v1', involvedObject: object, message: 'pulled', count: 4, source: { component: 'kubelet' } },
      ...{ firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:01:00Z' },
    });
  });
});
