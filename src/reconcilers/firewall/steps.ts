import type { Port, SecurityGroupTraffic } from '../../clouds/network-driver.js';
import type { Target } from './target.js';
import { describeTraffic, trafficKey } from './traffic.js';

type PortAsSeen = Pick<Port, 'id' | 'revision'>;

/** One thing to do for a Cloud's firewall. Those that open never close anything, and the reverse. */
export type Step =
  // that open
  | { readonly kind: 'CreateGroup'; readonly target: Target }
  | { readonly kind: 'Open'; readonly target: Target; readonly groupId: string; readonly traffic: SecurityGroupTraffic }
  | {
      readonly kind: 'Attach';
      readonly port: PortAsSeen;
      readonly groupIds: readonly string[];
      readonly added: readonly string[];
    }
  // that close
  | {
      readonly kind: 'Detach';
      readonly port: PortAsSeen;
      readonly groupIds: readonly string[];
      readonly taken: readonly string[];
    }
  | { readonly kind: 'Close'; readonly groupId: string; readonly ruleId: string; readonly words: string }
  | { readonly kind: 'DeleteGroup'; readonly id: string; readonly name: string };

/** What a step is about: one that failed keeps the same thing from being tried again for a while. */
export function subjectOf(step: Step): string {
  switch (step.kind) {
    case 'CreateGroup':
      return `group ${step.target.key}`;
    case 'Open':
      return `rule ${step.target.key} ${trafficKey(step.traffic)}`;
    case 'Attach':
    case 'Detach':
      return `port ${step.port.id}`;
    case 'Close':
      return `rule ${step.ruleId}`;
    case 'DeleteGroup':
      return `group ${step.id}`;
  }
}

/** The step as a sentence, for events and failures. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'CreateGroup':
      return `create security group "${step.target.name}"`;
    case 'Open':
      return `open ${describeTraffic(step.traffic)} in security group ${step.groupId}`;
    case 'Attach':
      return `attach security group ${step.added.join(', ')} to port ${step.port.id}`;
    case 'Detach':
      return `take security group ${step.taken.join(', ')} off port ${step.port.id}`;
    case 'Close':
      return `close ${step.words} in security group ${step.groupId}`;
    case 'DeleteGroup':
      return `delete security group ${step.id} ("${step.name}")`;
  }
}
