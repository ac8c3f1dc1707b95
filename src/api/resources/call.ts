import type { Request, Response } from 'express';
import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import type { ResourceKey } from '../../resources/metadata.js';
import type { Store } from '../../store/store.js';
import type { Origin } from '../auth/origin.js';
import type { Accepted } from './negotiation.js';
import type { Subresource, Target } from './paths.js';

/** One change that was asked for, for the audit trail. */
export interface Mutation extends Origin {
  readonly user: string;
  readonly verb: 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
  readonly subresource: Subresource | undefined;
  /** `name` is '' where it is not known: a collection, or a create that failed before it had one. */
  readonly key: ResourceKey;
  /** The HTTP status of the answer: what came of it. */
  readonly code: number;
}

/** What the handlers of resources work with. */
export interface Context {
  readonly store: Store;
  readonly log: Logger;
  readonly environment: Environment;
  /** Aborted when the server drains: watches end. */
  readonly draining: AbortSignal;
}

/** One request to a resource or collection, understood. */
export interface Call {
  readonly request: Request;
  readonly response: Response;
  readonly target: Target;
  readonly query: URLSearchParams;
  readonly accepted: Accepted;
  readonly context: Context;
}

/** What is to be answered. */
export interface Answer {
  readonly code: number;
  readonly body: unknown;
  /** Sentences for Warning headers. */
  readonly warnings?: readonly string[];
  /** The resource that was changed, for the audit trail. */
  readonly changed?: ResourceKey;
  /** Nothing was kept. */
  readonly dryRun?: boolean;
}
