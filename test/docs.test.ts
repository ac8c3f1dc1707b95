import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { kindNamed } from '../src/resources/registry.js';
import { validate } from '../src/resources/validate.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const list = (folder: string, end: string) =>
  readdirSync(`${root}${folder}`)
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}${name}`);
const pages = [
  'README.md',
  'CHANGELOG.md',
  ...list('docs/', '.md'),
  ...list('docs/adr/', '.md'),
  ...list('docs/reference/', '.md'),
];
const kindSchema = z.looseObject({ kind: z.string() });

const manifests = [
  ...pages.flatMap((page) => Array.from(read(page).matchAll(/```yaml\n(.*?)```/gs), ([, text = '']) => ({ page, text }))),
  ...[
    ...list('manifests/samples/', '.yaml'),
    ...list('manifests/samples/openstack/', '.yaml'),
    ...list('manifests/samples/pool/', '.yaml'),
    ...list('manifests/samples/firewall/', '.yaml'),
    ...list('manifests/samples/volume/', '.yaml'),
  ].map((page) => ({
    page,
    text: read(page),
  })),
];

function read(path: string): string {
  return readFileSync(`${root}${path}`, 'utf8');
}

describe('what is written for people', () => {
  test.each(manifests)('a manifest in $page is valid', ({ text }) => {
    for (const document of parseAllDocuments(text)) {
      const manifest = kindSchema.parse(document.toJS());
      expect(validate(kindNamed(manifest.kind), manifest)).toEqual([]);
    }
  });

  test.each(pages)('every link in %s to a file of ours leads to one', (page) => {
    const folder = new URL('./', new URL(`file://${root}${page}`));
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^https?:/.test(target)) continue;
      expect({ target, there: existsSync(new URL(target, folder)) }).toEqual({ target, there: true });
    }
  });
});
