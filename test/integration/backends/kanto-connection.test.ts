/** How the Kanto backend gets to its broker: versions, credentials, TLS, and what is told when it does not. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Account, AccountCredentials, AccountNotice, AccountStatus } from "../../../src/backends/contract.ts";
import { createKantoBackend } from "../../../src/backends/kanto/index.ts";
import type { EdgeBackendSpec } from "../../../src/crds/edge-backend.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startMqttFaultProxy } from "../../faults/mqtt-proxy.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { issueCertificates } from "../../mqtt/certificates.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";
import { until } from "../../conformance/harness.ts";

interface Connected {
  account: Account;
  statuses: AccountStatus[];
  notices: AccountNotice[];
  logged: string[];
}

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

function closing<T extends { close(): Promise<void> }>(thing: T): T {
  open.push(() => thing.close());
  return thing;
}

function connect(
  url: string,
  spec: Partial<EdgeBackendSpec> = {},
  credentials: AccountCredentials = {},
  version: "3.1.1" | "5" = "3.1.1",
): Connected {
  const logged: string[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createKantoBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: { command: () => undefined, malformed: () => undefined, reconnect: () => undefined },
    fence: { valid: () => true },
    random: Math.random,
    timings: { reconnectInitialMs: 20, reconnectMaxMs: 100 },
    processId: "process",
  });
  const account = closing(
    backend.connect({ kanto: { url, tenant: "t1", mqttVersion: version }, ...spec }, credentials),
  );
  const statuses: AccountStatus[] = [];
  const notices: AccountNotice[] = [];
  account.subscribe(
    (status) => void statuses.push(status),
    (notice) => void notices.push(notice),
  );
  return { account, statuses, notices, logged };
}

async function connected({ account }: Connected): Promise<void> {
  await until(() => account.status().state === "Connected", `a connection, not ${JSON.stringify(account.status())}`);
}

async function failed({ account }: Connected, reason: string): Promise<string> {
  await until(() => {
    const status = account.status();
    return status.state === "Failed" && status.reason === reason;
  }, reason);
  const status = account.status();
  return status.state === "Failed" ? status.message : "";
}

describe("on the embedded broker", () => {
  test("an address where nothing listens is told, and tried again with growing pauses", async () => {
    const broker = await startBroker();
    await broker.close();
    const attempt = connect(broker.url);
    expect(await failed(attempt, "ConnectionFailed")).toContain(broker.url.replace("mqtt://", ""));
    await until(() => attempt.statuses.length >= 3, "three attempts");
    const [first] = attempt.statuses;
    expect(first?.state === "Failed" && first.nextTryMs).toBeGreaterThan(Date.now() - 60_000);
  });

  test("a broker that goes away and comes back is found again", async () => {
    const broker = closing(await startBroker());
    const attempt = connect(broker.url);
    await connected(attempt);
    await broker.pause();
    await failed(attempt, "ConnectionFailed");
    await broker.resume();
    await connected(attempt);
  });

  test("a wrong password is told without naming it, and a right one connects", async () => {
    const broker = closing(
      await startBroker({ authenticate: (user, password) => user === "u" && password === "right" }),
    );
    const wrong = connect(broker.url, {}, { username: "u", password: "wr0ng" });
    expect(await failed(wrong, "Unauthorized")).toContain("check user name and password");
    expect(JSON.stringify([wrong.statuses, wrong.logged])).not.toContain("wr0ng");
    await connected(connect(broker.url, {}, { username: "u", password: "right" }));
  });

  test("MQTT 5 falls back to 3.1.1, once, with a notice", async () => {
    const broker = closing(await startBroker());
    const attempt = connect(broker.url, {}, {}, "5");
    await connected(attempt);
    expect(attempt.account.status()).toMatchObject({ note: expect.stringContaining("3.1.1") });
    expect(attempt.notices).toMatchObject([{ reason: "MQTTVersionFallback" }]);
    broker.dropClients();
    await until(
      () => attempt.statuses.filter(({ state }) => state === "Connected").length >= 2,
      "the second connection",
    );
    expect(attempt.notices).toHaveLength(1);
  });

  test.each([
    ["Local", "27"],
    ["Connector", "11"],
  ] as const)(
    "MQTT 5 and transport %s: the broker hears at each connection what is wanted of it",
    async (transport, property) => {
      const greetings: string[] = [];
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.once("data", (bytes) => {
          greetings.push(bytes.toString("hex"));
          socket.destroy();
        });
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      open.push(async () => void server.close());
      const { port } = server.address() as AddressInfo;
      connect(`mqtt://127.0.0.1:${port}`, {
        kanto: { url: `mqtt://127.0.0.1:${port}`, tenant: "t1", transport, mqttVersion: "5" },
      });
      await until(() => greetings.length > 0, "a CONNECT");
      // MQTT 5, 3.1.2.11: maximum packet size (0x27), and on a connector's broker the session expiry (0x11), four bytes each.
      expect(greetings[0]).toMatch(/27008[0-9a-f]{5}/);
      expect(greetings[0]).toMatch(new RegExp(`${property}00[0-9a-f]{6}`));
    },
  );

  test("a connection that has silently died does not keep an account from closing", async () => {
    const broker = closing(await startBroker());
    const proxy = closing(await startMqttFaultProxy({ upstreamPort: broker.port }));
    const attempt = connect(`mqtt://127.0.0.1:${proxy.port}`);
    await connected(attempt);
    proxy.freezeAll();
    await attempt.account.close();
    expect(attempt.statuses.at(-1)?.state).toBe("Connected");
  });

  test("a name that cannot be resolved is told as such", async () => {
    expect(await failed(connect("mqtt://broker.invalid:1883"), "ConnectionFailed")).toContain("cannot be resolved");
  });

  describe("with TLS", () => {
    test("a trusted CA connects; another one, none, and a wrong name are TLSFailed, each with its cause", async () => {
      const ours = await issueCertificates();
      const theirs = await issueCertificates();
      const broker = closing(await startBroker({ tls: ours.server }));
      await connected(connect(broker.url, {}, { ca: ours.ca }));
      expect(await failed(connect(broker.url, {}, { ca: theirs.ca }), "TLSFailed")).toContain("spec.tls.caRef");
      expect(await failed(connect(broker.url), "TLSFailed")).toContain("spec.tls.caRef");
      const named = connect(broker.url, { tls: { serverName: "other.example" } }, { ca: ours.ca });
      expect(await failed(named, "TLSFailed")).toContain("spec.tls.serverName");
    });

    test("a certificate of our own is shown where it is asked for", async () => {
      const certificates = await issueCertificates();
      const broker = closing(await startBroker({ tls: { ...certificates.server, clientCa: certificates.ca } }));
      const { cert, key } = certificates.client;
      await connected(connect(broker.url, {}, { ca: certificates.ca, clientCert: cert, clientKey: key }));
      await failed(connect(broker.url, {}, { ca: certificates.ca }), "TLSFailed");
    });

    test("certificates that are none are TLSFailed, without their text", async () => {
      const broker = closing(await startBroker({ tls: (await issueCertificates()).server }));
      const attempt = connect(broker.url, {}, { ca: "x", clientCert: "no certificate", clientKey: "s3cret key" });
      await failed(attempt, "TLSFailed");
      expect(JSON.stringify([attempt.statuses, attempt.logged])).not.toMatch(/s3cret/);
    });
  });
});

const mosquitto = findMosquitto();

describe.skipIf(mosquitto === undefined)(
  `on mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`,
  () => {
    test("MQTT 5 is spoken, without a notice", async () => {
      const broker = closing(await startMosquitto());
      const attempt = connect(broker.url, {}, {}, "5");
      await connected(attempt);
      expect(attempt.account.status()).toEqual({ state: "Connected" });
      expect(attempt.notices).toEqual([]);
      expect(broker.log()).toMatch(/p5, c1/);
    });

    test.each(["3.1.1", "5"] as const)("%s: a wrong password is Unauthorized", async (version) => {
      const broker = closing(await startMosquitto({ users: { u: "right" } }));
      await failed(connect(broker.url, {}, { username: "u", password: "wrong" }, version), "Unauthorized");
      await connected(connect(broker.url, {}, { username: "u", password: "right" }, version));
    });

    test.each(["3.1.1", "5"] as const)("%s: mutual TLS", async (version) => {
      const broker = closing(await startMosquitto({ mtls: true }));
      const { ca, client } = broker.certificates ?? expect.unreachable("mtls gives certificates");
      await connected(connect(broker.url, {}, { ca, clientCert: client.cert, clientKey: client.key }, version));
      await failed(connect(broker.url, {}, { ca }, version), "TLSFailed");
    });
  },
);
