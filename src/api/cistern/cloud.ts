import type { ServedCloud } from '../v1/clouds.js';
import { V1Error } from '../v1/errors.js';
import type { Call } from '../v1/operation.js';

/** The Cloud that the path means. @throws V1Error 400 if there is none: to a client of Cistern, a 500 would be an outage. */
export async function cloudOf(call: Call): Promise<ServedCloud> {
  try {
    return await call.cloud();
  } catch (error) {
    if (error instanceof V1Error && error.code === 500) throw new V1Error(400, error.message, undefined, { cause: error });
    throw error;
  }
}
