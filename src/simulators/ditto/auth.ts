// Who is asking. Ditto itself knows bearer tokens (OpenID Connect) and the header of a trusted proxy; user name and password are that proxy's
// (nginx in Ditto's own deployments), which then names the user in the header. Played as one. Sources: basic-auth and operating-authentication
// in Ditto's documentation, PreAuthenticatedAuthenticationProvider.java.

import type { IncomingHttpHeaders } from "node:http";
import type { Subject } from "./types.ts";

export interface DittoUsers {
  /** User name to password; the subject is `nginx:<name>`. */
  basic?: Readonly<Record<string, string>>;
  /** Bearer token to subject. */
  bearer?: Readonly<Record<string, string>>;
  /** Whether `x-ditto-pre-authenticated: <issuer>:<subject>` is believed. */
  preAuthenticated?: boolean;
  /** What subjects may do, by subject; absent: everything. */
  rights?: Readonly<Record<string, { read: boolean; message: boolean }>>;
}

export const PRE_AUTHENTICATED = "x-ditto-pre-authenticated";

/** @returns undefined if nobody can be made out. */
export function authenticate(headers: IncomingHttpHeaders, users: DittoUsers): Subject | undefined {
  const id = subjectId(headers, users);
  return id === undefined ? undefined : { id, ...(users.rights?.[id] ?? { read: true, message: true }) };
}

function subjectId(headers: IncomingHttpHeaders, users: DittoUsers): string | undefined {
  const trusted = headers[PRE_AUTHENTICATED];
  if (users.preAuthenticated === true && typeof trusted === "string" && /^[^:]+:.+$/.test(trusted)) {
    return trusted;
  }
  const [scheme, given = ""] = (headers.authorization ?? "").split(" ");
  switch (scheme?.toLowerCase()) {
    case "bearer":
      return Object.entries(users.bearer ?? {}).find(([token]) => token === given)?.[1];
    case "basic": {
      const text = Buffer.from(given, "base64").toString("utf8");
      const colon = text.indexOf(":");
      const name = text.slice(0, colon);
      return colon > 0 && users.basic?.[name] === text.slice(colon + 1) ? `nginx:${name}` : undefined;
    }
    default:
      return undefined;
  }
}
