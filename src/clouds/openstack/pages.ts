import { CloudError, isCloudError } from '../errors.js';

/** A page asked for: what it holds, and whether another follows. */
interface Page<Item> {
  readonly items: readonly Item[];
  readonly more: boolean;
}

/** neutron and cinder give as much as their own maximum (1000 in cinder) if that is less. */
const PAGE = 1000;

/**
 * All pages of a list of neutron's or cinder's, each once by its id. Their order is fixed by what does not change, so that none of what was
 * there before the walk can slip by.
 * @param ask for the page with these parameters.
 * @throws CloudError Unavailable rather than give a part.
 */
export async function allPages<Item extends { readonly id: string }>(
  operation: string,
  ask: (page: Readonly<Record<string, string>>) => Promise<Page<Item>>,
): Promise<Item[]> {
  const found = new Map<string, Item>();
  for (let marker: string | undefined; ; ) {
    const { items, more } = await ask({ limit: String(PAGE), ...(marker === undefined ? {} : { marker }) }).catch((error) => {
      // The last one of the page before is gone: the list is to be begun anew.
      const lost = marker !== undefined && isCloudError(error, 'NotFound');
      throw lost ? new CloudError('Unavailable', error.message, { cause: error }) : error;
    });
    for (const item of items) found.set(item.id, item);
    const last = items.at(-1)?.id;
    if (!more || last === undefined) return [...found.values()];
    if (last === marker) throw new CloudError('Unavailable', `${operation}: the cloud gives the same page again and again`);
    marker = last;
  }
}

/** True if a list's `..._links` say that a page follows. */
export function hasNext(links: readonly { readonly rel: string }[] | undefined): boolean {
  return links?.some((link) => link.rel === 'next') ?? false;
}
