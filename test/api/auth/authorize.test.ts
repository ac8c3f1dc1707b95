import { describe, expect, test } from '@jest/globals';
import { type Access, authorize, mayDo, rulesIn } from '../../../src/api/auth/authorize.js';
import { VERBS } from '../../../src/api/auth/roles.js';
import type { Grant, RoleName } from '../../../src/store/users.js';

const GROUPS: Readonly<Record<string, string>> = {
  virtualmachines: 'dispatcher.dev',
  virtualmachinepools: 'dispatcher.dev',
  virtualmachineassignments: 'dispatcher.dev',
  firewallrules: 'dispatcher.dev',
  volumes: 'dispatcher.dev',
  recipes: 'dispatcher.dev',
  keypairs: 'dispatcher.dev',
  clouds: 'dispatcher.dev',
};
const user = (...grants: Grant[]) => ({ name: 'ann', groups: ['system:authenticated'], grants });
const READ = ['get', 'list', 'watch'];
const WRITE = VERBS.filter((verb) => !READ.includes(verb));

/** `virtualmachines/status in team`, or without a namespace. */
function access(verb: string, what: string): Access {
  const [, resource = '', subresource = '', namespace = ''] = /^(\w+|\*)(?:\/(\w+))?(?: in (\w+))?$/.exec(what) ?? [];
  return {
    verb,
    group: GROUPS[resource] ?? '',
    resource,
    subresource,
    namespace,
    name: verb === 'get' && resource === 'namespaces' ? namespace : '',
  };
}

describe('roles', () => {
  const own = ['team'];
  test.each<
    [reason: string, role: RoleName, namespaces: string[] | undefined, verbs: readonly string[], what: string, allowed: boolean]
  >([
    ['an agent manages machines where it is one', 'agent', own, VERBS, 'virtualmachines in team', true],
    ['and key pairs', 'agent', own, VERBS, 'keypairs in team', true],
    ['and pools', 'agent', own, VERBS, 'virtualmachinepools in team', true],
    ['and how large they are', 'agent', own, ['get', 'update', 'patch'], 'virtualmachinepools/scale in team', true],
    ['not how large those of others are', 'agent', own, VERBS, 'virtualmachinepools/scale in other', false],
    ['and assignments', 'agent', own, VERBS, 'virtualmachineassignments in team', true],
    ['and firewall rules', 'agent', own, VERBS, 'firewallrules in team', true],
    ['not those of others', 'agent', own, VERBS, 'firewallrules in other', false],
    ['and volumes', 'agent', own, VERBS, 'volumes in team', true],
    ['but does not say what is open', 'agent', own, ['update', 'patch'], 'firewallrules/status in team', false],
    ['and recipes', 'agent', own, VERBS, 'recipes in team', true],
    ['but says of none what was seen', 'agent', own, ['update', 'patch'], 'virtualmachineassignments/status in team', false],
    ['but not those of others', 'agent', own, VERBS, 'virtualmachines in other', false],
    ['nor does it see those of all', 'agent', own, VERBS, 'virtualmachines', false],
    ['unless it is one everywhere', 'agent', undefined, VERBS, 'virtualmachines', true],
    ['and then in each namespace', 'agent', undefined, VERBS, 'keypairs in other', true],
    ['an agent reads Clouds', 'agent', own, READ, 'clouds', true],
    ['and leaves them as they are', 'agent', undefined, WRITE, 'clouds', false],
    ['an agent reads what was seen of its machines', 'agent', own, ['get'], 'virtualmachines/status in team', true],
    ['but does not say what was seen', 'agent', undefined, ['update', 'patch'], 'virtualmachines/status in team', false],
    ['an agent reads Events', 'agent', own, READ, 'events in team', true],
    ['and writes none', 'agent', undefined, WRITE, 'events in team', false],
    ['an agent has nothing to do with Secrets', 'agent', own, VERBS, 'secrets in team', false],
    ['not even everywhere', 'agent', undefined, VERBS, 'secrets', false],
    ['an agent reads its own Namespace', 'agent', own, ['get'], 'namespaces in team', true],
    ['not another', 'agent', own, ['get'], 'namespaces in other', false],
    ['nor the list of them', 'agent', own, ['list', 'watch'], 'namespaces', false],
    ['which who is everywhere reads', 'agent', undefined, READ, 'namespaces', true],
    ['and nobody but an admin makes or deletes one', 'agent', undefined, WRITE, 'namespaces', false],
    ['a viewer reads machines where it is one', 'viewer', own, READ, 'virtualmachines in team', true],
    ['and changes none', 'viewer', own, WRITE, 'virtualmachines in team', false],
    ['a viewer reads pools', 'viewer', own, READ, 'virtualmachinepools in team', true],
    ['and how large they are', 'viewer', own, ['get'], 'virtualmachinepools/scale in team', true],
    ['and leaves them so', 'viewer', undefined, ['update', 'patch'], 'virtualmachinepools/scale in team', false],
    ['a viewer reads assignments', 'viewer', own, READ, 'virtualmachineassignments in team', true],
    ['and recipes', 'viewer', own, READ, 'recipes in team', true],
    ['and firewall rules', 'viewer', own, READ, 'firewallrules in team', true],
    ['and volumes', 'viewer', own, READ, 'volumes in team', true],
    ['and opens nothing', 'viewer', undefined, WRITE, 'firewallrules in team', false],
    ['and deletes no volume', 'viewer', undefined, WRITE, 'volumes in team', false],
    ['and takes no machine', 'viewer', undefined, WRITE, 'virtualmachineassignments in team', false],
    ['nor reads those of others', 'viewer', own, READ, 'virtualmachines in other', false],
    ['a viewer of all reads all', 'viewer', undefined, READ, 'virtualmachines', true],
    ['and changes none either', 'viewer', undefined, WRITE, 'keypairs in team', false],
    ['a viewer reads Clouds', 'viewer', own, READ, 'clouds', true],
    ['and Events', 'viewer', own, READ, 'events in team', true],
    ['but no Secret', 'viewer', own, VERBS, 'secrets in team', false],
    ['wherever it is', 'viewer', undefined, VERBS, 'secrets', false],
    ['an admin does everything', 'admin', undefined, VERBS, 'secrets in team', true],
    ['with Clouds', 'admin', undefined, VERBS, 'clouds', true],
    ['with Namespaces', 'admin', undefined, VERBS, 'namespaces', true],
    ['with what was seen', 'admin', undefined, VERBS, 'virtualmachines/status in team', true],
    ['and with what is not known', 'admin', undefined, ['frob'], 'pods in team', true],
    ['an admin of a namespace does what is declared in it', 'admin', own, VERBS, 'virtualmachines in team', true],
    ['Secrets too', 'admin', own, VERBS, 'secrets in team', true],
    ['not those of others', 'admin', own, VERBS, 'secrets in other', false],
    ['nor all of them', 'admin', own, VERBS, 'secrets', false],
    ['and reads Clouds only', 'admin', own, WRITE, 'clouds', false],
    ['and does not say what was seen', 'admin', own, ['update', 'patch'], 'virtualmachines/status in team', false],
    ['nor delete the Namespace', 'admin', own, ['delete'], 'namespaces in team', false],
    ['what is not known is nobody’s but an admin’s', 'agent', undefined, VERBS, 'pods in team', false],
    ['nor is "any resource"', 'agent', undefined, VERBS, '* in team', false],
    ['nor "any verb"', 'agent', undefined, ['*'], 'virtualmachines in team', false],
  ])('%s', (_reason, role, namespaces, verbs, what, allowed) => {
    const somebody = user({ role, ...(namespaces && { namespaces }) });
    const decided = verbs.map((verb) => [verb, mayDo(somebody, access(verb, what))]);
    expect(decided).toEqual(verbs.map((verb) => [verb, allowed]));
  });

  test('a Cloud is in no namespace, whatever is said of it', () => {
    const somebody = user({ role: 'admin', namespaces: ['team'] });
    expect(mayDo(somebody, access('delete', 'clouds in team'))).toBe(false);
    expect(mayDo(somebody, access('get', 'clouds in other'))).toBe(true);
  });

  test('several roles add up, each where it is', () => {
    const somebody = user({ role: 'viewer' }, { role: 'agent', namespaces: ['a', 'b'] });
    expect(mayDo(somebody, access('delete', 'virtualmachines in b'))).toBe(true);
    expect(mayDo(somebody, access('delete', 'virtualmachines in c'))).toBe(false);
    expect(mayDo(somebody, access('list', 'virtualmachines'))).toBe(true);
  });

  test('members of system:masters do everything; who has neither group nor role asks about themselves, and that is all', () => {
    const master = { name: 'root', groups: ['system:masters'] };
    const guest = { name: 'guest', groups: ['system:authenticated'] };
    const review = { ...access('create', 'selfsubjectreviews'), group: 'authentication.k8s.io' };
    expect(mayDo(master, access('delete', 'clouds'))).toBe(true);
    expect(mayDo(guest, review)).toBe(true);
    for (const verb of VERBS) expect(mayDo(guest, access(verb, 'clouds'))).toBe(false);
    expect(rulesIn(guest, 'team').map(({ groups }) => groups)).toEqual([['authentication.k8s.io'], ['authorization.k8s.io']]);
  });

  test.each<[RoleName, string[] | undefined]>(
    (['admin', 'agent', 'viewer'] as const).flatMap((role): [RoleName, string[] | undefined][] => [
      [role, undefined],
      [role, ['team']],
    ]),
  )('the rules that a %s of %p is told are those that are decided by', (role, namespaces) => {
    const somebody = user({ role, ...(namespaces && { namespaces }) });
    for (const namespace of ['team', 'other']) {
      const rules = rulesIn(somebody, namespace);
      for (const resource of [
        'virtualmachines',
        'virtualmachines/status',
        'virtualmachinepools/scale',
        'keypairs',
        'secrets',
        'events',
        'clouds',
      ]) {
        for (const verb of VERBS) {
          const asked = access(verb, `${resource} in ${namespace}`);
          const told = rules.some(
            ({ groups, resources, verbs }) =>
              (groups.includes('*') || groups.includes(asked.group)) &&
              (resources.includes('*') || resources.includes(resource)) &&
              verbs.some((each) => each === '*' || each === verb),
          );
          expect({ asked, told }).toEqual({ asked, told: mayDo(somebody, asked) });
        }
      }
    }
  });
});

describe('who is refused is told in the words of Kubernetes', () => {
  test.each<[Partial<Access>, string]>([
    [
      { name: 'web' },
      'virtualmachines.dispatcher.dev "web" is forbidden: User "ann" cannot delete resource "virtualmachines" in API group "dispatcher.dev" in the namespace "team"',
    ],
    [
      { verb: 'list', group: '', resource: 'secrets', namespace: '' },
      'secrets is forbidden: User "ann" cannot list resource "secrets" in API group "" at the cluster scope',
    ],
    [
      { verb: 'patch', subresource: 'status', name: 'web' },
      'virtualmachines.dispatcher.dev "web" is forbidden: User "ann" cannot patch resource "virtualmachines/status" in API group "dispatcher.dev" in the namespace "team"',
    ],
    [
      { verb: 'get', group: '', resource: 'namespaces', namespace: '', name: 'other' },
      'namespaces "other" is forbidden: User "ann" cannot get resource "namespaces" in API group "" in the namespace "other"',
    ],
  ])('%p', (changes, message) => {
    const asked = { ...access('delete', 'virtualmachines in team'), ...changes };
    expect(() => authorize(user({ role: 'viewer', namespaces: ['team'] }), asked)).toThrow(
      expect.objectContaining({ reason: 'Forbidden', message }),
    );
  });
});
