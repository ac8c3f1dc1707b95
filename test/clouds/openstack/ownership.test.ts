import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ownedMetadata, ownedTags, readOwnership } from '../../../src/clouds/openstack/ownership.js';

const uuid = fc.uuid();
const owner = fc.record({ installation: uuid, uid: uuid, attempt: uuid });
const key = fc.stringMatching(/^[a-z][a-z0-9 _.:-]{0,20}$/).filter((name) => !name.startsWith('dispatcher.'));
const tag = fc.stringMatching(/^[a-z0-9][a-z0-9 :.-]{0,20}$/).filter((name) => !name.startsWith('dispatcher:'));
const metadata = fc.dictionary(key, fc.string({ maxLength: 20 }), { noNullPrototype: true });
const tags = fc.uniqueArray(tag, { maxLength: 5 });

describe('the owner tag', () => {
  it('comes back whole, and what was asked for beside it', () => {
    fc.assert(
      fc.property(owner, metadata, tags, (whose, someMetadata, someTags) => {
        const read = readOwnership(ownedMetadata(someMetadata, whose), ownedTags(someTags, whose), undefined);
        expect(read).toEqual({ owner: whose, ownerTagWhole: true, metadata: someMetadata, tags: someTags });
        expect(readOwnership(ownedMetadata(someMetadata, whose), undefined, undefined)).toEqual({
          owner: whose,
          ownerTagWhole: true,
          metadata: someMetadata,
        });
      }),
    );
  });

  it('fits what nova allows', () => {
    fc.assert(
      fc.property(owner, (whose) => {
        for (const written of ownedTags([], whose)) expect(written).toMatch(/^[^,/]{1,60}$/);
        for (const name of Object.keys(ownedMetadata({}, whose))) expect(name).toMatch(/^[a-zA-Z0-9-_:. ]{1,255}$/);
      }),
    );
  });

  it('tells the uid and the installation while any one part of it is left, and that it is not whole', () => {
    fc.assert(
      fc.property(owner, tags, (whose, someTags) => {
        const all = ownedMetadata({}, whose);
        const { 'dispatcher.attempt': attempt, ...withoutAttempt } = all;
        const { 'dispatcher.installation': _, ...withoutInstallation } = all;
        const { 'dispatcher.uid': __, ...withoutUid } = all;
        const marked = ownedTags(someTags, whose);
        const cases = [
          { from: [all, someTags], knows: attempt },
          { from: [withoutAttempt, marked], knows: '' },
          { from: [withoutInstallation, marked], knows: attempt },
          { from: [withoutUid, marked], knows: '' },
          { from: [{}, marked], knows: '' },
        ] as const;
        for (const { from, knows } of cases) {
          const read = readOwnership(from[0], from[1], whose.installation);
          expect(read.owner).toEqual({ installation: whose.installation, uid: whose.uid, attempt: knows });
          expect(read.ownerTagWhole).toBe(false);
          expect(read.tags).toEqual(someTags);
        }
      }),
    );
  });

  it.each([
    { reason: 'a server of nobody', metadata: { role: 'web' }, tags: ['blue'] },
    {
      reason: 'a tag that only looks like ours',
      metadata: {},
      tags: ['dispatcher', 'dispatcher:', 'dispatcher:x', 'my-dispatcher:u:i'],
    },
    { reason: 'an empty uid', metadata: { 'dispatcher.uid': '', 'dispatcher.installation': 'i' }, tags: [] },
  ])('is not seen on $reason', ({ metadata, tags }) => {
    const read = readOwnership(metadata, tags, 'our-installation');
    expect(read).not.toHaveProperty('owner');
    expect(read.ownerTagWhole).toBe(false);
  });

  it('of another installation is never taken for ours, however alike they begin', () => {
    const theirs = { installation: 'our-inst-2', uid: 'u', attempt: 'a' };
    expect(readOwnership(ownedMetadata({}, theirs), ownedTags([], theirs), 'our-inst-1').owner).toEqual(theirs);
    expect(readOwnership({}, ownedTags([], { ...theirs, installation: 'xyz' }), 'our-inst-1').owner?.installation).toBe('xyz');
  });

  it('is not whole when another of its kind stands beside it', () => {
    const whose = { installation: 'i', uid: 'u', attempt: 'a' };
    const twice = [...ownedTags([], whose), 'dispatcher:other:i'];
    expect(readOwnership(ownedMetadata({}, whose), twice, 'i')).toMatchObject({ owner: whose, ownerTagWhole: false, tags: [] });
  });

  it('is left out for a server that is let go', () => {
    expect(ownedMetadata({ role: 'web' }, undefined)).toEqual({ role: 'web' });
    expect(ownedTags(['blue'], undefined)).toEqual(['blue']);
  });
});
