import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { generatedFiles } from '../../src/resources/generated.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

describe('generated files', () => {
  const files = generatedFiles();

  test.each([...files.keys()])('%s is as `npm run generate` writes it', async (path) => {
    expect(await readFile(join(root, path), 'utf8')).toBe(files.get(path));
  });

  test.each([...new Set([...files.keys()].map((path) => dirname(path)))])('%s holds nothing else', async (folder) => {
    const expected = [...files.keys()].filter((path) => dirname(path) === folder);
    expect((await readdir(join(root, folder))).map((name) => `${folder}/${name}`).sort()).toEqual(expected.sort());
  });
});
