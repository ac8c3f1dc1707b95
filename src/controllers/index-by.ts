import type { Resource } from '../resources/metadata.js';

/** The values under which an index holds a resource. MUST be pure: equal resources, equal values. */
export type IndexFunction = (resource: Resource) => readonly string[];

/** Resources by a value that a function reads from them. The path is what tells one resource from another. */
export class Index {
  readonly #values = new Map<string, Map<string, Resource>>();

  constructor(private readonly valuesOf: IndexFunction) {}

  /** Takes note of a change of what stands at `path`. What stays under a value keeps its place there. */
  replace(path: string, previous: Resource | undefined, current: Resource | undefined): void {
    const after = current ? this.valuesOf(current) : [];
    for (const value of previous ? this.valuesOf(previous) : []) {
      if (after.includes(value)) continue;
      const resources = this.#values.get(value);
      resources?.delete(path);
      if (resources?.size === 0) this.#values.delete(value);
    }
    for (const value of after) {
      const resources = this.#values.get(value) ?? new Map<string, Resource>();
      if (current) resources.set(path, current);
      this.#values.set(value, resources);
    }
  }

  /** The resources under a value, in the order in which they came there. */
  get(value: string): Resource[] {
    return [...(this.#values.get(value)?.values() ?? [])];
  }
}
