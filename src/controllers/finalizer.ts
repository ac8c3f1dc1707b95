import type { Resource } from '../resources/metadata.js';

/** Whether a finalizer keeps a resource from going. */
export function hasFinalizer(resource: Resource, finalizer: string): boolean {
  return resource.metadata.finalizers?.includes(finalizer) ?? false;
}

/** The resource with a finalizer, at the end of those it has; itself if it has it. A store refuses it on one being deleted. */
export function withFinalizer<Kind extends Resource>(resource: Kind, finalizer: string): Kind {
  if (hasFinalizer(resource, finalizer)) return resource;
  return withFinalizers(resource, [...(resource.metadata.finalizers ?? []), finalizer]);
}

/** The resource without a finalizer; itself if it has none of that name. */
export function withoutFinalizer<Kind extends Resource>(resource: Kind, finalizer: string): Kind {
  if (!hasFinalizer(resource, finalizer)) return resource;
  const others = (resource.metadata.finalizers ?? []).filter((each) => each !== finalizer);
  return withFinalizers(resource, others);
}

function withFinalizers<Kind extends Resource>(resource: Kind, finalizers: readonly string[]): Kind {
  return { ...resource, metadata: { ...resource.metadata, finalizers } };
}
