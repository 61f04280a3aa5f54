/** Keys as text, for command slots and outcomes: an EdgeContainer's as `namespace/name`, an EdgeDevice's with `@` before it. */
import { keyString } from "../kube/resource.ts";
import type { ObjectKey } from "../kube/types.ts";
import type { Wake } from "./environment.ts";

/** The key under which a device's own commands (pending removals) go. */
export function deviceCommandKey(key: ObjectKey): string {
  return `@${keyString(key)}`;
}

/** Wakes whomever a command key names. */
export function wakeCommandKey(wake: Wake, commandKey: string, reason: string): void {
  const isDevice = commandKey.startsWith("@");
  const text = isDevice ? commandKey.slice(1) : commandKey;
  const slash = text.indexOf("/");
  const key: ObjectKey = { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
  if (isDevice) wake.device(key, reason);
  else wake.container(key, reason);
}
