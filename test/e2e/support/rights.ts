import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

const RBAC = join(import.meta.dirname, '../../../manifests/rbac');

const rulesSchema = z.object({
  rules: z.array(
    z.object({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
      verbs: z.array(z.string()),
    }),
  ),
});
const auditSchema = z.object({
  verb: z.string(),
  user: z.object({ username: z.string() }),
  objectRef: z
    .object({
      apiGroup: z.string().optional(),
      resource: z.string(),
      subresource: z.string().optional(),
      name: z.string().optional(),
    })
    .optional(),
  responseStatus: z.object({ code: z.number() }).optional(),
});

/** The rights that files of manifests/rbac grant, each as `verb group/resource`, with `=name` if only to that one. */
export async function granted(...files: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(files.map((file) => readFile(join(RBAC, file), 'utf8')));
  const rules = texts
    .flatMap((text) => parseAllDocuments(text).map((document) => rulesSchema.safeParse(document.toJS()).data?.rules ?? []))
    .flat();
  const all = rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => (resourceNames ?? ['']).map((name) => right(verb, group, resource, name))),
      ),
    ),
  );
  return [...new Set(all)].sort();
}

/** What a user asked of an API server, by its audit log. */
export interface Asked {
  /** As {@link granted} writes rights; `named` are those that a rule grants to one name only. */
  readonly rights: readonly string[];
  /** Those of them that were refused at least once. An API server that has just started may refuse what is granted. */
  readonly refused: readonly string[];
}

/** Reads an audit log. @param named the rights that are granted to one name only. */
export function asked(log: string, user: string, named: readonly string[]): Asked {
  const entries = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => auditSchema.parse(JSON.parse(line)))
    .filter((entry) => entry.user.username === user);
  const rightOf = ({ verb, objectRef }: (typeof entries)[number]): string[] => {
    if (!objectRef) return [];
    const { apiGroup = '', resource, subresource, name = '' } = objectRef;
    const path = subresource === undefined ? resource : `${resource}/${subresource}`;
    const one = right(verb, apiGroup, path, name);
    return [named.includes(one) ? one : right(verb, apiGroup, path, '')];
  };
  const distinct = (some: typeof entries) => [...new Set(some.flatMap(rightOf))].sort();
  return { rights: distinct(entries), refused: distinct(entries.filter(({ responseStatus }) => responseStatus?.code === 403)) };
}

function right(verb: string, group: string, resource: string, name: string): string {
  return `${verb} ${group}/${resource}${name === '' ? '' : `=${name}`}`;
}
