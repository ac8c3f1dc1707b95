import { z } from 'zod';
import type { Resource } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import { matches } from '../../src/store/selectors.js';
import type { Selection } from '../../src/store/store.js';

/** Whether two JSON values are equal; a field that is undefined is one that is absent. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((each, index) => same(each, b[index]));
  }
  const left = Object.entries(a).filter(([, value]) => value !== undefined);
  const right = new Map(Object.entries(b).filter(([, value]) => value !== undefined));
  return left.length === right.size && left.every(([key, value]) => right.has(key) && same(value, right.get(key)));
}

/** Whether a selection means a resource. */
export function selects({ namespace, labels = [] }: Selection, { metadata }: Resource): boolean {
  return (namespace === undefined || metadata.namespace === namespace) && matches(metadata.labels, labels);
}

/** A resource that `owner` no longer owns. */
export function withoutOwner(resource: Resource, owner: string): Resource {
  const { ownerReferences = [], ...metadata } = resource.metadata;
  const others = ownerReferences.filter(({ uid }) => uid !== owner);
  return { ...resource, metadata: { ...metadata, ...(others.length === 0 ? {} : { ownerReferences: others }) } };
}

const continueSchema = z.strictObject({ version: z.int().nonnegative(), after: z.string() });

/** Where the next page of a list begins: after which resource, and as of which version. */
export function writeContinue(token: z.infer<typeof continueSchema>): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** @throws StoreError Invalid for what {@link writeContinue} did not make. */
export function readContinue(token: string): z.infer<typeof continueSchema> {
  try {
    return continueSchema.parse(JSON.parse(Buffer.from(token, 'base64url').toString('utf8')));
  } catch (cause) {
    throw new StoreError('Invalid', `continue ${token.slice(0, 64)} was not given by this store`, { cause });
  }
}
