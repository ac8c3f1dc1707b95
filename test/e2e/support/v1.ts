import { stringify } from 'yaml';
import type { V1World } from '../../contract/v1.js';
import { V1_USERS, v1Users } from '../../support/v1-world.js';
import type { Dispatcher } from './dispatcher.js';

/** What differs between clouds. */
export interface V1Place extends Pick<V1World, 'engine' | 'prefix' | 'patienceMs'> {
  /** The Cloud, as {@link v1Cloud} makes it. */
  readonly cloud: object;
  close(): Promise<void>;
}

/** A world for the conformance suite of v1: a `dispatcher serve` of its own, to which its users and its Cloud are added. */
export async function v1Place(dispatcher: Dispatcher, { cloud, ...place }: V1Place): Promise<V1World> {
  const apply = (...manifests: object[]) =>
    dispatcher.kubectl(['apply', '-f', '-'], manifests.map((manifest) => stringify(manifest)).join('---\n'));
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } }, cloud);
  for (const { username, password, grant } of Object.values(V1_USERS)) {
    const namespaces = 'namespaces' in grant ? grant.namespaces.flatMap((namespace) => ['--namespace', namespace]) : [];
    await dispatcher.command(
      ['user', 'create', username, '--role', grant.role, ...namespaces, '--password-stdin'],
      `${password}\n`,
    );
  }
  return {
    ...place,
    url: dispatcher.http,
    users: v1Users(),
    cloud: 'lab',
    image: 'cirros-fake',
    size: 'm1.tiny',
    declare: async (manifest) => void (await apply(manifest)),
    remove: async (manifest) => void (await dispatcher.kubectl(['delete', '-f', '-', '--wait=false'], stringify(manifest))),
  };
}
