/**
 * src/backends talks to vendors. This file is how the rest of Drayage gets at one: by the key of its block in EdgeBackend.spec. The
 * contract stands in contract.ts, the closed union of failures in errors.ts.
 */
import type { Backend, BackendDeps, BackendType } from "./contract.ts";
import { createAlponBackend } from "./alpon/index.ts";
import { createHiveonBackend } from "./hiveon/index.ts";
import { createKantoBackend } from "./kanto/index.ts";
import { createMittwaldBackend } from "./mittwald/index.ts";

/** Vendors that this version can talk to. */
const BACKENDS: Readonly<Partial<Record<BackendType, (deps: BackendDeps) => Backend>>> = {
  kanto: createKantoBackend,
  alpon: createAlponBackend,
  hiveon: createHiveonBackend,
  mittwald: createMittwaldBackend,
};

/** Every vendor that this version can talk to; nothing is connected. */
export function createBackends(deps: BackendDeps): Partial<Record<BackendType, Backend>> {
  return Object.fromEntries(Object.entries(BACKENDS).map(([type, create]) => [type, create(deps)]));
}
