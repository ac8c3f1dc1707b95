import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { openApiOf } from '../../../src/api/v1/openapi.js';
import { ROWS } from '../../../src/api/v1/rows.js';

const operation = z.looseObject({
  operationId: z.string(),
  security: z.array(z.unknown()),
  responses: z.record(z.string(), z.unknown()),
});
const schema = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), operation)) });

test.each([true, false])('the document of v1 is one that tools take, and tells who is let in (open: %s)', (open) => {
  const document = schema.parse(openApiOf(ROWS, '1.0.0', open));
  const shapes = Object.keys(document.paths).map((path) => path.replace(/\{\w+\}/g, '{}'));
  expect(new Set(shapes).size).toBe(shapes.length);
  const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    expect({ name, found: name?.split('/').reduce<unknown>((at, key) => Object(at)[key], document) }).not.toHaveProperty(
      'found',
      undefined,
    );
  }
  const none = expect.arrayContaining([{}]);
  expect(document.paths['/auth']?.post?.security).toEqual([]);
  expect(document.paths['/nodes']?.get?.security).toEqual(open ? none : expect.not.arrayContaining([{}]));
  expect(document.paths['/test/start']?.put?.security).toEqual(expect.not.arrayContaining([{}]));
});
