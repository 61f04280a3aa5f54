/** A stream of server-sent events, from a server that says whatever a test wants, in whatever pieces. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { followStream, type StreamEnd } from "../../../../../src/backends/kanto/ditto/stream.ts";
import { systemClock } from "../../../../../src/kube/clock.ts";
import { until } from "../../../simulators/replay.ts";

let server: Server;
let agent: Agent;
let port: number;
let serve: (response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((_request, response) => serve(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as AddressInfo);
  agent = new Agent();
});
afterEach(async () => {
  await agent.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface Followed {
  data: string[];
  opened: () => boolean;
  end: Promise<StreamEnd>;
  abort(): void;
}

function follow(idleTimeoutMs = 5_000): Followed {
  const data: string[] = [];
  let opened = false;
  const abort = new AbortController();
  const end = followStream(
    agent,
    {
      origin: `http://127.0.0.1:${port}`,
      path: "/api/2/things",
      headers: {},
      connectTimeoutMs: 5_000,
      headersTimeoutMs: 5_000,
      idleTimeoutMs,
      signal: abort.signal,
    },
    { opened: () => (opened = true), data: (text) => void data.push(text) },
    systemClock,
  );
  return { data, opened: () => opened, end, abort: () => abort.abort() };
}

const stream = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { "content-type": "text/event-stream;charset=UTF-8" });

describe("events", () => {
  test("come in any pieces, with any line ends, characters split between them", async () => {
    const bytes = Buffer.from(
      'data:{"a":"é"}\n\ndata: two\ndata: lines\r\n\r\n: a comment\n\nevent: x\ndata:third\n\n',
    );
    serve = (response) => {
      stream(response);
      const next = (index: number): void => {
        if (index >= bytes.length) response.end();
        else response.write(bytes.subarray(index, index + 1), () => setImmediate(next, index + 1));
      };
      next(0);
    };
    const followed = follow();
    expect(await followed.end).toMatchObject({ message: "the stream of changes ended" });
    expect(followed.data).toEqual(['{"a":"é"}', "two\nlines", "third"]);
  });

  test("that are empty are heart-beats: they keep the stream alive and are not told", async () => {
    serve = (response) => {
      stream(response);
      let beats = 0;
      const beat = setInterval(() => {
        beats += 1;
        response.write(beats < 8 ? "data:\n\n" : "data:x\n\n");
        if (beats === 8) clearInterval(beat);
      }, 30);
    };
    const followed = follow(150);
    await until(() => followed.data.length > 0, "the event behind the beats");
    expect(followed.data).toEqual(["x"]);
    expect((await followed.end).message).toContain("nothing came");
  });

  test("without an end are not collected for ever", async () => {
    serve = (response) => {
      stream(response);
      response.write(`data:${"x".repeat(5 * 1024 * 1024)}`);
    };
    const { end, data } = follow();
    expect((await end).message).toMatch(/max|buffer/i);
    expect(data).toEqual([]);
  });

  test("that are cut off are not told", async () => {
    serve = (response) => {
      stream(response);
      response.write("data:whole\n\ndata:half");
      setImmediate(() => response.socket?.resetAndDestroy());
    };
    const { end, data } = follow();
    expect((await end).message).not.toBe("");
    expect(data).toEqual(["whole"]);
  });
});

describe("what is no stream", () => {
  test("a refusal is told with its status", async () => {
    serve = (response) => response.writeHead(401).end("no");
    const { end, opened } = follow();
    expect(await end).toMatchObject({ status: 401, body: "no" });
    expect(opened()).toBe(false);
  });

  test("a page of a proxy is told with its type, and opens nothing", async () => {
    serve = (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html></html>");
    const { end, opened } = follow();
    expect((await end).message).toContain("text/html");
    expect(opened()).toBe(false);
  });

  test("a head that never comes ends it", async () => {
    serve = () => undefined;
    const followed = follow();
    followed.abort();
    expect((await followed.end).message).not.toBe("");
  });
});
