import { assignmentSpecSchema, assignmentStatusSchema } from '../../resources/assignment.js';
import { makeReader } from '../../resources/reader.js';

/** A resource as an assignment; undefined if its spec cannot be read. */
export const readAssignment = makeReader(assignmentSpecSchema, assignmentStatusSchema);
