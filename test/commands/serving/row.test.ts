import { describe, expect, test } from '@jest/globals';
import { rowOf } from '../../../src/commands/serving/row.js';

const metadata = { name: 'web', namespace: 'default', uid: 'u', resourceVersion: '1', generation: 2, creationTimestamp: '' };
const resource = (spec: unknown, status?: unknown) => ({ apiVersion: 'v1', kind: 'VirtualMachine', metadata, spec, status });
const ready = { type: 'Ready', status: 'True', reason: 'Running' };

describe('a resource as a line', () => {
  test.each([
    {
      reason: 'all that is known is told',
      from: resource(
        { cloudRef: { name: 'lab' } },
        { observedGeneration: 2, state: 'Running', conditions: [ready], addresses: [{ address: '10.0.0.2' }] },
      ),
      row: { ready: 'True', reason: 'Running', state: 'Running', address: '10.0.0.2', cloud: 'lab' },
    },
    {
      reason: 'Ready of an older spec does not count',
      from: resource({ cloudRef: { name: 'lab' } }, { observedGeneration: 1, conditions: [ready] }),
      row: { ready: 'Unknown', reason: 'Running', cloud: 'lab' },
    },
    { reason: 'a new one has nothing to tell', from: resource({ cloudRef: { name: 'lab' } }), row: { cloud: 'lab' } },
    { reason: 'a row written by hand may hold anything', from: resource('spec', ['status']), row: {} },
    { reason: 'a cloud shows its engine', from: resource({ engine: 'simulator' }), row: { cloud: 'simulator' } },
  ])('$reason', ({ from, row }) => {
    expect(rowOf(from)).toEqual({ name: 'web', namespace: 'default', ...row });
  });
});
