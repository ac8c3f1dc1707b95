import { V1Error } from './errors.js';
import type { Operation } from './operation.js';

/** What a path means for a method. */
export type Route =
  | {
      readonly kind: 'found';
      readonly operation: Operation;
      readonly parameters: Readonly<Record<string, string>>;
      readonly cloud: string | undefined;
      readonly allow: readonly string[];
    }
  /** It is a path of ours, and does not serve the method. */
  | { readonly kind: 'other methods'; readonly allow: readonly string[] }
  /** `/{action}` and `/{action}/{cloud}`, of which only some actions are known. */
  | { readonly kind: 'unknown action' }
  | { readonly kind: 'unknown path' };

/**
 * The row that a request means. HEAD means GET.
 * @param path below /api/v1, percent-encoded; empty parts of it do not count.
 * @throws V1Error 400 for broken percent-encoding.
 */
export function routeOf(rows: readonly Operation[], method: string, path: string): Route {
  const asked = method === 'HEAD' ? 'GET' : method;
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const fitting = rows.flatMap((operation) => {
    const fit = fitOf(operation, parts);
    return fit ? [{ operation, ...fit }] : [];
  });
  const methods = new Set<string>(fitting.flatMap(({ operation }) => operation.methods));
  const allow = [...methods, ...(methods.has('GET') ? ['HEAD'] : []), 'OPTIONS'];
  const found = fitting.find(({ operation }) => operation.methods.some((each) => each === asked));
  if (found) return { kind: 'found', allow, ...found };
  if (fitting.length > 0) return { kind: 'other methods', allow };
  return { kind: asked === 'GET' && parts.length <= 2 ? 'unknown action' : 'unknown path' };
}

function fitOf({ path, perCloud }: Operation, parts: readonly string[]) {
  const wanted = path.split('/').filter((part) => part !== '');
  const more = parts.length - wanted.length;
  if (more !== 0 && !(more === 1 && perCloud)) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, want] of wanted.entries()) {
    const part = parts[index] ?? '';
    if (want.startsWith('{')) parameters[want.slice(1, -1)] = part;
    else if (want !== part) return undefined;
  }
  return { parameters, cloud: parts[wanted.length] };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new V1Error(400, 'the path has broken percent-encoding');
  }
}
