import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { evaluate } from '@marcbachmann/cel-js';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { KINDS, kindNamed } from '../../src/resources/registry.js';
import { validate } from '../../src/resources/validate.js';
import { runLua } from '../support/lua.js';

const read = (path: string) => readFileSync(new URL(`../../manifests/gitops/${path}`, import.meta.url), 'utf8');
const own = KINDS.filter(({ group }) => group !== '').map(({ kind }) => kind);

const SPECS: Readonly<Record<string, object>> = {
  Cloud: { engine: 'simulator' },
  FirewallRule: {
    cloudRef: { name: 'lab' },
    virtualMachineRef: { name: 'web-1' },
    direction: 'Ingress',
    protocol: 'Any',
    cidrs: ['0.0.0.0/0'],
  },
  KeyPair: { cloudRef: { name: 'lab' }, publicKey: 'ssh-ed25519 AAAA' },
  Recipe: { image: 'cirros', flavor: 'tiny', applications: ['galaxy'] },
  VirtualMachine: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny' },
  VirtualMachineAssignment: { user: 'alice', application: 'galaxy' },
  VirtualMachinePool: { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 1, maxSize: 2 },
  Volume: { cloudRef: { name: 'lab' }, sizeGiB: 1 },
};
const NEVER_PAUSED = ['FirewallRule', 'KeyPair', 'Recipe', 'VirtualMachineAssignment', 'Volume'];

type Condition = readonly [type: string, status: string, message?: string];
const status = (observedGeneration: number, ...conditions: Condition[]) => ({
  observedGeneration,
  conditions: conditions.map(([type, value, message = `${type} is ${value}`]) => ({
    type,
    status: value,
    reason: 'Tested',
    message,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  })),
});

interface Fixture {
  readonly reason: string;
  readonly spec?: object;
  readonly metadata?: object;
  readonly status?: object;
  readonly argo: 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
  readonly says: string;
  readonly flux: 'Current' | 'InProgress' | 'Failed';
}

const FIXTURES: readonly Fixture[] = [
  { reason: 'one just declared', argo: 'Progressing', says: 'waiting for its first status', flux: 'InProgress' },
  {
    reason: 'one with an empty status',
    status: {},
    argo: 'Progressing',
    says: 'waiting for its first status',
    flux: 'InProgress',
  },
  {
    reason: 'one that is as declared',
    status: status(2, ['Ready', 'True', 'the server runs']),
    argo: 'Healthy',
    says: 'the server runs',
    flux: 'Current',
  },
  {
    reason: 'one that was as declared before the last change',
    status: status(1, ['Ready', 'True']),
    argo: 'Progressing',
    says: 'waiting for a status of what was declared last',
    flux: 'InProgress',
  },
  {
    reason: 'one that is being made',
    status: status(2, ['Ready', 'False', 'the server is being built'], ['Reconciling', 'True']),
    argo: 'Progressing',
    says: 'the server is being built',
    flux: 'InProgress',
  },
  {
    reason: 'one that cannot go on',
    status: status(2, ['Ready', 'False'], ['Stalled', 'True', 'no image is named cirros']),
    argo: 'Degraded',
    says: 'no image is named cirros',
    flux: 'Failed',
  },
  {
    reason: 'one that could not go on before it was changed',
    status: status(1, ['Ready', 'False'], ['Stalled', 'True']),
    argo: 'Progressing',
    says: 'waiting for a status of what was declared last',
    flux: 'InProgress',
  },
  {
    reason: 'one that nothing is known of',
    status: status(2, ['Ready', 'Unknown', 'the cloud does not answer']),
    argo: 'Progressing',
    says: 'the cloud does not answer',
    flux: 'InProgress',
  },
  {
    reason: 'one with conditions of others only',
    status: status(2, ['Audited', 'True']),
    argo: 'Progressing',
    says: 'not ready yet',
    flux: 'InProgress',
  },
  {
    reason: 'one that is being deleted',
    metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
    status: status(2, ['Ready', 'True']),
    argo: 'Progressing',
    says: 'being deleted',
    flux: 'InProgress',
  },
];

const PAUSED: Fixture = {
  reason: 'one that is paused, whatever is wrong with it',
  spec: { paused: true },
  status: status(2, ['Ready', 'False'], ['Stalled', 'True']),
  argo: 'Suspended',
  says: 'spec.paused is true',
  flux: 'Current',
};

const cases = own.flatMap((kind) =>
  (NEVER_PAUSED.includes(kind) ? FIXTURES : [...FIXTURES, PAUSED]).map(({ spec, metadata, status: found, ...fixture }) => ({
    ...fixture,
    kind,
    manifest: {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind,
      metadata: { name: 'one', generation: 2, ...metadata },
      spec: { ...SPECS[kind], ...spec },
      ...(found && { status: found }),
    },
  })),
);

describe('health in GitOps tools', () => {
  test.each(cases)('$kind, $reason: the fixture is a valid resource', ({ kind, manifest }) => {
    expect(validate(kindNamed(kind), manifest)).toEqual([]);
  });

  test.each(cases)('$kind, $reason: Argo CD says $argo', ({ manifest, argo, says }) => {
    expect(runLua(read('argocd/health.lua'), manifest, ['status', 'message'])).toEqual({ status: argo, message: says });
  });

  test.each(cases)('$kind, $reason: Flux says $flux', ({ kind, manifest, flux }) => {
    expect(fluxHealth(kind, manifest)).toBe(flux);
  });

  test('Argo CD is told of every kind', () => {
    const { configMapGenerator } = generatorSchema.parse(parse(read('argocd/kustomization.yaml')));
    expect(configMapGenerator[0].files).toEqual(
      [...own].sort().map((kind) => `resource.customizations.health.dispatcher.dev_${kind}=health.lua`),
    );
  });
});

const generatorSchema = z.looseObject({ configMapGenerator: z.tuple([z.looseObject({ files: z.array(z.string()) })]) });
const machinesSchema = z.looseObject({
  spec: z.looseObject({
    healthCheckExprs: z.array(
      z.strictObject({
        apiVersion: z.literal('dispatcher.dev/v1alpha1'),
        kind: z.string(),
        current: z.string(),
        failed: z.string(),
      }),
    ),
  }),
});

/** As Flux judges: what is being deleted or not seen yet is in progress; then `failed`, then `current`; an error means waiting. */
function fluxHealth(kind: string, manifest: { metadata: object; status?: object }): Fixture['flux'] {
  const [document] = parseAllDocuments(read('flux/machines.yaml'));
  const { healthCheckExprs } = machinesSchema.parse(document?.toJS()).spec;
  const found = healthCheckExprs.find((each) => each.kind === kind);
  if (!found) throw new Error(`no expression for ${kind}`);
  const { metadata, status: standing } = facts.parse(manifest);
  if (metadata.deletionTimestamp !== undefined) return 'InProgress';
  if (standing?.observedGeneration !== undefined && standing.observedGeneration !== metadata.generation) return 'InProgress';
  const holds = (expression: string): boolean => {
    try {
      return evaluate(expression, { ...manifest }) === true;
    } catch {
      return false;
    }
  };
  if (holds(found.failed)) return 'Failed';
  return holds(found.current) ? 'Current' : 'InProgress';
}

const facts = z.looseObject({
  metadata: z.looseObject({ generation: z.number(), deletionTimestamp: z.string().optional() }),
  status: z.looseObject({ observedGeneration: z.number().optional() }).optional(),
});
