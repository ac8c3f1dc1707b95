import { describe, it } from '@jest/globals';

/**
 * A way to declare suites that need a real part, such as a cloud. Without it, such a suite fails where CI is set, and is skipped
 * elsewhere.
 * @param isThere whether the part was found.
 * @param how the sentence that a person reads then: how to get it.
 */
export function describeWith(isThere: boolean, how: string): (title: string, suite: () => void) => void {
  return (title, suite) => {
    describe(title, () => {
      if (isThere) return suite();
      const declare = process.env.CI === undefined ? it.skip : it;
      declare(how, () => {
        throw new Error('it is missing, and where CI is set it must be there');
      });
    });
  };
}
