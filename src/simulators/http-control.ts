// The control endpoint that the simulators of HTTP APIs share: on loopback, without authentication, JSON in, JSON out. `GET /<view>` looks at
// the vendor's books, `POST /<action>` throws a switch. The paths of each vendor are listed in docs/simulators.md.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { z } from "zod";
import { readBody } from "./http-server.ts";

const when = z.enum(["before", "after"]);

/** The effects of HttpEffect as they are given to the endpoint. */
export const HTTP_EFFECTS = [
  z.strictObject({ kind: z.literal("reset"), when }),
  z.strictObject({
    kind: z.literal("answer"),
    when,
    status: z.int().min(200).max(599),
    retryAfterS: z.int().nonnegative().exactOptional(),
    html: z.boolean().exactOptional(),
    echo: z.boolean().exactOptional(),
  }),
  z.strictObject({ kind: z.literal("hang"), when }),
  z.strictObject({ kind: z.literal("delay"), ms: z.number().nonnegative() }),
  z.strictObject({ kind: z.literal("endless") }),
  z.strictObject({ kind: z.literal("trickle"), everyMs: z.number().positive() }),
  z.strictObject({ kind: z.literal("redirect"), to: z.string() }),
] as const;

/** Those of GatewayEffect. */
export const GATEWAY_EFFECTS = [
  z.strictObject({ kind: z.literal("torn") }),
  z.strictObject({ kind: z.literal("twice") }),
  z.strictObject({ kind: z.literal("stale") }),
] as const;

/** How often a rule acts. */
export const RULE_COUNTS = {
  skip: z.int().nonnegative().exactOptional(),
  times: z.union([z.int().positive(), z.literal("all")]).exactOptional(),
};

export type Action<Vendor> = (vendor: Vendor, body: unknown) => unknown;

/** An action whose body is checked first. What it returns is the answer; nothing is 204. */
export function action<Vendor, T extends z.ZodType>(
  schema: T,
  run: (vendor: Vendor, body: z.output<T>) => unknown,
): Action<Vendor> {
  return (vendor, body) => run(vendor, schema.parse(body ?? {}));
}

interface FaultyVendor<Rule> {
  fault(rule: Rule): unknown;
  clearFaults(): void;
  authorize(how: "ok" | 401 | 403): void;
}

/** The actions that every vendor has. @param rule what `POST /fault` takes */
export function commonActions<Vendor extends FaultyVendor<z.output<T>>, T extends z.ZodType>(
  rule: T,
): Record<string, Action<Vendor>> {
  return {
    fault: action(rule, (vendor: Vendor, body) => void vendor.fault(body)),
    "clear-faults": action(z.strictObject({}), (vendor: Vendor) => vendor.clearFaults()),
    authorize: action(
      z.strictObject({ how: z.union([z.literal("ok"), z.literal(401), z.literal(403)]) }),
      (vendor: Vendor, { how }) => vendor.authorize(how),
    ),
  };
}

export interface Control {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * @param port 0 for a free one
 * @throws when the port is taken
 */
export async function serveControl<Vendor>(
  vendor: Vendor,
  port: number,
  actions: Readonly<Record<string, Action<Vendor>>>,
  views: Readonly<Record<string, (vendor: Vendor) => unknown>>,
): Promise<Control> {
  const answer = async (request: IncomingMessage): Promise<{ status: number; body?: unknown }> => {
    const name = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
    if (request.method === "GET") {
      const view = views[name];
      if (view !== undefined) return { status: 200, body: view(vendor) };
    }
    const run = request.method === "POST" ? actions[name] : undefined;
    if (run === undefined)
      return {
        status: 404,
        body: {
          error: `no ${request.method ?? ""} /${name}; actions: ${Object.keys(actions).join(", ")}; views: ${Object.keys(views).join(", ")}`,
        },
      };
    const text = (await readBody(request)).trim();
    const result = await run(vendor, text === "" ? undefined : JSON.parse(text));
    return result === undefined ? { status: 204 } : { status: 200, body: result };
  };
  const server = createServer((request, response) => {
    const reply = (status: number, body: unknown): void => {
      response.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
      response.end(body === undefined ? undefined : `${JSON.stringify(body)}\n`);
    };
    answer(request)
      .then(({ status, body }) => reply(status, body))
      .catch((error: unknown) => {
        const wrongInput = error instanceof z.ZodError || error instanceof SyntaxError;
        const text = error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : "";
        reply(wrongInput ? 400 : 409, { error: text });
      });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${address === null || typeof address === "string" ? 0 : address.port}`,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Runs a started simulator with its control endpoint until the signal aborts, and stops both.
 * @param controlPort undefined for no endpoint
 * @throws when the endpoint's port is taken
 */
export async function runWithControl<Vendor extends { stop(): Promise<void> }>(
  vendor: Vendor,
  controlPort: number | undefined,
  startControl: (vendor: Vendor, port: number) => Promise<Control>,
  onReady: ((ready: { vendor: Vendor; controlUrl: string | undefined }) => void) | undefined,
  signal: AbortSignal,
): Promise<void> {
  let control: Control | undefined;
  try {
    control = controlPort === undefined ? undefined : await startControl(vendor, controlPort);
    onReady?.({ vendor, controlUrl: control?.url });
    if (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
  } finally {
    await control?.close();
    await vendor.stop();
  }
}
