/**
 * Why a connection to a broker failed, in the three words that EdgeBackend's status knows. Reason codes: MQTT 3.1.1, 3.2.2.3 and MQTT 5,
 * 3.2.2.2; Node's error codes: nodejs.org/api/errors.html and OpenSSL's X509_V_ERR names, which Node uses as codes.
 */

export type FailureReason = "ConnectionFailed" | "Unauthorized" | "TLSFailed";

/** A failed attempt. `message` is for people and names neither user nor password. */
export interface ConnectionFailure {
  reason: FailureReason;
  message: string;
  /** The broker does not speak the version that was tried. */
  versionRefused: boolean;
}

/** CONNACK codes that mean the credentials are not good: 4 and 5 (3.1.1); 0x86, 0x87, 0x8a, 0x8c (5). */
const UNAUTHORIZED = new Set([4, 5, 0x86, 0x87, 0x8a, 0x8c]);
/** CONNACK codes for a protocol version that is not spoken: 1 (3.1.1); 0x84 (5). */
const VERSION = new Set([1, 0x84]);

const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_|INVALID_PURPOSE|ERROR_IN_CERT_)/;

const TLS_HINTS: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by a CA that is not trusted: set spec.tls.caRef",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed: set spec.tls.caRef to it",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by a CA that is not trusted: set spec.tls.caRef",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by a CA that is not trusted: set spec.tls.caRef",
  CERT_SIGNATURE_FAILURE: "its certificate is signed by another CA of the same name: set spec.tls.caRef",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name: set spec.tls.serverName",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS on this port: is the url's scheme right?",
};

/** How mqtt-packet's parser begins its complaints about bytes that are no MQTT; they have no code. */
const PARSER_TEXT = /^(Invalid|Malformed|Cannot parse|Unknown property|Unsupported protocol|Packet must)\b/;

const NETWORK_HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ENOTFOUND: "its host name cannot be resolved",
  EAI_AGAIN: "its host name cannot be resolved at present",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the network",
  ETIMEDOUT: "it does not answer (timed out)",
  ECONNRESET: "it closed the connection (reset)",
  EPIPE: "it closed the connection",
};

/**
 * Classifies an error of mqtt.js or of the socket below it.
 *
 * @param endpoint address of the broker, without credentials.
 */
export function classifyConnectError(endpoint: string, error: unknown): ConnectionFailure {
  const { code, message } = errorParts(error);
  const failure = (reason: FailureReason, cause: string, versionRefused = false): ConnectionFailure => ({
    reason,
    message: `cannot connect to ${endpoint}: ${cause}`,
    versionRefused,
  });
  if (typeof code === "number") {
    if (VERSION.has(code)) return failure("ConnectionFailed", "the broker does not speak this MQTT version", true);
    if (UNAUTHORIZED.has(code)) {
      return failure(
        "Unauthorized",
        `the broker refuses the credentials (CONNACK ${code}): check user name and password`,
      );
    }
    return failure("ConnectionFailed", `the broker refuses the connection (CONNACK ${code}: ${message})`);
  }
  if (code !== undefined && TLS_CODE.test(code)) {
    return failure("TLSFailed", `${TLS_HINTS[code] ?? tlsText(message)} (${code})`);
  }
  const hint = code === undefined ? undefined : NETWORK_HINTS[code];
  if (hint !== undefined) {
    const cut = code === "ECONNRESET" || code === "EPIPE";
    const port = cut && /^(mqtts|wss):/.test(endpoint) ? ": is this a port for TLS, and the url's scheme right?" : "";
    return failure("ConnectionFailed", `${hint}${port}`);
  }
  if (message === "connack timeout")
    return failure("ConnectionFailed", "it accepts the connection but does not answer MQTT");
  if (PARSER_TEXT.test(message)) {
    return failure("ConnectionFailed", `what answers there does not speak MQTT: is the url's port right? (${message})`);
  }
  return failure("ConnectionFailed", message);
}

/** The attempt ended without any word of MQTT. Brokers that know only 3.1.1 may do so when they are spoken to in version 5. */
export function closedBeforeAnswer(endpoint: string, version: 4 | 5): ConnectionFailure {
  return {
    reason: "ConnectionFailed",
    message: `cannot connect to ${endpoint}: it closed the connection before answering`,
    versionRefused: version === 5,
  };
}

/** OpenSSL's texts carry thread ids and source lines; the words in the middle are what helps. */
function tlsText(message: string): string {
  const words = /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1];
  return words === undefined ? message : `TLS failed: ${words}`;
}

function errorParts(error: unknown): { code: number | string | undefined; message: string } {
  if (!(error instanceof Error)) return { code: undefined, message: "unknown error" };
  const cause = error instanceof AggregateError ? error.errors.find((inner) => inner instanceof Error) : undefined;
  const { message } = cause instanceof Error && error.message === "" ? cause : error;
  const code = "code" in error ? error.code : undefined;
  return { code: typeof code === "number" || typeof code === "string" ? code : undefined, message };
}
