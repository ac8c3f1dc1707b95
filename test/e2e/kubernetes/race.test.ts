import { jest } from '@jest/globals';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { operatorPlane } from '../support/kubernetes-plane.js';
import { raceContract } from '../support/race.js';

jest.setTimeout(240_000);

describeOnKubernetes('The race for machines, in a cluster', () =>
  raceContract(async () => operatorPlane(await ControlPlane.start())),
);
