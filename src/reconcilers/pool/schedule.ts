import cron, { type ScheduledTask } from 'node-cron';
import type { PoolSpec, PoolStatus } from '../../resources/pool.js';

/** One of `spec.schedules`, as far as its time goes. */
export interface Timing {
  readonly cron: string;
  /** Default UTC. */
  readonly timeZone?: string | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** How far back a firing is looked for. */
const LONGEST_LOOK_MS = 40 * DAY;
/** A clock that was set back by more than this shows hours twice that count twice. None was since time zones exist, but for whole days. */
const LONGEST_REPEAT_MS = 25 * HOUR;

/**
 * The last time in (after, until] at which a schedule fires, looked for in the 40 days before `until`. Pure.
 *
 * A schedule speaks of the clock on the wall of its time zone. Minutes that this clock skips count when it has skipped them; minutes that
 * it shows twice count the first time. So each minute that is written on a wall fires once, whatever is done to the clock.
 */
export function lastFiring(schedule: Timing, after: Date, until: Date): Date | undefined {
  const end = floorToMinute(until.getTime()) + MINUTE;
  const begin = Math.max(floorToMinute(after.getTime()) + MINUTE, end - LONGEST_LOOK_MS);
  const found = spansOf(schedule, begin, end)
    .reverse()
    .map((span) => firingIn(schedule, span, 'last'))
    .find((at) => at !== undefined);
  return found === undefined ? undefined : new Date(found);
}

/** The first time in (after, after + horizonMs] at which a schedule fires, as {@link lastFiring} has it. Pure. */
export function nextFiring(schedule: Timing, after: Date, horizonMs: number): Date | undefined {
  const begin = floorToMinute(after.getTime()) + MINUTE;
  const end = floorToMinute(after.getTime() + horizonMs) + MINUTE;
  const found = spansOf(schedule, begin, end)
    .map((span) => firingIn(schedule, span, 'first'))
    .find((at) => at !== undefined);
  return found === undefined ? undefined : new Date(found);
}

/** What `replicas` is now, and the firing that says so. */
export interface Effective {
  readonly replicas: number;
  /** What status.scheduled is to be; undefined where no schedule has come to its time. */
  readonly scheduled: PoolStatus['scheduled'];
  /** When the next schedule fires, within a day. */
  readonly next: Date | undefined;
}

/**
 * What `replicas` is now: by the last schedule that fired since the pool was made, or by `spec.replicas` if that was changed since. Pure.
 * Of two that fire in the same minute, the later in the list counts.
 */
export function effective(spec: PoolSpec, status: PoolStatus, created: Date, now: Date): Effective {
  const schedules = spec.schedules ?? [];
  if (schedules.length === 0) return { replicas: spec.replicas, scheduled: undefined, next: undefined };
  const known = status.scheduled;
  const knownAt = Date.parse(known?.at ?? '');
  const after = Number.isNaN(knownAt) ? created : new Date(Math.max(knownAt, created.getTime()));
  let latest: { readonly at: Date; readonly replicas: number } | undefined;
  for (const schedule of schedules) {
    const at = lastFiring(schedule, after, now);
    if (at && (!latest || at >= latest.at)) latest = { at, replicas: schedule.replicas };
  }
  const scheduled = latest
    ? { at: latest.at.toISOString(), replicas: latest.replicas, over: spec.replicas }
    : Number.isNaN(knownAt)
      ? undefined
      : known;
  const next = schedules
    .map((schedule) => nextFiring(schedule, now, DAY))
    .reduce((first, at) => (at && (!first || at < first) ? at : first), undefined);
  return {
    replicas: scheduled?.over === spec.replicas ? scheduled.replicas : spec.replicas,
    scheduled,
    next,
  };
}

/** A time in which the clock on the wall stands at the same distance from UTC. All in milliseconds; wall times as if they were UTC. */
interface Span {
  /** When it begins, in truth. */
  readonly start: number;
  /** What to add to get from the true time to the wall's. */
  readonly offset: number;
  /** The minutes of the wall that count in it: [from, to). They may begin before its first one: those that the clock has skipped. */
  readonly from: number;
  readonly to: number;
}

/** The spans of [begin, end), with only those minutes of the wall whose firing would be in it. In order. */
function spansOf({ timeZone = 'UTC' }: Timing, begin: number, end: number): Span[] {
  const spans: Span[] = [];
  let shown = Number.NEGATIVE_INFINITY;
  for (const { start, stop, offset } of offsets(timeZone, begin - LONGEST_REPEAT_MS, end)) {
    // The first one has no past: what it skipped or repeats is too long ago to matter.
    const skipped = shown === Number.NEGATIVE_INFINITY ? start + offset : shown;
    const from = start >= begin ? skipped : Math.max(skipped, begin + offset);
    spans.push({ start, offset, from, to: stop + offset });
    shown = Math.max(shown, stop + offset);
  }
  return spans.filter(({ from, to }) => from < to);
}

/** When the first or last matching minute of a span fires. */
function firingIn(schedule: Timing, { start, offset, from, to }: Span, which: 'first' | 'last'): number | undefined {
  const wall = matchIn(schedule.cron, from, to, which);
  return wall === undefined ? undefined : Math.max(start, wall - offset);
}

/** The first or last minute of [from, to) on the wall that an expression means. */
function matchIn(expression: string, from: number, to: number, which: 'first' | 'last'): number | undefined {
  const { minutes, means } = pattern(expression);
  const days: number[] = [];
  for (let day = Math.floor(from / DAY) * DAY; day < to; day += DAY) days.push(day);
  for (const day of which === 'first' ? days : days.reverse()) {
    const inRange = (minute: number) => day + minute * MINUTE >= from && day + minute * MINUTE < to;
    const minute = which === 'first' ? minutes.find(inRange) : minutes.findLast(inRange);
    if (minute !== undefined && means(day)) return day + minute * MINUTE;
  }
  return undefined;
}

interface Pattern {
  /** The minutes of a day that it means, if it means the day. In order. */
  readonly minutes: readonly number[];
  /** Whether it means a day. */
  means(day: number): boolean;
}

const MOST_PATTERNS = 1_000;
const patterns = new Map<string, Pattern>();

/** An expression taken apart: to ask for each minute would be slow, and the minute and hour of a match do not depend on the day. */
function pattern(expression: string): Pattern {
  const known = patterns.get(expression);
  if (known) return known;
  const { minute, hour } = cron.parse(expression);
  const minutes = hour.flatMap((one) => minute.map((each) => one * 60 + each)).sort((a, b) => a - b);
  // Never started: it is asked only.
  const task: ScheduledTask = cron.createTask(expression, () => undefined, { timezone: 'UTC' });
  void task.destroy();
  const [first = 0] = minutes;
  const made = { minutes, means: (day: number) => task.match(new Date(day + first * MINUTE)) };
  if (patterns.size >= MOST_PATTERNS) patterns.clear();
  patterns.set(expression, made);
  return made;
}

/** How far the wall's clock is from UTC in [begin, end), in order and without gaps. */
function offsets(timeZone: string, begin: number, end: number): { start: number; stop: number; offset: number }[] {
  const offsetAt = wallClock(timeZone);
  const found: { start: number; stop: number; offset: number }[] = [];
  let start = begin;
  let offset = offsetAt(begin);
  // At whole multiples of the step: so looks at different times ask the same questions, whose answers are kept.
  for (let at = begin; at < end; ) {
    const next = (Math.floor(at / STEP_MS) + 1) * STEP_MS;
    if (offsetAt(next) !== offset) {
      const change = firstOther(offsetAt, offset, at, next);
      if (change >= end) break;
      found.push({ start, stop: change, offset });
      start = change;
      offset = offsetAt(change);
    }
    at = next;
  }
  found.push({ start, stop: end, offset });
  return found;
}

/** The first minute in (same, other] with another offset. */
function firstOther(offsetAt: (at: number) => number, offset: number, same: number, other: number): number {
  let low = same;
  let high = other;
  while (high - low > MINUTE) {
    const middle = floorToMinute((low + high) / 2);
    if (offsetAt(middle) === offset) low = middle;
    else high = middle;
  }
  return high;
}

/** No clock changes twice within it. */
const STEP_MS = 6 * HOUR;
const MOST_KEPT = 2_000;
const clocks = new Map<string, (at: number) => number>();

/** How far the wall's clock in a time zone is from UTC at a whole minute. */
function wallClock(timeZone: string): (at: number) => number {
  const known = clocks.get(timeZone);
  if (known) return known;
  const [year, month, day, hour, minute] = ['numeric', 'numeric', 'numeric', 'numeric', 'numeric'] as const;
  const format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year, month, day, hour, minute });
  const ask = (at: number) => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? Number.NaN;
    return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute')) - at;
  };
  const kept = new Map<number, number>();
  const offsetAt = (at: number) => {
    const answer = kept.get(at) ?? ask(at);
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(at, answer);
    return answer;
  };
  clocks.set(timeZone, offsetAt);
  return offsetAt;
}

function floorToMinute(ms: number): number {
  return Math.floor(ms / MINUTE) * MINUTE;
}
