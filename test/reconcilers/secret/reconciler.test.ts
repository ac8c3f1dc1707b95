import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Rig } from '../../support/rig.js';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const CREDENTIALS = { credentialsRef: { namespace: 'default', name: 'login' } };
const HELD = ['dispatcher.dev/in-use'];
const finalizers = (name = 'login') => rig.get('Secret', name).metadata.finalizers ?? [];

describe('a Secret that a Cloud logs in with', () => {
  test.each([
    ['is declared before the Cloud', ['Secret', 'Cloud']],
    ['is declared after the Cloud', ['Cloud', 'Secret']],
  ])('is held when it %s', async (_reason, order) => {
    rig.start();
    for (const kind of order) {
      if (kind === 'Secret') await rig.declareSecret('login', { password: 'x' });
      else await rig.declareCloud(CREDENTIALS);
      await rig.pass(100);
    }
    await rig.declareSecret('unrelated', {});
    await rig.pass(1_000);
    expect(finalizers()).toEqual(HELD);
    expect(finalizers('unrelated')).toEqual([]);
  });

  test('stays, though its deletion is asked for, until the Cloud is gone; so servers can be deleted', async () => {
    await rig.declareSecret('login', { password: 'x' });
    await rig.declareCloud(CREDENTIALS);
    rig.start();
    await rig.declare('web-1');
    await rig.pass(1_000);
    await rig.remove('Secret', 'login');
    await rig.remove('Cloud', 'lab');
    await rig.pass(60_000);
    expect(finalizers()).toEqual(HELD);
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('the deletion is asked for', () => rig.cloud.calls.includes('deleteServer s1'), 5_000);
    rig.cloud.remove('s1');
    await rig.until('all is gone', () => rig.find('Secret', 'login') === undefined, 10_000);
    expect(rig.find('Cloud', 'lab')).toBeUndefined();
  });

  test('is let go when the Cloud names another, which is held then', async () => {
    await rig.declareSecret('login', { password: 'x' });
    await rig.declareSecret('other', { password: 'x' });
    await rig.declareCloud(CREDENTIALS);
    rig.start();
    await rig.pass(1_000);
    await rig.edit('Cloud', 'lab', { credentialsRef: { namespace: 'default', name: 'other' } });
    await rig.pass(100);
    expect([finalizers(), finalizers('other')]).toEqual([[], HELD]);
  });

  test('is held as long as one of two Clouds names it', async () => {
    await rig.declareSecret('login', { password: 'x' });
    await rig.declareCloud(CREDENTIALS);
    await rig.declareCloud(CREDENTIALS, 'second');
    rig.start();
    await rig.pass(1_000);
    await rig.remove('Cloud', 'lab');
    await rig.pass(1_000);
    expect(finalizers()).toEqual(HELD);
    await rig.remove('Cloud', 'second');
    await rig.pass(1_000);
    expect(finalizers()).toEqual([]);
  });
});
