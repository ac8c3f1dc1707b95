import { describe, expect, test } from '@jest/globals';
import { Closing } from '../../../src/commands/serving/closing.js';

describe('what was opened', () => {
  test('is closed once, in the opposite order, all of it even when a part fails, and the first failure is told', async () => {
    const closed: string[] = [];
    const closing = new Closing();
    closing.add(async () => closed.push('database'));
    closing.add(async () => {
      closed.push('store');
      throw new Error('store failed');
    });
    closing.add(async () => {
      closed.push('api');
      throw new Error('api failed');
    });
    await expect(closing.close()).rejects.toThrow('api failed');
    await expect(closing.close()).rejects.toThrow('api failed');
    expect(closed).toEqual(['api', 'store', 'database']);
  });
});
