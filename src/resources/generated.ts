import { stringify } from 'yaml';
import { apiVersionOf, type KindDefinition } from './kind.js';
import { GROUP } from './metadata.js';
import { KINDS } from './registry.js';
import { customResourceDefinition, type JsonSchema, openApiSchema } from './schema.js';

/**
 * The files that follow from the kinds, by path from the repository's root: CustomResourceDefinitions (for kubectl, and the same
 * for Helm, which takes no file from outside its chart) and the reference.
 */
export function generatedFiles(): ReadonlyMap<string, string> {
  const crds = KINDS.filter(({ group }) => group === GROUP).map((kind) => ({
    name: `${kind.plural}.${kind.group}.yaml`,
    text: crdFile(kind),
  }));
  return new Map([
    ...CRD_FOLDERS.flatMap((folder) => crds.map(({ name, text }): [string, string] => [`${folder}/${name}`, text])),
    // Without an ending: `kubectl apply -f manifests/crds` passes it over.
    ['manifests/crds/Kustomization', kustomization(crds.map(({ name }) => name))],
    ...KINDS.map((kind): [string, string] => [`docs/reference/${kind.singular}.md`, referencePage(kind)]),
    ['docs/reference/README.md', referenceIndex()],
  ]);
}

const NOTICE = 'Generated from src/resources by `npm run generate`: change the schemas there, not this file.';

const CRD_FOLDERS = ['manifests/crds', 'manifests/chart/crds'];

function kustomization(resources: readonly string[]): string {
  const yaml = stringify({ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources });
  return `# ${NOTICE}\n${yaml}`;
}

function crdFile(definition: KindDefinition): string {
  const yaml = stringify(customResourceDefinition(definition), { lineWidth: 0, aliasDuplicateObjects: false });
  return `# ${NOTICE}\n${yaml}`;
}

function referenceIndex(): string {
  const lines = KINDS.map((kind) => `| [${kind.kind}](${kind.singular}.md) | \`${apiVersionOf(kind)}\` | ${kind.description} |`);
  return `<!-- ${NOTICE} -->\n# Resources\n\n| Kind | API version | What it is |\n|---|---|---|\n${lines.join('\n')}\n`;
}

function referencePage(definition: KindDefinition): string {
  const { kind, description, namespaced, plural, shortNames, printerColumns, rules } = definition;
  const schema = openApiSchema(definition, {});
  const sections = Object.entries(schema.properties ?? {})
    .filter(([name]) => !['apiVersion', 'kind', 'metadata'].includes(name))
    .map(([name, node]) => `## ${name}\n\n${fieldTable(name, node, isRequired(schema, name))}\n`);
  const names = [plural, ...shortNames].map((name) => `\`${name}\``).join(', ');
  const columns = printerColumns.map(
    ({ name, description: what, priority }) => `| ${name} | ${what} | ${priority ? 'wide' : ''} |`,
  );
  const rulesText =
    rules.length === 0 ? '' : `## Rules\n\n${rules.map(({ field, message }) => `- \`${field}\`: ${message}`).join('\n')}\n\n`;
  return `<!-- ${NOTICE} -->
# ${kind}

${description}

- API version: \`${apiVersionOf(definition)}\`
- Names for kubectl: ${names}
- ${namespaced ? 'In a namespace' : 'Of the whole cluster'}

${sections.join('\n')}
${rulesText}## Columns of \`kubectl get\`

| Column | What it shows | |
|---|---|---|
${columns.join('\n')}
`;
}

function fieldTable(name: string, node: JsonSchema, required: boolean): string {
  const rows = fieldRows(name, node, required).map((cells) => `| ${cells.join(' | ')} |`);
  return `| Field | Type | Meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function fieldRows(path: string, node: JsonSchema, required: boolean): string[][] {
  const description = typeof node.description === 'string' ? node.description : '';
  const meaning = [description, ...limits(node), ...(required ? ['Required.'] : [])].filter((text) => text !== '').join(' ');
  const inner = node.items ?? (typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined) ?? node;
  const innerPath = node.items ? `${path}[]` : inner === node ? path : `${path}.*`;
  const below = Object.entries(inner.properties ?? {}).flatMap(([name, property]) =>
    fieldRows(`${innerPath}.${name}`, property, isRequired(inner, name)),
  );
  return [[`\`${path}\``, typeOf(node), meaning.replaceAll('|', '\\|').replaceAll('\n', ' ')], ...below];
}

function typeOf(node: JsonSchema): string {
  if (node.items) return `list of ${typeOf(node.items)}`;
  if (typeof node.additionalProperties === 'object') return `map of ${typeOf(node.additionalProperties)}`;
  return typeof node.type === 'string' ? node.type : 'any';
}

function limits(node: JsonSchema): string[] {
  const choices = Array.isArray(node.enum) ? [`One of ${node.enum.map((value) => `\`${String(value)}\``).join(', ')}.`] : [];
  const bound = (keyword: string, words: (value: string) => string) =>
    typeof node[keyword] === 'number' ? [words(String(node[keyword]))] : [];
  return [
    ...choices,
    ...bound('minimum', (value) => (node.exclusiveMinimum ? `More than ${value}.` : `At least ${value}.`)),
    ...bound('maximum', (value) => `At most ${value}.`),
    ...bound('maxLength', (value) => `At most ${value} characters.`),
    ...bound('maxItems', (value) => `At most ${value} items.`),
    ...bound('maxProperties', (value) => `At most ${value} entries.`),
  ];
}

function isRequired(node: JsonSchema, name: string): boolean {
  return Array.isArray(node.required) && node.required.includes(name);
}
