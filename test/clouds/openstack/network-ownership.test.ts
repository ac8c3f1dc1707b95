import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ownedDescription, ownerInDescription } from '../../../src/clouds/openstack/network-ownership.js';

const word = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const owner = fc.record({ installation: word, key: fc.oneof(word, fc.uuid(), fc.constant('a:b')) });

describe('the owner tag in a description', () => {
  it('comes back, whatever words follow it, and fits', () => {
    fc.assert(
      fc.property(owner, fc.string({ maxLength: 300 }), (whose, words) => {
        const description = ownedDescription(whose, words);
        expect(ownerInDescription(description)).toEqual(whose);
        expect(description.length).toBeLessThanOrEqual(255);
      }),
    );
  });

  it('stands before the words for people', () => {
    expect(ownedDescription({ installation: 'i', key: 'k' }, 'for web in default')).toBe('dispatcher:i:k for web in default');
    expect(ownedDescription({ installation: 'i', key: 'k' })).toBe('dispatcher:i:k');
  });

  it.each([
    { reason: 'no description', description: null },
    { reason: 'an empty one', description: '' },
    { reason: 'a person’s words', description: 'Default security group' },
    { reason: 'words that mention one', description: 'was dispatcher:i:k' },
    { reason: 'no key', description: 'dispatcher:i: k' },
    { reason: 'no installation', description: 'dispatcher::k' },
    { reason: 'the tag of a server', description: 'dispatcher:' },
  ])('is not seen in $reason', ({ description }) => {
    expect(ownerInDescription(description)).toBeUndefined();
  });
});
