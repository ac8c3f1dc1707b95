import type { Resolution } from '../../clouds/catalog.js';
import type { OwnerTag, Server } from '../../clouds/driver.js';
import type { Port } from '../../clouds/network-driver.js';
import type { GroupsAtCreation } from '../firewall/firewall.js';
import type { Owner } from '../records.js';
import type { Assignee } from './assignee.js';

/** The cloud as far as a plan must know it. */
export type CloudFacts =
  | {
      readonly kind: 'usable';
      /** When the last complete observation began. */
      readonly completeAt: Date;
      /** How long after an attempt of unknown outcome its server may still appear. */
      readonly settleMs: number;
      readonly buildTimeoutMs: number;
      /** True if the Cloud's limits.servers leaves no room for one more. */
      readonly full: boolean;
      /** Why the cloud does not answer at the moment; undefined while it does. */
      readonly trouble: string | undefined;
    }
  /** Not observed whole yet by this process: nothing may be concluded from absence, and what was said before may still hold. */
  | { readonly kind: 'connecting'; readonly trouble?: string | undefined }
  /** Nothing can or may be done there now. Reason and message are those of the condition. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly message: string };

/** What is known of the server that the record is bound to. */
export type Bound =
  | { readonly kind: 'none' }
  | { readonly kind: 'present'; readonly server: Server; readonly asOf: Date }
  /** The cloud itself said that it is not there. */
  | { readonly kind: 'gone' }
  /** Not in the snapshot, which is no proof. */
  | { readonly kind: 'unseen' };

/** A port that is known to be there. */
export interface PortFact {
  readonly port: Port;
  /** It was so then, or later. */
  readonly asOf: Date;
  /** The server that has it: undefined if none has, `gone` if that one is gone from the cloud, `unknown` if it was never seen. */
  readonly holder: Server | 'gone' | 'unknown' | undefined;
}

/** What is known of the ports of a record. */
export interface PortsView {
  /** When the last complete list began; undefined before the first. */
  readonly completeAt: Date | undefined;
  /** Why ports cannot be listed at the moment. `lacking`: the cloud has no such service. */
  readonly trouble: { readonly lacking: boolean; readonly message: string } | undefined;
  /** Ports were asked for then, and nobody knows whether they were made: a list that begins later tells. */
  readonly unsureSince: Date | undefined;
  /** Those that the status names, those that bear our owner tag for this record, and those on its server that bear another installation's. */
  readonly known: readonly PortFact[];
  /** Those that the status names and the cloud said are gone. */
  readonly gone: readonly string[];
}

/** User data as text ready to send, or why there is none. */
export type UserData =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly text: string; readonly hash: string }
  | { readonly kind: 'missing'; readonly message: string };

/** What names in the spec stand for in the cloud. */
export interface Resolved {
  readonly image: Resolution;
  readonly flavor: Resolution;
  readonly networks: Resolution<'none' | readonly string[] | undefined>;
  readonly keyName: Resolution<string | undefined>;
}

/** All that a plan for a VirtualMachine looks at beside the declaration and the time. Facts only. */
export interface Observation {
  readonly cloud: CloudFacts;
  /** This installation: with the uid, it makes the owner tag. */
  readonly installation: string;
  readonly bound: Bound;
  /** With a record that was declared elsewhere before: the owner tag that its server bore there, unless another record has that. */
  readonly former: Owner | undefined;
  /**
   * Every server known that bears our owner tag for this record, the bound one among them; while none is bound, those with the
   * former owner's tag and this record's server name too.
   */
  readonly owned: readonly Server[];
  /** With `spec.adopt`: every server that matches it. */
  readonly adoptable: readonly Server[];
  /** The name of another record that is bound to a server which this one is bound to or would adopt. */
  readonly claimedBy: string | undefined;
  readonly userData: UserData;
  /** Who has the machine, if the assignment that its claim names says so too. */
  readonly assignee: Assignee | undefined;
  readonly ports: PortsView;
  /** What its ports are to have, if any are to be made. */
  readonly groups: GroupsAtCreation;
  /** Undefined: not looked up yet in this reconcile (see the step Resolve). */
  readonly resolved: Resolved | undefined;
  /** The token of the attempt that this very reconcile wrote down and has not sent. */
  readonly held: string | undefined;
  /** The servers of ours that the cloud named when it was asked by name in this very reconcile. */
  readonly askedByName: readonly Server[] | undefined;
  /** True if the bound server was asked for by id in this very reconcile. */
  readonly askedById: boolean;
  /** True if this very reconcile added the finalizer: then no attempt can have been made before. */
  readonly fresh: boolean;
}

/** The owner tag of an attempt for a record. */
export function ownerTag(installation: string, uid: string, attempt: string): OwnerTag {
  return { installation, uid, attempt };
}
