// What really happened on a device, from two sources that its MQTT messages do not pass through: the events of containerd, which `ctr events`
// writes to a file, and the daemon's own files. A container is made when its snapshot is (`<id>-snapshot`), a process of it starts and ends
// with its task; github.com/containerd/containerd, docs/getting-started.md and api/events.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A container as the device's own books have it. */
export interface BookedContainer {
  id: string;
  name: string;
  image: string;
  exists: boolean;
  /** Whether its process lives; also while it is paused. */
  running: boolean;
  paused: boolean;
  /** How often its process was started. */
  starts: number;
  /** Exit codes of its processes, oldest first. */
  exits: number[];
  /** The daemon's file about it (config.json); of a removed one, what was last read of it. */
  file: DaemonFile;
}

/** What tests read of the daemon's file; its names are the daemon's. */
export interface DaemonFile {
  container_name?: string;
  image?: { name?: string };
  config?: { env?: string[]; cmd?: string[] } | null;
  host_config?: {
    restart_policy?: { type?: string; maximum_retry_count?: number } | null;
    resources?: { memory?: string; memory_swap?: string } | null;
  };
  state?: { running?: boolean; paused?: boolean; exited?: boolean; oomKilled?: boolean; error?: string };
}

const SNAPSHOT = /^(.+)-snapshot$/;
/** The daemon writes its file a moment after containerd's event, or before it. */
const AGREEMENT_MS = 3_000;

export class Books {
  readonly #containers: string;
  readonly #events: string;
  readonly #files = new Map<string, DaemonFile>();

  /**
   * @param home the daemon's home_dir
   * @param events the file that `ctr events` writes to
   */
  constructor(home: string, events: string) {
    this.#containers = join(home, "containers");
    this.#events = events;
  }

  /** Every container that was ever made, oldest first, once both sources say the same of what runs (while the daemon itself runs). */
  async everMade(): Promise<BookedContainer[]> {
    for (const deadline = performance.now() + AGREEMENT_MS; ; await delay(10)) {
      const now = this.#read();
      const agreed = now.every(({ exists, running, paused, file: { state } }) =>
        exists
          ? running === (state?.running === true || state?.paused === true) && paused === (state?.paused === true)
          : !running,
      );
      // A daemon that is down cannot agree: then containerd is right.
      if (agreed || performance.now() > deadline) return now;
    }
  }

  /** The containers that exist. */
  async containers(): Promise<BookedContainer[]> {
    return (await this.everMade()).filter(({ exists }) => exists);
  }

  #read(): BookedContainer[] {
    const books = new Map<string, BookedContainer>();
    const present = new Set(this.#list());
    for (const id of present) this.#files.set(id, this.#file(id) ?? this.#files.get(id) ?? {});
    for (const { topic, event } of this.#log()) {
      const [, made = ""] = SNAPSHOT.exec(event.key ?? "") ?? [];
      if (topic === "/snapshot/prepare" && made !== "") {
        const file = this.#files.get(made) ?? {};
        books.set(made, {
          id: made,
          name: file.container_name ?? "",
          image: file.image?.name ?? "",
          exists: present.has(made),
          running: false,
          paused: false,
          starts: 0,
          exits: [],
          file,
        });
      }
      const container = books.get(event.container_id ?? "");
      if (container !== undefined) note(container, topic, event);
    }
    return [...books.values()];
  }

  #list(): string[] {
    try {
      return readdirSync(this.#containers);
    } catch {
      return []; // Before the first container.
    }
  }

  #file(id: string): DaemonFile | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#containers, id, "config.json"), "utf8")) as DaemonFile;
    } catch {
      return undefined; // It is being written or removed.
    }
  }

  #log(): { topic: string; event: TaskEvent }[] {
    // DATE TIME ZONE ZONE NAMESPACE TOPIC {...}; the last line may be half-written.
    return readFileSync(this.#events, "utf8")
      .split("\n")
      .slice(0, -1)
      .flatMap((line) => {
        const [, topic, json] = /^\S+ \S+ \S+ \S+ \S+ (\/\S+) (\{.*)$/.exec(line) ?? [];
        return topic === undefined || json === undefined ? [] : [{ topic, event: JSON.parse(json) as TaskEvent }];
      });
  }
}

interface TaskEvent {
  /** Of snapshots. */
  key?: string;
  /** Of tasks. */
  container_id?: string;
  exit_status?: number;
}

function note(container: BookedContainer, topic: string, event: TaskEvent): void {
  switch (topic) {
    case "/tasks/start":
      container.starts += 1;
      container.running = true;
      break;
    case "/tasks/exit":
      // proto3 leaves out what is zero.
      container.exits.push(event.exit_status ?? 0);
      container.running = false;
      container.paused = false;
      break;
    case "/tasks/paused":
      container.paused = true;
      break;
    case "/tasks/resumed":
      container.paused = false;
      break;
    default:
  }
}
