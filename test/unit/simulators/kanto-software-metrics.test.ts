import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { describe, expect, test } from "vitest";
import { portOf } from "../../mqtt/broker.ts";
import { sleeper, stage } from "./remote.ts";
import { until } from "./replay.ts";

const SOFTWARE = "SoftwareUpdatable";
const LAST = `/features/${SOFTWARE}/properties/status/lastOperation`;

/** Serves one descriptor over HTTP on loopback. */
async function serve(descriptor: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((_request, response) => response.end(descriptor));
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  return { url: `http://127.0.0.1:${portOf(server)}/web.json`, close: () => server.close() };
}

const install = (url: string, checksums: Record<string, string> = {}): unknown => ({
  correlationId: "op1",
  softwareModules: [
    {
      softwareModule: { name: "web", version: "1" },
      artifacts: [{ filename: "web.json", download: { HTTP: { url } }, checksums }],
    },
  ],
});

const descriptor = JSON.stringify({
  container_id: "my-stable-id",
  container_name: "web",
  image: { name: sleeper },
  config: { env: ["A=1"] },
  host_config: { network_mode: "bridge", restart_policy: { type: "no" }, resources: { memory: "64M" } },
  mount_points: [{ source: "/a", destination: "/b", propagation_mode: "rslave" }],
});

describe("SoftwareUpdatable", () => {
  test("installs under the id of the descriptor, step by step, and refuses that id a second time", async () => {
    await using s = await stage();
    const server = await serve(descriptor);
    const sha256 = createHash("sha256").update(descriptor).digest("hex");
    expect((await s.remote.request(SOFTWARE, "install", install(server.url, { SHA256: sha256 }))).status).toBe(204);
    const statuses = (): unknown[] => s.remote.events(LAST).map((value) => (value as { status: string }).status);
    await until(() => statuses().at(-1) === "FINISHED_SUCCESS", "the install");
    expect(statuses()).toEqual(["STARTED", "DOWNLOADING", "DOWNLOADED", "INSTALLING", "INSTALLED", "FINISHED_SUCCESS"]);
    expect(s.device.container("my-stable-id")).toMatchObject({
      name: "web",
      createdBy: "software",
      state: { status: "RUNNING" },
      config: {
        env: ["A=1"],
        restartPolicy: { type: "NO" },
        resources: { memory: "64M", memorySwap: "128M" },
        mountPoints: [{ source: "/a", destination: "/b", propagationMode: "RSLAVE" }],
      },
    });
    await s.remote.request(SOFTWARE, "install", install(server.url));
    await until(() => statuses().at(-1) === "FINISHED_ERROR", "the second install");
    expect(s.remote.events(LAST).at(-1)).toMatchObject({
      correlationId: "op1",
      message: "container with id = my-stable-id already exists",
    });
    expect(s.device.everCreated()).toHaveLength(1);
    server.close();
  });

  test("rejects a wrong checksum, fails without a source, refuses an empty list", async () => {
    await using s = await stage();
    const server = await serve(descriptor);
    const last = (): unknown => s.remote.events(LAST).at(-1);
    await s.remote.request(SOFTWARE, "install", install(server.url, { MD5: "00" }));
    await until(() => (last() as { status?: string } | undefined)?.status === "FINISHED_REJECTED", "the rejection");
    expect(last()).toMatchObject({ message: "md5 checksum does not match" });
    expect(s.remote.events(`/features/${SOFTWARE}/properties/status/lastFailedOperation`)).toHaveLength(1);
    await s.remote.request(SOFTWARE, "install", install(""));
    await until(() => (last() as { message?: string }).message === "internal runtime error", "the failure");
    expect(await s.remote.request(SOFTWARE, "install", { softwareModules: [] })).toMatchObject({
      status: 400,
      value: { message: "there are no SoftwareModules to be installed" },
    });
    expect(await s.remote.request(SOFTWARE, "download")).toMatchObject({
      status: 404,
      value: { message: "unsupported operation called [operationId = download]" },
    });
    server.close();
  });

  test("removes by container id, and keeps its inventory", async () => {
    await using s = await stage();
    const id = await s.remote.create("a", "docker.io/library/hello:1");
    const inventory = `/features/${SOFTWARE}/properties/status/installedDependencies`;
    expect(s.remote.events(inventory)).toEqual([
      { [`docker.io%2Flibrary%2Fhello.${id}:1`]: { group: "docker.io/library/hello", name: id, version: "1" } },
    ]);
    const software = [
      { group: "h", name: id, version: "1" },
      { group: "h", name: "unknown", version: "1" },
    ];
    expect((await s.remote.request(SOFTWARE, "remove", { correlationId: "r1", software })).status).toBe(204);
    await until(() => s.remote.events(LAST).length === 5, "all reports");
    expect(s.remote.events(LAST).map((value) => (value as { status: string }).status)).toEqual([
      "REMOVING",
      "REMOVED",
      "REMOVING",
      "FINISHED_ERROR",
      "FINISHED_SUCCESS",
    ]);
    expect(s.remote.events(inventory).at(-1)).toBeNull();
    expect(s.device.containers()).toEqual([]);
  });
});

describe("Metrics", () => {
  const reports = (
    messages: { payload: { path?: string; value?: unknown } }[],
  ): { snapshot: { originator: string; measurements: { id: string }[] }[]; timestamp: number }[] =>
    messages
      .filter(({ payload }) => payload.path === "/features/Metrics/outbox/messages/data")
      .map(({ payload }) => payload.value as { snapshot: []; timestamp: number });

  test("reports running containers at the frequency asked for, filtered, in seconds, until told to stop", async () => {
    await using s = await stage();
    const running = await s.remote.create("running", sleeper);
    await s.remote.create("created", sleeper);
    expect(
      (await s.remote.request("Metrics", "request", { frequency: "5s", filter: [{ id: ["cpu.*", "pids"] }] })).status,
    ).toBe(204);
    await s.clock.advance(5000);
    expect(reports(s.remote.messages)).toEqual([]);
    await s.remote.request(`Container:${running}`, "start");
    await s.clock.advance(5000);
    await until(() => reports(s.remote.messages).length === 1, "a report");
    expect(reports(s.remote.messages)).toEqual([
      {
        snapshot: [
          {
            originator: `Container:${running}`,
            measurements: [
              { id: "cpu.utilization", value: 1.25 },
              { id: "pids", value: 1 },
            ],
          },
        ],
        timestamp: Math.floor(s.clock.now() / 1000),
      },
    ]);
    await s.remote.request("Metrics", "request", { frequency: 0 });
    await s.clock.advance(60_000);
    await s.remote.request("ContainerFactory", "probe");
    expect(reports(s.remote.messages)).toHaveLength(1);
  });

  test("what a container uses follows from its limit, its age and its state, and one request replaces the former", async () => {
    await using s = await stage();
    const id = await s.remote.create("limited", sleeper, { resources: { memory: "16M" } });
    await s.remote.request(`Container:${id}`, "start");
    await s.remote.request("Metrics", "request", { frequency: "1h" });
    expect((await s.remote.request("Metrics", "request", { FREQUENCY: 0.2, filter: null })).status).toBe(204);
    await s.clock.advance(3_600_000);
    await s.remote.request("ContainerFactory", "probe");
    expect(reports(s.remote.messages)).toEqual([]);
    await s.remote.request("Metrics", "request", { frequency: "10ms" });
    await s.clock.advance(1000);
    await until(() => reports(s.remote.messages).length === 1, "a report");
    await s.remote.request(`Container:${id}`, "pause");
    await s.clock.advance(1000);
    await until(() => reports(s.remote.messages).length === 2, "another report");
    const [first, second] = reports(s.remote.messages).map(
      ({ snapshot }) =>
        new Map(
          (snapshot[0]?.measurements as { id: string; value: number }[] | undefined)?.map((each) => [
            each.id,
            each.value,
          ]),
        ),
    );
    expect(first?.get("memory.total")).toBe(16 * 1024 ** 2);
    expect(first?.get("memory.utilization")).toBe(100);
    expect(first?.get("cpu.utilization")).toBe(1.25);
    expect(second?.get("cpu.utilization")).toBe(0);
    expect((second?.get("net.readBytes") ?? 0) - (first?.get("net.readBytes") ?? 0)).toBe(1024);
  });

  test("a daemon that is configured without the feature does not know it", async () => {
    await using s = await stage({ metrics: false });
    expect(await s.remote.request("Metrics", "request", { frequency: "5s" })).toMatchObject({
      status: 400,
      value: { message: "feature [Metrics] not found " },
    });
  });

  test.each([
    [null, "invalid duration: <nil>"],
    [true, "invalid duration: true"],
    [[1, "s"], "invalid duration: [1 s]"],
    [{ s: 5 }, "invalid duration: map[s:5]"],
    ["soon", 'time: invalid duration "soon"'],
  ])("refuses %j as a frequency", async (frequency, message) => {
    await using s = await stage();
    expect(await s.remote.request("Metrics", "request", { frequency })).toMatchObject({
      status: 400,
      value: { message },
    });
  });

  test("refuses arguments and operations that it does not know", async () => {
    await using s = await stage();
    expect(await s.remote.request("Metrics", "request", ["5s"])).toMatchObject({
      status: 400,
      value: { message: "json: cannot unmarshal array into Go value of type things.Request" },
    });
    expect(await s.remote.request("Metrics", "list")).toMatchObject({
      status: 404,
      value: { message: "unsupported operation list" },
    });
  });
});
