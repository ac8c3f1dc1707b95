import { z } from 'zod';
import { acceptedSchema, type Operation } from './operation.js';

const error = z.object({
  status: z.literal('error'),
  status_code: z.int(),
  status_short_message: z.string(),
  status_long_message: z.string(),
  message: z.string(),
});

const CLOUD = {
  name: 'cloud',
  in: 'path',
  required: true,
  description: "A cloud's old name, or its name.",
  schema: { type: 'string' },
};

/** What tells of v1 in OpenAPI 3.1, from the schemas that check its requests. @param open with --v1-open. */
export function openApiOf(rows: readonly Operation[], version: string, open: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  // Paths that differ in the names of their parameters only must be one.
  const sameShape = new Map<string, string>();
  for (const row of rows) {
    for (const named of row.perCloud ? [row.path, `${row.path}/{cloud}`] : [row.path]) {
      const shape = named.replace(/\{\w+\}/g, '{}');
      const path = sameShape.get(shape) ?? named;
      sameShape.set(shape, path);
      for (const method of row.methods) {
        // Where two rows share a path, the first is meant, as in routing.
        paths[path] = { [method.toLowerCase()]: operationOf(row, { path, named }, method, open), ...paths[path] };
      }
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Dispatcher API v1',
      version,
      description:
        'The HTTP dialect of 2015, on top of declarations. A path without {cloud} means the cloud named or marked default. The token may also stand in a JSON body, as auth_token, in a GET too.',
    },
    servers: [{ url: '/api/v1' }],
    paths,
    components: {
      schemas: { Error: jsonSchema(error), Accepted: jsonSchema(acceptedSchema) },
      securitySchemes: {
        header: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' },
        bearer: { type: 'http', scheme: 'bearer' },
        query: { type: 'apiKey', in: 'query', name: 'auth_token' },
      },
    },
  };
}

/** A zod schema as JSON Schema 2020-12. */
export function jsonSchema(schema: z.ZodType): Readonly<Record<string, unknown>> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

/** @param named the path in the words of the row, where that must share the path of another. */
function operationOf(
  row: Operation,
  { path, named }: { readonly path: string; readonly named: string },
  method: string,
  open: boolean,
): object {
  const names = namesIn(path);
  const own = namesIn(named);
  const parameters = [
    ...names.map((name, index) => {
      const meant = own[index] ?? name;
      if (name === 'cloud' && meant === 'cloud') return CLOUD;
      const said = meant === name ? {} : { description: `Here, the ${meant}.` };
      return { name, in: 'path', required: true, ...said, schema: { type: 'string' } };
    }),
    ...Object.entries(row.query?.shape ?? {}).map(([name, schema]) => ({ name, in: 'query', schema: z.toJSONSchema(schema) })),
  ];
  const ref = (name: string) => ({ 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } });
  const tokens = [{ header: [] }, { bearer: [] }, { query: [] }];
  return {
    operationId: [method.toLowerCase(), ...path.split(/[^a-z_]+/)].filter((word) => word !== '').join('_'),
    summary: row.summary,
    security: row.access === 'anybody' ? [] : open && row.access === 'token' ? [...tokens, {}] : tokens,
    ...(parameters.length > 0 && { parameters }),
    ...(row.body && { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(row.body) } } } }),
    responses: {
      ...(row.answer && { 200: { description: 'Done.', content: { 'application/json': { schema: jsonSchema(row.answer) } } } }),
      ...(row.mayWait && { 202: { description: 'Declared, and not done yet.', content: ref('Accepted') } }),
      ...(!row.answer && { 501: { description: 'Not implemented.', content: ref('Error') } }),
      default: { description: 'It failed.', content: ref('Error') },
    },
  };
}

function namesIn(path: string): readonly string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
}
