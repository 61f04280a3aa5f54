/**
 * Image references. Only fully qualified ones are taken: a backend that has no default registry (Kanto's containerd answers
 * "object required") and one that assumes Docker Hub would otherwise run different images from one spec.
 */
import { ruled, text } from "./schema.ts";

/** The grammar of the distribution project's reference.go, with the registry mandatory; RE2 and JavaScript both take it. */
const REGISTRY =
  "(?:localhost|[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?:\\.[a-zA-Z0-9-]+)*:[0-9]+|localhost:[0-9]+)";
const PATH_PART = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const TAG = "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}";
const DIGEST = "[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,}";

/** The part before the first slash names a registry: it has a dot or a port, or is localhost. */
const QUALIFIED = "^(?:localhost|[^/]*[.:][^/]*)/";
const REFERENCE = `^(?:[^/]+)/${PATH_PART}(?:/${PATH_PART})*(?::${TAG})?(?:@${DIGEST})?$`;
const WITH_REGISTRY = `^${REGISTRY}/`;

const qualified = new RegExp(QUALIFIED);
const reference = new RegExp(REFERENCE);
const registry = new RegExp(WITH_REGISTRY);

/** Whether a reference names its registry. */
export function isQualified(image: string): boolean {
  return qualified.test(image);
}

/** Longest reference: a name of 255 characters, a tag and a digest. */
const LONGEST = 512;

export const image = ruled(
  text(
    "Fully qualified image reference: registry/path:tag or registry/path@digest; with neither, the tag latest is meant.",
    { max: LONGEST },
  ),
  [
    {
      rule: `self.matches(r'${QUALIFIED}')`,
      message: "write the image with its registry, e.g. docker.io/library/nginx:1.27",
      messageExpression: `"image has no registry: write docker.io/" + (self.contains("/") ? "" : "library/") + self`,
      holds: isQualified,
    },
    {
      rule: `!self.matches(r'${QUALIFIED}') || (self.matches(r'${WITH_REGISTRY}') && self.matches(r'${REFERENCE}'))`,
      message:
        "not an image reference: write registry/path:tag or registry/path@sha256:<digest>, path in lower case, e.g. docker.io/library/nginx:1.27",
      holds: (value) => !isQualified(value) || (registry.test(value) && reference.test(value)),
    },
  ],
);
