import { describe, expect, onTestFinished, test } from "vitest";
import type { AccountNotice, DeviceSession } from "../../../../src/backends/contract.ts";
import { HttpAccount, type HttpVendor } from "../../../../src/backends/http/account.ts";
import type { HttpSession } from "../../../../src/backends/http/sessions.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import { until } from "../../simulators/replay.ts";
import { json, startVendor, type Vendor } from "./vendor.ts";

type Session = HttpSession & DeviceSession & { changes: number; closes: number };

function accountOf(url: string, options: Partial<HttpVendor> = {}, observeIntervalMs = 60_000): HttpAccount<Session> {
  const log = (): void => undefined;
  const account = new HttpAccount<Session>(
    {
      type: "mittwald",
      url,
      authHeaders: { authorization: "Bearer k3y" },
      limits: { requestsPerSecond: 1_000, burst: 1_000, concurrency: 4 },
      settleMs: 100,
      probe: { path: "/probe" },
      forbidden: "Doubted",
      ...options,
    },
    { credentialsSecretRef: { name: "key" }, commandTimeoutSeconds: 7 },
    {},
    {
      clock: systemClock,
      log: { debug: log, info: log, warn: log, error: log },
      metrics: { command: log, malformed: log, reconnect: log },
      fence: { valid: () => true },
      random: () => 0.5,
      timings: { observeIntervalMs, reconnectInitialMs: 10, reconnectMaxMs: 20 },
      processId: "p",
    },
  );
  onTestFinished(() => account.close());
  return account;
}

const probes = (vendor: Vendor): number => vendor.seen.filter(({ url }) => url === "/probe").length;
const get = { method: "GET", path: "/things", write: false } as const;

describe("an account with an HTTP API", () => {
  test("a refused key is one refusal for everybody: nothing more is sent until a probe says that it is good", async () => {
    let status = 200;
    const vendor = await startVendor((_request, response) => json(response, status, {}));
    const account = accountOf(vendor.url);
    await until(() => account.standing().open, "the account is open");
    status = 401;
    expect(await account.send(get)).toMatchObject({ kind: "Answer", status: 401 });
    const before = vendor.seen.length - probes(vendor);
    const results = await Promise.all([account.send(get), account.send(get)]);
    expect(results.map(({ kind }) => kind)).toEqual(["NotSent", "NotSent"]);
    expect(vendor.seen.length - probes(vendor)).toBe(before);
    expect(account.standing()).toMatchObject({ open: false, failure: { class: "Unauthorized" } });
    status = 200;
    await until(() => account.standing().open, "the account is open");
  });

  const forbidden: [HttpVendor["forbidden"], boolean][] = [
    ["Doubted", true],
    ["Refused", false],
  ];
  test.each(forbidden)(
    "a 403 to one request, where that means %s, leaves the account open: %s",
    async (means, open) => {
      const vendor = await startVendor(({ url }, response) => json(response, url === "/probe" ? 200 : 403, {}));
      const account = accountOf(vendor.url, { forbidden: means });
      await until(() => account.standing().open, "the account is open");
      const states: string[] = [];
      account.subscribe(({ state }) => void states.push(state));
      await account.send(get);
      await until(() => probes(vendor) >= 2, "the probe");
      expect(states.includes("Failed")).toBe(!open);
      await until(() => account.standing().open, "the account is open");
    },
  );

  test("its probe tells a web server and a gateway without its server from an API", async () => {
    let answer: [number, string] = [404, "text/html"];
    const vendor = await startVendor((_request, response) => {
      response.writeHead(answer[0], { "content-type": answer[1] });
      response.end("<h1>no</h1>");
    });
    const account = accountOf(vendor.url);
    const message = (): string => {
      const status = account.status();
      return status.state === "Failed" ? status.message : status.state;
    };
    await until(() => message().includes("is spec.mittwald.url right?"), "a page");
    answer = [502, "text/html"];
    await until(() => message().includes("answers 502"), "a gateway");
    answer = [404, "application/json"];
    await until(() => account.standing().open, "the account is open");
  });

  test("a long answer that breaks off says nothing about the account; any other does, and the probe decides", async () => {
    const vendor = await startVendor(({ url }, response) => {
      if (url === "/probe") return json(response, 200, {});
      response.writeHead(200, { "content-type": "application/json" });
      response.write("{");
      response.socket?.end();
      return undefined;
    });
    const account = accountOf(vendor.url);
    await until(() => account.standing().open, "the account is open");
    expect(await account.send({ ...get, isLong: true })).toMatchObject({ kind: "Broken", status: 200 });
    expect(probes(vendor)).toBe(1);
    await account.send(get);
    await until(() => probes(vendor) === 2, "the probe");
    expect(account.standing().open).toBe(true);
  });

  test("where nothing else is asked the probe is, once in two intervals", async () => {
    const vendor = await startVendor((_request, response) => json(response, 200, {}));
    const account = accountOf(vendor.url, {}, 10);
    await until(() => probes(vendor) >= 3, "three probes");
    expect(account.standing().open).toBe(true);
  });

  test("one session per target, told of every change, and closed with the account", async () => {
    const vendor = await startVendor((_request, response) => json(response, 200, {}));
    const account = accountOf(vendor.url);
    const leave = new Map<Session, () => void>();
    const open = (fits?: (session: Session) => boolean): Session =>
      account.openSession(
        "a",
        (closed) => {
          const made = {
            changes: 0,
            closes: 0,
            accountChanged: () => void (made.changes += 1),
            close: async () => void (made.closes += 1),
          } as unknown as Session;
          leave.set(made, () => closed(made));
          return made;
        },
        fits,
      );
    const first = open();
    expect(open()).toBe(first);
    const second = open(() => false);
    expect(second).not.toBe(first);
    await until(() => first.changes === 1 && second.changes === 1, "both are told");
    leave.get(first)?.();
    // It had been replaced: its end does not take the place of the other.
    expect(open()).toBe(second);
    await account.close();
    expect([first.closes, second.closes]).toEqual([0, 1]);
    expect(account.times).toMatchObject({ pollMs: 60_000, settleMs: 100, commandTimeoutMs: 7_000 });
  });

  test("what operators are to be told waits for the first who listens", async () => {
    const vendor = await startVendor((_request, response) => json(response, 200, {}));
    const account = accountOf(vendor.url);
    account.notice({ reason: "Early", message: "m", type: "Warning" });
    const heard: string[] = [];
    const listen = ({ reason }: AccountNotice): void => void heard.push(reason);
    account.subscribe(() => undefined, listen);
    account.notice({ reason: "Late", message: "m", type: "Warning" });
    expect(heard).toEqual(["Early", "Late"]);
  });

  test("a server that is not this machine and is spoken to without TLS is warned of", async () => {
    const heard: string[] = [];
    // No name of this machine, and still it leads nowhere else.
    for (const url of ["http://0.0.0.0:9/v2", "https://0.0.0.0:9/v2", "http://127.0.0.1:9/"])
      accountOf(url).subscribe(
        () => undefined,
        ({ reason, message }) => void heard.push(`${reason} ${message.split(" ")[0] ?? ""}`),
      );
    expect(heard).toEqual(["PlainHttp http://0.0.0.0:9"]);
  });
});
