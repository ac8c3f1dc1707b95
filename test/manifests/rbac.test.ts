import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const roleSchema = z.looseObject({
  kind: z.enum(['ClusterRole', 'Role']),
  metadata: z.looseObject({ name: z.literal('dispatcher') }),
  rules: z.array(
    z.strictObject({
      apiGroups: z.tuple([z.string()]),
      resources: z.array(z.string()),
      verbs: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
    }),
  ),
});

test('docs/kubernetes.md gives a reason for each right of the operator, and for no other', () => {
  const documents = readdirSync(new URL('manifests/rbac/', root))
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(read(`manifests/rbac/${name}`)));
  const rules = documents.flatMap((document) => {
    const role = roleSchema.safeParse(document.toJS());
    return role.success ? role.data.rules : [];
  });
  const rows = rules.map(({ apiGroups: [group], resources, verbs }) => [group || 'core', resources.join(', '), verbs.join(', ')]);
  const [, section = ''] = read('docs/kubernetes.md').split('## Rights\n');
  const table =
    section
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2) ?? [];
  expect(
    table.map((line) =>
      line
        .split('|')
        .slice(1, 4)
        .map((cell) => cell.trim()),
    ),
  ).toEqual(rows);
  for (const line of table) expect(line.split('|')[4]?.trim()).not.toBe('');
});

test('no right is on everything', () => {
  for (const name of readdirSync(new URL('manifests/rbac/', root))) expect(read(`manifests/rbac/${name}`)).not.toMatch(/\*/);
});
