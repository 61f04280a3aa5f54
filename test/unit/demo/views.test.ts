import { EventEmitter } from "node:events";
import type { WriteStream } from "node:tty";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Board, type ContainerObject } from "../../demo/board.ts";
import { age } from "../../demo/view.ts";
import { linesView } from "../../demo/view-lines.ts";
import { liveView } from "../../demo/view-live.ts";

const NOW = Date.parse("2026-11-21T10:00:00Z");

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => void vi.useRealTimers());

function container(
  name: string,
  phase: string,
  ready: string,
  image = "docker.io/library/nginx:1.27",
): ContainerObject {
  return {
    metadata: { name, uid: name, generation: 1, creationTimestamp: new Date(NOW - 5000).toISOString() },
    spec: { deviceRef: { name: "berlin" }, image },
    status: {
      phase,
      conditions: [{ type: "Ready", status: ready, reason: "Why", message: "", observedGeneration: 1 }],
    },
  };
}

function boardWith(...containers: ContainerObject[]): Board {
  const board = new Board();
  for (const object of containers) {
    board.containers.set(object.metadata.name, object);
  }
  return board;
}

/** As much of a terminal as the live view uses: text, line ends, cursor up, erase to the end of the screen. */
class Terminal extends EventEmitter {
  columns = 80;
  rows = 20;
  readonly lines: string[] = [""];

  write(text: string): boolean {
    // eslint-disable-next-line no-control-regex
    for (const part of text.split(/(\u001b\[\d*A|\r|\u001b\[J|\n)/)) {
      const up = /\[(\d+)A/.exec(part)?.[1];
      if (up !== undefined) {
        this.#row -= Number(up);
      } else if (part === "\n") {
        this.#row += 1;
        this.lines[this.#row] ??= "";
      } else if (part.endsWith("[J")) {
        this.lines.length = this.#row;
        this.lines.push("");
      } else if (part !== "\r" && part !== "") {
        this.lines[this.#row] += part;
      }
    }
    return true;
  }

  #row = 0;

  get stream(): WriteStream {
    return this as unknown as WriteStream;
  }
}

describe("age", () => {
  test.each([
    [0, "0s"],
    [119_000, "119s"],
    [120_000, "2m"],
    [192_000, "3m12s"],
    [7_500_000, "2h5m"],
  ])("of %i ms is %s, as kubectl writes it", (ms, text) => expect(age(ms)).toBe(text));
});

describe("the view without a terminal", () => {
  test("says each change once, and what is gone", () => {
    let output = "";
    const view = linesView((text) => (output += text));
    const board = boardWith(container("web", "Creating", "False"));
    view.attach(board);
    view.changed();
    view.changed();
    expect(output.match(/container web .*Creating.*Ready=False Why/g)).toHaveLength(1);

    board.containers.set("web", container("web", "Running", "True"));
    view.changed();
    board.containers.clear();
    view.changed();
    view.changed();
    expect(output.match(/container web .*Running.*Ready=True Why/g)).toHaveLength(1);
    expect(output.match(/container web +gone/g)).toHaveLength(1);
  });
});

describe("the view on a terminal", () => {
  test("keeps what has happened, and draws what is over itself", () => {
    const terminal = new Terminal();
    const view = liveView(terminal.stream);
    const board = boardWith(container("web", "Creating", "False"));
    view.progress("starting");
    view.attach(board);
    view.begin(1, 2, "containers run");
    view.command("kubectl apply -f web.yaml");
    board.containers.set("web", container("web", "Running", "True"));
    view.changed();
    vi.advanceTimersByTime(3000);
    view.seen(1, 2, "containers run", "web runs", 1234);

    const text = terminal.lines.join("\n");
    expect(text.match(/starting/g)).toHaveLength(1);
    expect(text).toContain("✓ step 1/2: containers run (1.2 s)");
    expect(text.match(/^berlin/gm)).toHaveLength(1);
    expect(text).toContain("Running");
    expect(text).not.toContain("Creating");
    expect(text).toContain("8s");

    view.close();
    expect(terminal.lines.join("\n")).not.toContain("berlin");
    expect(vi.getTimerCount()).toBe(0);
    expect(terminal.listenerCount("resize")).toBe(0);
  });

  test("never draws a line that wraps, nor more lines than the terminal has", () => {
    const terminal = new Terminal();
    terminal.columns = 40;
    terminal.rows = 8;
    const view = liveView(terminal.stream);
    view.attach(
      boardWith(...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => container(`web-${n}`, "CrashLoopBackOff", "False"))),
    );
    view.begin(1, 2, "a title that is longer than forty characters, as some are");
    for (const line of terminal.lines) {
      expect(line.length).toBeLessThan(40);
    }
    expect(terminal.lines.length).toBeLessThanOrEqual(8);
    view.close();
  });
});
