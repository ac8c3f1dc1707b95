import { systemEnvironment } from '../../../src/environment.js';
import { openKubernetesStore } from '../../../src/store/kubernetes/open.js';
import { storeContract } from '../../contract/store.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';

describeOnKubernetes('on a real API server,', () => {
  storeContract('the Kubernetes plane', async () => {
    const plane = await ControlPlane.start();
    await plane.installKinds();
    const store = await openKubernetesStore({ kubeconfig: plane.kubeconfig, environment: systemEnvironment });
    return {
      store,
      forgetHistory: () => plane.forgetHistory(),
      close: async () => {
        await store.close();
        await plane.stop();
      },
    };
  });
});
