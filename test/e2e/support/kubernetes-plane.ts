import { join } from 'node:path';
import type { ControlPlane } from './kubernetes.js';
import type { ReplicatedPlane } from './replicas.js';

/** Where the operator is put, as manifests/rbac has it. */
export const NAMESPACE = 'dispatcher-system';

/** Gives the operator the rights of manifests/rbac, and no more, on a cluster with our kinds; its replicas then start there. */
export async function operatorPlane(plane: ControlPlane): Promise<ReplicatedPlane> {
  await plane.installKinds();
  await plane.kubectl('create', 'namespace', NAMESPACE);
  await plane.kubectl('apply', '-f', join(import.meta.dirname, '../../../manifests/rbac'));
  const kubeconfig = await plane.kubeconfigOfServiceAccount(NAMESPACE, 'dispatcher');
  return {
    start: (replica) => replica.start(['--plane', 'kubernetes', '--kubeconfig', kubeconfig, '--http', '127.0.0.1:0']),
    kubectl: (words, input) => plane.kubectlWith(words, input),
    close: () => plane.stop(),
  };
}
