import { expect, test } from '@jest/globals';
import { applySamples } from '../../../src/commands/demo/samples.js';
import { MemoryStore } from '../../support/memory-store.js';
import { VirtualEnvironment } from '../../support/virtual-environment.js';

test('the samples are admitted, declared once, and left as somebody changed them', async () => {
  const store = new MemoryStore(new VirtualEnvironment(1));
  expect(await applySamples(store)).toEqual({ created: 8, kept: 0, machines: 5 });
  const key = { kind: 'VirtualMachine', namespace: 'default', name: 'db-1' };
  const db = await store.get(key);
  if (!db) throw new Error('db-1 is not there');
  expect(db.spec).toMatchObject({ powerState: 'Stopped' });
  const changed = await store.update({ ...db, spec: { ...Object(db.spec), powerState: 'Running' } });
  await store.delete({ kind: 'VirtualMachine', namespace: 'default', name: 'web-3' });
  expect(await applySamples(store)).toEqual({ created: 1, kept: 7, machines: 5 });
  expect(await store.get(key)).toEqual(changed);
});
