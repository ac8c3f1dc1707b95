import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CloudVolume } from '../../../src/clouds/volume-driver.js';
import type { Observation, Place, Target } from '../../../src/reconcilers/volume/observation.js';
import { plan } from '../../../src/reconcilers/volume/plan.js';
import type { Step } from '../../../src/reconcilers/volume/steps.js';
import type { Plan } from '../../../src/reconcilers/volume/verdict.js';
import type { ObjectMeta } from '../../../src/resources/metadata.js';
import type { Volume, VolumeSpec, VolumeStatus } from '../../../src/resources/volume.js';

const NOW = new Date('2026-01-01T01:00:00Z');
const BEFORE = '2026-01-01T00:00:00Z';
const OURS = { installation: 'one', uid: 'uid-1', attempt: 't1' };
const LEDGER = { attempt: 1, token: 't1', serverName: 'data', specHash: '', at: BEFORE };
const BUILT: VolumeStatus = { id: 'v1', attempt: 't1', ledger: LEDGER, builtAt: BEFORE };

function record(spec: Partial<VolumeSpec> = {}, status: VolumeStatus = BUILT, metadata: Partial<ObjectMeta> = {}): Volume {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'Volume',
    metadata: {
      name: 'data',
      namespace: 'default',
      uid: 'uid-1',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: BEFORE,
      finalizers: ['dispatcher.dev/volume'],
      ...metadata,
    },
    spec: { cloudRef: { name: 'lab' }, sizeGiB: 2, ...spec },
    status,
  };
}

function cloudVolume(over: Partial<CloudVolume> = {}): CloudVolume {
  return {
    id: 'v1',
    name: 'data',
    state: 'Available',
    sizeGiB: 2,
    owner: OURS,
    metadata: {},
    attachments: [],
    createdAt: BEFORE,
    ...over,
  };
}

function at(over: Partial<Place> = {}): Place {
  return { serverId: 's1', machine: 'web-1', ours: true, going: false, ...over };
}

function target(over: Partial<Target> = {}): Target {
  return { machine: 'web-1', serverId: 's1', obstacle: undefined, gone: false, ...over };
}

function seen(over: Partial<Observation> & { readonly volume?: CloudVolume } = {}): Observation {
  const { volume = cloudVolume(), ...rest } = over;
  return {
    cloud: { kind: 'usable', completeAt: NOW, settleMs: 30_000, buildTimeoutMs: 600_000, trouble: undefined },
    installation: 'one',
    bound: { kind: 'present', volume, asOf: NOW },
    owned: [volume],
    adoptable: [],
    hasRecord: () => true,
    claimedBy: undefined,
    places: [],
    target: undefined,
    type: { kind: 'found', id: undefined },
    held: undefined,
    intended: undefined,
    confirmed: true,
    askedByName: undefined,
    askedById: false,
    cannotGrow: undefined,
    fresh: false,
    ...rest,
  };
}

const inUse = (places: readonly Place[], over: Partial<CloudVolume> = {}) => ({
  volume: cloudVolume({ state: 'InUse', attachments: places.map(({ serverId }) => ({ serverId })), ...over }),
  places,
});

/** `AddFinalizer, RecordAttempt`, or why nothing is done: `Ready True Available`. */
function told({ steps, conditions }: Plan): string {
  if (steps.length > 0) return steps.map(({ kind }) => kind).join(', ');
  const [first] = conditions;
  return first ? `${first.type} ${first.status} ${first.reason}` : 'nothing';
}

const GOING: Partial<ObjectMeta> = { deletionTimestamp: BEFORE };
const UNBOUND = { bound: { kind: 'none' }, owned: [] } as const;

test.each([
  { reason: 'what is as declared is Ready', made: plan(record(), seen(), NOW), is: 'Ready True Available' },
  {
    reason: 'a new record is held before anything is made for it',
    made: plan(record({}, {}, { finalizers: [] }), seen(UNBOUND), NOW),
    is: 'AddFinalizer, RecordAttempt, Create',
  },
  {
    reason: 'a finalizer without a ledger may be all that was written down: the cloud is asked',
    made: plan(record({}, {}), seen(UNBOUND), NOW),
    is: 'AskByName',
  },
  {
    reason: 'an attempt that this pass did not write is not sent, and not repeated before the settle time is over',
    made: plan(record({}, { ledger: { ...LEDGER, at: NOW.toISOString() } }), seen(UNBOUND), NOW),
    is: 'Ready False OutcomeUnknown',
  },
  {
    reason: 'one that could not be sent in time is not sent',
    made: plan(record({}, { ledger: LEDGER }), seen({ ...UNBOUND, held: 't1' }), NOW),
    is: 'AskByName',
  },
  {
    reason: 'after the settle time, and with the word of the cloud, another attempt is made',
    made: plan(record({}, { ledger: LEDGER }), seen({ ...UNBOUND, askedByName: [] }), NOW),
    is: 'RecordAttempt, Create',
  },
  {
    reason: 'one of ours that is found is bound',
    made: plan(record({}, { ledger: LEDGER }), seen({ ...UNBOUND, owned: [cloudVolume()] }), NOW),
    is: 'Bind',
  },
  {
    reason: 'what is usable is noted before it is attached',
    made: plan(record({}, { id: 'v1', attempt: 't1', ledger: LEDGER }), seen({ target: target() }), NOW),
    is: 'NoteBuilt',
  },
  {
    reason: 'a build that failed is counted and deleted',
    made: plan(
      record({}, { id: 'v1', attempt: 't1', ledger: LEDGER }),
      seen({ volume: cloudVolume({ state: 'Error' }), askedById: true }),
      NOW,
    ),
    is: 'RecordFailure, Delete',
  },
  {
    reason: 'one in error that is attached somewhere was usable, and is left',
    made: plan(
      record({}, { id: 'v1', attempt: 't1', ledger: LEDGER }),
      seen({ ...inUse([at()], { state: 'Error' }), askedById: true }),
      NOW,
    ),
    is: 'NoteBuilt',
  },
  {
    reason: 'a build that takes too long is asked for before it is given up',
    made: plan(
      record({}, { id: 'v1', attempt: 't1', ledger: LEDGER }),
      seen({ volume: cloudVolume({ state: 'Creating' }) }),
      NOW,
    ),
    is: 'AskById',
  },
  {
    reason: 'the place is written down first',
    made: plan(record(), seen({ target: target() }), NOW),
    is: 'RecordAttachment',
  },
  {
    reason: 'then the store confirms it, then it is asked for',
    made: plan(
      record({}, { ...BUILT, attachment: { serverId: 's1', askedAt: NOW.toISOString() } }),
      seen({ target: target(), intended: 's1', confirmed: false }),
      NOW,
    ),
    is: 'Confirm, Attach',
  },
  {
    reason: 'a place that the store does not confirm is forgotten',
    made: plan(
      record({}, { ...BUILT, attachment: { serverId: 's1', askedAt: NOW.toISOString() } }),
      seen({ target: target({ machine: undefined, serverId: undefined }), intended: 's1' }),
      NOW,
    ),
    is: 'ForgetAttachment',
  },
  {
    reason: 'an attachment that may still come is waited for, wherever it is declared now',
    made: plan(
      record({}, { ...BUILT, attachment: { serverId: 's1', askedAt: NOW.toISOString() } }),
      seen({ target: target({ machine: 'web-2', serverId: 's2' }) }),
      NOW,
    ),
    is: 'Ready False OutcomeUnknown',
  },
  {
    reason: 'a place that is not declared any more is left only with the word of the store',
    made: plan(record(), seen({ ...inUse([at()]), confirmed: false }), NOW),
    is: 'Confirm, Detach',
  },
  {
    reason: 'a server of a machine that has none now may be its last: it is not taken from there',
    made: plan(
      record(),
      seen({
        ...inUse([at({ machine: undefined })]),
        target: target({ serverId: undefined, obstacle: { reason: 'MachineNotReady', message: '', lasting: false } }),
      }),
      NOW,
    ),
    is: 'Ready False MachineNotReady',
  },
  {
    reason: 'an assignment without a machine has none: it is taken from there',
    made: plan(record(), seen({ ...inUse([at()]), target: target({ machine: undefined, serverId: undefined }) }), NOW),
    is: 'Detach',
  },
  {
    reason: 'a server on its way out lets it go by itself',
    made: plan(record(), seen(inUse([at({ going: true })])), NOW),
    is: 'Ready False Detaching',
  },
  {
    reason: 'it grows before it is attached: every cloud can do that',
    made: plan(record({ sizeGiB: 3 }), seen({ target: target() }), NOW),
    is: 'Extend',
  },
  {
    reason: 'one that does not grow in use is Ready in all else, and says so',
    made: plan(record({ sizeGiB: 3 }), seen({ ...inUse([at()]), target: target(), cannotGrow: 'it cannot' }), NOW),
    is: 'Ready False GrowsWhenDetached',
  },
  {
    reason: 'one that is moved grows on the way',
    made: plan(
      record({ sizeGiB: 3 }),
      seen({ ...inUse([at()]), target: target({ machine: 'web-2', serverId: 's2' }), cannotGrow: undefined }),
      NOW,
    ),
    is: 'Detach',
  },
  {
    reason: 'what bears the tag of another installation is left',
    made: plan(record(), seen({ volume: cloudVolume({ owner: { ...OURS, installation: 'two' } }) }), NOW),
    is: 'Ready False TakenOver',
  },
  {
    reason: 'so it is when its record goes',
    made: plan(
      record({ deletionPolicy: 'Delete' }, BUILT, GOING),
      seen({ volume: cloudVolume({ owner: { ...OURS, installation: 'two' } }), owned: [] }),
      NOW,
    ),
    is: 'RemoveFinalizer',
  },
  {
    reason: 'a cloud that cannot be asked keeps a record that has a volume',
    made: plan(record({}, BUILT, GOING), seen({ cloud: { kind: 'unusable', reason: 'CloudPaused', message: 'is paused' } }), NOW),
    is: 'Ready False CloudPaused',
  },
  {
    reason: 'and lets one go of which nothing is known',
    made: plan(
      record({}, {}, GOING),
      seen({ ...UNBOUND, cloud: { kind: 'unusable', reason: 'CloudPaused', message: 'is paused' } }),
      NOW,
    ),
    is: 'RemoveFinalizer',
  },
  {
    reason: 'a deletion goes on when what it was attached to is not declared any more',
    made: plan(
      record({ deletionPolicy: 'Delete' }, BUILT, GOING),
      seen({ ...inUse([at({ machine: undefined })]), target: target({ serverId: undefined, gone: true }) }),
      NOW,
    ),
    is: 'Detach',
  },
  {
    reason: 'what was said stands while the cloud is not seen whole yet',
    made: plan(record({}, { ...BUILT, observedGeneration: 1 }), seen({ cloud: { kind: 'connecting', trouble: undefined } }), NOW),
    is: 'nothing',
  },
])('$reason', ({ made, is }) => {
  expect(told(made)).toBe(is);
});

describe('whatever is seen', () => {
  const state = fc.constantFrom(
    'Creating',
    'Available',
    'Attaching',
    'InUse',
    'Detaching',
    'Changing',
    'Deleting',
    'Error',
    'Unknown',
  );
  const place = fc.record({
    serverId: fc.constantFrom('s1', 's2', 's3'),
    machine: fc.constantFrom('web-1', 'web-2', undefined),
    ours: fc.boolean(),
    going: fc.boolean(),
  });
  const obstacle = fc.constantFrom(undefined, { reason: 'MachineNotReady', message: 'm', lasting: false });
  const anyTarget = fc.option(
    fc.record({
      machine: fc.constantFrom('web-1', 'web-2', undefined),
      serverId: fc.constantFrom('s1', 's2', undefined),
      obstacle,
      gone: fc.boolean(),
    }),
    { nil: undefined },
  );
  const anything = fc
    .record({
      state,
      places: fc.uniqueArray(place, { maxLength: 2, selector: ({ serverId }) => serverId }),
      target: anyTarget,
      built: fc.boolean(),
      going: fc.boolean(),
      policy: fc.constantFrom('Retain', 'Delete', undefined),
      sizes: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      attempt: fc.constantFrom('t1', 't2'),
      twin: fc.constantFrom('t1', 't2', undefined),
      asked: fc.constantFrom(undefined, 's1', 's2'),
      intended: fc.constantFrom(undefined, 's1', 's2'),
      confirmed: fc.boolean(),
      askedById: fc.boolean(),
    })
    .map(({ state, places, target, built, going, policy, sizes, attempt, twin, asked, ...facts }) => {
      const attachments = places.map(({ serverId }) => ({ serverId }));
      const volume = cloudVolume({ state, attachments, sizeGiB: sizes[0], owner: { ...OURS, attempt } });
      const other = twin === undefined ? [] : [cloudVolume({ id: 'v2', owner: { ...OURS, attempt: twin } })];
      const attachment = asked === undefined ? {} : { attachment: { serverId: asked, askedAt: NOW.toISOString() } };
      const status = { id: 'v1', attempt: 't1', ledger: LEDGER, ...(built ? { builtAt: BEFORE } : {}), ...attachment };
      const spec = { sizeGiB: sizes[1], ...(policy === undefined ? {} : { deletionPolicy: policy }) };
      const subject = record(spec, status, going ? GOING : {});
      const observation = seen({ volume, owned: [volume, ...other], places, target, ...facts });
      return { subject, observation, volume, made: plan(subject, observation, NOW) };
    });
  const holds = (check: (step: Step, given: { subject: Volume; observation: Observation; volume: CloudVolume }) => boolean) =>
    fc.assert(
      fc.property(anything, ({ made, ...given }) => made.steps.every((step) => check(step, given))),
      { numRuns: 2_000 },
    );

  test('one that may hold data is deleted only for a deleted record that says Delete, and attached nowhere', () => {
    holds(
      (step, { subject, volume }) =>
        step.kind !== 'Delete' ||
        step.id !== 'v1' ||
        (subject.status?.builtAt === undefined && subject.metadata.deletionTimestamp === undefined) ||
        (subject.metadata.deletionTimestamp !== undefined &&
          subject.spec.deletionPolicy === 'Delete' &&
          volume.attachments.length === 0),
    );
  });

  test('another one with our tag is deleted only if it is of another attempt, or its record is to be', () => {
    holds(
      (step, { subject, observation, volume }) =>
        step.kind !== 'Delete' ||
        step.id !== 'v2' ||
        subject.spec.deletionPolicy === 'Delete' ||
        observation.owned[1]?.owner?.attempt !== volume.owner?.attempt,
    );
  });

  test('it is attached only where it is declared, from nowhere, when that is written down and confirmed', () => {
    holds(
      (step, { subject, observation, volume }) =>
        step.kind !== 'Attach' ||
        (volume.attachments.length === 0 &&
          volume.state === 'Available' &&
          step.serverId === observation.target?.serverId &&
          subject.status?.attachment?.serverId === step.serverId &&
          subject.status.builtAt !== undefined &&
          (observation.confirmed || observation.intended === step.serverId)),
    );
  });

  test('it is taken only from a server of ours, where it is not declared to be', () => {
    holds((step, { observation }) => {
      if (step.kind !== 'Detach') return true;
      const from = observation.places.find(({ serverId }) => serverId === step.serverId);
      const declared = observation.target?.serverId === step.serverId && !observation.target.gone;
      return from?.ours === true && !declared;
    });
  });

  test('it never shrinks, and is never made twice', () => {
    holds((step) => (step.kind === 'Extend' ? step.to > step.from : step.kind !== 'Create'));
  });
});
