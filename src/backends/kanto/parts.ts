/** What a device's session is made with. */
import type { AccountNotice, BackendClock, BackendLog, BackendMetrics, WriteFence } from "../contract.ts";
import type { CommandTimings } from "./commands.ts";
import type { KantoSession } from "./session.ts";
import type { KantoTarget } from "./topics.ts";
import type { Link, LinkHandlers } from "./transport.ts";

export interface SessionOptions extends CommandTimings {
  target: KantoTarget;
  targetKey: string;
  tenant: string;
  /** EdgeBackend.spec.kanto.answerIdentity. */
  answerIdentity: boolean;
  observeIntervalMs: number;
  probeTimeoutMs: number;
}

export interface SessionDeps {
  clock: BackendClock;
  log: BackendLog;
  metrics: BackendMetrics;
  fence: WriteFence;
  /** See BackendDeps.observeFence. */
  observeFence?: WriteFence;
  /** The way to the device; calls nothing before it has returned. */
  attach(target: KantoTarget, handlers: LinkHandlers): Link;
  /** Why the broker is out of reach; for people. */
  brokerMessage(): string;
  /** Counts and logs a dropped message. @param kind what it should have been. */
  malformed(kind: string, topic: string): void;
  notice(notice: AccountNotice): void;
  closed(session: KantoSession): void;
}
