/** Whether a command may be sent at all, as far as all vendors with an HTTP API agree. What is refused never leaves the process. */
import type { Dispatch } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { HttpSessionDeps } from "./sessions.ts";

/** Why not. */
export type Refusal = Omit<Extract<Dispatch, { sent: false }>, "sent">;

export interface AdmissionView {
  /** The session was closed. */
  closed: boolean;
  deps: Pick<HttpSessionDeps, "fence" | "account">;
  /** Why the device cannot be reached, if that is known. */
  offline?: string | undefined;
  /** A command is in flight. */
  busy: boolean;
}

export function refuse(reason: Refusal["reason"], failure: BackendFailure): Refusal {
  return { reason, failure };
}

export function transient(message: string): BackendFailure {
  return { class: "Transient", message };
}

/** @returns undefined if nothing that all vendors have in common is in the way. */
export function commonRefusal({ closed, deps, offline, busy }: AdmissionView): Refusal | undefined {
  if (closed) return refuse("Closed", transient("the session was closed"));
  if (!deps.fence.valid()) return refuse("Fenced", transient("this process may not write now"));
  const standing = deps.account();
  if (!standing.open) return refuse("Offline", { class: "Unreachable", message: standing.failure.message });
  if (offline !== undefined) return refuse("Offline", { class: "Unreachable", message: offline });
  return busy ? refuse("SlotBusy", transient("another command is in flight")) : undefined;
}

/** A command that the vendor has nothing for. */
export function unsupportedCommand(vendor: string, kind: string, what: string): Refusal {
  const message = `${vendor} has no way to ${kind.toLowerCase()} a ${what}`;
  return refuse("Invalid", { class: "Unsupported", field: "", message });
}
