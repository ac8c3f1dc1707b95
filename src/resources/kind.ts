import type { z } from 'zod';

/** A column of `kubectl get`: as `additionalPrinterColumns` of a CRD. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  /** A simple JSONPath from the resource, such as `.status.id` or `.status.conditions[?(@.type=="Ready")].status`. */
  readonly jsonPath: string;
  readonly description: string;
  /** 0 (or absent): always shown; above 0: with `-o wide` only. */
  readonly priority?: number;
}

/** A rule across fields, in a form that both zod's side (`check`) and a CRD's side (`cel`) can hold. */
export interface Rule {
  /** Where the rule stands in the resource, as path parts from its root: `['spec']`. */
  readonly at: readonly string[];
  /** The rule as CEL for the CRD; `oldSelf` makes it a transition rule. */
  readonly cel: string;
  /** What a person is told who broke it. */
  readonly message: string;
  /** The path, from the resource's root, that an error names. */
  readonly field: string;
  /** True if `value` (what stands at `at`) keeps the rule; `old` is undefined on create. Never throws. */
  check(value: unknown, old: unknown): boolean;
}

/** All that Dispatcher knows of a kind. The zod schemas are the single source: types, validation, CRD, OpenAPI. */
export interface KindDefinition {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** One or two sentences for `kubectl explain`. */
  readonly description: string;
  /** The fields beside `apiVersion`, `kind` and `metadata`, as a strict object: `spec` and `status`, or a Secret's `data`. */
  readonly schema: z.ZodObject;
  /** True: `status` is a subresource, written only through it. */
  readonly statusSubresource: boolean;
  /** The paths of the `scale` subresource, for kinds that have one. */
  readonly scale?: { readonly spec: string; readonly status: string; readonly selector: string };
  readonly printerColumns: readonly PrinterColumn[];
  readonly rules: readonly Rule[];
}

/** Where a printer column finds something of the condition `Ready`: its `status`, `reason` or `message`. */
export function readyPath(field: string): string {
  return `.status.conditions[?(@.type=="Ready")].${field}`;
}

/** `v1` for the core group, else `group/version`. */
export function apiVersionOf(definition: Pick<KindDefinition, 'group' | 'version'>): string {
  return definition.group === '' ? definition.version : `${definition.group}/${definition.version}`;
}
