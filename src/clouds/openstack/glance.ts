import { z } from 'zod';
import type { Image } from '../driver.js';
import { CloudError } from '../errors.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';

const PAGE = 1000;

const imagesSchema = z.object({
  images: z.array(z.object({ id: z.string(), name: z.string().nullish(), status: z.string() })),
  next: z.string().optional(),
});

/** Public ones, the project's own, and those shared with it and accepted. */
export async function listImages(client: Client, signal?: AbortSignal): Promise<Image[]> {
  const call = { operation: 'listImages', service: 'image', method: 'GET', effect: false } as const;
  const found = new Map<string, Image>();
  for (let marker: string | undefined; ; ) {
    const query = new URLSearchParams({ limit: String(PAGE), ...(marker === undefined ? {} : { marker }) });
    const response = await client.call({ ...call, url: (endpoint) => `${versioned(endpoint)}/images?${query}`, signal });
    const parsed = imagesSchema.safeParse(response.body);
    if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
    for (const { id, name, status } of parsed.data.images) found.set(id, { id, name: name ?? '', usable: status === 'active' });
    if (parsed.data.next === undefined) return [...found.values()];
    const next = new URLSearchParams(parsed.data.next.split('?')[1]).get('marker') ?? undefined;
    if (next === undefined || next === marker) {
      throw new CloudError('Unavailable', `listImages: the next page has no marker of its own: ${parsed.data.next}`);
    }
    marker = next;
  }
}

/** Catalogs name glance with or without its version. */
function versioned(endpoint: string): string {
  return /\/v2$/.test(endpoint) ? endpoint : `${endpoint}/v2`;
}
