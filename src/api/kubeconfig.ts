import { stringify } from 'yaml';

/** What a kubeconfig is made from. */
export interface KubeconfigOptions {
  /** Where the resource API is served: https://127.0.0.1:5443. */
  readonly server: string;
  /** The authority to trust, in PEM. */
  readonly caPem: string;
  readonly token: string;
  /** What the kubeconfig calls its user. */
  readonly user: string;
  /** The namespace of commands that name none. */
  readonly namespace: string;
}

/** A kubeconfig with one context, `dispatcher`, as YAML. It holds the token: it is for the eyes of its user only. */
export function renderKubeconfig({ server, caPem, token, user, namespace }: KubeconfigOptions): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'dispatcher', cluster: { server, 'certificate-authority-data': Buffer.from(caPem, 'utf8').toString('base64') } },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'dispatcher', context: { cluster: 'dispatcher', user, namespace } }],
    'current-context': 'dispatcher',
  });
}
