import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { CISTERN_ERRORS } from '../../src/cistern/errors.js';
import { CLOUD_ERRORS } from '../../src/clouds/errors.js';
import { RECIPE_ERRORS } from '../../src/reconcilers/recipe/errors.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8');
const RECONCILERS = 'src/reconcilers/';
/** The words in these places are reasons. What a condition says that is True is none of why something is not Ready. */
const GIVEN = [
  /\b(?:steps|working|progressing|progress|reconciling|stalled|uncertain|problem|failed)\(\s*'(\w+)'/g,
  /\bcondition\('\w+', '(?:False|Unknown)', '(\w+)'/g,
  /\bnotReady\('\w+', '(\w+)'/g,
  /(?<!status: 'True', )\breason: '(\w+)'/g,
];
/** A choice between several, in one statement. */
const CHOICE = /\bconst (?:reason|\[reason, \w+\]) =([^;]*)/g;

/** See `invalidSpec`. */
const INVALID = 'InvalidSpec';

/** Where a kind's reasons stand in the code as words, and which others are put together there. */
const conditions = [
  {
    page: 'virtual-machine.md',
    heading: 'Why a machine is not Ready',
    // The reasons in reconciler.ts are those of events.
    files: [...filesOf('virtual-machine').filter((file) => !file.endsWith('/reconciler.ts')), 'cloud/problem.ts'],
    // States are told as they are: see `planPresent`.
    others: ['Rebooting', 'Rebuilding', 'Resizing', INVALID, ...Object.keys(CLOUD_ERRORS)],
  },
  {
    page: 'volume.md',
    heading: 'Why a volume is not Ready',
    files: [...filesOf('volume').filter((file) => !/\/(reconciler|steps)\.ts$/.test(file)), 'cloud/problem.ts'],
    // States are told as they are: see `planPresent`.
    others: ['Changing', 'Attaching', 'Detaching', INVALID, ...Object.keys(CLOUD_ERRORS)],
  },
  {
    page: 'firewall-rule.md',
    heading: 'Why a rule is not in force',
    files: ['firewall/status.ts', 'firewall/gather.ts', 'cloud/problem.ts'],
    others: [INVALID, ...Object.keys(CLOUD_ERRORS)],
  },
  {
    page: 'assignment.md',
    heading: 'Why an assignment is not Ready',
    files: ['assignment/plan.ts', 'assignment/failure.ts', 'assignment/stock.ts'],
    // An endpoint that is not valid is never called.
    others: [
      INVALID,
      ...Object.keys(CISTERN_ERRORS)
        .filter((code) => code !== 'InvalidEndpoint')
        .map((code) => `Inventory${code}`),
    ],
  },
  { page: 'assignment.md', heading: 'Why its ports are not open', files: ['assignment/ports.ts'], others: [] },
  {
    page: 'pool.md',
    heading: 'Why a pool is not Ready',
    files: ['pool/plan.ts', 'pool/observe.ts', 'cloud/problem.ts'],
    others: [INVALID],
  },
  {
    page: 'recipe.md',
    heading: 'Why a recipe is not Ready',
    files: [],
    // The others come out with a pool's values, or are refused as InvalidSpec before.
    others: [INVALID, ...Object.keys(RECIPE_ERRORS).filter((code) => code.startsWith('Template'))],
  },
  {
    page: 'cloud.md',
    heading: 'Why an inventory is not ready',
    files: ['inventory/report.ts'],
    others: ['CredentialsInvalid', ...Object.keys(CISTERN_ERRORS)],
  },
];

test.each(conditions)('docs/$page explains each reason in "$heading", and no other', ({ page, heading, files, others }) => {
  const sources = files.map((file) => read(`${RECONCILERS}${file}`));
  const given = sources.flatMap((text) => [
    ...GIVEN.flatMap((place) => wordsIn(text, place)),
    ...Array.from(text.matchAll(CHOICE), ([, choice = '']) => wordsIn(choice, /'([A-Z]\w+)'/g)).flat(),
  ]);
  const reasons = new Set([...given, ...others]);
  expect(explainedIn(page, heading)).toEqual([...reasons].sort());
});

/** The reasons in the first column of the table under a heading. */
function explainedIn(page: string, heading: string): string[] {
  const [, after = ''] = read(`docs/${page}`).split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [section = ''] = after.split(/^#/m);
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => wordsIn(line.split('|')[1] ?? '', /`(\w+)`/g))
    .sort();
}

function wordsIn(text: string, place: RegExp): string[] {
  return Array.from(text.matchAll(place), ([, word = '']) => word);
}

function filesOf(folder: string): string[] {
  return readdirSync(`${root}${RECONCILERS}${folder}`).map((name) => `${folder}/${name}`);
}
