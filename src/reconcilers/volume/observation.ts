import type { CloudVolume } from '../../clouds/volume-driver.js';

/** The cloud as far as a plan must know it. */
export type CloudFacts =
  | {
      readonly kind: 'usable';
      /** When the last complete list of the volumes began. */
      readonly completeAt: Date;
      /** How long after an attempt of unknown outcome its effect may still come. */
      readonly settleMs: number;
      readonly buildTimeoutMs: number;
      /** Why the cloud does not answer at the moment; undefined while it does. */
      readonly trouble: string | undefined;
    }
  /** Volumes or servers are not observed whole yet by this process: nothing may be concluded from absence. */
  | { readonly kind: 'connecting'; readonly trouble: string | undefined }
  /** The cloud has no volumes, in its own words. */
  | { readonly kind: 'without'; readonly message: string }
  /** Nothing can or may be done there now. Reason and message are those of the condition. */
  | { readonly kind: 'unusable'; readonly reason: string; readonly message: string };

/** What is known of the volume that the record is bound to. */
export type Bound =
  | { readonly kind: 'none' }
  | { readonly kind: 'present'; readonly volume: CloudVolume; readonly asOf: Date }
  /** It is not in a complete list, or the cloud itself said that it is not there. Lists can miss some: it is asked for before that counts. */
  | { readonly kind: 'gone' }
  /** Not in the list, which is no proof. */
  | { readonly kind: 'unseen' };

/** A server that has the volume. */
export interface Place {
  readonly serverId: string;
  readonly device?: string;
  /** The VirtualMachine that is bound to it: its name, or `namespace/name` in another namespace. */
  readonly machine: string | undefined;
  /** True if it may be taken from there: the server bears this installation's tag, or the record says that we put it there. */
  readonly ours: boolean;
  /** True for a server on its way out: it lets the volume go by itself. */
  readonly going: boolean;
}

/** Where the volume is declared to be. */
export interface Target {
  /** The VirtualMachine, though there may be none of that name; undefined: the assignment has none. */
  readonly machine: string | undefined;
  /** The machine's server, if it has one in the volume's Cloud. */
  readonly serverId: string | undefined;
  /** Why it cannot be attached there now; `lasting`: until a person does something. */
  readonly obstacle: { readonly reason: string; readonly message: string; readonly lasting: boolean } | undefined;
  /** True if the resource that spec.attachTo names is not there. */
  readonly gone: boolean;
}

/** What spec.type stands for in the cloud. */
export type ResolvedType =
  | { readonly kind: 'found'; readonly id: string | undefined }
  | { readonly kind: 'missing'; readonly message: string };

/** All that a plan for a Volume looks at beside the declaration and the time. Facts only. */
export interface Observation {
  readonly cloud: CloudFacts;
  readonly installation: string;
  readonly bound: Bound;
  /** Every volume known that bears our owner tag for this record, the bound one among them. */
  readonly owned: readonly CloudVolume[];
  /** With `spec.adopt`: every volume that matches it. */
  readonly adoptable: readonly CloudVolume[];
  /** True if a Volume of that uid is here. */
  readonly hasRecord: (uid: string) => boolean;
  /** The name of another record that goes before this one in having the volume that it has or would adopt. */
  readonly claimedBy: string | undefined;
  /** The servers that have the bound volume. */
  readonly places: readonly Place[];
  /** Undefined: nowhere. */
  readonly target: Target | undefined;
  /** Undefined: not looked up yet in this reconcile. */
  readonly type: ResolvedType | undefined;
  /** The token of the attempt that this very reconcile wrote down and has not sent. */
  readonly held: string | undefined;
  /** The server of the attachment that this very reconcile wrote down and has not asked for. */
  readonly intended: string | undefined;
  /** True if this very reconcile has read from the store what is declared of the volume's place: caches may be of different times. */
  readonly confirmed: boolean;
  /** The volumes of ours that the cloud named when it was asked by name in this very reconcile. */
  readonly askedByName: readonly CloudVolume[] | undefined;
  /** True if the bound volume was asked for by id in this very reconcile. */
  readonly askedById: boolean;
  /** Why it does not grow while it is in use, by the cloud's word in this very reconcile. */
  readonly cannotGrow: string | undefined;
  /** True if this very reconcile added the finalizer: then no attempt can have been made before. */
  readonly fresh: boolean;
}
