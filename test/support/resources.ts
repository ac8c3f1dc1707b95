import type { ResourceKey } from '../../src/resources/metadata.js';
import type { Draft } from '../../src/store/store.js';

/** A valid VirtualMachine to be created in the namespace `default`. */
export function vmDraft(name: string, metadata: Draft['metadata'] = {}, spec: Record<string, unknown> = {}): Draft {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny', ...spec },
  };
}

/** The key of {@link vmDraft}. */
export function vmKey(name: string): ResourceKey {
  return { kind: 'VirtualMachine', namespace: 'default', name };
}
