// The container manager by itself: no broker answers, the local tool drives, the clock is ours.

import { afterEach, describe, expect, test } from "vitest";
import {
  ManualClock,
  startKantoDevice,
  type KantoDevice,
  type KantoDeviceOptions,
  type WireConfig,
} from "../../../src/simulators/kanto/index.ts";
import { crasher, sleeper, stubborn } from "./remote.ts";

let device: KantoDevice | undefined;
afterEach(async () => device?.stop());

async function offlineDevice(
  options: Partial<KantoDeviceOptions> = {},
): Promise<{ device: KantoDevice; clock: ManualClock }> {
  const clock = new ManualClock();
  device = await startKantoDevice({
    brokerUrl: "mqtt://127.0.0.1:1",
    deviceId: "edge:device",
    clock,
    networkClock: new ManualClock(),
    startMs: 0,
    ...options,
  });
  return { device, clock };
}

const policy = (type: string, more: object = {}): WireConfig => ({ restartPolicy: { type, ...more } });

/** The outcome of an operation that needs time to pass. */
async function settled(clock: ManualClock, work: Promise<unknown>, withinMs: number): Promise<string> {
  let outcome = "pending";
  work.then(
    () => (outcome = "done"),
    (error: unknown) => (outcome = error instanceof Error ? error.message : String(error)),
  );
  await clock.advance(withinMs);
  return outcome;
}

describe("restart policies", () => {
  test("the delay doubles from 100 ms to the limit of the policy", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: policy("ALWAYS", { retryTimeout: 1 }) });
    const startsAt: number[] = [];
    for (let ms = 0; ms < 9000; ms += 50) {
      if (d.container("c").processStarts > startsAt.length) {
        startsAt.push(ms);
      }
      await clock.advance(50);
    }
    const delays = startsAt.slice(1).map((ms, index) => ms - (startsAt[index] ?? 0) - 1000);
    expect(delays).toEqual([100, 200, 400, 800, 1000]);
  });

  test("a run of ten seconds sets the delay back", async () => {
    const { device: d, clock } = await offlineDevice({ images: { "r.test/long": { runMs: 10_000, exitCode: 1 } } });
    await d.human.create({ name: "c", image: "r.test/long:1", config: policy("ALWAYS") });
    await clock.advance(3 * 10_100);
    expect(d.container("c").processStarts).toBe(4);
  });

  test.each<[string, number, WireConfig, number]>([
    ["UNLESS_STOPPED restarts a clean end", 0, policy("UNLESS_STOPPED"), 2],
    ["ALWAYS restarts a clean end", 0, policy("ALWAYS"), 2],
    ["ON_FAILURE leaves a clean end", 0, policy("ON_FAILURE"), 1],
    ["ON_FAILURE restarts a failure", 1, policy("ON_FAILURE"), 2],
    ["NO leaves a failure", 1, policy("NO"), 1],
  ])("%s", async (_what, code, config, starts) => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: sleeper, config });
    d.faults.exit("c", { code });
    await clock.advance(1000);
    expect(d.container("c").processStarts).toBe(starts);
  });

  test("ON_FAILURE gives up after its retries, and an explicit start counts anew", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: policy("ON_FAILURE", { maxRetryCount: 2 }) });
    await clock.advance(60_000);
    expect(d.container("c")).toMatchObject({ processStarts: 3, state: { status: "EXITED", exitCode: 3 } });
    await d.human.start("c");
    await clock.advance(60_000);
    expect(d.container("c").processStarts).toBe(6);
  });

  test.each([
    ["UNLESS_STOPPED", 1],
    ["NO", 1],
    ["ALWAYS", 2],
    ["ON_FAILURE", 2],
  ])("a stop by hand under %s leaves %i starts", async (type, starts) => {
    const { device: d, clock } = await offlineDevice({ images: { [sleeper]: { onSignal: 143 } } });
    await d.human.create({ name: "c", image: sleeper, config: policy(type) });
    await d.human.stop("c");
    await clock.advance(5000);
    expect(d.container("c").processStarts).toBe(starts);
  });

  test("a start that fails is not tried again, and ends a crash loop", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: policy("ALWAYS") });
    d.faults.image(crasher, { missingCommand: "/gone" });
    await clock.advance(600_000);
    expect(d.container("c")).toMatchObject({
      processStarts: 1,
      restartPending: false,
      state: {
        status: "STOPPED",
        error: expect.stringContaining('exec: "/gone": stat /gone: no such file or directory') as string,
      },
    });
  });

  test("a change of policy starts what the new one would run, and cancels a pending restart", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: policy("NO") });
    await clock.advance(2000);
    await d.human.update("c", { restartPolicy: { type: "ON_FAILURE" } });
    await clock.advance(100);
    expect(d.container("c").processStarts).toBe(2);
    await clock.advance(1000);
    expect(d.container("c").restartPending).toBe(true);
    await d.human.update("c", { restartPolicy: { type: "NO" } });
    expect(d.container("c")).toMatchObject({
      restartPending: false,
      state: { status: "STOPPED", error: "container's restart manager is canceled" },
    });
    await clock.advance(600_000);
    expect(d.container("c").processStarts).toBe(2);
  });

  test("a crash loop in its delay cannot be stopped", async () => {
    const { device: d, clock } = await offlineDevice();
    const id = await d.human.create({ name: "c", image: crasher, config: policy("ALWAYS") });
    await clock.advance(1050);
    await expect(d.human.stop("c", { force: true })).rejects.toThrow(
      `cannot perform stop operation for container: ${id}, with state: Exited`,
    );
  });
});

describe("stop and remove", () => {
  test("a first process that ignores SIGTERM outlives a plain stop and falls to a forced one", async () => {
    const { device: d, clock } = await offlineDevice();
    const id = await d.human.create({ name: "c", image: stubborn, config: policy("NO") });
    const plain = d.human.stop("c");
    expect(await settled(clock, plain, 29_900)).toBe("pending");
    expect(await settled(clock, plain, 200)).toBe(`could not stop container with ID = ${id} with SIGTERM`);
    expect(d.container("c").state["status"]).toBe("RUNNING");
    expect(await settled(clock, d.human.stop("c", { timeoutS: 2, force: true }), 2100)).toBe("done");
    expect(d.container("c").state).toMatchObject({ status: "STOPPED", exitCode: 137 });
  });

  test("SIGKILL waits for nothing, a signal may be a number", async () => {
    const { device: d } = await offlineDevice();
    await d.human.create({ name: "c", image: stubborn });
    await d.human.stop("c", { signal: "9" });
    expect(d.container("c").state).toMatchObject({ status: "STOPPED", exitCode: 137 });
  });

  test("a paused container takes the whole grace, since SIGTERM waits for the thaw", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: sleeper });
    await d.human.pause("c");
    const removal = d.human.remove("c");
    expect(await settled(clock, removal, 29_900)).toBe("pending");
    expect(await settled(clock, removal, 200)).toBe("done");
    expect(d.containers()).toEqual([]);
  });

  test("a process that ends after a failed stop has exited by itself and is restarted", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: stubborn, config: policy("UNLESS_STOPPED") });
    expect(await settled(clock, d.human.stop("c", { timeoutS: 1 }), 1100)).toContain("could not stop");
    d.faults.exit("c", { code: 0 });
    await clock.advance(200);
    expect(d.container("c")).toMatchObject({ processStarts: 2, state: { status: "RUNNING" } });
  });

  test("pause freezes the run time", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: policy("NO") });
    await clock.advance(600);
    await d.human.pause("c");
    await clock.advance(10_000);
    expect(d.container("c").state["status"]).toBe("PAUSED");
    await d.human.resume("c");
    await clock.advance(399);
    expect(d.container("c").state["status"]).toBe("RUNNING");
    await clock.advance(1);
    expect(d.container("c").state).toMatchObject({ status: "EXITED", exitCode: 3 });
  });

  test("where the runtime is fast, a removed container whose restart was pending is back after the next start of the daemon", async () => {
    const { device: d, clock } = await offlineDevice({ lateRestartCancelMs: 10, restartDelayMs: 100 });
    await d.human.create({ name: "c", image: crasher, config: policy("ALWAYS") });
    await clock.advance(1050);
    await d.human.remove("c");
    await clock.advance(50);
    d.faults.crash();
    await clock.advance(200);
    expect(d.container("c").processStarts).toBe(2);
  });
});

test("a running or paused container is removed by force only", async () => {
  const { device: d } = await offlineDevice();
  const id = await d.human.create({ name: "c", image: sleeper });
  const refusal = `container with id = ${id} is not stopped - must set the force flag to true to remove it`;
  await expect(d.human.remove("c", false)).rejects.toThrow(refusal);
  await d.human.pause("c");
  await expect(d.human.remove("c", false)).rejects.toThrow(refusal);
  await d.human.resume("c");
  await d.human.stop("c");
  await d.human.remove("c", false);
  expect(d.containers()).toEqual([]);
});

describe("host ports", () => {
  const web = (hostPort: number, hostPortEnd = 0): WireConfig => ({
    portMappings: [{ containerPort: 80, hostPort, hostPortEnd }],
    restartPolicy: { type: "NO" },
  });

  test("a taken port fails the start without a trace, and is free again with the end of its holder", async () => {
    const { device: d } = await offlineDevice();
    await d.human.create({ name: "first", image: sleeper, config: web(8080) });
    const id = await d.human.create({ name: "second", image: sleeper, config: web(8080), start: false });
    await expect(d.human.start("second")).rejects.toThrow(
      /^driver failed programming external connectivity on endpoint .*: Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
    );
    expect(d.container(id).state).toEqual({ status: "CREATED", pid: -1 });
    await d.human.stop("first");
    await d.human.start("second");
    expect(d.container("second").hostPorts).toEqual([8080]);
  });

  test("a range takes the first free port; another process may hold one; tcp and udp do not collide", async () => {
    const { device: d } = await offlineDevice();
    d.faults.holdPort({ port: 9000 });
    await d.human.create({ name: "range", image: sleeper, config: web(9000, 9002) });
    expect(d.container("range").hostPorts).toEqual([9001]);
    await d.human.create({
      name: "udp",
      image: sleeper,
      config: { portMappings: [{ proto: "udp", containerPort: 1, hostPort: 9000 }] },
    });
    await expect(d.human.create({ name: "tcp", image: sleeper, config: web(9000) })).rejects.toThrow(
      "port is already allocated",
    );
    d.faults.releasePort({ port: 9000 });
    await d.human.start("tcp");
  });

  test("an automatic restart that finds its port taken ends the loop with an error that can be seen", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: crasher, config: { ...web(8080), ...policy("ALWAYS") } });
    await clock.advance(1050);
    d.faults.holdPort({ port: 8080 });
    await clock.advance(60_000);
    expect(d.container("c")).toMatchObject({
      processStarts: 1,
      state: { status: "STOPPED", error: expect.stringContaining("port is already allocated") as string },
    });
  });
});

describe("starts that fail", () => {
  test.each<[string, WireConfig, string]>([
    [
      "a command that is not in the image",
      { cmd: ["nope"] },
      'exec: "nope": executable file not found in $PATH: unknown',
    ],
    [
      "a mount source that is not there",
      { mountPoints: [{ source: "/does/not/exist", destination: "/x" }] },
      'error mounting "/does/not/exist" to rootfs at "/x"',
    ],
    [
      "a device that is not there",
      { devices: [{ pathOnHost: "/dev/nope" }] },
      'error gathering device information while adding custom device "/dev/nope": no such file or directory',
    ],
    ["an extra host with an IPv6 address", { extraHosts: ["a:::1"] }, "host [a   1] is incorrectly defined"],
    ["a host name beyond the kernel's limit", { hostName: "h".repeat(65) }, "sethostname: invalid argument: unknown"],
  ])("%s", async (_what, config, message) => {
    const { device: d } = await offlineDevice();
    await expect(d.human.create({ name: "c", image: sleeper, config })).rejects.toThrow(message);
    expect(d.container("c").processStarts).toBe(0);
  });
});

describe("the daemon's own life", () => {
  test("a crash leaves processes alone; their policies no longer act until an explicit start", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "c", image: sleeper, config: policy("ALWAYS") });
    d.faults.crash();
    await clock.advance(1000);
    expect(d.container("c")).toMatchObject({ processStarts: 1, state: { status: "RUNNING" } });
    d.faults.exit("c", { code: 1 });
    await clock.advance(60_000);
    expect(d.container("c")).toMatchObject({ processStarts: 1, state: { status: "EXITED" } });
    await d.human.start("c");
    d.faults.exit("c", { code: 1 });
    await clock.advance(1000);
    expect(d.container("c").processStarts).toBe(3);
  });

  test("what ended while no daemon ran is restarted by its policy, as an end with code 0", async () => {
    const { device: d, clock } = await offlineDevice();
    for (const type of ["ALWAYS", "UNLESS_STOPPED", "ON_FAILURE", "NO"]) {
      await d.human.create({ name: type, image: crasher, config: policy(type) });
    }
    d.faults.crash(false);
    await clock.advance(5000);
    await d.faults.startDaemon();
    const starts = Object.fromEntries(d.containers().map(({ name, processStarts }) => [name, processStarts]));
    expect(starts).toEqual({ ALWAYS: 2, UNLESS_STOPPED: 2, ON_FAILURE: 1, NO: 1 });
    expect(d.container("NO").state).toMatchObject({
      status: "EXITED",
      error: expect.stringContaining("no running task found") as string,
    });
  });

  test("a power cut in mid-pull leaves nothing of the create, and restarts what ran", async () => {
    const { device: d, clock } = await offlineDevice({ images: { "r.test/big": { pullMs: 10_000 } } });
    await d.human.create({ name: "c", image: sleeper });
    const pulling = d.human.create({ name: "big", image: "r.test/big:1" });
    await clock.advance(5000);
    expect(d.everCreated()).toHaveLength(1);
    const outcome = settled(clock, pulling, 0);
    await d.faults.reboot({ downMs: 3000 });
    expect(await outcome).toBe("daemon ended during a pull");
    expect(d.daemonRunning).toBe(false);
    await clock.advance(3000);
    expect(d.everCreated()).toHaveLength(1);
    expect(d.container("c")).toMatchObject({ processStarts: 2, state: { status: "RUNNING" } });
    expect(d.runtime.images).not.toContain("r.test/big:1");
  });

  test("after a stop by hand UNLESS_STOPPED stays down over a restart of the daemon; after a clean end of the daemon it comes back", async () => {
    const { device: d } = await offlineDevice();
    await d.human.create({ name: "by-hand", image: sleeper });
    await d.human.create({ name: "by-daemon", image: sleeper });
    await d.human.stop("by-hand");
    await d.faults.stopDaemon();
    expect(d.container("by-daemon").state["status"]).toBe("STOPPED");
    await d.faults.startDaemon();
    expect(d.container("by-hand").state["status"]).toBe("STOPPED");
    expect(d.container("by-daemon").state["status"]).toBe("RUNNING");
  });

  test("a clean reboot stops everything first, so that a first process that ignores SIGTERM costs its grace", async () => {
    const { device: d, clock } = await offlineDevice();
    await d.human.create({ name: "a", image: sleeper });
    await d.human.create({ name: "b", image: stubborn, config: policy("NO") });
    const reboot = d.faults.reboot({ clean: true, downMs: 5000 });
    expect(await settled(clock, reboot, 29_900)).toBe("pending");
    expect(d.daemonRunning).toBe(true);
    await clock.advance(200);
    expect(d.daemonRunning).toBe(false);
    expect(await settled(clock, reboot, 5000)).toBe("done");
    expect(d.container("a")).toMatchObject({ processStarts: 2, state: { status: "RUNNING" } });
    expect(d.container("b")).toMatchObject({ processStarts: 1, state: { status: "STOPPED", exitCode: 137 } });
  });

  test("a broker URL that is none is refused at once", async () => {
    await expect(offlineDevice({ brokerUrl: "broker" })).rejects.toThrow("Invalid URL");
  });

  test("the same seed gives the same ids and pids", async () => {
    const run = async (): Promise<unknown> => {
      const { device: d } = await offlineDevice({ seed: "s" });
      await d.human.create({ name: "a", image: sleeper });
      const truth = d.containers();
      await d.stop();
      return truth;
    };
    expect(await run()).toEqual(await run());
  });
});
