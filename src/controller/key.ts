import type { ObjectKey } from "../kube/types.ts";

/** The inverse of `keyString` (kube/resource.ts), the text form in which work queues and maps hold a key. */
export function parseKey(text: string): ObjectKey {
  const slash = text.indexOf("/");
  return { namespace: text.slice(0, Math.max(0, slash)), name: text.slice(slash + 1) };
}
