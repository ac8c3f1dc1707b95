import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Observation } from '../../../src/reconcilers/virtual-machine/observation.js';
import { plan } from '../../../src/reconcilers/virtual-machine/plan.js';
import {
  APPLIED,
  at,
  BOUND,
  BUILDING,
  CLOSED,
  ELSEWHERE,
  found,
  type Given,
  INSTALLATION,
  LEDGER,
  NOW,
  present,
  RESOLVED,
  seen,
  server,
  UID,
  vm,
  WATCHING,
  withoutOwner,
} from './fixtures.js';

interface Case {
  readonly reason: string;
  readonly given: Given;
  readonly seen: Observation;
  /** The kinds of the steps. */
  readonly steps: readonly string[];
  /** The reason of the condition Ready. */
  readonly ready?: string;
  readonly stalled?: boolean;
}

const CASES: readonly Case[] = [
  // given back, and given to others
  {
    reason: 'a rebuild that was asked for comes before anything else',
    given: { spec: { rebuilds: 2, powerState: 'Stopped' }, status: { ...BOUND, applied: { ...APPLIED, rebuilds: 1 } } },
    seen: seen(present()),
    steps: ['Rebuild'],
    ready: 'Recycling',
  },
  {
    reason: 'the image is looked up before a rebuild',
    given: { spec: { rebuilds: 1 }, status: BOUND },
    seen: seen({ ...present(), resolved: undefined }),
    steps: ['Resolve'],
    ready: 'Recycling',
  },
  {
    reason: 'a server that was made since counts as rebuilt',
    given: { spec: { rebuilds: 2 }, status: { ...BOUND, applied: { ...APPLIED, rebuilds: 2 } } },
    seen: seen(present()),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a rebuild without an answer may still begin: nothing is asked for, and the machine is not ready',
    given: { spec: { rebuilds: 1 }, status: { ...BOUND, rebuild: { number: 1, at: at(-29).toISOString() } } },
    seen: seen(present()),
    steps: [],
    ready: 'OutcomeUnknown',
  },
  {
    reason: 'after the settle time it is asked for again',
    given: { spec: { rebuilds: 1 }, status: { ...BOUND, rebuild: { number: 1, at: at(-31).toISOString() } } },
    seen: seen(present()),
    steps: ['Rebuild'],
  },
  {
    reason: 'a rebuild without an answer that is seen to go on has begun',
    given: { spec: { rebuilds: 1 }, status: { ...BOUND, rebuild: { number: 1, at: at(-2).toISOString() } } },
    seen: seen(present({ state: 'Rebuilding' })),
    steps: ['NoteRebuild'],
  },
  {
    reason: 'what is protected is not rebuilt',
    given: { spec: { rebuilds: 1, protected: true }, status: BOUND },
    seen: seen(present()),
    steps: [],
    ready: 'Protected',
    stalled: true,
  },
  {
    reason: 'who has the machine is written into the metadata, beside what is declared',
    given: { spec: { metadata: { role: 'web' } }, status: BOUND },
    seen: seen({
      ...present({ metadata: { role: 'web' } }),
      assignee: { name: 'alice', user: 'alice', application: 'galaxy' },
    }),
    steps: ['SetMetadata'],
  },
  {
    reason: 'and taken out of it when nobody has it any more',
    given: { status: BOUND },
    seen: seen(present({ metadata: { 'assigned-user': 'alice', 'assigned-application': 'galaxy' } })),
    steps: ['SetMetadata'],
  },
  // creating exactly one
  {
    reason: 'a new record is held before anything is made',
    given: { meta: { finalizers: [] } },
    seen: seen(),
    steps: ['AddFinalizer', 'RecordAttempt', 'Create'],
    ready: 'Creating',
  },
  {
    reason: 'names are looked up before the ledger is written',
    given: {},
    seen: seen({ fresh: true, resolved: undefined }),
    steps: ['Resolve'],
  },
  {
    reason: 'an attempt is written down before it is made',
    given: {},
    seen: seen({ fresh: true }),
    steps: ['RecordAttempt', 'Create'],
  },
  {
    reason: 'the attempt written in this pass is sent',
    given: { status: { ledger: LEDGER } },
    seen: seen({ held: 'token-1' }),
    steps: ['Create'],
  },
  {
    reason: 'an attempt of another pass is never sent again',
    given: { status: { ledger: LEDGER } },
    seen: seen(),
    steps: [],
    ready: 'OutcomeUnknown',
  },
  {
    reason: 'an attempt held too long is not sent, since others may count it as settled',
    given: { status: { ledger: { ...LEDGER, at: at(-11).toISOString() } } },
    seen: seen({ held: 'token-1' }),
    steps: [],
    ready: 'OutcomeUnknown',
  },
  {
    reason: 'an observation from before the settle time proves nothing',
    given: { status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen({}, { completeAt: at(-31) }),
    steps: [],
    ready: 'OutcomeUnknown',
  },
  {
    reason: 'a settled attempt is asked for by name once more',
    given: { status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen(),
    steps: ['AskByName'],
  },
  {
    reason: 'settled, and the cloud knows of none: the next attempt',
    given: { status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen({ askedByName: [] }),
    steps: ['RecordAttempt', 'Create'],
  },
  {
    reason: 'asked by name, the cloud knows one that the lists missed',
    given: { status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen({ askedByName: [server()] }),
    steps: ['Bind'],
  },
  {
    reason: 'a server of ours is bound at once, whatever the ledger says',
    given: { status: { ledger: LEDGER } },
    seen: seen({ owned: [server({ state: 'Building' })] }),
    steps: ['Bind'],
  },
  {
    reason: 'a refused attempt made nothing: the next may be made',
    given: { status: { ledger: CLOSED } },
    seen: seen(),
    steps: ['RecordAttempt', 'Create'],
  },
  {
    reason: 'a finalizer without a ledger may be a lost status: the cloud is asked',
    given: {},
    seen: seen(),
    steps: ['AskByName'],
  },
  {
    reason: 'before the first complete observation nothing is concluded',
    given: {},
    seen: seen({ cloud: { kind: 'connecting' } }),
    steps: [],
    ready: 'Observing',
  },
  {
    reason: 'while the server before is on its way out, none is made',
    given: { status: { ledger: CLOSED } },
    seen: seen({ owned: [server({ state: 'Deleting' })] }),
    steps: [],
    ready: 'Deleting',
  },
  {
    reason: 'an unknown image is said, and nothing is made',
    given: {},
    seen: seen({
      fresh: true,
      resolved: { ...RESOLVED, image: { kind: 'missing', message: 'no image has the name or id "x"' } },
    }),
    steps: [],
    ready: 'ReferenceNotFound',
    stalled: true,
  },
  {
    reason: 'missing user data is said, and nothing is made',
    given: {},
    seen: seen({ fresh: true, userData: { kind: 'missing', message: 'there is no Secret default/x' } }),
    steps: [],
    ready: 'ReferenceNotFound',
    stalled: true,
  },
  {
    reason: 'a full cloud is waited for',
    given: {},
    seen: seen({ fresh: true }, { full: true }),
    steps: [],
    ready: 'ServerLimitReached',
  },
  // bound
  { reason: 'as declared', given: { status: BOUND }, seen: seen(present()), steps: [], ready: 'Running' },
  {
    reason: 'stopped as declared',
    given: { spec: { powerState: 'Stopped' }, status: BOUND },
    seen: seen(present({ state: 'Stopped' })),
    steps: [],
    ready: 'Stopped',
  },
  {
    reason: 'a twin goes, the bound one stays',
    given: { status: BOUND },
    seen: seen({ ...present(), owned: [server(), server({ id: 's2' })] }),
    steps: ['Delete'],
    ready: 'DeletingTwin',
  },
  {
    reason: 'not in the snapshot is no proof: it is asked for',
    given: { status: BOUND },
    seen: seen({ bound: { kind: 'unseen' } }),
    steps: ['AskById'],
  },
  {
    reason: 'gone by the word of the cloud: made anew',
    given: { status: BOUND },
    seen: seen({ bound: { kind: 'gone' } }),
    steps: ['Unbind', 'RecordAttempt', 'Create'],
    ready: 'ServerGone',
  },
  {
    reason: 'stopped outside: started',
    given: { status: BOUND },
    seen: seen(present({ state: 'Stopped' })),
    steps: ['Start'],
    ready: 'Correcting',
  },
  {
    reason: 'declared stopped: stopped',
    given: { spec: { powerState: 'Stopped' }, status: BOUND },
    seen: seen(present()),
    steps: ['Stop'],
  },
  { reason: 'paused outside: resumed', given: { status: BOUND }, seen: seen(present({ state: 'Paused' })), steps: ['Resume'] },
  { reason: 'renamed outside: named back', given: { status: BOUND }, seen: seen(present({ name: 'other' })), steps: ['Rename'] },
  {
    reason: 'metadata and tags changed outside',
    given: { spec: { metadata: { role: 'web' }, tags: ['blue'] }, status: BOUND },
    seen: seen(present({ metadata: { x: 'y' }, tags: [] })),
    steps: ['SetMetadata', 'SetTags'],
  },
  {
    reason: 'the owner tag damaged outside',
    given: { status: BOUND },
    seen: seen(present({ ownerTagWhole: false })),
    steps: ['Own'],
  },
  {
    reason: 'no correction while the cloud is at work on it',
    given: { status: BOUND },
    seen: seen(present({ state: 'Running', task: 'powering-off', name: 'other' })),
    steps: [],
    ready: 'Changing',
  },
  {
    reason: 'nor while it has been at work for less than a build may take',
    given: { status: BOUND },
    seen: seen(present({ state: 'Running', task: 'powering-off', updatedAt: at(-599).toISOString(), name: 'other' })),
    steps: [],
    ready: 'Changing',
  },
  {
    reason: 'a change that takes longer is stuck: the cloud may have lost the request, and a person must know',
    given: { status: BOUND },
    seen: seen(present({ state: 'Running', task: 'powering-off', updatedAt: at(-600).toISOString(), name: 'other' })),
    steps: [],
    ready: 'ChangeStuck',
    stalled: true,
  },
  {
    reason: 'another flavor: resized in place',
    given: { spec: { flavor: 'small' }, status: BOUND },
    seen: seen({ ...present(), resolved: { ...RESOLVED, flavor: found('2', 'small') } }),
    steps: ['Resize'],
  },
  {
    reason: 'a flavor by id is no difference',
    given: { spec: { flavor: '1' }, status: BOUND },
    seen: seen(present()),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a resize waits to be confirmed',
    given: { status: BOUND },
    seen: seen(present({ state: 'AwaitingConfirmation' })),
    steps: ['ConfirmResize'],
  },
  {
    reason: 'another image is held by default',
    given: { spec: { image: 'debian' }, status: BOUND },
    seen: seen({ ...present(), resolved: { ...RESOLVED, image: found('image-2', 'debian') } }),
    steps: [],
    ready: 'ChangeHeld',
    stalled: true,
  },
  {
    reason: 'another image replaces the server when that is declared',
    given: { spec: { image: 'debian', onChange: 'Replace' }, status: BOUND },
    seen: seen({ ...present(), resolved: { ...RESOLVED, image: found('image-2', 'debian') } }),
    steps: ['Delete'],
    ready: 'Replacing',
  },
  {
    reason: 'a protected server is not replaced',
    given: { spec: { image: 'debian', onChange: 'Replace', protected: true }, status: BOUND },
    seen: seen({ ...present(), resolved: { ...RESOLVED, image: found('image-2', 'debian') } }),
    steps: [],
    ready: 'ChangeHeld',
    stalled: true,
  },
  {
    reason: 'an image name that now means another image replaces nothing',
    given: { spec: { onChange: 'Replace' }, status: BOUND },
    seen: seen({ ...present(), resolved: { ...RESOLVED, image: found('image-9', 'cirros') } }),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a cleared key converges too',
    given: { spec: { onChange: 'Replace' }, status: { ...BOUND, applied: { ...APPLIED, keyName: 'k' } } },
    seen: seen(present()),
    steps: ['Delete'],
  },
  {
    reason: 'changed networks need another server',
    given: { spec: { networks: 'none', onChange: 'Replace' }, status: BOUND },
    seen: seen(present()),
    steps: ['Delete'],
  },
  {
    reason: 'changed user data needs another server',
    given: { spec: { onChange: 'Replace' }, status: BOUND },
    seen: seen({ ...present(), userData: { kind: 'found', text: 'x', hash: 'h' } }),
    steps: ['Delete'],
  },
  // builds
  {
    reason: 'a build is waited for',
    given: { status: BUILDING },
    seen: seen(present({ state: 'Building' })),
    steps: [],
    ready: 'Building',
  },
  {
    reason: 'a build that is late by an old observation may long be done: it is asked for',
    given: { status: { ...BUILDING, ledger: { ...LEDGER, at: at(-601).toISOString() } } },
    seen: seen(present({ state: 'Building' })),
    steps: ['AskById'],
  },
  {
    reason: '202 is no promise: a build that hangs is counted and deleted',
    given: { status: { ...BUILDING, ledger: { ...LEDGER, at: at(-601).toISOString() } } },
    seen: seen({ ...present({ state: 'Building' }), askedById: true }),
    steps: ['RecordFailure', 'Delete'],
    ready: 'BuildFailed',
  },
  {
    reason: 'before an error counts, the server is asked for',
    given: { status: BUILDING },
    seen: seen(present({ state: 'Error' })),
    steps: ['AskById'],
  },
  {
    reason: 'a failed build is counted once',
    given: { status: { ...BUILDING, failures: { count: 1, at: NOW.toISOString(), message: 'x', id: 's1' } } },
    seen: seen({ ...present({ state: 'Error', fault: 'no host' }), askedById: true }),
    steps: ['Delete'],
  },
  {
    reason: 'the fourth failure stalls, in the words of the cloud',
    given: { status: { ...BUILDING, failures: { count: 3, at: NOW.toISOString(), message: 'x', id: 's0' } } },
    seen: seen({ ...present({ state: 'Error', fault: 'no host' }), askedById: true }),
    steps: ['RecordFailure', 'Delete'],
    ready: 'BuildFailed',
    stalled: true,
  },
  {
    reason: 'after a failure the next attempt waits',
    given: { status: { ledger: CLOSED, failures: { count: 1, at: at(-9).toISOString(), message: 'x' } } },
    seen: seen(),
    steps: [],
    ready: 'BuildFailed',
  },
  {
    reason: 'and is made when the time has come',
    given: { status: { ledger: CLOSED, failures: { count: 1, at: at(-11).toISOString(), message: 'x' } } },
    seen: seen(),
    steps: ['RecordAttempt', 'Create'],
  },
  {
    reason: 'a server that ran and is in error may hold data: it is left',
    given: { status: BOUND },
    seen: seen({ ...present({ state: 'Error', fault: 'disk' }), askedById: true }),
    steps: [],
    ready: 'ServerInError',
    stalled: true,
  },
  {
    reason: 'unless replacement is declared',
    given: { spec: { onChange: 'Replace' }, status: BOUND },
    seen: seen({ ...present({ state: 'Error', fault: 'disk' }), askedById: true }),
    steps: ['Delete'],
  },
  // adoption and observation
  {
    reason: 'exactly one match is adopted',
    given: { spec: { adopt: { name: 'old' } } },
    seen: seen({ adoptable: [withoutOwner()] }),
    steps: ['Bind'],
  },
  {
    reason: 'no match: how many there are is said',
    given: { spec: { adopt: { name: 'old' } } },
    seen: seen(),
    steps: [],
    ready: 'AdoptionNotFound',
    stalled: true,
  },
  {
    reason: 'two matches: how many there are is said',
    given: { spec: { adopt: { name: 'old' } } },
    seen: seen({ adoptable: [server(), server({ id: 's2' })] }),
    steps: [],
    ready: 'AdoptionAmbiguous',
    stalled: true,
  },
  {
    reason: 'what another record owns is not adopted',
    given: { spec: { adopt: { id: 's1' } } },
    seen: seen({ adoptable: [server({ owner: { installation: INSTALLATION, uid: 'other', attempt: 'x' } })] }),
    steps: [],
    ready: 'AdoptionConflict',
    stalled: true,
  },
  {
    reason: "another installation's server is not adopted",
    given: { spec: { adopt: { id: 's1' } } },
    seen: seen({ adoptable: [server({ owner: ELSEWHERE })] }),
    steps: [],
    ready: 'AdoptionConflict',
    stalled: true,
  },
  {
    reason: "another installation's server may be watched",
    given: { spec: WATCHING },
    seen: seen({ adoptable: [server({ owner: ELSEWHERE })] }),
    steps: ['Bind'],
  },
  {
    reason: 'what another record here owns is not watched',
    given: { spec: WATCHING },
    seen: seen({ adoptable: [server({ owner: { installation: INSTALLATION, uid: 'other', attempt: 'x' } })] }),
    steps: [],
    ready: 'AdoptionConflict',
    stalled: true,
  },
  {
    reason: 'a server that is watched, and is as declared, is Ready with the tag of its owner',
    given: { spec: WATCHING, status: BOUND },
    seen: seen({ ...present({ owner: ELSEWHERE }), owned: [] }),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a server that is watched, and is not as declared, is not Ready: what differs is said, the tag of its owner is not',
    given: { spec: WATCHING, status: BOUND },
    seen: seen({ ...present({ owner: ELSEWHERE, metadata: { 'assigned-user': 'alice' } }), owned: [] }),
    steps: ['SetMetadata'],
    ready: 'WouldChange',
  },
  {
    reason: "one that was watched and is to be managed is its owner's",
    given: { spec: { adopt: { id: 's1' } }, status: BOUND },
    seen: seen({ ...present({ owner: ELSEWHERE }), owned: [] }),
    steps: [],
    ready: 'TakenOver',
    stalled: true,
  },
  {
    reason: 'a server that is watched by a record that comes from its owner is on its way here: the tag would be written',
    given: { spec: WATCHING, status: BOUND },
    seen: seen({ ...present({ owner: ELSEWHERE }), owned: [], former: ELSEWHERE }),
    steps: ['Own'],
    ready: 'WouldChange',
  },
  {
    reason: 'what another record is bound to is not touched',
    given: { status: BOUND },
    seen: seen({ ...present({ state: 'Stopped' }), claimedBy: 'default/other' }),
    steps: [],
    ready: 'ServerClaimed',
    stalled: true,
  },
  {
    reason: 'an adopted server that is gone is not made anew',
    given: { spec: { adopt: { id: 's1' } }, status: BOUND },
    seen: seen({ bound: { kind: 'gone' } }),
    steps: [],
    ready: 'AdoptedServerGone',
    stalled: true,
  },
  {
    reason: 'paused: nothing',
    given: { spec: { paused: true }, status: BOUND },
    seen: seen(present({ state: 'Stopped' })),
    steps: [],
    ready: 'Paused',
  },
  {
    reason: 'a cloud that is not there is said',
    given: {},
    seen: seen({ cloud: { kind: 'unusable', reason: 'CloudNotFound', message: 'there is no Cloud lab' } }),
    steps: [],
    ready: 'CloudNotFound',
  },
  {
    reason: 'a cloud that does not answer is said while something waits for it',
    given: { status: BUILDING },
    seen: seen(present({ state: 'Building' }), { trouble: 'connection refused' }),
    steps: [],
    ready: 'CloudUnreachable',
  },
  // deletion
  {
    reason: 'deleted, and nothing is known of a server: the status may have been lost with it, so the cloud is asked',
    given: { meta: { deletionTimestamp: 'x' } },
    seen: seen(),
    steps: ['AskByName'],
  },
  {
    reason: 'deleted, and the cloud knows of none either: let go',
    given: { meta: { deletionTimestamp: 'x' } },
    seen: seen({ askedByName: [] }),
    steps: ['RemoveFinalizer'],
  },
  {
    reason: 'deleted, and nothing is known, and the cloud cannot be asked: let go, since what may be there bears our tag',
    given: { meta: { deletionTimestamp: 'x' } },
    seen: seen({ cloud: { kind: 'unusable', reason: 'CloudNotFound', message: 'there is no Cloud lab' } }),
    steps: ['RemoveFinalizer'],
  },
  {
    reason: 'its server goes first',
    given: { meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen(present()),
    steps: ['Delete'],
  },
  {
    reason: 'with no stored id, by the owner tag',
    given: { meta: { deletionTimestamp: 'x' } },
    seen: seen({ owned: [server()] }),
    steps: ['Delete'],
  },
  {
    reason: 'accepted is not gone',
    given: { meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen(present({ state: 'Deleting' })),
    steps: [],
    ready: 'Deleting',
  },
  {
    reason: 'gone by the word of the cloud: let go',
    given: { meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen({ bound: { kind: 'gone' } }),
    steps: ['RemoveFinalizer'],
  },
  {
    reason: 'an open attempt is waited out',
    given: { meta: { deletionTimestamp: 'x' }, status: { ledger: LEDGER } },
    seen: seen(),
    steps: [],
    ready: 'OutcomeUnknown',
  },
  {
    reason: 'one whose server is seen is known to bring no other: that is noted before the server goes',
    given: { meta: { deletionTimestamp: 'x' }, status: { ledger: LEDGER } },
    seen: seen({ owned: [server()] }),
    steps: ['Bind'],
  },
  {
    reason: 'a server of an earlier attempt says nothing of an open one',
    given: { meta: { deletionTimestamp: 'x' }, status: { ledger: LEDGER } },
    seen: seen({ owned: [server({ owner: { installation: INSTALLATION, uid: UID, attempt: 'token-0' } })] }),
    steps: ['Delete'],
  },
  {
    reason: 'a settled one is asked for by name',
    given: { meta: { deletionTimestamp: 'x' }, status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen(),
    steps: ['AskByName'],
  },
  {
    reason: 'and what the cloud then knows is deleted',
    given: { meta: { deletionTimestamp: 'x' }, status: { ledger: { ...LEDGER, at: at(-60).toISOString() } } },
    seen: seen({ askedByName: [server()] }),
    steps: ['Delete'],
  },
  {
    reason: 'protected: held',
    given: { spec: { protected: true }, meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen(present()),
    steps: [],
    ready: 'Protected',
    stalled: true,
  },
  {
    reason: 'orphaned: the owner tag comes off, the server stays',
    given: { spec: { deletionPolicy: 'Orphan' }, meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen(present()),
    steps: ['Disown', 'RemoveFinalizer'],
  },
  {
    reason: 'without its cloud a server cannot be deleted: held, and said',
    given: { meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen({ cloud: { kind: 'unusable', reason: 'CloudNotFound', message: 'there is no Cloud lab' } }),
    steps: [],
    ready: 'CloudNotFound',
  },
  {
    reason: 'observed only: the server is left',
    given: { spec: { management: 'Observe' }, meta: { deletionTimestamp: 'x' }, status: BOUND },
    seen: seen(present()),
    steps: ['RemoveFinalizer'],
  },
];

describe('plan of a VirtualMachine', () => {
  test.each(CASES.map((each) => [each.reason, each] as const))(
    '%s',
    (_reason, { given, seen: observation, steps, ready, stalled = false }) => {
      const made = plan(vm(given), observation, NOW);
      expect(made.steps.map(({ kind }) => kind)).toEqual(steps);
      if (ready) expect(made.conditions.find(({ type }) => type === 'Ready')?.reason).toBe(ready);
      expect(made.conditions.some(({ type }) => type === 'Stalled')).toBe(stalled);
    },
  );

  test('with management Observe the same plan is shown and not followed', () => {
    const made = plan(
      vm({ spec: { management: 'Observe' }, status: BOUND }),
      seen(present({ state: 'Stopped', name: 'other' })),
      NOW,
    );
    expect(made.act).toBe(false);
    expect(made.steps.map(({ kind }) => kind)).toEqual(['Rename', 'Start']);
    expect(made.conditions).toEqual([expect.objectContaining({ type: 'Ready', status: 'False', reason: 'WouldChange' })]);
  });
});

describe('for any record and any observation', () => {
  const state = fc.constantFrom('Building', 'Running', 'Stopped', 'Paused', 'Error', 'Deleting', 'Rebooting', 'Unknown' as const);
  const serverArbitrary = fc
    .record({
      id: fc.constantFrom('s1', 's2', 's3'),
      state,
      attempt: fc.constantFrom('token-1', 'token-0'),
      name: fc.constantFrom('web-1', 'x'),
    })
    .map(({ attempt, ...rest }) => server({ ...rest, owner: { installation: INSTALLATION, uid: UID, attempt } }));
  const ledger = fc.option(
    fc.record({ age: fc.integer({ min: 0, max: 100 }), closed: fc.boolean() }).map(({ age, closed }) => ({
      ...LEDGER,
      at: at(-age).toISOString(),
      ...(closed ? { closed: 'x' } : {}),
    })),
    { nil: undefined },
  );
  const scene = fc.record({
    deleting: fc.boolean(),
    held: fc.boolean(),
    finalizer: fc.boolean(),
    isProtected: fc.boolean(),
    observe: fc.boolean(),
    onChange: fc.constantFrom('Replace', 'Hold'),
    image: fc.constantFrom('cirros', 'debian'),
    ledger,
    bound: fc.oneof(
      fc.constant({ kind: 'none' as const }),
      fc.constant({ kind: 'gone' as const }),
      fc.constant({ kind: 'unseen' as const }),
      serverArbitrary.map((one) => ({ kind: 'present' as const, server: one, asOf: NOW })),
    ),
    others: fc.uniqueArray(serverArbitrary, { selector: ({ id }) => id, maxLength: 3 }),
    completeAge: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
    built: fc.boolean(),
  });
  type Scene = typeof scene extends fc.Arbitrary<infer Value> ? Value : never;
  const planOf = (of: Scene) => {
    const bound = of.bound.kind === 'present' ? of.bound.server : undefined;
    const given = vm({
      spec: {
        protected: of.isProtected,
        image: of.image,
        onChange: of.onChange === 'Replace' ? 'Replace' : 'Hold',
        ...(of.observe ? { management: 'Observe' } : {}),
      },
      status: {
        ...(of.bound.kind === 'none' ? {} : { id: bound?.id ?? 's1', applied: APPLIED }),
        ...(of.ledger ? { ledger: of.ledger } : {}),
        ...(of.built ? { builtAt: at(-50).toISOString() } : {}),
      },
      meta: {
        ...(of.deleting ? { deletionTimestamp: at(-1).toISOString() } : {}),
        finalizers: of.finalizer ? ['dispatcher.dev/server'] : [],
      },
    });
    const owned = [...of.others.filter(({ id }) => id !== bound?.id), ...(bound ? [bound] : [])];
    const observation = seen(
      {
        bound: of.bound,
        owned,
        resolved: { ...RESOLVED, image: found('image-2', 'debian') },
        held: of.held ? 'token-1' : undefined,
      },
      of.completeAge === undefined ? {} : { completeAt: at(-of.completeAge) },
    );
    return { made: plan(given, observation, NOW), observation, bound, given };
  };

  test('nothing is created while a server of ours is known, or an attempt is open that this pass does not hold', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const { made, observation } = planOf(of);
        const [first] = made.steps;
        if (!made.act || (first?.kind !== 'Create' && first?.kind !== 'RecordAttempt')) return;
        expect(observation.owned).toEqual([]);
        expect(of.bound.kind).toBe('none');
        if (first.kind === 'Create') expect(of.held).toBe(true);
        else expect(of.ledger === undefined || of.ledger.closed !== undefined).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('the finalizer goes only when no server is known alive, or the server is left on purpose', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const { made, observation } = planOf(of);
        if (made.steps[0]?.kind !== 'RemoveFinalizer' || of.observe) return;
        expect(observation.owned).toEqual([]);
        expect(of.deleting).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('a protected server that was built is never deleted; a bound one is not deleted as a twin', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const { made, bound } = planOf(of);
        const doomed = made.steps.flatMap((step) => (step.kind === 'Delete' ? [step.id] : []));
        if (of.isProtected && of.built && bound) expect(doomed).not.toContain(bound.id);
        if (made.conditions[0]?.reason === 'DeletingTwin') expect(doomed).not.toContain(bound?.id);
      }),
      { numRuns: 2000 },
    );
  });

  test('with management Observe only harmless steps are taken', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const { made } = planOf({ ...of, observe: true });
        const [first] = made.steps;
        if (!made.act || !first || of.deleting) return;
        expect(['Bind', 'Unbind', 'AskById', 'AskByName', 'Resolve', 'KeepPorts']).toContain(first.kind);
      }),
      { numRuns: 2000 },
    );
  });
});
