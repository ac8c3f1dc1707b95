import type { Environment } from '../../src/environment.js';

/** Timer steps at one and the same instant after which a run is taken to be stuck. */
const STUCK_AFTER = 100_000;
/** Timer steps between two looks at the real event loop, so that a test runner's own time-outs still work. */
const BREATHE_EVERY = 20_000;

interface Timer {
  readonly at: number;
  /** Timers of one instant fire in the order in which they were set. */
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/**
 * A whole world's time, chance and names, from one seed: equal seeds give equal runs.
 *
 * Time stands still while code runs, and jumps to the next timer once all promises have settled as far as they can.
 * All that is awaited in a run MUST come from promises and this clock: real I/O and real timers are not waited for.
 * Some 200,000 timer steps a second; use {@link VirtualProcess} for a part of the world that can be killed or paused.
 */
export class VirtualEnvironment implements Environment {
  #now: number;
  #order = 0;
  #state: number;
  readonly #timers = new TimerHeap();

  /** @param start the time at which the world begins; milliseconds since 1970. */
  constructor(
    readonly seed: number,
    start = Date.UTC(2026, 0, 1),
  ) {
    this.#now = start;
    this.#state = seed >>> 0;
  }

  now(): Date {
    return new Date(this.#now);
  }

  /** Milliseconds since 1970, without making a Date. */
  get milliseconds(): number {
    return this.#now;
  }

  /** How many timers are set and not cancelled. 0 at the end of a test: nothing was leaked. */
  get pendingTimers(): number {
    return this.#timers.live;
  }

  after(ms: number, callback: () => void): () => void {
    if (Number.isNaN(ms)) throw new RangeError('a timer of NaN milliseconds');
    const timer: Timer = { at: this.#now + Math.max(0, ms), order: this.#order++, callback, cancelled: false };
    this.#timers.push(timer);
    return () => this.#timers.cancel(timer);
  }

  /** Mulberry32: small, fast, and good enough for choosing faults. */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  id(): string {
    const word = () => Math.floor(this.random() * 4_294_967_296);
    const hex = (value: number) => value.toString(16).padStart(8, '0');
    const second = hex(((word() & 0xffff0fff) | 0x00004000) >>> 0);
    const third = hex(((word() & 0x3fffffff) | 0x80000000) >>> 0);
    return `${hex(word())}-${second.slice(0, 4)}-${second.slice(4)}-${third.slice(0, 4)}-${third.slice(4)}${hex(word())}`;
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(this.random() * below);
  }

  /**
   * Lets the world go on: drains promises, then fires the next timer, again and again.
   *
   * @param until looked at whenever all promises are drained; the run ends when it says true.
   * @param maxVirtualMs how far the clock may go; it stands exactly there when nothing ended the run before.
   * @returns true if `until` came true; false if time was up or nothing was left to happen.
   * @throws Error if timers go on firing without time passing. An exception of a timer's callback comes through.
   */
  async run(until: () => boolean = () => false, maxVirtualMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    const deadline = this.#now + maxVirtualMs;
    let sinceBreath = 0;
    let atThisInstant = 0;
    for (;;) {
      await drained();
      if (until()) return true;
      const next = this.#timers.peek();
      if (!next || next.at > deadline) {
        if (deadline !== Number.POSITIVE_INFINITY) this.#now = deadline;
        return false;
      }
      this.#timers.pop();
      atThisInstant = next.at === this.#now ? atThisInstant + 1 : 0;
      if (atThisInstant > STUCK_AFTER) throw new Error(`seed ${this.seed}: ${STUCK_AFTER} timers fired without time passing`);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      if (++sinceBreath === BREATHE_EVERY) {
        sinceBreath = 0;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  }

  /**
   * Lets the world go on until `promise` is settled.
   * @returns its value. @throws its reason; an Error if it is not settled within `maxVirtualMs` or can no longer be.
   */
  async settle<T>(promise: Promise<T>, maxVirtualMs = 3_600_000): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    if (!(await this.run(() => settled, maxVirtualMs))) {
      throw new Error(`seed ${this.seed}: still not settled at ${this.now().toISOString()}, after at most ${maxVirtualMs} ms`);
    }
    return promise;
  }
}

/**
 * One process of a world: shares the world's time and chance, but its timers stop for good when it is killed, and wait
 * while it is paused. What it awaits from others (a store, a cloud) is theirs to withhold.
 */
export class VirtualProcess implements Environment {
  #alive = true;
  #resumed: { readonly at: number } | undefined;

  constructor(readonly world: VirtualEnvironment) {}

  get alive(): boolean {
    return this.#alive;
  }

  now(): Date {
    return this.world.now();
  }

  random(): number {
    return this.world.random();
  }

  id(): string {
    return this.world.id();
  }

  after(ms: number, callback: () => void): () => void {
    let cancel = this.world.after(ms, () => fire());
    const fire = () => {
      if (!this.#alive) return;
      const wait = (this.#resumed?.at ?? 0) - this.world.milliseconds;
      if (wait > 0) cancel = this.world.after(wait, fire);
      else callback();
    };
    return () => cancel();
  }

  /** As by SIGKILL: no timer of it fires any more. */
  kill(): void {
    this.#alive = false;
  }

  /** As by SIGSTOP for `ms`: what was due meanwhile fires when that is over. */
  pause(ms: number): void {
    this.#resumed = { at: this.world.milliseconds + ms };
  }
}

/**
 * Resolves when no promise can go on any more: Node runs a tick that was asked for in a microtask only after the queue of
 * microtasks has run dry.
 */
function drained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** A binary heap by (time, order). Cancelled timers are dropped when they come to the top, or when they outnumber the others. */
class TimerHeap {
  #heap: Timer[] = [];
  #cancelled = 0;

  get live(): number {
    return this.#heap.length - this.#cancelled;
  }

  push(timer: Timer): void {
    this.#heap.push(timer);
    this.#up(this.#heap.length - 1);
  }

  cancel(timer: Timer): void {
    if (timer.cancelled) return;
    timer.cancelled = true;
    this.#cancelled++;
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#heap.length) return;
    this.#heap = this.#heap.filter((each) => !each.cancelled).sort((a, b) => (before(a, b) ? -1 : 1));
    this.#cancelled = 0;
  }

  peek(): Timer | undefined {
    while (this.#heap[0]?.cancelled) {
      this.#removeTop();
      this.#cancelled--;
    }
    return this.#heap[0];
  }

  /** Takes the timer that {@link peek} showed. Cancelling it from now on does nothing. */
  pop(): void {
    const top = this.peek();
    if (!top) return;
    this.#removeTop();
    top.cancelled = true;
  }

  #removeTop(): void {
    const last = this.#heap.pop();
    if (!last || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #up(start: number): void {
    let index = start;
    for (;;) {
      const parent = (index - 1) >> 1;
      if (parent < 0 || !this.#swapIfBefore(index, parent)) return;
      index = parent;
    }
  }

  #down(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      const a = this.#heap[left];
      const b = this.#heap[left + 1];
      if (!a) return;
      const child = b && before(b, a) ? left + 1 : left;
      if (!this.#swapIfBefore(child, index)) return;
      index = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const a = this.#heap[child];
    const b = this.#heap[parent];
    if (!a || !b || !before(a, b)) return false;
    this.#heap[child] = b;
    this.#heap[parent] = a;
    return true;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
