/** `drayage kanto call` and `drayage kanto list` against a simulated device on a real broker. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OPERATION_NAMES } from "../../../src/backends/kanto/client/operations.ts";
import { markerEntry } from "../../../src/backends/kanto/marker.ts";
import { runCli } from "../../../src/cli/program.ts";
import { startKantoDevice, type KantoDevice, type KantoDeviceOptions } from "../../../src/simulators/kanto/index.ts";
import { MARKER, until } from "../../conformance/harness.ts";
import { startBroker, type BrokerOptions, type TestBroker } from "../../mqtt/broker.ts";
import { issueCertificates } from "../../mqtt/certificates.ts";
import { DrayageProcess } from "../cli/drayage-process.ts";

const IMAGE = "registry.example/test/sleeper:1";
const THING = ["--thing", "edge:device"];

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

let broker: TestBroker;
let device: KantoDevice;
const open: (() => Promise<unknown>)[] = [];

async function world(
  brokerOptions: BrokerOptions = {},
  deviceOptions: Partial<KantoDeviceOptions> = {},
): Promise<void> {
  broker = await startBroker(brokerOptions);
  device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:device",
    answerIdentity: true,
    startMs: 5,
    defaultStopTimeoutS: 1,
    ...deviceOptions,
  });
  open.push(
    () => device.stop(),
    () => broker.close(),
  );
  await until(() => device.commandsHeard, "the device");
}

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** The command in this process; `signal` stands for Ctrl-C. */
async function drayage(args: readonly string[], signal = new AbortController().signal): Promise<Ended> {
  const ended = { stdout: "", stderr: "" };
  const code = await runCli({
    args: ["kanto", ...args, "--broker-url", broker.url],
    env: {},
    signal,
    stdout: (text) => (ended.stdout += text),
    stderr: (text) => (ended.stderr += text),
  });
  return { code, ...ended };
}

const call = (operation: string, ...args: string[]): Promise<Ended> => drayage(["call", operation, ...THING, ...args]);
const json = ({ stdout }: Ended): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;
const mine = (id: string): string[] => ["--container", id, "--force-owned"];
/** Operations that reached the daemon, probes left out. */
const received = (): string[] =>
  device
    .commands()
    .map(({ operation }) => operation)
    .filter((operation) => operation !== "drayageProbe");

describe("on a device that answers", () => {
  beforeEach(() => world());

  test("each operation of the vendor's pages is carried out, once, and its answer printed", async () => {
    const plain = await call("create", "--image", IMAGE);
    expect(plain).toMatchObject({ code: 0, stderr: "" });
    const [first] = device.containers();
    expect(plain.stdout).toBe(`create done (200): container ${first?.id}\n`);
    const made = await call("createWithConfig", "--image", IMAGE, "--name", "web", "-o", "json");
    expect(json(made)).toMatchObject({ operation: "createWithConfig", result: "Done", status: 200 });
    const id = String(json(made)["value"]);
    expect(await call("start", "--container", id)).toEqual({ code: 0, stdout: "start done (204)\n", stderr: "" });
    expect((await call("pause", ...mine(id))).code).toBe(0);
    expect(device.container(id).state["status"]).toBe("PAUSED");
    expect((await call("resume", "--container", id)).code).toBe(0);
    expect((await call("rename", ...mine(id), "--name", "web-2")).code).toBe(0);
    expect((await call("update", ...mine(id), "--value", '{"resources":{"memory":"64M"}}')).code).toBe(0);
    expect(device.container("web-2")).toMatchObject({ id, config: { resources: { memory: "64M" } } });
    expect((await call("stop", ...mine(id))).code).toBe(0);
    expect(device.container(id).state["status"]).toBe("STOPPED");
    await call("start", "--container", id);
    expect(
      (await call("stopWithOptions", ...mine(id), "--stop-signal", "SIGINT", "--grace", "5s", "--force")).code,
    ).toBe(0);
    expect((await call("remove", ...mine(id))).code).toBe(0);
    expect((await call("remove", ...mine(first?.id ?? ""))).code).toBe(0);
    expect(device.containers()).toEqual([]);
    expect(new Set(received())).toEqual(new Set(OPERATION_NAMES));
    expect(device.everCreated()).toHaveLength(2);
    expect(device.panics).toEqual([]);
  });

  test("a plain stop fails on a process that ignores SIGTERM, and the meaning says what to use instead", async () => {
    const id = await device.human.create({ image: "registry.example/test/stubborn:1", name: "stubborn" });
    const refused = await call("stop", ...mine(id));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /^drayage: the device refuses stop \(500\): could not stop container with ID = \S+ with SIGTERM; that means: .*use stopWithOptions with force\n$/,
    );
    expect(device.container(id).state["status"]).toBe("RUNNING");
    expect((await call("stopWithOptions", ...mine(id), "--grace", "1s", "--force")).code).toBe(0);
    expect(device.container(id).state["status"]).toBe("STOPPED");
  });

  test("a refusal as JSON has the vendor's words and ours, exit 1", async () => {
    const refused = await call("create", "--image", "registry.example/test/private:1", "-o", "json");
    expect(refused.code).toBe(1);
    expect(json(refused)).toMatchObject({
      result: "Refused",
      status: 500,
      message: expect.stringContaining("pull access denied"),
      meaning: expect.stringContaining("ImageUnauthorized"),
    });
    expect(refused.stderr).toMatch(/^drayage: [^\n]+\n$/);
  });

  test("what is malformed never reaches the daemon, exit 2", async () => {
    const config = '{"mountPoints":[null]}';
    const bad = await call("createWithConfig", "--value", `{"imageRef":"${IMAGE}","config":${config}}`);
    expect(bad).toMatchObject({ code: 2, stdout: "" });
    expect(bad.stderr).toContain("value.config.mountPoints.0");
    expect(device.commands()).toEqual([]);
    expect(broker.clientIds()).toHaveLength(1);
  });

  test("a lost answer is exit 3: it may have happened, and a create is not to be repeated blindly", async () => {
    device.faults.command({ operation: "create", effect: { kind: "loseReply" } });
    const lost = await call("create", "--image", IMAGE, "--timeout", "300ms", "-o", "json");
    expect(lost.code).toBe(3);
    expect(json(lost)).toMatchObject({ result: "Unanswered", message: "no answer within 0.3 s" });
    expect(lost.stderr).toMatch(/is unknown: look with drayage kanto list before you repeat it, since a second create/);
    await until(() => device.everCreated().length === 1, "the container, perhaps after the waiting");
  });

  test("an answer that comes over a connection opened meanwhile counts; the operation is not sent again", async () => {
    device.faults.command({ operation: "createWithConfig", effect: { kind: "delay", ms: 1_500 } });
    const calling = call("createWithConfig", "--image", IMAGE);
    await until(() => received().length > 0, "the create");
    expect(broker.dropClients((id) => id.startsWith("dr-hand"))).toBe(1);
    expect((await calling).code).toBe(0);
    expect(received()).toEqual(["createWithConfig"]);
  });

  test("Ctrl-C while it waits is exit 3", async () => {
    device.faults.command({ operation: "create", effect: { kind: "delay", ms: 5_000 } });
    const stop = new AbortController();
    const calling = drayage(["call", "create", ...THING, "--image", IMAGE], stop.signal);
    await until(() => received().length > 0, "the create");
    stop.abort();
    expect(await calling).toMatchObject({ code: 3, stderr: expect.stringContaining("stopped before an answer came") });
  });

  test("a container of an EdgeContainer is left alone unless --force-owned says so", async () => {
    const env = [markerEntry(MARKER)];
    const id = await device.human.create({ image: IMAGE, name: "web", config: { env } });
    const tenant = ["--tenant", "t1", "--container", id];
    for (const operation of ["stop", "stopWithOptions", "pause", "remove"]) {
      const refused = await call(operation, ...tenant);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("belongs to EdgeContainer default/web of installation owner-1");
    }
    expect((await call("rename", ...tenant, "--name", "x")).code).toBe(2);
    expect((await call("update", ...tenant, "--value", '{"resources":{}}')).code).toBe(2);
    expect(received()).toEqual([]);
    expect((await call("pause", ...tenant, "--force-owned")).code).toBe(0);
    expect(received()).toEqual(["pause"]);
  });

  test("one that is nobody's is not, and one that is not there is told", async () => {
    const id = await device.human.create({ image: IMAGE, name: "theirs" });
    expect((await call("stop", "--tenant", "t1", "--container", id)).code).toBe(0);
    const absent = await call("stop", "--tenant", "t1", "--container", "nowhere");
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining("the device has no container nowhere") });
    expect(await call("stop", "--container", id)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--tenant"),
    });
    expect(received()).toEqual(["stop"]);
  });

  test("list shows what the device runs and whose it is, and changes nothing", async () => {
    const env = [markerEntry(MARKER), "TOKEN=s3cr3t"];
    const id = await device.human.create({ image: IMAGE, name: "web", config: { env } });
    const theirs = await device.human.create({ image: IMAGE, name: "theirs", start: false });
    const before = device.everCreated();
    const listed = await drayage(["list", ...THING, "--tenant", "t1"]);
    expect(listed).toMatchObject({ code: 0, stderr: "" });
    const rows = listed.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(rows[0]).toEqual(["ID", "NAME", "STATE", "IMAGE", "BELONGS TO"]);
    expect(rows).toHaveLength(3);
    expect(rows).toContainEqual([id, "web", "Running", IMAGE, "EdgeContainer default/web of installation owner-1"]);
    expect(rows).toContainEqual([theirs, "theirs", "Created", IMAGE, "-"]);
    const asJson = await drayage(["list", ...THING, "--tenant", "t1", "-o", "json"]);
    expect(JSON.parse(asJson.stdout)).toEqual(
      expect.arrayContaining([{ id, name: "web", state: "Running", image: IMAGE, marker: MARKER }]),
    );
    expect(listed.stdout + asJson.stdout).not.toContain("s3cr3t");
    expect(device.everCreated()).toEqual(before);
    expect(received()).toEqual([]);
  });
});

describe("where nothing can be sent, exit 1", () => {
  test("a device that is off: nothing was sent, so nothing is unknown", async () => {
    await world();
    device.faults.offline();
    const stop = new AbortController();
    const calling = drayage(["call", "create", ...THING, "--image", IMAGE], stop.signal);
    await until(() => broker.messages.some(({ topic }) => topic.includes("drayageProbe")), "the probe");
    stop.abort();
    const ended = await calling;
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("create was not sent") });
    expect(ended.stderr).toContain("the device does not show that it takes commands");
  });

  test("a broker that is away", async () => {
    await world();
    await broker.pause();
    const ended = await call("create", "--image", IMAGE);
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining("create was not sent: cannot connect to") });
    expect(await drayage(["list", ...THING, "--tenant", "t1"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("cannot connect to"),
    });
  });

  test("a device that lists nothing in time", async () => {
    await world();
    device.faults.offline();
    expect(await drayage(["list", ...THING, "--tenant", "t1", "--timeout", "300ms"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nothing was heard of edge:device:edge:containers within 0.3 s.*--thing/),
    });
  });
});

describe("credentials and TLS", () => {
  let dir = "";
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(dir, name), content);
    return join(dir, name);
  };
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
  });
  afterEach(() => rm(dir, { recursive: true }));

  test("a password from a file opens the broker, a wrong one is told without showing it", async () => {
    await world(
      { authenticate: (user, password) => user === "u" && password === "s3cr3t" },
      { credentials: { username: "u", password: "s3cr3t" } },
    );
    const login = async (name: string, password: string): Promise<string[]> => [
      "--username",
      "u",
      "--password-file",
      await file(name, `${password}\n`),
    ];
    expect((await call("create", "--image", IMAGE, ...(await login("right", "s3cr3t")))).code).toBe(0);
    const wrong = await call("create", "--image", IMAGE, ...(await login("wrong", "0ther")));
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("check user name and password") });
    expect(wrong.stderr).not.toContain("0ther");
  });

  test("an authority from a file is trusted, and without one the message names the option", async () => {
    const certificates = await issueCertificates();
    await world({ tls: certificates.server }, { tls: { ca: certificates.ca } });
    const ca = await file("ca.pem", certificates.ca);
    expect((await call("create", "--image", IMAGE, "--ca-file", ca)).code).toBe(0);
    const without = await call("create", "--image", IMAGE);
    expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining("set --ca-file") });
    expect(without.stderr).not.toContain("spec.");
  });
});

test("the program itself: options from variables, the answer on standard output, the exit code of the operation", async () => {
  await world();
  const env = { DRAYAGE_BROKER_URL: broker.url, DRAYAGE_THING: "edge:device", DRAYAGE_OUTPUT: "json" };
  await using done = new DrayageProcess(["kanto", "call", "create", "--image", IMAGE], env);
  expect(await done.exit).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({ result: "Done", value: device.containers()[0]?.id });
  await using refused = new DrayageProcess(["kanto", "call", "pause", "--container", "x", "--force-owned"], env);
  expect(await refused.exit).toBe(1);
  expect(refused.stderr).toMatch(
    /^drayage: the device refuses pause \(400\): feature \[Container:x\] not found[^\n]+\n$/,
  );
});
