/**
 * Run-time parsing of objects read from the API server. Admission has checked them already, but perhaps with the CRD of another
 * version of Drayage: what does not parse is reported as a problem of that one object and never crashes a reconcile.
 */
import type { z } from "zod";
import { API_VERSION, KINDS, type KindName } from "./group.ts";
import { edgeBackendSpec, edgeBackendStatus, type EdgeBackend } from "./edge-backend.ts";
import { edgeContainerSpec, edgeContainerStatus, type EdgeContainer } from "./edge-container.ts";
import { edgeDeviceSpec, edgeDeviceStatus, type EdgeDevice } from "./edge-device.ts";
import { edgeStackSpec, edgeStackStatus, type EdgeStack } from "./edge-stack.ts";
import { edgeRegistrySpec, edgeRegistryStatus, type EdgeRegistry } from "./edge-registry.ts";
import type { KubeObject } from "../kube/types.ts";

/** One thing wrong with an object. Holds no value of the object, so nothing secret. */
export interface Problem {
  /** As in `spec.ports[0].hostPort`. */
  path: string;
  message: string;
}

export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: Problem[] };

/** Spec and status schemas of each kind, complete with rules. */
export const SCHEMAS = {
  EdgeBackend: { spec: edgeBackendSpec, status: edgeBackendStatus },
  EdgeDevice: { spec: edgeDeviceSpec, status: edgeDeviceStatus },
  EdgeContainer: { spec: edgeContainerSpec, status: edgeContainerStatus },
  EdgeStack: { spec: edgeStackSpec, status: edgeStackStatus },
  EdgeRegistry: { spec: edgeRegistrySpec, status: edgeRegistryStatus },
} as const satisfies Record<KindName, { spec: z.ZodType; status: z.ZodType }>;

/**
 * Parses one object. Unknown fields are left out of the value. A status that does not parse is left out too: it is the operator's own
 * and written anew by every pass, so a version that read it more strictly must not be stopped by it.
 */
function parse<T extends KubeObject>(kind: KindName, input: unknown): Parsed<T> {
  if (typeof input !== "object" || input === null) return refused("", "not an object");
  const {
    apiVersion,
    kind: named,
    metadata,
    spec,
    status,
  } = input as Partial<Record<keyof T | "spec" | "status", unknown>>;
  if (apiVersion !== API_VERSION || named !== kind) return refused("", `not a ${KINDS[kind].kind} of ${API_VERSION}`);
  if (!isMetadata(metadata)) return refused("metadata", "name, uid and resourceVersion are missing");
  const parsedSpec = SCHEMAS[kind].spec.safeParse(spec);
  if (!parsedSpec.success) return { ok: false, problems: problemsOf(parsedSpec.error, "spec") };
  const parsedStatus = status === undefined ? undefined : SCHEMAS[kind].status.safeParse(status);
  const value = {
    apiVersion,
    kind,
    metadata,
    spec: parsedSpec.data,
    ...(parsedStatus?.success === true && { status: parsedStatus.data }),
  };
  return { ok: true, value: value as unknown as T };
}

export function parseEdgeBackend(input: unknown): Parsed<EdgeBackend> {
  return parse("EdgeBackend", input);
}

export function parseEdgeDevice(input: unknown): Parsed<EdgeDevice> {
  return parse("EdgeDevice", input);
}

export function parseEdgeContainer(input: unknown): Parsed<EdgeContainer> {
  return parse("EdgeContainer", input);
}

export function parseEdgeStack(input: unknown): Parsed<EdgeStack> {
  return parse("EdgeStack", input);
}

export function parseEdgeRegistry(input: unknown): Parsed<EdgeRegistry> {
  return parse("EdgeRegistry", input);
}

/** zod's issues as problems. Its messages name what was expected, never what was found. */
export function problemsOf(error: z.ZodError, root: string): Problem[] {
  return error.issues.map((issue) => ({
    path: issue.path.reduce<string>(
      (path, part) => (typeof part === "number" ? `${path}[${part}]` : `${path}.${String(part)}`),
      root,
    ),
    message: issue.message,
  }));
}

function refused<T>(path: string, message: string): Parsed<T> {
  return { ok: false, problems: [{ path, message }] };
}

function isMetadata(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { name, uid, resourceVersion } = value as Record<string, unknown>;
  return typeof name === "string" && typeof uid === "string" && typeof resourceVersion === "string";
}
