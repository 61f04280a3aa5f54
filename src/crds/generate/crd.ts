/** From a kind to its CustomResourceDefinition. */
import { stringify } from "yaml";
import { STATUS_DEFAULT } from "../conditions.ts";
import { GROUP, VERSION } from "../group.ts";
import type { KindDefinition } from "./kinds.ts";
import { annotatedSchema, publishedSchema, type OpenApiSchema } from "./openapi.ts";

const HEADER = `Generated from src/crds by \`npm run generate\`; do not edit.`;

/** Schema of whole objects of a kind, with defaults still noted. */
export function objectSchema(definition: KindDefinition): OpenApiSchema {
  return {
    type: "object",
    description: definition.description,
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: `${GROUP}/${VERSION}` },
      kind: { type: "string", description: definition.kind },
      metadata: { type: "object" },
      spec: annotatedSchema(definition.schemas.spec),
      // On status itself: a default of a field inside it would not apply to an object without status.
      status: { ...annotatedSchema(definition.schemas.status), default: STATUS_DEFAULT },
    },
  };
}

/** The CustomResourceDefinition as an object. */
export function customResourceDefinition(definition: KindDefinition): object {
  const { kind, plural, singular, shortName, columns, selectableFields } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}`, labels: { "app.kubernetes.io/part-of": "drayage" } },
    spec: {
      group: GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames: [shortName], categories: ["edge"] },
      scope: "Namespaced",
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          ...(selectableFields.length > 0 && {
            selectableFields: selectableFields.map((jsonPath) => ({ jsonPath })),
          }),
          schema: { openAPIV3Schema: publishedSchema(objectSchema(definition)) },
        },
      ],
    },
  };
}

/** Name of the file in manifests/crds. */
export function crdFileName(definition: KindDefinition): string {
  return `${GROUP}_${definition.plural}.yaml`;
}

/** The same object gives the same text. */
export function crdYaml(definition: KindDefinition): string {
  const body = stringify(customResourceDefinition(definition), { lineWidth: 120, aliasDuplicateObjects: false });
  return `# ${HEADER}\n${body}`;
}
