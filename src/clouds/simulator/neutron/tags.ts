import { z } from 'zod';
import type { OwnCall, Routes } from '../http/service.js';
import { Refusal } from '../model/refusal.js';

const tagsBody = z.object({ tags: z.array(z.string().min(1).max(255)) });

/** What bears tags, and how they are replaced. */
interface Tagged {
  readonly tags: readonly string[];
  readonly put: (tags: string[]) => unknown;
}

/** The tags of a thing: `path/tags`, and each by its own path. */
export function tagRoutes(path: string, find: (call: OwnCall) => Tagged): Routes<OwnCall> {
  return {
    [`GET ${path}/tags`]: (call) => ({ status: 200, json: { tags: find(call).tags } }),
    [`PUT ${path}/tags`]: (call) => {
      const body = tagsBody.safeParse(call.body);
      if (!body.success) throw new Refusal(400, "Invalid tags body: it must be {'tags': ['TAG', ...]}.");
      const tags = [...new Set(body.data.tags)];
      find(call).put(tags);
      return { status: 200, json: { tags } };
    },
    [`DELETE ${path}/tags`]: (call) => {
      find(call).put([]);
      return { status: 204 };
    },
    [`PUT ${path}/tags/:tag`]: (call) => {
      const { tags, put } = find(call);
      const { tag = '' } = call.params;
      if (!tags.includes(tag)) put([...tags, tag]);
      return { status: 201, json: null };
    },
    [`DELETE ${path}/tags/:tag`]: (call) => {
      const { tags, put } = find(call);
      const { tag = '' } = call.params;
      if (!tags.includes(tag)) throw new Refusal(404, `Tag ${tag} could not be found.`, 'TagNotFound');
      put(tags.filter((other) => other !== tag));
      return { status: 204 };
    },
  };
}
