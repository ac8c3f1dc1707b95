import type { Draft } from '../../src/store/store.js';

/** The Recipe of issue 5, but for the image and flavor, which a ScriptedCloud has. */
export function recipeDraft(spec: Record<string, unknown> = {}): Draft {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'Recipe',
    metadata: { name: 'galaxy', namespace: 'default' },
    spec: {
      image: 'cirros',
      flavor: 'm1.tiny',
      applications: ['galaxy'],
      userData: {
        parameters: [{ name: 'greeting', default: 'hello' }],
        template: "#cloud-config\nruncmd: [[echo, '{{ greeting }}']]\n",
      },
      ...spec,
    },
  };
}

/** A pool `galaxy` that is made from {@link recipeDraft}. */
export function poolDraft(spec: Record<string, unknown> = {}): Draft {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachinePool',
    metadata: { name: 'galaxy', namespace: 'default' },
    spec: { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 3, maxSize: 10, ...spec },
  };
}
