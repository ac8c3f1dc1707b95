import type { Call, OwnCall } from '../http/service.js';
import { Refusal } from '../model/refusal.js';
import type { View } from './server-view.js';

/** The newest microversion is 2.93, that of Zed. */
export const NEWEST = 93;

/** A call to Nova: with the microversion that it asked for. */
export interface NovaCall extends OwnCall {
  readonly view: View;
}

/** The microversion that a call asks for, as it was written. */
export function versionAsked(call: Call): string | undefined {
  const wanted = call
    .header('openstack-api-version')
    ?.split(',')
    .map((part) => part.trim().split(/\s+/));
  return wanted?.find(([service]) => service === 'compute')?.[1] ?? call.header('x-openstack-nova-api-version');
}

/** The second number of the microversion of a call. @throws Refusal 400 if it is none, 406 if it is not served. */
export function minorOf(call: Call): number {
  const wanted = versionAsked(call);
  if (wanted === undefined) return 1;
  if (wanted === 'latest') return NEWEST;
  const [, major, minor] = /^([1-9]\d*)\.([1-9]\d*|0)$/.exec(wanted) ?? [];
  if (major === undefined) {
    throw new Refusal(400, `API Version String ${wanted} is of invalid format. Must be of format MajorNum.MinorNum.`);
  }
  const number = Number(minor);
  if (major !== '2' || number < 1 || number > NEWEST) {
    throw new Refusal(406, `Version ${wanted} is not supported by the API. Minimum is 2.1 and maximum is 2.${NEWEST}.`);
  }
  return number;
}
