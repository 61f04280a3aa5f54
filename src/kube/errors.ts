/**
 * What can go wrong between us and the API server, as a closed set: the server answered with a failure (ApiError), or no
 * whole answer came (TransportError). A TransportError says whether the request may have taken effect. No error text
 * carries a request body, a header or a token.
 */

/** metav1.Status, as the API server sends it for every failure. */
export interface Status {
  kind?: string;
  code?: number;
  reason?: string;
  message?: string;
  metadata?: { continue?: string };
  details?: StatusDetails;
}

/** metav1.StatusDetails. */
export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

/** The API server answered, and the answer is a failure. The request had no effect unless `status` is 500 or above. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status. */
  readonly status: number;
  /** metav1.StatusReason, such as "NotFound"; "" when the server gave none. */
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** When the server asks to be left alone, in milliseconds (Retry-After header, else details.retryAfterSeconds). */
  readonly retryAfterMs: number | undefined;

  constructor(where: string, status: number, body: Status | undefined, retryAfterMs?: number) {
    const said = body?.message ?? "";
    super(`${where}: ${status}${body?.reason === undefined ? "" : ` ${body.reason}`}${said === "" ? "" : `: ${said}`}`);
    this.status = status;
    this.reason = body?.reason ?? "";
    this.details = body?.details;
    const seconds = body?.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
  }
}

/** No whole answer came. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  /**
   * "no": the request surely never left, so it had no effect. "unknown": it may have taken effect, whatever this side
   * saw.
   */
  readonly sent: "no" | "unknown";
  /**
   * A system or TLS code (ECONNREFUSED, ECONNRESET, CERT_HAS_EXPIRED, UND_ERR_SOCKET, ...) or one of ours: `Aborted` (the
   * caller's signal), `Timeout`, `Silent` (a watch without a sign of life), `Garbled` (not JSON, or cut inside an event),
   * `TooLarge` (beyond the body limit), `Closed` (the client was closed).
   */
  readonly code: string;

  constructor(where: string, code: string, sent: "no" | "unknown", what: string, cause?: unknown) {
    super(`${where}: ${what}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.sent = sent;
  }

  /** Whether a write may have taken effect although no answer came. */
  get ambiguous(): boolean {
    return this.sent === "unknown";
  }
}

function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}

/** 404. */
export function isNotFound(error: unknown): boolean {
  return hasStatus(error, 404);
}

/** 409 because somebody else wrote first (not AlreadyExists). */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.reason !== "AlreadyExists";
}

/** 409 because an object of that name exists. */
export function isAlreadyExists(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.reason === "AlreadyExists";
}

/** 410: the resourceVersion or continue token is too old for the server. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === "Expired" || error.reason === "Gone");
}

/** 429: the server asks for patience. */
export function isTooManyRequests(error: unknown): boolean {
  return hasStatus(error, 429);
}

/** 401: the server does not know who we are. */
export function isUnauthorized(error: unknown): boolean {
  return hasStatus(error, 401);
}

/** 403: RBAC or an admission plugin says no. */
export function isForbidden(error: unknown): boolean {
  return hasStatus(error, 403);
}

/** 422 or 400: the request itself is wrong; sending it again is pointless. */
export function isInvalid(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 422 || error.status === 400);
}

/**
 * The API server answers a patch whose steps do not fit the object with 422 and no cause (apiserver,
 * pkg/endpoints/handlers/patch.go); an object that the schema refuses comes with its causes.
 */
export function isRefusedPatch(error: unknown): boolean {
  return error instanceof ApiError && error.status === 422 && (error.details?.causes ?? []).length === 0;
}

/** 403 or 409 because the namespace is being deleted: nothing can be created there any more. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.details?.causes?.some((cause) => cause.reason === "NamespaceTerminating") ?? false)
  );
}

/** The caller's own signal ended the request. */
export function isAborted(error: unknown): boolean {
  return error instanceof TransportError && error.code === "Aborted";
}

/** Whether the same request may succeed later without any change: no answer, 429, or 5xx; not the caller's own abort. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof TransportError) {
    return error.code !== "Aborted" && error.code !== "Closed" && error.code !== "TooLarge";
  }
  return error instanceof ApiError && (error.status === 429 || error.status >= 500);
}
