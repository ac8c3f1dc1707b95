/**
 * A failure as one sentence for a person. Errors of ours are that already; of others, what they say is all there is to tell.
 */
export function describeFailure(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describeFailure).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}
