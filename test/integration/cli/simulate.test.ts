import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startBroker } from "../../mqtt/broker.ts";
import { DrayageProcess } from "./drayage-process.ts";

describe("drayage simulate kanto", () => {
  test("puts its devices on the broker, serves the control endpoint, and leaves in order on SIGTERM", async () => {
    const broker = await startBroker();
    try {
      await using simulator = new DrayageProcess(
        ["simulate", "kanto", "--broker-url", broker.url, "--devices", "2", "--control-port", "0"],
        { DRAYAGE_DEVICE_ID_PREFIX: "plant:press-" },
      );
      await simulator.until(() => simulator.stdout.includes("2 simulated Kanto devices on mqtt://"), "both devices");
      const control = /control endpoint: (http:\S+)/.exec(simulator.stdout)?.[1];
      expect((await fetch(control ?? "")).status).toBeLessThan(500);
      await simulator.until(
        () =>
          ["plant:press-1", "plant:press-2"].every((id) =>
            broker.messages.some(({ topic, payload }) => `${topic} ${payload.toString()}`.includes(id)),
          ),
        "a message of each device",
      );
      simulator.kill("SIGTERM");
      expect(await simulator.exit).toBe(0);
      expect(simulator.stderr).toBe("");
      expect(broker.clientIds()).toEqual([]);
    } finally {
      await broker.close();
    }
  });

  test("logs in with a password from a file, which appears in no output", async () => {
    const password = "s3cret-unique";
    const seen: string[] = [];
    const broker = await startBroker({
      authenticate: (username, given) => {
        seen.push(`${username} ${given}`);
        return given === password;
      },
    });
    const dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
    try {
      const file = join(dir, "password");
      await writeFile(file, `${password}\n`);
      await using simulator = new DrayageProcess(
        ["simulate", "kanto", "--broker-url", broker.url, "--username", "fleet", "--password-file", file],
        {},
      );
      await simulator.until(() => broker.clientIds().length > 0, "a connection");
      expect(seen).toContain(`fleet ${password}`);
      expect(simulator.stdout + simulator.stderr).not.toContain(password);
    } finally {
      await broker.close();
      await rm(dir, { recursive: true });
    }
  });

  test.each([
    { args: ["--devices", "0"], says: "a whole number from 1 to 10000" },
    { args: ["--broker-url", "http://x"], says: "a URL such as mqtt://" },
    { args: ["--device-id-prefix", "no-namespace"], says: "<namespace>:<name>" },
    { args: ["--external-connector", "--devices", "2"], says: "only one device" },
  ])("bad options $args: exit 2, exactly one line", async ({ args, says }) => {
    await using simulator = new DrayageProcess(["simulate", "kanto", ...args]);
    expect(await simulator.exit).toBe(2);
    expect(simulator.stderr).toMatch(/^drayage: [^\n]+\n$/);
    expect(simulator.stderr).toContain(says);
  });

  test("a control port that is taken: exit 1, exactly one line", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const holder = createServer().listen(0, "127.0.0.1", resolve);
    await promise;
    try {
      const { port } = holder.address() as AddressInfo;
      await using simulator = new DrayageProcess(["simulate", "kanto", "--control-port", String(port)]);
      expect(await simulator.exit).toBe(1);
      expect(simulator.stderr).toMatch(/^drayage: [^\n]+\n$/);
      expect(simulator.stderr).toContain(String(port));
    } finally {
      holder.close();
    }
  });
});
