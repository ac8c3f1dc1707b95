import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { CLOUD_ERRORS } from '../../../src/clouds/errors.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8');
const FOLDER = 'src/reconcilers/virtual-machine/';
/** States that are told as they are: see `planPresent`. */
const STATES = ['Rebooting', 'Rebuilding', 'Resizing'];

/** Every reason that the code gives a machine, as far as it stands there as a word. */
function reasonsInCode(): string[] {
  const files = [...readdirSync(`${root}${FOLDER}`).map((name) => `${FOLDER}${name}`), 'src/reconcilers/cloud/problem.ts'];
  const given = files.flatMap((file) =>
    Array.from(
      read(file).matchAll(/\b(?:steps|progressing|stalled|uncertain|problem)\(\s*'(\w+)'|condition\('\w+', '\w+', '(\w+)'/g),
      ([, plan, condition]) => plan ?? condition ?? '',
    ),
  );
  return [...new Set([...given, ...STATES, ...Object.keys(CLOUD_ERRORS), 'InvalidSpec'])].sort();
}

test('docs/virtual-machine.md explains each reason why a machine is not Ready, and no other', () => {
  const [, table = ''] = read('docs/virtual-machine.md').split('## Why a machine is not Ready');
  const explained = table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => Array.from((line.split('|')[1] ?? '').matchAll(/`(\w+)`/g), ([, reason]) => reason));
  expect(explained.sort()).toEqual(reasonsInCode());
});
