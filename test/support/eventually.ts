/**
 * Repeats `check` until it no longer throws, and gives what it returned.
 * @param everyMs how long to wait between two looks: longer where a look costs something.
 * @throws what `check` threw last, if it still does after `withinMs` milliseconds.
 */
export async function eventually<T>(check: () => T | Promise<T>, withinMs = 20_000, everyMs = 20): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }
}
