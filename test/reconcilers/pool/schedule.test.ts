import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { effective, lastFiring, nextFiring } from '../../../src/reconcilers/pool/schedule.js';
import type { PoolSpec, PoolStatus } from '../../../src/resources/pool.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const YEAR = { begin: Date.parse('2026-01-01T00:00:00Z'), end: Date.parse('2027-01-01T00:00:00Z') };

/** What the clocks of 2026 do, from an almanac: minutes from UTC, and from when. */
const CLOCKS: Readonly<Record<string, readonly (readonly [string, number])[]>> = {
  'Europe/Rome': [
    ['2025-10-26T01:00:00Z', 60],
    ['2026-03-29T01:00:00Z', 120],
    ['2026-10-25T01:00:00Z', 60],
  ],
  'America/New_York': [
    ['2025-11-02T06:00:00Z', -300],
    ['2026-03-08T07:00:00Z', -240],
    ['2026-11-01T06:00:00Z', -300],
  ],
  'Australia/Lord_Howe': [
    ['2025-10-04T15:30:00Z', 660],
    ['2026-04-04T15:00:00Z', 630],
    ['2026-10-03T15:30:00Z', 660],
  ],
  UTC: [['2000-01-01T00:00:00Z', 0]],
};

/** What an expression means, said without cron. */
interface Meaning {
  readonly sentence: string;
  readonly cron: string;
  /** Minutes of a day. */
  readonly minutes: ReadonlySet<number>;
  day(date: Date): boolean;
}

/** The firings of a year, by meaning: by walking through each of its minutes with the almanac in hand. */
function walked(timeZone: string): ReadonlyMap<Meaning, readonly number[]> {
  const changes = (CLOCKS[timeZone] ?? []).map(([at, minutes]) => ({ at: Date.parse(at), offset: minutes * MINUTE }));
  const fired = new Map(MEANINGS.map((meaning) => [meaning, [] as number[]]));
  let shown = YEAR.begin - 2 * DAY;
  for (let now = YEAR.begin - DAY; now <= YEAR.end; now += MINUTE) {
    const wall = now + (changes.findLast(({ at }) => at <= now)?.offset ?? 0);
    const firing = new Set<Meaning>();
    // All that the wall has come to show, or to skip, since the minute before.
    for (; shown < wall; ) {
      shown += MINUTE;
      for (const meaning of MEANINGS) {
        if (meaning.minutes.has((shown / MINUTE) % 1440) && meaning.day(new Date(shown))) firing.add(meaning);
      }
    }
    if (now > YEAR.begin) for (const meaning of firing) fired.get(meaning)?.push(now);
  }
  return fired;
}

function forwards(schedule: { cron: string; timeZone: string }): number[] {
  const fired: number[] = [];
  let now = YEAR.begin;
  while (now < YEAR.end) {
    const horizon = Math.min(10 * DAY, YEAR.end - now);
    const next = nextFiring(schedule, new Date(now), horizon)?.getTime();
    if (next !== undefined) fired.push(next);
    now = next ?? now + horizon;
  }
  return fired;
}

function backwards(schedule: { cron: string; timeZone: string }): number[] {
  const fired: number[] = [];
  let now = YEAR.end;
  while (now > YEAR.begin) {
    const floor = Math.max(YEAR.begin, now - 10 * DAY);
    const last = lastFiring(schedule, new Date(floor), new Date(now))?.getTime();
    if (last !== undefined) fired.push(last);
    now = last === undefined ? floor : last - MINUTE;
  }
  return fired.reverse();
}

const at = (hour: number, minute: number) => hour * 60 + minute;
const every = () => true;

const MEANINGS: readonly Meaning[] = [
  {
    sentence: 'at eight on workdays',
    cron: '0 8 * * 1-5',
    minutes: new Set([at(8, 0)]),
    day: (date) => date.getUTCDay() >= 1 && date.getUTCDay() <= 5,
  },
  { sentence: 'in the hour that changes, each day', cron: '30 2 * * *', minutes: new Set([at(2, 30)]), day: every },
  { sentence: 'in the half hour that changes on Lord Howe', cron: '45 1 * * *', minutes: new Set([at(1, 45)]), day: every },
  {
    sentence: 'at midnight of the first of a month',
    cron: '0 0 1 * *',
    minutes: new Set([at(0, 0)]),
    day: (date) => date.getUTCDate() === 1,
  },
  { sentence: 'every seven hours', cron: '15 */7 * * *', minutes: new Set([15, at(7, 15), at(14, 15), at(21, 15)]), day: every },
  {
    sentence: 'twice on Sundays in spring and autumn',
    cron: '10,50 2 * 3,4,10,11 0',
    minutes: new Set([at(2, 10), at(2, 50)]),
    day: (date) => date.getUTCDay() === 0 && [2, 3, 9, 10].includes(date.getUTCMonth()),
  },
];

describe('the firings of a whole year are those of who walks through it minute by minute', () => {
  test.each(Object.keys(CLOCKS))('in %s', (timeZone) => {
    for (const [{ sentence, cron }, expected] of walked(timeZone)) {
      expect([sentence, ...forwards({ cron, timeZone })]).toEqual([sentence, ...expected]);
      expect([sentence, ...backwards({ cron, timeZone })]).toEqual([sentence, ...expected]);
      expect(expected.length).toBeGreaterThan(5);
    }
  });
});

describe('a schedule on the day on which the clock changes', () => {
  test.each([
    ['a minute that Rome skips fires when it has skipped it', '30 2 * * *', 'Europe/Rome', '2026-03-29', ['01:00']],
    ['a minute that Rome shows twice fires the first time', '30 2 * * *', 'Europe/Rome', '2026-10-25', ['00:30']],
    ['each quarter of a skipped hour is one firing at its end', '*/15 2 * * *', 'Europe/Rome', '2026-03-29', ['01:00']],
    ['the minute after the gap and those in it are one', '0,30 2,3 * * *', 'Europe/Rome', '2026-03-29', ['01:00', '01:30']],
    ['a minute that New York skips', '30 2 * * *', 'America/New_York', '2026-03-08', ['07:00']],
    ['a minute that New York shows twice', '30 1 * * *', 'America/New_York', '2026-11-01', ['05:30']],
    ['a minute of the half hour that Lord Howe skips', '15 2 * * *', 'Australia/Lord_Howe', '2026-10-03', ['15:30']],
    ['a minute of the half hour that it shows twice', '45 1 * * *', 'Australia/Lord_Howe', '2026-04-04', ['14:45']],
    ['no zone named is UTC, which changes nothing', '30 2 * * *', undefined, '2026-03-29', ['02:30']],
  ])('%s', (_sentence, cron, timeZone, day, times) => {
    const fired: string[] = [];
    let now = new Date(`${day}T00:00:00Z`);
    const end = now.getTime() + DAY;
    for (;;) {
      const next = nextFiring({ cron, timeZone }, new Date(now.getTime() - 1), end - now.getTime());
      if (!next) break;
      fired.push(next.toISOString().slice(11, 16));
      now = new Date(next.getTime() + MINUTE);
    }
    expect(fired).toEqual(times);
  });

  test('is not told again while the hour repeats, wherever the look begins', () => {
    const schedule = { cron: '30 2 * * *', timeZone: 'Europe/Rome' };
    for (const begin of ['00:30', '00:45', '01:00', '01:15'])
      expect(lastFiring(schedule, new Date(`2026-10-25T${begin}:00Z`), new Date('2026-10-25T23:00:00Z'))).toBeUndefined();
  });
});

test('what is next at any time is what is last then, and nothing is before it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: YEAR.begin, max: YEAR.end }),
      fc.constantFrom(...Object.keys(CLOCKS)),
      fc.constantFrom(...MEANINGS),
      (now, timeZone, { cron }) => {
        const next = nextFiring({ cron, timeZone }, new Date(now), 35 * DAY);
        if (!next) return;
        expect(next.getTime()).toBeGreaterThan(now);
        expect(lastFiring({ cron, timeZone }, new Date(now), next)).toEqual(next);
        expect(lastFiring({ cron, timeZone }, new Date(now), new Date(next.getTime() - 1))).toBeUndefined();
      },
    ),
    { numRuns: 100 },
  );
});

describe('what replicas is now', () => {
  const created = new Date('2026-06-01T12:00:00Z');
  const spec = (over: Partial<PoolSpec> = {}): PoolSpec => ({
    cloudRef: { name: 'lab' },
    replicas: 5,
    maxSize: 40,
    schedules: [
      { cron: '0 8 * * *', replicas: 10 },
      { cron: '0 18 * * *', replicas: 2 },
    ],
    ...over,
  });
  const now = (text: string) => new Date(`2026-06-${text}:00Z`);
  const scheduled = (at: string, replicas: number, over = 5): PoolStatus => ({
    scheduled: { at: now(at).toISOString(), replicas, over },
  });

  test.each([
    ['what is declared, before any schedule has come to its time', spec(), {}, '01T17:59', 5],
    ['what a schedule says from its minute on', spec(), {}, '01T18:00', 2],
    ['what the last of several says that were missed', spec(), {}, '04T09:00', 10],
    ['what the status says, while no other time has come', spec(), scheduled('02T08:00', 10), '02T17:00', 10],
    ['what a person has said since', spec({ replicas: 7 }), scheduled('02T08:00', 10), '02T17:00', 7],
    ['what the next schedule says after a person did', spec({ replicas: 7 }), scheduled('02T08:00', 10), '02T18:00', 2],
    ['what is declared, when there are no schedules any more', spec({ schedules: [] }), scheduled('02T08:00', 10), '02T17:00', 5],
    [
      'the later one in the list, of two at the same minute',
      spec({
        schedules: [
          { cron: '0 18 * * *', replicas: 3 },
          { cron: '0 18 * * *', replicas: 4 },
        ],
      }),
      {},
      '01T20:00',
      4,
    ],
    [
      'what a status says whose time cannot be read is nothing',
      spec(),
      { scheduled: { at: 'x', replicas: 9, over: 5 } },
      '01T13:00',
      5,
    ],
  ])('is %s', (_sentence, pool, status, time, replicas) => {
    expect(effective(pool, status, created, now(time)).replicas).toBe(replicas);
  });

  test('is the same whether it was looked at often or once', () => {
    let status: PoolStatus = {};
    for (let at = created.getTime(); at <= now('04T09:30').getTime(); at += 7 * MINUTE) {
      const found = effective(spec(), status, created, new Date(at));
      status = found.scheduled ? { scheduled: found.scheduled } : {};
    }
    expect(status).toEqual({ scheduled: effective(spec(), {}, created, now('04T09:30')).scheduled });
  });

  test('says when to look again', () => {
    expect(effective(spec(), {}, created, now('01T13:00')).next).toEqual(now('01T18:00'));
  });
});
