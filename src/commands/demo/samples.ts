import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { admit } from '../../api/resources/admission.js';
import { kindNamed } from '../../resources/registry.js';
import { isStoreError } from '../../store/errors.js';
import type { Draft, Store } from '../../store/store.js';

/** The samples that the demo declares; the same from src and from dist. */
const SAMPLES = fileURLToPath(new URL('../../../manifests/samples/', import.meta.url));

const manifestSchema = z.looseObject({ kind: z.string(), metadata: z.looseObject({ namespace: z.string().optional() }) });

/** What became of the samples. */
export interface AppliedSamples {
  readonly created: number;
  /** There already: as somebody left them. */
  readonly kept: number;
  /** How many of all are VirtualMachines. */
  readonly machines: number;
}

/** Declares the samples, admitted as the resource API would. Those that are there already stay as they are. */
export async function applySamples(store: Store, directory = SAMPLES): Promise<AppliedSamples> {
  const drafts = await readSamples(directory);
  const count = { created: 0, kept: 0, machines: drafts.filter(({ kind }) => kind === 'VirtualMachine').length };
  for (const draft of drafts) {
    try {
      await store.create(draft);
      count.created += 1;
    } catch (error) {
      if (!isStoreError(error, 'AlreadyExists')) throw error;
      count.kept += 1;
    }
  }
  return count;
}

/** The manifests of a folder (not of those in it), in the order of their files. */
async function readSamples(directory: string): Promise<Draft[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.yaml')).sort();
  const texts = await Promise.all(names.map((name) => readFile(`${directory}/${name}`, 'utf8')));
  return texts
    .flatMap((text) => parseAllDocuments(text))
    .map((document) => {
      const manifest = manifestSchema.parse(document.toJS());
      const { namespace = '' } = manifest.metadata;
      const target = { definition: kindNamed(manifest.kind), namespace, name: undefined, subresource: undefined };
      return admit(target, manifest, undefined, 'Strict').draft;
    });
}
