import { CloudError } from '../../src/clouds/errors.js';
import type {
  CreateSecurityGroupRequest,
  NetworkDriver,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupTraffic,
} from '../../src/clouds/network-driver.js';

type GroupOperation =
  | 'listSecurityGroups'
  | 'createSecurityGroups'
  | 'deleteSecurityGroup'
  | 'createSecurityGroupRules'
  | 'deleteSecurityGroupRule';

/** Has a call recorded, held up or failed as a test says, and then its effect. */
type Call = <Result>(operation: GroupOperation, about: string, act: () => Result) => Promise<Result>;

type NewRule = SecurityGroupTraffic & { readonly inGroup: string };

/** The security groups of a scripted cloud: each change is there at once. `default` is there from the start. */
export class ScriptedGroups implements Pick<NetworkDriver, GroupOperation> {
  readonly #groups = new Map<string, SecurityGroup>();
  #groupsMade = 0;
  #rulesMade = 0;

  constructor(private readonly call: Call) {
    const rules = [this.#rule({ direction: 'Egress', family: 'IPv4', cidr: '0.0.0.0/0' })];
    this.#groups.set('default', { id: 'default', name: 'default', rules, isDefault: true });
  }

  /** The groups that are there, by id. */
  get all(): ReadonlyMap<string, SecurityGroup> {
    return this.#groups;
  }

  /** Puts a group there. */
  put(group: SecurityGroup): void {
    this.#groups.set(group.id, group);
  }

  listSecurityGroups = (): Promise<readonly SecurityGroup[]> => {
    const groups = [...this.#groups.values()];
    return this.call('listSecurityGroups', '', () => groups);
  };

  createSecurityGroups = (requests: readonly CreateSecurityGroupRequest[]): Promise<readonly SecurityGroup[]> =>
    this.call('createSecurityGroups', requests.map(({ name }) => name).join(', '), () =>
      requests.map(({ name, owner }) => {
        this.#groupsMade += 1;
        const rules = [this.#rule({ direction: 'Egress', family: 'IPv4', cidr: '0.0.0.0/0' })];
        const group = { id: `g${this.#groupsMade}`, name, owner, rules, isDefault: false };
        this.#groups.set(group.id, group);
        return group;
      }),
    );

  deleteSecurityGroup = (id: string): Promise<void> =>
    this.call('deleteSecurityGroup', id, () => {
      this.#groups.delete(id);
    });

  createSecurityGroupRules = (
    wanted: readonly NewRule[],
  ): Promise<readonly (SecurityGroupRule & { readonly inGroup: string })[]> =>
    this.call('createSecurityGroupRules', wanted.map(({ inGroup, from }) => `${from} in ${inGroup}`).join(', '), () =>
      wanted.map(({ inGroup, ...traffic }) => {
        const group = this.#groups.get(inGroup);
        if (!group) throw new CloudError('Invalid', `there is no security group ${inGroup}`, { status: 404 });
        const rule = this.#rule(traffic);
        this.#groups.set(inGroup, { ...group, rules: [...group.rules, rule] });
        return { ...rule, inGroup };
      }),
    );

  deleteSecurityGroupRule = (id: string): Promise<void> =>
    this.call('deleteSecurityGroupRule', id, () => {
      for (const group of this.#groups.values())
        this.#groups.set(group.id, { ...group, rules: group.rules.filter((rule) => rule.id !== id) });
    });

  #rule(traffic: SecurityGroupTraffic): SecurityGroupRule {
    this.#rulesMade += 1;
    return { ...traffic, id: `r${this.#rulesMade}` };
  }
}
