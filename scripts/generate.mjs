// Writes what follows from the schemas of the resources: manifests/crds/*.yaml and docs/reference/*.md. Run by `npm run generate`,
// after a build. test/resources/generated.test.ts fails when what is committed is stale.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generatedFiles } from '../dist/resources/generated.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const files = generatedFiles();
for (const folder of new Set([...files.keys()].map((path) => dirname(path)))) {
  await mkdir(join(root, folder), { recursive: true });
  for (const name of await readdir(join(root, folder))) {
    if (!files.has(`${folder}/${name}`)) await rm(join(root, folder, name));
  }
}
for (const [path, text] of files) await writeFile(join(root, path), text);
