import { KINDS } from '../../resources/registry.js';
import { pathOf } from './discovery.js';

/** The form in which client-go asks for OpenAPI v2; it asks with an "@" before v1.0, which no content type may have. */
export const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/**
 * The OpenAPI v2 document, as protobuf: just that every kind's PATCH knows `dryRun` and `fieldValidation`.
 *
 * kubectl reads it when it finds a kind in no v3 document, above all for `kind: List` (what `kubectl get -o yaml` writes): it then asks
 * whether the server validates fields itself, and refuses to apply if it cannot learn that. Schemas are in v3 alone.
 * Field numbers are those of gnostic's OpenAPIv2.proto.
 */
export function openApiV2(version: string): Buffer {
  const info = [text(1, 'Dispatcher'), text(2, version)];
  return Buffer.concat([text(1, '2.0'), message(2, ...info), message(8, ...KINDS.map(pathItem))]);
}

function pathItem(definition: (typeof KINDS)[number]): Buffer {
  const { group, version, kind, plural, namespaced } = definition;
  const path = `${pathOf(definition)}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}/{name}`;
  const parameters = ['dryRun', 'fieldValidation'].map((name) =>
    // Operation.parameters: ParametersItem.parameter: Parameter.non_body_parameter: query_parameter_sub_schema
    message(8, message(1, message(2, message(3, text(2, 'query'), text(4, name), text(6, 'string'))))),
  );
  const groupVersionKind = `group: "${group}"\nkind: ${kind}\nversion: ${version}\n`;
  const extension = message(13, text(1, 'x-kubernetes-group-version-kind'), message(2, text(2, groupVersionKind)));
  // Paths.path: NamedPathItem{name, value: PathItem.patch}
  return message(2, text(1, path), message(2, message(8, ...parameters, extension)));
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

/** A field of wire type 2: length and content. */
function message(field: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) + 128);
  }
}
