/** Who changed when, in order of time, each id once: answers "what changed since" without looking at all the others. */
export class ChangeJournal {
  #entries: { readonly at: number; readonly id: string }[] = [];
  readonly #latest = new Map<string, { readonly at: number; readonly id: string }>();

  /** Notes a change at `at`, which is no earlier than any noted before. */
  note(at: number, id: string): void {
    const entry = { at, id };
    this.#latest.set(id, entry);
    this.#entries.push(entry);
    if (this.#entries.length > 64 && this.#entries.length > 2 * this.#latest.size) {
      this.#entries = this.#entries.filter((old) => this.#latest.get(old.id) === old);
    }
  }

  /** Takes an id out. */
  forget(id: string): void {
    this.#latest.delete(id);
  }

  /** The ids whose last change was at `at` or after. */
  *since(at: number): Generator<string> {
    for (let place = this.#entries.length - 1; place >= 0; place -= 1) {
      const entry = this.#entries[place];
      if (entry === undefined || entry.at < at) return;
      if (this.#latest.get(entry.id) === entry) yield entry.id;
    }
  }
}
