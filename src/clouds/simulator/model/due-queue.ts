/** What falls due when: a binary heap, since thousands of servers are on their way at once and none has a timer of its own. */
export class DueQueue {
  readonly #heap: { readonly at: number; readonly id: string }[] = [];

  /** Remembers that something happens to `id` at `at`. The same id may be in it many times. */
  add(at: number, id: string): void {
    const heap = this.#heap;
    let place = heap.push({ at, id }) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if ((heap[parent]?.at ?? 0) <= at) break;
      this.#swap(place, parent);
      place = parent;
    }
  }

  /** The earliest that is due at `now`, taken out; undefined if none is. */
  take(now: number): { readonly at: number; readonly id: string } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop();
    if (heap.length > 0 && last !== undefined) {
      heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #sink(): void {
    const heap = this.#heap;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const right = left + 1;
      let smallest = place;
      if (left < heap.length && this.#at(left) < this.#at(smallest)) smallest = left;
      if (right < heap.length && this.#at(right) < this.#at(smallest)) smallest = right;
      if (smallest === place) return;
      this.#swap(place, smallest);
      place = smallest;
    }
  }

  #at(place: number): number {
    return this.#heap[place]?.at ?? Number.POSITIVE_INFINITY;
  }

  #swap(one: number, other: number): void {
    const heap = this.#heap;
    const [first, second] = [heap[one], heap[other]];
    if (first === undefined || second === undefined) return;
    heap[one] = second;
    heap[other] = first;
  }
}
