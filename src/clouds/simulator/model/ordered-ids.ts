/** Ids by a number that rises with each addition; reads backwards from any point at once, whatever was removed meanwhile. */
export class OrderedIds {
  #numbers: number[] = [];
  #ids: (string | undefined)[] = [];
  #live = 0;

  /** How many ids there are. */
  get size(): number {
    return this.#live;
  }

  /** Adds an id. Cheap if `number` is larger than all before, which is the usual case. */
  add(number: number, id: string): void {
    const place = this.#placeOf(number);
    if (this.#numbers[place] === number) {
      if (this.#ids[place] !== undefined) this.#live -= 1;
      this.#ids[place] = id;
    } else if (place === this.#numbers.length) {
      this.#numbers.push(number);
      this.#ids.push(id);
    } else {
      this.#numbers.splice(place, 0, number);
      this.#ids.splice(place, 0, id);
    }
    this.#live += 1;
  }

  /** Removes the id of that number, if it is there. */
  remove(number: number): void {
    const place = this.#placeOf(number);
    if (this.#numbers[place] !== number || this.#ids[place] === undefined) return;
    this.#ids[place] = undefined;
    this.#live -= 1;
    if (this.#ids.length > 64 && this.#live < this.#ids.length / 2) this.#compact();
  }

  /** The ids whose numbers are below `number`, the largest first. */
  *below(number: number): Generator<string> {
    for (let place = this.#placeOf(number) - 1; place >= 0; place -= 1) {
      const id = this.#ids[place];
      if (id !== undefined) yield id;
    }
  }

  /** The first place whose number is not below `number`. */
  #placeOf(number: number): number {
    let low = 0;
    let high = this.#numbers.length;
    if (high === 0 || number > (this.#numbers[high - 1] ?? 0)) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#numbers[middle] ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compact(): void {
    const kept = this.#numbers.filter((_, place) => this.#ids[place] !== undefined);
    this.#ids = this.#ids.filter((id) => id !== undefined);
    this.#numbers = kept;
  }
}
