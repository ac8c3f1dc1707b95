import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

const labels = z.record(z.string(), z.string());
const port = z.union([z.string(), z.number()]);
const probe = z.looseObject({ httpGet: z.looseObject({ path: z.string(), port }).optional() });
const keyOfSecret = z.looseObject({ name: z.string(), key: z.string() });

const containerSchema = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).optional(),
  env: z
    .array(z.looseObject({ name: z.string(), valueFrom: z.looseObject({ secretKeyRef: keyOfSecret.optional() }).optional() }))
    .optional(),
  ports: z.array(z.looseObject({ name: z.string(), containerPort: z.number() })).optional(),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  securityContext: z.looseObject({}).optional(),
  volumeMounts: z.array(z.looseObject({ name: z.string() })).optional(),
});

const volumeSchema = z.looseObject({
  name: z.string(),
  secret: z.looseObject({ secretName: z.string(), items: z.array(z.looseObject({ key: z.string() })) }).optional(),
});

const podSpecSchema = z.looseObject({
  containers: z.array(containerSchema),
  initContainers: z.array(containerSchema).optional(),
  securityContext: z.looseObject({ runAsUser: z.number().optional(), runAsGroup: z.number().optional() }).optional(),
  volumes: z.array(volumeSchema).optional(),
});

const workloadSchema = z.looseObject({
  template: z.looseObject({ metadata: z.looseObject({ labels }), spec: podSpecSchema }),
  volumeClaimTemplates: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).default([]),
});

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional(), labels: labels.optional() }),
  spec: z.unknown().optional(),
  stringData: z.record(z.string(), z.string()).optional(),
});

/** A manifest, as far as every kind is alike. */
export type Manifest = z.infer<typeof manifestSchema>;
/** A container of a pod. */
export type Container = z.infer<typeof containerSchema>;
/** What a Deployment or StatefulSet makes pods from. */
export interface Pod {
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: z.infer<typeof podSpecSchema>;
  /** The volumes that each pod gets of its own. */
  readonly claims: readonly string[];
}

/** The manifests in YAML. @throws for a document that is none. */
export function documents(yaml: string): Manifest[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS())
    .filter((value) => value !== null)
    .map((value) => manifestSchema.parse(value));
}

/** The one of that kind and name. @throws if it is not there. */
export function named(all: readonly Manifest[], kind: string, name: string): Manifest {
  const found = all.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

/** The pods of all Deployments and StatefulSets. */
export function podsOf(all: readonly Manifest[]): Pod[] {
  return all
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    .map(({ spec }) => {
      const { template, volumeClaimTemplates } = workloadSchema.parse(spec);
      const claims = volumeClaimTemplates.map(({ metadata }) => metadata.name);
      return { labels: template.metadata.labels, spec: template.spec, claims };
    });
}

/** Every container of a pod. */
export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

/** The Deployment's pod and its one container. */
export function dispatcherOf(all: readonly Manifest[]): { pod: Pod; container: Container } {
  const [pod] = podsOf([named(all, 'Deployment', 'dispatcher')]);
  const container = pod?.spec.containers[0];
  if (!pod || !container) throw new Error('the Deployment has no container');
  return { pod, container };
}

/** The number of a port that is given by name or number. */
export function portOf({ ports = [] }: Container, wanted: string | number | undefined): number | undefined {
  return typeof wanted === 'number' ? wanted : ports.find(({ name }) => name === wanted)?.containerPort;
}

/** The keys of Secrets that a pod needs. */
export function secretsOf(pod: Pod): { readonly secret: string; readonly key: string }[] {
  const variables = containersOf(pod).flatMap(({ env = [] }) => env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []));
  const volumes = (pod.spec.volumes ?? []).flatMap(({ secret }) => (secret ? [secret] : []));
  return [
    ...variables.map(({ name, key }) => ({ secret: name, key })),
    ...volumes.flatMap(({ secretName, items }) => items.map(({ key }) => ({ secret: secretName, key }))),
  ];
}

const matching = z.looseObject({ matchLabels: labels });
const selectorSchemas = {
  Service: z
    .looseObject({ selector: labels, ports: z.array(z.looseObject({ targetPort: z.string() })) })
    .transform(({ selector, ports }) => ({ labels: selector, ports: ports.map(({ targetPort }) => targetPort) })),
  PodDisruptionBudget: z
    .looseObject({ selector: matching })
    .transform(({ selector }) => ({ labels: selector.matchLabels, ports: [] })),
  NetworkPolicy: z
    .looseObject({
      podSelector: matching,
      ingress: z.array(z.looseObject({ ports: z.array(z.looseObject({ port: z.string() })) })),
    })
    .transform(({ podSelector, ingress }) => ({
      labels: podSelector.matchLabels,
      ports: ingress.flatMap(({ ports }) => ports.map((each) => each.port)),
    })),
};

/** Which pods a manifest is about, and the names of their ports that it leads to. */
export function selectorsOf({
  kind,
  metadata,
  spec,
}: Manifest): { from: string; labels: Record<string, string>; ports: string[] }[] {
  if (!(kind in selectorSchemas)) return [];
  const schema = selectorSchemas[kind as keyof typeof selectorSchemas];
  return [{ from: `${kind} ${metadata.name}`, ...schema.parse(spec) }];
}

/** True if labels have all that is asked for. */
export function selects(wanted: Readonly<Record<string, string>>, found: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(wanted).every(([key, value]) => found?.[key] === value);
}

const monitorSchema = z.looseObject({
  selector: matching,
  endpoints: z.tuple([z.looseObject({ port: z.string(), path: z.literal('/metrics') })]),
});

/** The Services that a ServiceMonitor asks for metrics, with the name of the port. */
export function monitored(monitors: readonly Manifest[], all: readonly Manifest[]): { service: string; port: string }[] {
  return monitors
    .filter(({ kind }) => kind === 'ServiceMonitor')
    .flatMap(({ spec }) => {
      const { selector, endpoints } = monitorSchema.parse(spec);
      const services = all.filter(({ kind, metadata }) => kind === 'Service' && selects(selector.matchLabels, metadata.labels));
      return services.map(({ metadata }) => ({ service: metadata.name, port: endpoints[0].port }));
    });
}
