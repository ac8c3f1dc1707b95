/** Whose a server or volume is: written into it by the create itself, so that it is never without. */
export interface OwnerTag {
  /** This installation of Dispatcher: two of them may share a project. */
  readonly installation: string;
  /** The uid of the resource. */
  readonly uid: string;
  /** The ledger's token of the attempt that made it. */
  readonly attempt: string;
}

/** Something with an id and a name: an image, a flavor, a network, a project, a volume type. */
export interface Named {
  readonly id: string;
  readonly name: string;
}
