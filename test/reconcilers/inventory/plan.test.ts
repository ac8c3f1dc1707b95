import { describe, expect, test } from '@jest/globals';
import { type Sight, viewOf } from '../../../src/reconcilers/inventory/plan.js';
import { FAULTY_ANNOTATION, type VirtualMachine } from '../../../src/resources/virtual-machine.js';
import { cisternNode } from '../../support/scripted-cistern.js';

const AT = new Date('2026-05-01T08:00:00Z');
const SILENT = 'the inventory of Cloud lab has not answered since 2026-05-01T08:00:00.000Z';

function machine(annotations: Record<string, string> = {}, status: VirtualMachine['status'] = { id: 's1' }): VirtualMachine {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: {
      name: 'web-1',
      namespace: 'default',
      uid: 'u1',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-05-01T07:00:00Z',
      annotations,
    },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny' },
    status,
  };
}

const listed = (change: Parameters<typeof cisternNode>[1] = {}): Sight => ({
  kind: 'connected',
  node: cisternNode('s1', change),
  observedAt: AT,
  stale: false,
  doubted: false,
});
const stale = (change: Parameters<typeof cisternNode>[1] = {}): Sight => ({
  ...seen,
  node: cisternNode('s1', change),
  stale: true,
});
const seen = { kind: 'connected', node: undefined, observedAt: AT, stale: false, doubted: false } as const;
const unknown = (why: string) => ({ kind: 'unknown' as const, why });
const both = (why: string) => ({ opinion: unknown(why), holder: unknown(why) });
const faulty = (why: string) => ({ kind: 'faulty' as const, why });
const nobody = { kind: 'nobody' } as const;
const alice = { kind: 'user', user: 'alice' } as const;
const taken = { kind: 'taken', user: 'alice' } as const;

describe('of a machine', () => {
  test.each<[string, Sight, ReturnType<typeof both> | object]>([
    [
      'in a Cloud without an inventory nothing is said',
      { kind: 'undeclared' },
      { opinion: { kind: 'none' }, holder: { kind: 'none' } },
    ],
    ['whose inventory is not connected nothing is known', { kind: 'unconnected', why: 'no token' }, both('no token')],
    [
      'whose inventory was never seen nothing is known',
      { ...seen, observedAt: undefined, stale: true },
      both('the inventory of Cloud lab has not answered yet'),
    ],
    ['that is not listed nothing is known', seen, both('the inventory of Cloud lab does not list its server s1')],
    ['that was not listed long ago, it may be by now', { ...seen, stale: true }, both(SILENT)],
    ['that is free, that', listed(), { opinion: { kind: 'free' }, holder: nobody }],
    ['without a word for its state, that it is free', listed({ status: '' }), { opinion: { kind: 'free' }, holder: nobody }],
    [
      'that may have been given to somebody, that this is not known',
      { ...seen, node: cisternNode('s1'), doubted: true },
      both('the inventory of Cloud lab has not told yet whether it gave server s1 to anybody'),
    ],
    ['that a user has, who', listed({ user: 'alice', status: 'ASSIGNED' }), { opinion: taken, holder: alice }],
    ['that a user has, though it is called free, who', listed({ user: 'alice' }), { opinion: taken, holder: alice }],
    [
      'that nobody has in a state that we do not know, the word',
      listed({ status: 'COOKING' }),
      { opinion: unknown('the inventory of Cloud lab says "COOKING" of its server s1'), holder: nobody },
    ],
    [
      'that is faulty, in whose words',
      listed({ faulty: true, status: 'FAULTY' }),
      { opinion: faulty('it is listed as faulty there ("FAULTY")'), holder: nobody },
    ],
    [
      'that is faulty under its user, both',
      listed({ faulty: true, status: '', user: 'alice' }),
      { opinion: faulty('it is listed as faulty there'), holder: alice },
    ],
    ['that was free long ago, nothing', stale(), both(SILENT)],
    ['that was in another state long ago, nothing', stale({ status: 'COOKING' }), both(SILENT)],
    ['that a user had long ago, that they have it', stale({ user: 'alice' }), { opinion: taken, holder: alice }],
    [
      'that was faulty long ago, that it is, but not that nobody has it',
      stale({ faulty: true }),
      { opinion: faulty('it is listed as faulty there ("FREE")'), holder: unknown(SILENT) },
    ],
  ])('%s', (_sentence, sight, expected) => {
    expect(viewOf(machine(), sight)).toEqual({ ...expected, activeAt: undefined });
  });

  test.each<[string, Sight, object]>([
    ['in a Cloud without an inventory', { kind: 'undeclared' }, { kind: 'none' }],
    ['that the inventory calls free', listed(), nobody],
    ['that the inventory gave to a user', listed({ user: 'alice' }), alice],
    ['that is not listed', seen, unknown('the inventory of Cloud lab does not list its server s1')],
    ['whose inventory is not connected', { kind: 'unconnected', why: 'no token' }, unknown('no token')],
  ])('%s, a person may say that it is faulty, and who has it stays known', (_sentence, sight, holder) => {
    const view = viewOf(machine({ [FAULTY_ANNOTATION]: 'its disk clicks' }), sight);
    expect(view).toEqual({ opinion: faulty('its disk clicks'), holder, activeAt: undefined });
  });

  test('a person may say that it is faulty without saying why', () => {
    const { opinion } = viewOf(machine({ [FAULTY_ANNOTATION]: ' ' }), listed());
    expect(opinion).toEqual(faulty('the annotation dispatcher.dev/faulty is set'));
  });

  test('without a server nothing can be known', () => {
    expect(viewOf(machine({}, {}), seen)).toMatchObject(both('it has no server yet that an inventory could list'));
  });

  test('it is told when its user was last active, also from old news', () => {
    const lastActivity = new Date('2026-05-01T07:59:00Z');
    for (const sight of [listed({ user: 'alice', lastActivity }), stale({ user: 'alice', lastActivity })])
      expect(viewOf(machine(), sight).activeAt).toEqual(lastActivity);
  });
});
