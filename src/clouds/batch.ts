import { CLOUD_ERRORS, CloudError } from './errors.js';

interface Passenger<Request, Answer> {
  readonly request: Request;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Makes single requests into bulk calls that are all or nothing. What is asked for while a call is on its way goes with the next one, so
 * that one request alone waits for nobody and many share few calls. A refused call of several is made again in halves, so that nobody is
 * refused for another's sake.
 */
export class Batch<Request, Answer> {
  #waiting: Passenger<Request, Answer>[] = [];
  #flights = 0;

  /**
   * @param make MUST answer in the order asked.
   * @param most requests in one call.
   * @param flights calls under way at once.
   * @param together requests of which value may go in one call. Default: all.
   */
  constructor(
    private readonly make: (requests: readonly Request[]) => Promise<readonly Answer[]>,
    private readonly most: number,
    private readonly flights: number,
    private readonly together: (request: Request) => string = () => '',
  ) {}

  /** @throws CloudError as the call that it went with does. */
  ask(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      // Those who ask in the same turn go together.
      queueMicrotask(() => this.#fly());
    });
  }

  #fly(): void {
    if (this.#flights >= this.flights || this.#waiting.length === 0) return;
    const passengers = this.#board();
    this.#flights += 1;
    void this.#send(passengers).finally(() => {
      this.#flights -= 1;
      this.#fly();
    });
  }

  /** The next call's: who waits longest, and those who may go along. */
  #board(): Passenger<Request, Answer>[] {
    const [first] = this.#waiting;
    const bound = first && this.together(first.request);
    const passengers = this.#waiting.filter(({ request }) => this.together(request) === bound).slice(0, this.most);
    const aboard = new Set(passengers);
    this.#waiting = this.#waiting.filter((each) => !aboard.has(each));
    return passengers;
  }

  async #send(passengers: readonly Passenger<Request, Answer>[]): Promise<void> {
    try {
      const answers = await this.make(passengers.map(({ request }) => request));
      for (const [index, { resolve, reject }] of passengers.entries()) {
        const answer = answers[index];
        if (answer === undefined)
          reject(new CloudError('UnknownOutcome', 'a bulk call was answered with less than was asked for'));
        else resolve(answer);
      }
    } catch (error) {
      const refused = error instanceof CloudError && CLOUD_ERRORS[error.code].outcome === 'none';
      const alone = passengers.length === 1;
      if (alone || !refused || error.code === 'Unavailable' || error.code === 'RateLimited') {
        for (const { reject } of passengers) reject(error);
        return;
      }
      const half = Math.ceil(passengers.length / 2);
      await this.#send(passengers.slice(0, half));
      await this.#send(passengers.slice(half));
    }
  }
}
