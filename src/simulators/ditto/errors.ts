// Ditto's own errors: status, code and words. Sources, all of eclipse-ditto/ditto: base/model exceptions (command.timeout, timeout.invalid,
// too.many.requests), things/model exceptions (things:…), messages/model (messages:…), gateway/api (gateway:…). A device's answer has the same
// form but another origin: its codes are passed on as they are, with no description.

import type { DittoError } from "./types.ts";

/** Thrown by the handlers of the gateway; becomes the answer. */
export class Refused extends Error {
  readonly body: DittoError;
  readonly headers: Record<string, string>;

  constructor(body: DittoError, headers: Record<string, string> = {}) {
    super(body.message);
    this.body = body;
    this.headers = headers;
  }
}

const make = (status: number, error: string, message: string, description?: string): DittoError => ({
  status,
  error,
  message,
  ...(description === undefined ? {} : { description }),
});

export const unauthenticated = (): Refused =>
  new Refused(
    make(
      401,
      "gateway:authentication.failed",
      "The JWT could not be verified.",
      "Check if your credentials were correct.",
    ),
    { "www-authenticate": "Bearer" },
  );

/** The same for a thing that is not there and for one that may not be seen. */
export const thingNotFound = (thingId: string): Refused =>
  new Refused(
    make(
      404,
      "things:thing.notfound",
      `The Thing with ID '${thingId}' could not be found or requester had insufficient permissions to access it.`,
      "Check if the ID of your requested Thing was correct and you have sufficient permissions.",
    ),
  );

export const sendNotAllowed = (thingId: string): Refused =>
  new Refused(
    make(
      403,
      "messages:send.notallowed",
      `You are not allowed to send messages for the Thing with id '${thingId}'!`,
      "Please make sure that the Thing exists and that you have WRITE permissions on the message resource in the policy of the Thing.",
    ),
  );

export const timeoutInvalid = (given: string, maxS: number): Refused =>
  new Refused(
    make(
      400,
      "timeout.invalid",
      `The timeout <${given}s> is not inside its allowed bounds <0s - ${maxS}s>`,
      "Please choose a valid timeout.",
    ),
  );

export const commandTimeout = (timeoutS: number): Refused =>
  new Refused(
    make(
      408,
      "command.timeout",
      `The Command reached the specified timeout of ${timeoutS * 1000}ms.`,
      "Try increasing the command timeout.",
    ),
  );

export const payloadTooLarge = (bytes: number, maxBytes: number): Refused =>
  new Refused(
    make(
      413,
      "messages:payload.toolarge",
      `The message payload size of '${bytes / 1024}' kB exceeds the maximal allowed size of '${maxBytes / 1024}' kB.`,
      "Reduce the message payload in the bounds of the specified limit",
    ),
  );

const STATUS_ERRORS: Readonly<Record<number, readonly [code: string, message: string, description?: string]>> = {
  401: ["gateway:authentication.failed", "The JWT could not be verified.", "Check if your credentials were correct."],
  403: [
    "messages:send.notallowed",
    "You are not allowed to send messages for this Thing!",
    "Please make sure that the Thing exists and that you have WRITE permissions on the message resource in the policy of the Thing.",
  ],
  404: [
    "things:thing.notfound",
    "The Thing could not be found or requester had insufficient permissions to access it.",
  ],
  408: [
    "command.timeout",
    "The Command reached the specified timeout of 60000ms.",
    "Try increasing the command timeout.",
  ],
  413: ["messages:payload.toolarge", "The message payload size exceeds the maximal allowed size."],
  424: ["acknowledgement:failed", "One or more acknowledgement requests were not fulfilled."],
  429: ["too.many.requests", "You made too many requests.", "Try again soon."],
  502: ["gateway:bad.gateway", "The gateway is shutting down."],
  503: [
    "things:thing.unavailable",
    "The Thing is not available, please try again later.",
    "The requested Thing is temporarily not available, please retry the performed action in order to improve resiliency.",
  ],
};

/** An error of that status, as Ditto words it; for faults. */
export function errorOf(status: number, retryAfterS?: number): Refused {
  const [code, message, description] = STATUS_ERRORS[status] ?? [
    "internalerror",
    "There was a rare case of an internal error.",
  ];
  const headers: Record<string, string> = retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) };
  return new Refused(make(status, code, message, description), headers);
}
