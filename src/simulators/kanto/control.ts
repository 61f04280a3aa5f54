// An HTTP endpoint on loopback through which another process (a demo, a shell) looks at simulated devices and throws their fault switches.
// JSON in, JSON out; no authentication, hence loopback only. The paths are listed in docs/simulators.md.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { z } from "zod";
import type { KantoDevice } from "./device.ts";
import type { SuiteConnector } from "./suite-connector.ts";

const times = z.union([z.int().positive(), z.literal("all")]).optional();
const moment = z.enum(["received", "executed", "answered"]);
const commandRule = z.strictObject({
  operation: z.string().optional(),
  feature: z.string().optional(),
  skip: z.int().nonnegative().optional(),
  times,
  effect: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("lose") }),
    z.strictObject({ kind: z.literal("loseReply") }),
    z.strictObject({ kind: z.literal("delay"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("delayReply"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("duplicateReply") }),
    z.strictObject({ kind: z.literal("disconnect"), when: moment }),
    z.strictObject({ kind: z.literal("crash"), when: moment }),
    z.strictObject({ kind: z.literal("reboot"), when: moment }),
  ]),
});
const eventRule = z.strictObject({
  path: z.string().optional(),
  skip: z.int().nonnegative().optional(),
  times,
  effect: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("drop") }),
    z.strictObject({ kind: z.literal("delay"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("duplicate") }),
    z.strictObject({ kind: z.literal("slow"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("reorder"), count: z.int().positive() }),
  ]),
});
const behaviour = {
  runMs: z.number().nonnegative().optional(),
  exitCode: z.int().optional(),
  oom: z.boolean().optional(),
};
const pullFailure = z.union([
  z.enum(["not-found", "denied", "refused", "dns", "plain-http"]),
  z.strictObject({ error: z.string() }),
]);
const image = z.strictObject({
  ...behaviour,
  onSignal: z.union([z.int(), z.literal("ignore")]).optional(),
  missingCommand: z.string().optional(),
  pullMs: z.number().nonnegative().optional(),
  pullFailure: pullFailure.optional(),
});
const port = z.strictObject({
  port: z.int().min(1).max(65_535),
  proto: z.string().optional(),
  hostIP: z.string().optional(),
});
const container = z.string().min(1);
const wireConfig = z.record(z.string(), z.unknown());

type Action = (device: KantoDevice, body: unknown) => unknown;

/** Declares one action: the body it takes, and what it does. Undefined optional fields are dropped, since the faults know only absent ones. */
function action<T extends z.ZodType>(schema: T, run: (device: KantoDevice, body: z.output<T>) => unknown): Action {
  return (device, body) => run(device, schema.parse(body ?? {}));
}

const none = z.strictObject({});

/** `POST /devices/<id>/<action>` */
const actions: Readonly<Record<string, Action>> = {
  offline: action(z.strictObject({ silent: z.boolean().default(false) }), (device, { silent }) =>
    device.faults.offline(silent),
  ),
  online: action(none, (device) => device.faults.online()),
  disconnect: action(none, (device) => device.faults.disconnect()),
  stall: action(z.strictObject({ ms: z.number().positive() }), (device, { ms }) => device.faults.stall(ms)),
  crash: action(z.strictObject({ restart: z.boolean().default(true) }), (device, { restart }) =>
    device.faults.crash(restart),
  ),
  "stop-daemon": action(none, async (device) => device.faults.stopDaemon()),
  "start-daemon": action(none, async (device) => device.faults.startDaemon()),
  reboot: action(
    z.strictObject({ clean: z.boolean().default(false), downMs: z.number().nonnegative().optional() }),
    async (device, { clean, downMs }) => device.faults.reboot({ clean, ...(downMs === undefined ? {} : { downMs }) }),
  ),
  announce: action(z.strictObject({ policyId: z.string().optional() }), (device, { policyId }) =>
    device.announce(policyId),
  ),
  command: action(commandRule, (device, rule) => device.faults.command(defined(rule))),
  event: action(eventRule, (device, rule) => device.faults.event(defined(rule))),
  "clear-rules": action(none, (device) => device.faults.clearRules()),
  "pull-failure": action(z.strictObject({ image: z.string(), failure: pullFailure.optional() }), (device, body) =>
    device.faults.pullFailure(body.image, body.failure),
  ),
  image: action(z.strictObject({ image: z.string(), behaviour: image.optional() }), (device, body) =>
    device.faults.image(body.image, body.behaviour && defined(body.behaviour)),
  ),
  "forget-image": action(z.strictObject({ image: z.string() }), (device, body) =>
    device.faults.forgetImage(body.image),
  ),
  "crash-loop": action(z.strictObject({ container, behaviour: z.strictObject(behaviour).optional() }), (device, body) =>
    device.faults.crashLoop(body.container, body.behaviour && defined(body.behaviour)),
  ),
  exit: action(
    z.strictObject({ container, code: z.int(), oom: z.boolean().default(false) }),
    (device, { container, code, oom }) => device.faults.exit(container, { code, oom }),
  ),
  "hold-port": action(port, (device, body) => device.faults.holdPort(defined(body))),
  "release-port": action(port.partial(), (device, { port, ...rest }) =>
    device.faults.releasePort(port === undefined ? undefined : defined({ port, ...rest })),
  ),
  "human/create": action(
    z.strictObject({
      image: z.string(),
      name: z.string().default(""),
      start: z.boolean().default(true),
      config: wireConfig.default({}),
    }),
    async (device, body) => ({ id: await device.human.create(body) }),
  ),
  "human/start": action(z.strictObject({ container }), async (device, body) => device.human.start(body.container)),
  "human/stop": action(
    z.strictObject({
      container,
      timeoutS: z.int().default(0),
      force: z.boolean().default(false),
      signal: z.string().default(""),
    }),
    async (device, { container, ...options }) => device.human.stop(container, options),
  ),
  "human/pause": action(z.strictObject({ container }), async (device, body) => device.human.pause(body.container)),
  "human/resume": action(z.strictObject({ container }), async (device, body) => device.human.resume(body.container)),
  "human/rename": action(z.strictObject({ container, name: z.string() }), async (device, body) =>
    device.human.rename(body.container, body.name),
  ),
  "human/update": action(
    z.strictObject({
      container,
      restartPolicy: z
        .strictObject({ type: z.string(), maxRetryCount: z.int().optional(), retryTimeout: z.number().optional() })
        .optional(),
      resources: z
        .strictObject({
          memory: z.string().optional(),
          memoryReservation: z.string().optional(),
          memorySwap: z.string().optional(),
        })
        .optional(),
    }),
    async (device, { container, restartPolicy, resources }) =>
      device.human.update(container, {
        ...(restartPolicy ? { restartPolicy: defined(restartPolicy) } : {}),
        ...(resources ? { resources: defined(resources) } : {}),
      }),
  ),
  "human/remove": action(z.strictObject({ container, force: z.boolean().default(true) }), async (device, body) =>
    device.human.remove(body.container, body.force),
  ),
};

/** `POST /devices/<id>/connector/<action>`, for devices behind a suite-connector. */
const connectorActions: Readonly<Record<string, (connector: SuiteConnector) => void>> = {
  "connector/cut-cloud": (connector) => connector.cutCloud(),
  "connector/restore-cloud": (connector) => connector.restoreCloud(),
  "connector/restart": (connector) => connector.restart(),
};

/** What an object is once its undefined fields are gone. */
type Defined<T> = T extends object ? { [K in keyof T]: Exclude<T[K], undefined> } : T;

function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>;
}

export interface Control {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the devices on 127.0.0.1.
 * @param port 0 for a free one
 * @param connectors of devices that have one, by device id
 * @throws when the port is taken
 */
export async function startControl(
  devices: readonly KantoDevice[],
  port: number,
  connectors: ReadonlyMap<string, SuiteConnector> = new Map(),
): Promise<Control> {
  const server = createServer((request, response) => {
    answer(devices, connectors, request)
      .then(({ status, body }) => send(response, status, body))
      .catch((error: unknown) =>
        send(response, statusOf(error), {
          error: error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error),
        }),
      );
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, "127.0.0.1", resolve);
  await promise;
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
}

class NotFound extends Error {}

async function answer(
  devices: readonly KantoDevice[],
  connectors: ReadonlyMap<string, SuiteConnector>,
  request: IncomingMessage,
): Promise<{ status: number; body?: unknown }> {
  const [root, id, ...rest] = new URL(request.url ?? "/", "http://localhost").pathname
    .split("/")
    .filter(Boolean)
    .map(decodeURIComponent);
  if (root !== "devices") {
    throw new NotFound("there is only /devices");
  }
  if (id === undefined && request.method === "GET") {
    return { status: 200, body: devices.map((device) => summary(device, connectors.get(device.deviceId))) };
  }
  const device = devices.find(({ deviceId }) => deviceId === id);
  if (!device) {
    throw new NotFound(`no device ${id ?? ""}`);
  }
  const name = rest.join("/");
  const connector = connectors.get(device.deviceId);
  if (request.method === "GET" && (name === "" || name === "commands")) {
    return {
      status: 200,
      body: name === "" ? { ...summary(device, connector), containers: device.everCreated() } : device.commands(),
    };
  }
  const post = request.method === "POST";
  const connectorRun = post && connector ? connectorActions[name] : undefined;
  if (connector && connectorRun) {
    connectorRun(connector);
    return { status: 204 };
  }
  const run = post ? actions[name] : undefined;
  if (!run) {
    const known = [...Object.keys(actions), ...(connector ? Object.keys(connectorActions) : [])];
    throw new NotFound(`no ${request.method ?? ""} ${name}; actions: ${known.join(", ")}`);
  }
  const body = await readJson(request);
  const result = await run(device, body);
  return result === undefined ? { status: 204 } : { status: 200, body: result };
}

function summary(device: KantoDevice, connector: SuiteConnector | undefined): Record<string, unknown> {
  const { deviceId, online, daemonRunning, daemonStarts, panics } = device;
  return {
    deviceId,
    online,
    daemonRunning,
    daemonStarts,
    panics,
    containers: device.containers().length,
    commands: device.commands().length,
    ...(connector ? { connector: { cloudUp: connector.cloudUp, ...connector.counts } } : {}),
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > 1_000_000) {
      throw new Error("body too large");
    }
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString("utf8").trim();
  return body === "" ? undefined : (JSON.parse(body) as unknown);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
  response.end(body === undefined ? undefined : `${JSON.stringify(body)}\n`);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const statusOf = (error: unknown): number =>
  error instanceof NotFound ? 404 : error instanceof z.ZodError || error instanceof SyntaxError ? 400 : 409;

function portOf(server: Server): number {
  const address = server.address();
  return address === null || typeof address === "string" ? 0 : address.port;
}
