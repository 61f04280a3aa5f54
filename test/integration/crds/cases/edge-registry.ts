/** Specs of EdgeRegistry that are accepted and refused. */
import type { BadSpecs, GoodSpecs } from "../objects.ts";

/** Changes of the small good spec that stay good. */
export const GOOD: GoodSpecs = {
  "the least": {},
  "a port": { host: "registry.example:5000" },
  "a path": { host: "ghcr.io/acme/team-a" },
  "a host without a dot, with a port": { host: "registry:5000" },
  localhost: { host: "localhost:5000" },
  everything: {
    backendRefs: [{ name: "cloud" }, { name: "rigs", namespace: "platform" }],
    deletion: { graceSeconds: 0 },
  },
};

const AS_IN_IMAGES = "write the host as image references begin";

/** Changes that are refused, with texts that the answer must hold. */
export const BAD: BadSpecs = {
  "no host": [{ host: undefined }, "spec.host: Required value"],
  "a scheme": [{ host: "https://ghcr.io" }, "spec.host", AS_IN_IMAGES],
  "a slash at the end": [{ host: "ghcr.io/" }, "spec.host", AS_IN_IMAGES],
  "capital letters": [{ host: "GHCR.io" }, "spec.host", AS_IN_IMAGES],
  "a word that would be a path": [{ host: "library" }, "spec.host", AS_IN_IMAGES],
  "a login in the host": [{ host: "user:word@ghcr.io" }, "spec.host", AS_IN_IMAGES],
  "no Secret": [{ credentialsSecretRef: undefined }, "spec.credentialsSecretRef: Required value"],
  "no backends": [{ backendRefs: [] }, "spec.backendRefs"],
  "backendRefs left out": [{ backendRefs: undefined }, "spec.backendRefs: Required value"],
  "endless grace": [{ deletion: { graceSeconds: 1e9 } }, "spec.deletion.graceSeconds"],
};
