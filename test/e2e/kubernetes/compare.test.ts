import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { servedApi } from '../../support/api-server.js';
import { makeDatabase, type TestDatabase } from '../../support/postgres.js';
import { type Difference, explanationsOf, type Hunk, hunksOf, readDifferences } from '../support/compare.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { Side } from '../support/side.js';
import { CASES } from './compare-cases.js';

const PAGE = join(import.meta.dirname, '../../../docs/kubectl-differences.md');
const differences = await readDifferences(PAGE);

describeOnKubernetes('the same kubectl on a real API server and on ours', () => {
  let plane: ControlPlane;
  let database: TestDatabase;
  let api: Awaited<ReturnType<typeof servedApi>>;
  let cluster: Side;
  let ours: Side;
  const met = new Set<Difference>();
  let compared = 0;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    await plane.installKinds();
    database = await makeDatabase();
    // Records only: reconcilers would report on them here, and nobody does there.
    api = await servedApi({ store: await database.open() });
    cluster = await Side.open(plane.program, plane.kubeconfig);
    ours = await Side.open(plane.program, api.kubeconfig);
  }, 180_000);
  afterAll(async () => {
    await cluster?.close();
    await ours?.close();
    await api?.close();
    await database?.drop();
    await plane?.stop();
  });

  test.each(CASES.map((each, index) => ({ ...each, namespace: `compare-${index + 1}` })))(
    '$reason',
    async ({ run, namespace }) => {
      const on = async (side: Side) => {
        await side.enter(namespace);
        await run(side, namespace);
      };
      const outcomes = await Promise.allSettled([on(cluster), on(ours)]);
      expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
      expect(ours.said.map(({ command }) => command)).toEqual(cluster.said.map(({ command }) => command));
      const unexplained = cluster.said.flatMap(({ command, lines }, index) => {
        const hunks = hunksOf(lines, ours.said[index]?.lines ?? []);
        return hunks.flatMap((hunk) => {
          const found = explanationsOf(differences, command, hunk);
          for (const difference of found ?? []) met.add(difference);
          return found ? [] : [shown(command, hunk)];
        });
      });
      compared += 1;
      if (unexplained.length > 0) throw new Error(`these are not listed in ${PAGE}:\n${unexplained.join('\n')}`);
    },
  );

  test('every difference that is listed is there, so that the list says no more than the truth', () => {
    // With a filter on the cases some cannot be seen.
    if (compared < CASES.length) return;
    expect(differences.filter((difference) => !met.has(difference)).map(({ explains: _, ...row }) => row)).toEqual([]);
  });
});

/** As a diff is written: what only the cluster says, and what only we say. */
function shown(command: string, { cluster, ours }: Hunk): string {
  return [`$ kubectl ${command}`, ...cluster.map((line) => `- ${line}`), ...ours.map((line) => `+ ${line}`)].join('\n');
}
