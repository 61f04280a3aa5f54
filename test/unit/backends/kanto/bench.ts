/** A Kanto session on a bench: no broker, a clock that only the test moves, and the daemon's part spoken by hand. */
import type { Command, CommandOutcome, SessionEvent } from "../../../../src/backends/contract.ts";
import { markerEntry } from "../../../../src/backends/kanto/marker.ts";
import { KantoSession } from "../../../../src/backends/kanto/session.ts";
import { kantoTarget, routeTopic } from "../../../../src/backends/kanto/topics.ts";
import { LOCAL } from "../../../../src/backends/kanto/local-link.ts";
import type { Inbound, LinkTraits, PublishResult } from "../../../../src/backends/kanto/transport.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { MARKER, wanted } from "./wanted.ts";

const THING = "edge:device:edge:containers";

/** Something that the session published. */
export interface Published {
  topic: string;
  /** `announce`, `probe`, or the operation. */
  what: string;
  requestId: string;
  payload: Record<string, unknown>;
  done(result: PublishResult): void;
}

const names: Readonly<Record<string, string>> = { "edge/thing/response": "announce", fetch: "fetch" };

export interface BenchOptions {
  fence?: boolean;
  /** May observe actively although it may not write (a read-only leader). */
  observe?: boolean;
  answerIdentity?: boolean;
  /** What the link is like; default: the device's own topics. */
  traits?: LinkTraits;
}

export class Bench {
  readonly clock = new FakeClock();
  readonly sent: Published[] = [];
  readonly events: SessionEvent[] = [];
  readonly notices: string[] = [];
  readonly malformed: string[] = [];
  /** Counted without a word in the log. */
  readonly counted: string[] = [];
  readonly session: KantoSession;
  fence: boolean;
  writable = true;
  /** Whether the broker acknowledges commands. */
  acknowledges = true;

  constructor(options: BenchOptions = {}) {
    this.fence = options.fence ?? true;
    const target = kantoTarget(THING);
    if (target === undefined) throw new Error("no target");
    const log = (): void => undefined;
    this.session = new KantoSession(
      {
        target,
        targetKey: "bench",
        tenant: "t1",
        answerIdentity: options.answerIdentity ?? true,
        observeIntervalMs: 300_000,
        probeTimeoutMs: 10_000,
        commandTimeoutMs: 60_000,
        createTimeoutMs: 1_800_000,
      },
      {
        clock: this.clock,
        log: { debug: log, info: log, warn: log, error: log },
        metrics: { command: log, malformed: (_backend, kind) => void this.counted.push(kind), reconnect: log },
        fence: { valid: () => this.fence },
        ...(options.observe !== undefined && { observeFence: { valid: () => options.observe === true } }),
        attach: (device) => {
          const traits = options.traits ?? LOCAL.traits;
          const { inventory } = traits;
          return {
            traits,
            where: "the bench",
            send: (request, done) => this.#publish(LOCAL.request(device, request), request.payload, done),
            ...(inventory === "Announce" && {
              announce: (payload: string) => this.#publish("edge/thing/response", payload, () => undefined),
            }),
            ...(inventory === "Fetch" && { fetch: () => this.#publish("fetch", "{}", () => undefined) }),
            close: () => undefined,
          };
        },
        brokerMessage: () => "the broker is away",
        malformed: (kind) => void this.malformed.push(kind),
        notice: ({ reason }) => void this.notices.push(reason),
        closed: () => undefined,
      },
    );
    this.session.subscribe((event) => void this.events.push(event));
  }

  /** What was sent since the last call of this. */
  take(): string[] {
    return this.#taken().map(({ what }) => what);
  }

  last(what: string): Published {
    const found = this.sent.findLast((each) => each.what === what);
    if (found === undefined) throw new Error(`no ${what} was sent`);
    return found;
  }

  count(what: string): number {
    return this.sent.filter((each) => each.what === what).length;
  }

  /** The session is subscribed on an open connection. */
  open(): void {
    this.session.opened();
  }

  /** Speaks on a topic of the device. */
  hear(topic: string, payload: unknown): void {
    const route = routeTopic(this.session.target, topic);
    if (route === undefined) throw new Error(`no topic of the device: ${topic}`);
    this.deliver({ ...route, payload: typeof payload === "string" ? payload : JSON.stringify(payload) });
  }

  /** Lets the link deliver something. */
  deliver(inbound: Inbound): void {
    this.session.receive(inbound);
  }

  answer(request: Published, status: number, value?: unknown): void {
    const box = status === 400 ? "inbox" : "outbox";
    const path = String(request.payload["path"]).replace("inbox", box);
    this.hear(`command//${THING}/res/${request.requestId}/${status}`, { path, status, value });
  }

  answerProbe(): void {
    this.answer(this.last("probe"), 404, {
      error: "messages:subject.notfound",
      status: 404,
      message: "unsupported operation",
    });
  }

  refuse(request: Published, status: number, message: string): void {
    this.answer(request, status, { error: "messages:execution.failed", status, message });
  }

  event(path: string, value: unknown, command = "modify"): void {
    this.hear(`e/t1/${THING}`, { topic: `edge/device:edge:containers/things/twin/commands/${command}`, path, value });
  }

  feature(id: string, state: Record<string, unknown> = { status: "CREATED" }, env: readonly string[] = []): void {
    const status = {
      name: id,
      imageRef: "registry.example/app/web:1",
      config: { env },
      state,
      createdAt: "2026-01-01T00:00:00Z",
    };
    this.event(`/features/Container:${id}`, { properties: { status } });
  }

  /** A container that carries the marker of the bench's create. */
  made(id: string): void {
    this.feature(id, { status: "CREATED" }, [markerEntry(MARKER)]);
  }

  state(id: string, state: Record<string, unknown>): void {
    this.event(`/features/Container:${id}/properties/status/state`, state);
  }

  removed(id: string): void {
    this.event(`/features/Container:${id}`, undefined, "delete");
  }

  /** A report on what containers use. */
  report(...entries: { id: string; figures: Readonly<Record<string, unknown>> }[]): void {
    const snapshot = entries.map(({ id, figures }) => ({
      originator: `Container:${id}`,
      measurements: Object.entries(figures).map(([figure, value]) => ({ id: figure, value })),
    }));
    this.hear(`e/t1/${THING}`, {
      topic: "edge/device:edge:containers/things/live/messages/data",
      headers: { "content-type": "application/json", "response-required": false },
      path: "/features/Metrics/outbox/messages/data",
      value: { snapshot, timestamp: 1_795_246_702 },
    });
  }

  factory(): void {
    this.event("/features/ContainerFactory", {});
  }

  /** A read of the twin shows these containers, and lists them. */
  stored(ids: readonly string[], more: { listed?: readonly string[]; mark?: string; factory?: boolean } = {}): void {
    const { listed = ids, mark, factory = true } = more;
    const container = (id: string): unknown => ({
      properties: {
        status: { name: id, imageRef: "registry.example/app/web:1", config: {}, state: { status: "CREATED" } },
      },
    });
    const status = {
      installedDependencies: Object.fromEntries(
        listed.map((id) => [`g.${id}:1`, { group: "g", name: id, version: "1" }]),
      ),
      ...(mark !== undefined && { lastOperation: { correlationId: mark, status: "FINISHED_ERROR" } }),
    };
    const features = {
      ...Object.fromEntries(ids.map((id) => [`Container:${id}`, container(id)])),
      SoftwareUpdatable: { properties: { status } },
      ...(factory && { ContainerFactory: {} }),
    };
    this.session.receive({ kind: "Stored", payload: JSON.stringify(features), asked: true });
  }

  /** No reply to this request will come any more. */
  noReply(request: Published): void {
    this.session.receive({ kind: "NoReply", requestId: request.requestId });
  }

  /** Re-publishes these containers, and answers the probe that follows. */
  republish(...ids: string[]): void {
    for (const id of ids) this.feature(id);
    this.factory();
    this.answerProbe();
  }

  /** From nothing to in sync, with these containers. */
  start(...ids: string[]): void {
    this.open();
    this.republish(...ids);
    this.take();
  }

  ids(): string[] {
    return this.session.snapshot().containers.map(({ externalId }) => externalId);
  }

  execute(command: Partial<Command> & { kind: Command["kind"] }): { outcome: () => CommandOutcome | undefined } {
    const full = { commandId: "op.1", key: "k", ...command } as Command;
    const dispatch = this.session.execute(full);
    if (!dispatch.sent) throw new Error(`refused: ${dispatch.reason}`);
    if (this.acknowledges) this.sent.at(-1)?.done({ kind: "Acknowledged", noSubscriber: false });
    return {
      outcome: () => {
        const event = this.events.findLast(
          (each) => each.type === "Outcome" && each.outcome.commandId === full.commandId,
        );
        return event?.type === "Outcome" ? event.outcome : undefined;
      },
    };
  }

  create(): { outcome: () => CommandOutcome | undefined } {
    return this.execute({ kind: "Create", desired: wanted(), marker: MARKER });
  }

  #mark = 0;
  #taken(): Published[] {
    const fresh = this.sent.slice(this.#mark);
    this.#mark = this.sent.length;
    return fresh;
  }

  #publish(topic: string, text: string, done: (result: PublishResult) => void): boolean {
    if (!this.writable) return false;
    const payload = JSON.parse(text) as Record<string, unknown>;
    const [, requestId = "", operation = ""] = /\/req\/([^/]+)\/([^/]+)$/.exec(topic) ?? [];
    const what = names[topic] ?? (operation === "drayageProbe" ? "probe" : operation);
    this.sent.push({ topic, what, requestId, payload, done });
    return true;
  }
}
