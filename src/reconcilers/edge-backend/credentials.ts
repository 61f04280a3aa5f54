/** The Secrets and ConfigMaps behind an EdgeBackend's connection, resolved. Values go nowhere but into the connection. */
import type { AccountCredentials } from "../../backends/contract.ts";
import type { EdgeBackend } from "../../crds/edge-backend.ts";
import { NotText, type References, type ValueData, type ValueKind } from "../references.ts";

/** The credentials, or what is missing. */
export type ResolvedCredentials =
  | { ok: true; credentials: AccountCredentials }
  | {
      ok: false;
      reason: "SecretNotFound" | "SecretKeyMissing" | "SecretMalformed" | "ConfigMapNotFound";
      message: string;
    };

/** Reads them. Rejects only if the API server cannot be asked. */
export async function resolveCredentials(object: EdgeBackend, references: References): Promise<ResolvedCredentials> {
  const namespace = object.metadata.namespace ?? "";
  const { credentialsSecretRef, tls } = object.spec;
  const credentials: AccountCredentials = {};
  const load = async (kind: ValueKind, name: string): Promise<ValueData | undefined> =>
    references.get(kind, { namespace, name });

  if (credentialsSecretRef !== undefined) {
    const data = await load("Secret", credentialsSecretRef.name);
    if (data === undefined) return notFound("Secret", namespace, credentialsSecretRef.name);
    const name = credentialsSecretRef.name;
    const problem =
      object.spec.kanto === undefined
        ? (takeKey(data, object.spec.mittwald === undefined ? "apiKey" : "token", credentials) ??
          takeWebhookSecret(data, credentials))
        : object.spec.kanto.transport === "Ditto"
          ? takeDitto(data, credentials)
          : takeLogin(data, credentials);
    if (problem?.missing !== undefined) return keyMissing("Secret", namespace, name, problem.missing);
    if (problem !== undefined)
      return {
        ok: false,
        reason: "SecretMalformed",
        message: `Secret ${namespace}/${name}: ${problem.malformed}; create it with --from-literal or printf '%s'`,
      };
  }
  if (tls?.caRef !== undefined) {
    const { kind = "Secret", name, key = "ca.crt" } = tls.caRef;
    const data = await load(kind, name);
    if (data === undefined) return notFound(kind, namespace, name);
    const ca = pemAt(data, key);
    if (ca === undefined) return keyMissing(kind, namespace, name, key);
    if (!ca.includes("-----BEGIN CERTIFICATE-----")) return notPem(kind, namespace, name, key, "a PEM certificate");
    credentials.ca = ca;
  }
  if (tls?.clientCertSecretRef !== undefined) {
    const { name } = tls.clientCertSecretRef;
    const data = await load("Secret", name);
    if (data === undefined) return notFound("Secret", namespace, name);
    const cert = pemAt(data, "tls.crt");
    const key = pemAt(data, "tls.key");
    if (cert === undefined) return keyMissing("Secret", namespace, name, "tls.crt");
    if (key === undefined) return keyMissing("Secret", namespace, name, "tls.key");
    if (!cert.includes("-----BEGIN CERTIFICATE-----"))
      return notPem("Secret", namespace, name, "tls.crt", "a PEM certificate");
    if (!key.includes("PRIVATE KEY-----")) return notPem("Secret", namespace, name, "tls.key", "a PEM private key");
    credentials.clientCert = cert;
    credentials.clientKey = key;
  }
  return { ok: true, credentials };
}

type Problem = { missing: string; malformed?: undefined } | { missing?: undefined; malformed: string };

/** Of a broker. */
function takeLogin(data: ValueData, credentials: AccountCredentials): Problem | undefined {
  const username = data.get("username");
  const password = data.get("password");
  if (username === undefined) return { missing: "username" };
  if (password === undefined) return { missing: "password" };
  if (username instanceof NotText || password instanceof NotText)
    return { malformed: "username or password is not UTF-8 text" };
  // A line feed at the end is what `echo` leaves; no broker password ends so, and it makes every login fail.
  if (/[\r\n]$/.test(password) || /[\r\n]$/.test(username))
    return { malformed: "username or password ends with a line break" };
  credentials.username = username;
  credentials.password = password;
  return undefined;
}

/** Of a Ditto: user name and password of the proxy before it, a bearer token, or the subject that it is to believe. Exactly one of the three. */
function takeDitto(data: ValueData, credentials: AccountCredentials): Problem | undefined {
  const kinds = ["token", "preAuthenticated", "username"].filter((key) => data.get(key) !== undefined);
  const [kind] = kinds;
  if (kind === undefined) return { missing: "token" };
  if (kinds.length > 1)
    return { malformed: `it has both ${kinds.join(" and ")}, so that it is not clear which counts` };
  const value = data.get(kind) ?? "";
  if (kind === "username") return takeLogin(data, credentials);
  if (value instanceof NotText) return { malformed: `${kind} is not UTF-8 text` };
  if (/[\r\n]$/.test(value)) return { malformed: `${kind} ends with a line break` };
  if (kind === "token") {
    if (!/^[\x21-\x7e]+$/.test(value))
      return { malformed: "token is empty or has characters that no HTTP header takes" };
    credentials.token = value;
    return undefined;
  }
  if (!/^[\x21-\x7e]+:[\x20-\x7e]+$/.test(value)) return { malformed: "preAuthenticated is not <issuer>:<subject>" };
  credentials.preAuthenticated = value;
  return undefined;
}

/** Of an HTTP API. It travels in a header, which takes visible ASCII only. */
function takeKey(data: ValueData, key: string, credentials: AccountCredentials): Problem | undefined {
  const value = data.get(key);
  if (value === undefined) return { missing: key };
  if (value instanceof NotText) return { malformed: `${key} is not UTF-8 text` };
  if (/[\r\n]$/.test(value)) return { malformed: `${key} ends with a line break` };
  if (!/^[\x21-\x7e]+$/.test(value))
    return { malformed: `${key} is empty or has characters that no HTTP header takes` };
  credentials.apiKey = value;
  return undefined;
}

/** A certificate or key, as far as it is text: comments before it may be in any encoding. */
function pemAt(data: ValueData, key: string): string | undefined {
  const value = data.get(key);
  return value instanceof NotText ? value.lossy : value;
}

/** Optional: without it no webhook is taken. */
function takeWebhookSecret(data: ValueData, credentials: AccountCredentials): Problem | undefined {
  const value = data.get("webhookSecret");
  if (value === undefined || value === "") return undefined;
  if (value instanceof NotText) return { malformed: "webhookSecret is not UTF-8 text" };
  if (/[\r\n]$/.test(value)) return { malformed: "webhookSecret ends with a line break" };
  credentials.webhookSecret = value;
  return undefined;
}

function notFound(kind: ValueKind, namespace: string, name: string): ResolvedCredentials {
  const reason = kind === "Secret" ? "SecretNotFound" : "ConfigMapNotFound";
  return { ok: false, reason, message: `${kind} ${namespace}/${name} does not exist` };
}

function keyMissing(kind: ValueKind, namespace: string, name: string, key: string): ResolvedCredentials {
  return { ok: false, reason: "SecretKeyMissing", message: `${kind} ${namespace}/${name} has no key "${key}"` };
}

function notPem(kind: ValueKind, namespace: string, name: string, key: string, what: string): ResolvedCredentials {
  return { ok: false, reason: "SecretMalformed", message: `${kind} ${namespace}/${name}: key "${key}" is not ${what}` };
}
