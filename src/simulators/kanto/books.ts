// The books of a device, which tests and the control endpoint read: every container that was ever created, and every command that arrived,
// whatever became of them. They survive the daemon.

import type { Clock } from "../clock.ts";
import { summarize } from "./commands.ts";
import type { CommandObserver } from "./daemon.ts";
import type { CommandRule, RuleList } from "./faults.ts";
import type { IncomingMessage } from "./mqtt-client.ts";
import type { Container } from "./types.ts";

/** A container as it really is, whatever the twin says. */
export interface ContainerTruth {
  id: string;
  name: string;
  imageRef: string;
  /** As the twin spells them. */
  config: Record<string, unknown>;
  state: Record<string, unknown>;
  createdAt: string;
  createdBy: Creator;
  /** False once it was removed. */
  exists: boolean;
  /** How often a process of it was started. */
  processStarts: number;
  /** Host ports it holds now. */
  hostPorts: number[];
  /** A restart by its policy waits for its delay. */
  restartPending: boolean;
}

/** Over MQTT, by the local tool, or by an install of SoftwareUpdatable. */
export type Creator = "remote" | "human" | "software";

/** A message that reached the daemon on its command topic. */
export interface ReceivedCommand {
  /** 1, 2, … in the order of arrival. */
  seq: number;
  /** Time of the device's clock, ms. */
  atMs: number;
  topic: string;
  /** Empty for a one-way command. */
  requestId: string;
  correlationId: string;
  feature: string;
  operation: string;
  value: unknown;
  /** `lost`: the daemon died, or the command was dropped by a fault, before it was done. */
  progress: "waiting" | "executing" | "done" | "lost";
  /** Status of its answer, when it had one. */
  status?: number;
  startedMs?: number;
  finishedMs?: number;
}

/** A device that runs for days keeps the newest commands only. */
const MAX_COMMANDS = 100_000;

export class Books {
  readonly commands: ReceivedCommand[] = [];
  readonly #created = new Map<string, { container: Container; by: Creator }>();
  readonly #byMessage = new WeakMap<IncomingMessage, ReceivedCommand>();
  #seq = 0;
  readonly #clock: Clock;
  readonly #rules: RuleList<CommandRule>;
  readonly #log: (message: string) => void;

  /** @param rules the faults that strike commands */
  constructor(clock: Clock, rules: RuleList<CommandRule>, log: (message: string) => void) {
    this.#clock = clock;
    this.#rules = rules;
    this.#log = log;
  }

  noteCreated(container: Container, by: Creator): void {
    this.#created.set(container.id, { container, by });
  }

  /** Oldest first. */
  created(): { container: Container; by: Creator }[] {
    return [...this.#created.values()];
  }

  /** The daemon is gone: what it had not finished, it never will. */
  loseUnfinished(): void {
    for (const command of this.commands) {
      if (command.progress === "waiting" || command.progress === "executing") {
        command.progress = "lost";
      }
    }
  }

  /** What a daemon process tells of its commands. */
  observer(): CommandObserver {
    return {
      received: (message) => {
        if (!message.topic.startsWith("command//")) {
          return;
        }
        const command: ReceivedCommand = {
          seq: ++this.#seq,
          atMs: this.#clock.now(),
          topic: message.topic,
          ...summarize(message.topic, message.payload),
          progress: "waiting",
        };
        this.commands.push(command);
        if (this.commands.length > MAX_COMMANDS) {
          this.commands.shift();
        }
        this.#byMessage.set(message, command);
      },
      started: (message) => this.#note(message, { progress: "executing", startedMs: this.#clock.now() }),
      finished: (message, status) => {
        this.#note(message, {
          progress: "done",
          finishedMs: this.#clock.now(),
          ...(status === undefined ? {} : { status }),
        });
        const { operation = "", feature = "" } = this.#byMessage.get(message) ?? {};
        this.#log(`${operation === "" ? "message" : operation} ${feature} -> ${status ?? "no answer"}`);
      },
      fault: (message) => {
        const command = this.#byMessage.get(message);
        const rule = this.#rules.take(
          ({ operation, feature }) =>
            (operation === undefined || operation === command?.operation) &&
            (feature === undefined || command?.feature.includes(feature) === true),
        );
        if (rule?.effect.kind === "lose") {
          this.#note(message, { progress: "lost" });
        }
        return rule?.effect;
      },
    };
  }

  #note(message: IncomingMessage, change: Partial<ReceivedCommand>): void {
    const command = this.#byMessage.get(message);
    if (command && command.progress !== "lost") {
      Object.assign(command, change);
    }
  }
}
