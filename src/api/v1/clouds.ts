import { cloudSpecSchema } from '../../resources/cloud.js';
import type { Resource } from '../../resources/metadata.js';
import { V1Error } from './errors.js';

/** The old name of a Cloud, where it is one that Kubernetes would not allow: `fake_driver`. */
const NAME_ANNOTATION = 'dispatcher.dev/v1-name';
/** With the value `true`: the Cloud of requests that name none. */
const DEFAULT_ANNOTATION = 'dispatcher.dev/v1-default';
const DEFAULT = 'default';

/** A Cloud as v1 tells of it. */
export interface ServedCloud {
  /** The name of the Cloud. */
  readonly cloud: string;
  /** What clients of v1 call it. */
  readonly name: string;
  readonly engine: string;
  /** Host and port of its identity service; '' for the one built in. */
  readonly host: string;
  readonly isDefault: boolean;
}

/** A Cloud as v1 tells of it; undefined if its spec is not valid. Pure. */
export function servedCloud({ metadata, spec }: Resource): ServedCloud | undefined {
  const { engine, endpoint } = cloudSpecSchema.safeParse(spec).data ?? {};
  if (engine === undefined) return undefined;
  return {
    cloud: metadata.name,
    name: metadata.annotations?.[NAME_ANNOTATION] ?? metadata.name,
    engine,
    host: endpoint !== undefined && URL.canParse(endpoint) ? new URL(endpoint).host : '',
    isDefault: metadata.annotations?.[DEFAULT_ANNOTATION] === 'true',
  };
}

/**
 * The cloud that a request means: by its old name or its name; `default`, where none is so named, is the one so marked. Pure.
 *
 * @param asked what the path says; undefined for nothing, which means `default`.
 * @throws V1Error 500 "Cloud not valid", as the old service, also if more than one is meant.
 */
export function chooseCloud(clouds: readonly ServedCloud[], asked: string = DEFAULT): ServedCloud {
  const named = clouds.filter(({ cloud, name }) => cloud === asked || name === asked);
  const meant = named.length === 0 && asked === DEFAULT ? clouds.filter(({ isDefault }) => isDefault) : named;
  const [found, ...others] = meant;
  const quoted = JSON.stringify(asked.slice(0, 64));
  if (!found) {
    const how = `: mark one with the annotation ${DEFAULT_ANNOTATION}: "true", or name a cloud in the path`;
    throw new V1Error(500, `Cloud not valid - there is no cloud ${quoted}${asked === DEFAULT ? how : ''}`);
  }
  if (others.length === 0) return found;
  const names = meant.map(({ cloud }) => cloud).join(', ');
  throw new V1Error(500, `Cloud not valid - more than one Cloud is meant by ${quoted}: ${names}`);
}
