import { join } from 'node:path';
import { jest } from '@jest/globals';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { raceContract } from '../support/race.js';

jest.setTimeout(240_000);

const NAMESPACE = 'dispatcher-system';

describeOnKubernetes('The race for machines, in a cluster', () =>
  raceContract(async () => {
    const plane = await ControlPlane.start();
    await plane.installKinds();
    await plane.kubectl('create', 'namespace', NAMESPACE);
    await plane.kubectl('apply', '-f', join(import.meta.dirname, '../../../manifests/rbac'));
    const kubeconfig = await plane.kubeconfigOfServiceAccount(NAMESPACE, 'dispatcher');
    return {
      start: (replica) => replica.start(['--plane', 'kubernetes', '--kubeconfig', kubeconfig, '--http', '127.0.0.1:0']),
      kubectl: (words, input) => plane.kubectlWith(words, input),
      close: () => plane.stop(),
    };
  }),
);
