import { describe, expect, test } from '@jest/globals';
import { hasFinalizer, withFinalizer, withoutFinalizer } from '../../src/controllers/finalizer.js';
import type { Resource } from '../../src/resources/metadata.js';

const resource = (finalizers?: string[]): Resource => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: 'a',
    uid: 'u',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    ...(finalizers ? { finalizers } : {}),
  },
  data: { x: 'eA==' },
});

describe('finalizers', () => {
  test('are added at the end, once, and leave the original alone', () => {
    const bare = resource();
    const once = withFinalizer(bare, 'a/b');
    expect(bare).toEqual(resource());
    expect(once).toEqual(resource(['a/b']));
    expect(withFinalizer(once, 'a/b')).toBe(once);
    expect(withFinalizer(once, 'c/d').metadata.finalizers).toEqual(['a/b', 'c/d']);
  });

  test('are taken away without touching others', () => {
    const both = resource(['a/b', 'c/d']);
    expect(withoutFinalizer(both, 'a/b')).toEqual(resource(['c/d']));
    expect(withoutFinalizer(resource(['a/b']), 'a/b')).toEqual(resource([]));
    expect(withoutFinalizer(both, 'e/f')).toBe(both);
    expect(both).toEqual(resource(['a/b', 'c/d']));
  });

  test('are found by their whole name', () => {
    expect(hasFinalizer(resource(['a/b']), 'a/b')).toBe(true);
    expect(hasFinalizer(resource(['a/b']), 'a/')).toBe(false);
    expect(hasFinalizer(resource(), 'a/b')).toBe(false);
  });
});
