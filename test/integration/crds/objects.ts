/** Small good objects of each kind, and where they go. */
import { edgePath } from "../../kube-admin.ts";

/** A spec of any shape, good or bad. */
export type LooseSpec = Record<string, unknown>;

/** Changes of a small good spec, by what is special about them. */
export type GoodSpecs = Record<string, LooseSpec>;

/** The same with the texts that the refusal must hold. */
export type BadSpecs = Record<string, [LooseSpec, ...string[]]>;

/** A list of as many items. */
export function longList<T>(count: number, item: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => item(index));
}

export const GOOD_SPECS = {
  EdgeBackend: { kanto: { url: "mqtt://broker:1883", tenant: "t" } },
  EdgeDevice: { backendRef: { name: "broker" }, kanto: { thingId: "edge:device:edge:containers" } },
  EdgeContainer: { deviceRef: { name: "press" }, image: "docker.io/library/nginx:1.27" },
  EdgeStack: {
    deviceRef: { name: "press" },
    containers: [{ name: "web", template: { image: "docker.io/library/nginx:1.27" } }],
  },
  EdgeRegistry: { host: "ghcr.io", credentialsSecretRef: { name: "pull" }, backendRefs: [{ name: "cloud" }] },
} satisfies Record<string, LooseSpec>;

export type Kind = keyof typeof GOOD_SPECS;

export const PLURALS: Record<Kind, string> = {
  EdgeBackend: "edgebackends",
  EdgeDevice: "edgedevices",
  EdgeContainer: "edgecontainers",
  EdgeStack: "edgestacks",
  EdgeRegistry: "edgeregistries",
};

/** An object with the good spec changed by `changes`; a change to undefined removes a field. */
export function objectOf(
  kind: Kind,
  name: string,
  changes: LooseSpec = {},
): { metadata: { name: string } } & LooseSpec {
  return {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind,
    metadata: { name },
    spec: { ...GOOD_SPECS[kind], ...changes },
  };
}

/** Path of a kind's list, refusing unknown fields as kubectl does. */
export function createPath(kind: Kind, namespace: string, query = ""): string {
  return `${edgePath(namespace, PLURALS[kind])}?fieldValidation=Strict${query}`;
}
