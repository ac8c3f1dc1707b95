import { apiVersionOf, type KindDefinition } from '../../resources/kind.js';
import { keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { kindNamed } from '../../resources/registry.js';
import { forbidden } from '../auth/authorize.js';
import type { Origin } from '../auth/origin.js';
import type { Verb } from '../auth/roles.js';
import { admit } from '../resources/admission.js';
import type { Mutation } from '../resources/call.js';
import type { ApiError } from '../resources/errors.js';
import type { Caller } from './callers.js';
import { toV1Error } from './errors.js';

/** What a request does to declarations: as its caller may, checked as the resource API checks, and told to the audit. */
export class Acts {
  constructor(
    private readonly caller: Caller,
    private readonly origin: Origin,
    private readonly onMutation: ((mutation: Mutation) => void) | undefined,
  ) {}

  /** True if the caller may do that with resources of a kind; without a namespace: in all of them. */
  may(verb: Verb, kind: string, namespace = '', name = ''): Promise<boolean> {
    return this.caller.may(accessTo(verb, kindNamed(kind), namespace, name));
  }

  /** Who may not change something is told to the audit. @throws ApiError Forbidden. */
  async authorize(verb: Verb, kind: string, namespace = '', name = ''): Promise<void> {
    if (await this.may(verb, kind, namespace, name)) return;
    const error = this.forbidden(verb, kind, namespace, name);
    if (isChange(verb)) this.#tell(verb, { kind, namespace, name }, toV1Error(error).code);
    throw error;
  }

  /** What is answered to a caller who may not do that. */
  forbidden(verb: Verb, kind: string, namespace = '', name = ''): ApiError {
    return forbidden(this.caller.name, accessTo(verb, kindNamed(kind), namespace, name));
  }

  /** @throws ApiError Forbidden, Invalid with each field that is at fault; StoreError as the store. */
  async create(
    kind: string,
    namespace: string,
    manifest: { readonly metadata: object; readonly spec: object },
    options: { readonly dryRun?: boolean } = {},
  ): Promise<Resource> {
    await this.authorize('create', kind, namespace);
    const definition = kindNamed(kind);
    const create = async () => {
      const target = { definition, namespace, name: undefined, subresource: undefined };
      const whole = { apiVersion: apiVersionOf(definition), kind, ...manifest };
      return this.caller.store.create(admit(target, whole, undefined, 'Strict').draft, options);
    };
    return options.dryRun ? create() : this.#told('create', { kind, namespace, name: '' }, 201, create);
  }

  /** Replaces a resource, if it is still as it was read. @throws ApiError as {@link create}; StoreError as the store. */
  async update(read: Resource, change: Readonly<Record<string, unknown>>): Promise<Resource> {
    const { kind, namespace, name } = keyOf(read);
    await this.authorize('update', kind, namespace, name);
    return this.#told('update', keyOf(read), 200, async () => {
      const target = { definition: kindNamed(kind), namespace, name, subresource: undefined };
      return this.caller.store.update(admit(target, { ...read, ...change }, read, 'Strict').draft);
    });
  }

  /** Deletes just this resource, not another of its name. @throws ApiError Forbidden; StoreError as the store. */
  async remove(resource: Resource): Promise<Resource> {
    const key = keyOf(resource);
    await this.authorize('delete', key.kind, key.namespace, key.name);
    return this.#told('delete', key, 200, () => this.caller.store.delete(key, { uid: resource.metadata.uid }));
  }

  async #told(verb: Mutation['verb'], key: ResourceKey, code: number, act: () => Promise<Resource>): Promise<Resource> {
    try {
      const resource = await act();
      this.#tell(verb, keyOf(resource), code);
      return resource;
    } catch (error) {
      this.#tell(verb, key, toV1Error(error).code);
      throw error;
    }
  }

  #tell(verb: Mutation['verb'], key: ResourceKey, code: number): void {
    this.onMutation?.({ ...this.origin, user: this.caller.name, verb, subresource: undefined, key, code });
  }
}

const CHANGES = ['create', 'update', 'delete'] as const;

function isChange(verb: Verb): verb is (typeof CHANGES)[number] {
  return CHANGES.some((change) => change === verb);
}

function accessTo(verb: Verb, { group, plural }: KindDefinition, namespace: string, name: string) {
  return { verb, group, resource: plural, subresource: '', namespace, name };
}
