/**
 * src/backends talks to vendors. This file is how the rest of Drayage gets at one: by the key of its block in EdgeBackend.spec. The
 * contract stands in contract.ts, the closed union of failures in errors.ts.
 */
import type { Backend, BackendDeps, BackendType } from "./contract.ts";
import { createKantoBackend } from "./kanto/index.ts";

/** Vendors that this version can talk to. */
const BACKENDS: Readonly<Partial<Record<BackendType, (deps: BackendDeps) => Backend>>> = { kanto: createKantoBackend };

/** @returns undefined if this version does not know the vendor yet. */
export function createBackend(type: BackendType, deps: BackendDeps): Backend | undefined {
  return BACKENDS[type]?.(deps);
}
