/** How a field's problem is put into words. */
import type { FieldProblem } from "../../contract.ts";

/** A value that the device does not take. @param reason of condition Stalled. */
export function invalid(path: string, message: string, reason = "InvalidSpec"): FieldProblem {
  return { path, kind: "Invalid", reason, message };
}

/** A field, or a value of it, that the device has no place for. */
export function refuse(path: string, message: string): FieldProblem {
  return { path, kind: "Unsupported", reason: "UnsupportedField", message };
}

/** Cosmetic, and without effect on the device: only listed. */
export function ignore(path: string, message: string): FieldProblem {
  return { path, kind: "Ignored", reason: "UnsupportedField", message };
}
