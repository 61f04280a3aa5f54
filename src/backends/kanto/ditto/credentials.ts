/**
 * How Drayage shows who it is. Ditto itself takes a bearer token (OpenID Connect), or the header of a trusted proxy before it; a user name with a
 * password is for such a proxy, as in Ditto's own deployments with nginx (documentation: basic-auth, operating-authentication).
 */
import type { AccountCredentials } from "../../contract.ts";

/** Header in which a proxy names the subject that it has authenticated: `<issuer>:<subject>`. */
const PRE_AUTHENTICATED = "x-ditto-pre-authenticated";

/** Headers of every request, and what of them must not be shown. */
export interface Authentication {
  headers: Readonly<Record<string, string>>;
  secrets: readonly string[];
}

/** One of the three; resolveCredentials has seen to it that there is no second. */
export function authentication(credentials: AccountCredentials): Authentication {
  const { username, password, token, preAuthenticated } = credentials;
  if (token !== undefined) return { headers: { authorization: `Bearer ${token}` }, secrets: [token] };
  if (preAuthenticated !== undefined) return { headers: { [PRE_AUTHENTICATED]: preAuthenticated }, secrets: [] };
  if (username === undefined || password === undefined) return { headers: {}, secrets: [] };
  const basic = Buffer.from(`${username}:${password}`, "utf8").toString("base64");
  return { headers: { authorization: `Basic ${basic}` }, secrets: [password, basic] };
}
