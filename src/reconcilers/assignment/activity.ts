import type { Assignment } from '../../resources/assignment.js';

/** What an application writes on an assignment whose user is active: a time in RFC 3339. */
export const ACTIVITY_ANNOTATION = 'dispatcher.dev/active-at';

/** The last activity that is known. A time that cannot be read, or lies before what is known, says nothing. */
export function activityOf({ metadata, status }: Assignment, reported: Date | undefined): Date | undefined {
  const times = [metadata.annotations?.[ACTIVITY_ANNOTATION], status?.activeAt, reported?.toISOString()]
    .map((text) => Date.parse(text ?? ''))
    .filter((time) => !Number.isNaN(time));
  return times.length === 0 ? undefined : new Date(Math.max(...times));
}
