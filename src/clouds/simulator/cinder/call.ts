import type { Call, OwnCall } from '../http/service.js';
import { Refusal } from '../model/refusal.js';

/** The newest microversion is 3.70, that of Zed. */
export const NEWEST = 70;

/** A call to Cinder: with the second number of the microversion that it asked for. */
export interface CinderCall extends OwnCall {
  readonly minor: number;
}

/** The second number of the microversion of a call. @throws Refusal 400 if it is none of Cinder's, 406 if it is not served. */
export function minorOf(call: Call): number {
  const asked = call.header('openstack-api-version')?.trim();
  if (asked === undefined) return 0;
  const [, version = asked] = /^volume (\S+)$/i.exec(asked) ?? [];
  if (version === 'latest') return NEWEST;
  const [, major, minor] = /^([1-9]\d*)\.([1-9]\d*|0)$/.exec(version) ?? [];
  if (major === undefined) {
    throw new Refusal(400, `API Version String ${version} is of invalid format. Must be of format MajorNum.MinorNum.`);
  }
  const number = Number(minor);
  if (major !== '3' || number > NEWEST) {
    throw new Refusal(406, `Version ${version} is not supported by the API. Minimum is 3.0 and maximum is 3.${NEWEST}.`);
  }
  return number;
}
