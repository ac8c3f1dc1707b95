import { storeErrorOf } from './database.js';

/** What a call of Prisma's, or of `pg`'s, gives. @throws StoreError for whatever it throws. */
export async function attempt<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw storeErrorOf(error);
  }
}
