/** What is checked of every EdgeBackend with an HTTP API. */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { FieldProblem } from "../contract.ts";

export function invalid(path: string, message: string): FieldProblem {
  return { path, kind: "Invalid", reason: "InvalidSpec", message };
}

/**
 * @param path of the address in the spec, e.g. alpon.url.
 * @param key of the Secret that holds the vendor's key.
 */
export function validateHttp(spec: EdgeBackendSpec, path: string, url: string, key: string): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    problems.push(invalid(path, "write https://host or https://host/path, or the same with http://"));
  else if (new URL(url).username !== "" || new URL(url).password !== "")
    problems.push(invalid(path, "a url holds no credentials: use spec.credentialsSecretRef"));
  if (spec.credentialsSecretRef === undefined)
    problems.push(invalid("credentialsSecretRef", `name a Secret with the key ${key}`));
  return problems;
}
