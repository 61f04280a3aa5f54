// Answers and errors as the vendor words them. Texts marked "recorded" were seen in real traffic or real issue reports, the others are made up
// in their style: a client must not depend on them.

export interface ValidationError {
  message: string;
  path: string;
  type: string;
}

/** An answer. `etag` is the event id of a write. `text`: plain text in place of JSON. */
export interface Answer {
  status: number;
  body?: unknown;
  text?: string;
  etag?: string;
  headers?: Readonly<Record<string, string>>;
}

/** What ends an operation early. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, type: string, message: string, more: object = {}) {
    super(message);
    this.name = "Refusal";
    this.answer = { status, body: { type, message, ...more } };
  }
}

export function invalid(errors: readonly ValidationError[]): Refusal {
  return new Refusal(400, "ValidationError", "Validation failed", { validationErrors: errors });
}

/** An illegal transition or an unmet condition. The type is recorded. */
export function unmet(message: string): Refusal {
  return new Refusal(412, "VError", message);
}

export function unknown(status: 403 | 404, what: string): Refusal {
  return status === 403
    ? new Refusal(403, "PermissionDenied", "access denied")
    : new Refusal(404, "NotFound", `${what} not found`);
}

/** For a status that a fault asks for. */
export function failure(status: number): Answer {
  if (status === 400) return invalid([{ type: "format", path: "body", message: "is not what it should be" }]).answer;
  if (status === 429) return { status, body: { type: "RateLimitError", message: "too many requests" } };
  const type = { 401: "Unauthenticated", 403: "PermissionDenied", 404: "NotFound", 409: "Conflict", 412: "VError" }[
    status
  ];
  return { status, body: { type: type ?? "InternalServerError", message: "something went wrong" } };
}

/** Recorded for `start`. */
export const ALREADY: Readonly<Record<"start" | "stop" | "restart", (id: string) => string>> = {
  start: (id) => `cannot start service ${id}, it is already running`,
  stop: (id) => `cannot stop service ${id}, it is already stopped`,
  restart: (id) => `cannot restart service ${id}, it is not running`,
};

/** Recorded. */
export const READY = "Container is ready";
