import { escapeHtml, PAGE_STYLE } from '../page.js';
import { jsonSchema } from './openapi.js';
import { acceptedSchema, type Operation } from './operation.js';

/** The rows of v1 as a page, in the style of the status page. All text is escaped; it needs no script. */
export function renderV1Page(rows: readonly Operation[], version: string, open: boolean): string {
  const token = open
    ? 'This server runs with --v1-open: only /test/* demands a token.'
    : 'A token is demanded everywhere but at /, /auth, this page and the document: X-Auth-Token, Authorization: Bearer, or auth_token in the query or a JSON body.';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Dispatcher API v1</title><style>${PAGE_STYLE}</style></head>
<body><h1>Dispatcher API v1</h1>
<p>${escapeHtml(token)} The same for programs: <a href="/api/v1/openapi.json">openapi.json</a>.</p>
${rows.map(section).join('\n')}
<h2>202</h2>
<p>What is declared, and not done in time.</p>
<pre>${escapeHtml(shapeOf(jsonSchema(acceptedSchema)))}</pre>
<footer>Dispatcher ${escapeHtml(version)}</footer></body></html>
`;
}

function section({ methods, path, perCloud, summary, query, body, answer, mayWait }: Operation): string {
  const part = (title: string, text: string) => `<p>${title}</p>\n<pre>${escapeHtml(text)}</pre>`;
  const parts = [
    query && part('Query', shapeOf(jsonSchema(query))),
    body && part('Body', shapeOf(jsonSchema(body))),
    answer && part(mayWait ? 'Answer (200; 202 below)' : 'Answer', shapeOf(jsonSchema(answer))),
  ];
  const heading = `${methods.join(', ')} /api/v1${path}${perCloud ? '[/{cloud}]' : ''}`;
  return [`<h2>${escapeHtml(heading)}</h2>`, `<p>${escapeHtml(summary)}</p>`, ...parts.filter(Boolean)].join('\n');
}

/** A JSON Schema in a form for people: `{ name: string, keyname?: string }`, a field a line, with what is said of it. */
function shapeOf(schema: unknown, indent = ''): string {
  if (!isFields(schema)) return 'anything';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((each) => JSON.stringify(each)).join(' | ');
  if (Array.isArray(schema.anyOf)) return schema.anyOf.map((each) => shapeOf(each, indent)).join(' | ');
  if (schema.type === 'array') return `[${shapeOf(schema.items, indent)}, ...]`;
  if (schema.type !== 'object') return typeof schema.type === 'string' ? schema.type : 'anything';
  if (!isFields(schema.properties)) return `{ [key]: ${shapeOf(schema.additionalProperties, indent)} }`;
  const required = Array.isArray(schema.required) ? schema.required : [];
  const lines = Object.entries(schema.properties).map(([name, field]) => {
    const said = isFields(field) && typeof field.description === 'string' ? `  # ${field.description}` : '';
    return `${indent}  ${name}${required.includes(name) ? '' : '?'}: ${shapeOf(field, `${indent}  `)}${said}\n`;
  });
  return lines.length === 0 ? '{}' : `{\n${lines.join('')}${indent}}`;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
