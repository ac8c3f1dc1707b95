import type { Resource } from '../resources/metadata.js';
import type { Store } from './store.js';

const PAGE = 1000;

/** Every resource of a kind, read from the store now, by pages. @throws StoreError as the list does. */
export async function listAll(store: Pick<Store, 'list'>, kind: string): Promise<Resource[]> {
  const all: Resource[] = [];
  let next: string | undefined;
  do {
    const page = await store.list(kind, {}, next === undefined ? { limit: PAGE } : { limit: PAGE, continue: next });
    all.push(...page.items);
    next = page.continue;
  } while (next !== undefined);
  return all;
}
