// `npm run demo` as a user runs it: what it shows, how it ends, and what it leaves behind.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findBinaries } from "../controlplane/binaries.ts";
import { STEPS } from "../demo/steps.ts";
import { processesNaming } from "../support/processes-naming.ts";

const SETUP = join(import.meta.dirname, "../../scripts/setup.mjs");
/** Guards a hang. */
const HANG_MS = 400_000;

let env: NodeJS.ProcessEnv;
/** A cache folder of this test's own: everything the demo starts has its path in its command line. */
let cache: string;

beforeAll(async () => {
  const { etcd, kubeApiserver, kubectl, kubeControllerManager } = await findBinaries();
  cache = mkdtempSync(join(tmpdir(), "drayage-demo-test-"));
  env = {
    ...process.env,
    DRAYAGE_CACHE: cache,
    TEST_ASSET_ETCD: etcd,
    TEST_ASSET_KUBE_APISERVER: kubeApiserver,
    TEST_ASSET_KUBECTL: kubectl,
    ...(kubeControllerManager === undefined ? {} : { TEST_ASSET_KUBE_CONTROLLER_MANAGER: kubeControllerManager }),
  };
});

afterAll(() => {
  for (const { pid } of processesNaming(cache)) {
    process.kill(pid, "SIGKILL");
  }
  rmSync(cache, { recursive: true, force: true });
});

interface Demo extends AsyncDisposable {
  /** All that it has written so far, to both streams. */
  output: () => string;
  /** Waits until it has written something. */
  wrote: (text: string) => Promise<void>;
  signal: (name: NodeJS.Signals) => void;
  /** Its exit code. */
  ended: () => Promise<number | null>;
}

function startDemo(...args: string[]): Demo {
  return start(process.execPath, [SETUP, "demo", ...args]);
}

function start(program: string, args: string[], environment = env): Demo {
  const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "close").then(([code]) => code as number | null);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    output: () => output,
    wrote: async (text) => {
      for (const deadline = performance.now() + HANG_MS; !output.includes(text); await delay(50)) {
        if (hasEnded() || performance.now() > deadline) {
          throw new Error(`the demo never wrote "${text}":\n${output}`);
        }
      }
    },
    signal: (name) => void child.kill(name),
    ended: async () => exited,
    [Symbol.asyncDispose]: async () => {
      if (!hasEnded()) {
        child.kill("SIGKILL");
      }
      await exited;
    },
  };
}

/** Process id of the demo itself, from the record of its run. */
function demoPid(): number {
  const [run] = readdirSync(join(cache, "runs"));
  const record = JSON.parse(readFileSync(join(cache, "runs", run ?? "", "run.json"), "utf8")) as {
    owner: { pid: number };
  };
  return record.owner.pid;
}

function expectNothingLeft(): void {
  expect(processesNaming(cache)).toEqual([]);
  expect(readdirSync(join(cache, "runs"))).toEqual([]);
}

describe("npm run demo", () => {
  test("-- --exit sees every step, ends with 0 and leaves nothing", async () => {
    await using demo = startDemo("--exit");

    expect(await demo.ended(), demo.output()).toBe(0);

    const lines = demo.output().split("\n");
    for (const [index, { title, outcome }] of STEPS.entries()) {
      const pattern = `step ${index + 1}/${STEPS.length} seen after`;
      expect(lines.find((line) => line.includes(pattern) && line.endsWith(`: ${title}: ${outcome}`))).toBeDefined();
    }
    expect(lines.at(-2)).toBe(`demo: ${STEPS.length} steps seen, 0 missed`);
    for (const device of ["berlin", "lyon", "porto", "oslo", "rig-1", "mall"]) {
      expect(demo.output()).toMatch(new RegExp(`device ${device} +Connected`));
    }
    const shown = (name: string): string => lines.filter((line) => line.includes(`  container ${name} `)).join("\n");
    expect(shown("dashboard")).toMatch(/oslo .*Pulling \d+% [^]*oslo .*Running +Ready=True Running/);
    expect(shown("trainer")).toMatch(/rig-1 .*Running +Ready=True Running[^]*rig-1 .*Removing[^]* gone/);
    expect(shown("shop-web")).toMatch(/shop-stack .*Running +Ready=True Running[^]* gone/);
    expect(demo.output().indexOf("container shop-db ")).toBeLessThan(demo.output().indexOf("container shop-web "));
    expectNothingLeft();
  });

  test("Ctrl-C in the middle ends everything, with 130", async () => {
    await using demo = startDemo("--exit");
    await demo.wrote("step 2/");
    expect(processesNaming(cache).length).toBeGreaterThan(5);

    demo.signal("SIGINT");

    expect(await demo.ended(), demo.output()).toBe(130);
    expect(demo.output()).toContain("demo: interrupted; everything it had started has ended");
    expectNothingLeft();
  });

  test("what a killed demo leaves running is ended by the next one, and Ctrl-C after the last step ends that with 0", async () => {
    await using killed = startDemo("--exit");
    await killed.wrote("step 1/");
    const left = demoPid();
    process.kill(left, "SIGKILL");
    expect(await killed.ended()).toBe(137);
    const orphans = processesNaming(cache).map(({ pid }) => pid);
    expect(orphans.length).toBeGreaterThan(5);

    await using next = startDemo();
    await next.wrote(`demo: ${STEPS.length} steps seen, 0 missed`);
    await next.wrote("export KUBECONFIG=");
    for (const program of [
      "drayage",
      "device-berlin",
      "vendor-alpon",
      "vendor-hiveon",
      "vendor-mittwald",
      "etcd",
      "kube-apiserver",
    ]) {
      expect(next.output()).toMatch(new RegExp(`ended ${program} \\d+, left behind by a killed run`));
    }
    const running = processesNaming(cache).map(({ pid }) => pid);
    expect(running.filter((pid) => orphans.includes(pid))).toEqual([]);

    next.signal("SIGINT");

    expect(await next.ended(), next.output()).toBe(0);
    expectNothingLeft();
  });

  test.each([
    ["the script that started it is killed", process.execPath, [SETUP, "demo"], "SIGKILL"],
    ["the shell that npm put between is ended", "sh", ["-c", `"${process.execPath}" "${SETUP}" demo; true`], "SIGTERM"],
  ] as const)("ends when %s", async (_, program, args, signal) => {
    await using demo = start(program, [...args]);
    await demo.wrote("step 1/");

    demo.signal(signal);

    // Its run's folder is the last thing to go.
    for (const deadline = performance.now() + HANG_MS; readdirSync(join(cache, "runs")).length > 0; await delay(100)) {
      expect(performance.now(), `left: ${JSON.stringify(processesNaming(cache))}`).toBeLessThan(deadline);
    }
    expectNothingLeft();
  });

  test("where no API server can be had it says what to install, and ends with 1", async () => {
    const { TEST_ASSET_ETCD, TEST_ASSET_KUBE_APISERVER, TEST_ASSET_KUBECTL, ...rest } = env;
    expect([TEST_ASSET_ETCD, TEST_ASSET_KUBE_APISERVER, TEST_ASSET_KUBECTL]).not.toContain(undefined);
    // No network: nobody listens there, and Go may fetch nothing.
    const unreachable = { HTTPS_PROXY: "http://127.0.0.1:9", https_proxy: "http://127.0.0.1:9", NO_PROXY: "" };
    const noGo = { GOPROXY: "off", GOFLAGS: "-mod=mod", GOMODCACHE: join(cache, "gomod") };
    await using demo = start(process.execPath, [SETUP, "demo"], {
      ...rest,
      ...unreachable,
      ...noGo,
      KUBEBUILDER_ASSETS: "",
    });

    expect(await demo.ended(), demo.output()).toBe(1);
    expect(demo.output()).toContain("no Kubernetes API can be run here");
    expect(demo.output()).toContain("etcd, kube-apiserver, kubectl");
    expect(demo.output()).toContain("Go (https://go.dev/dl) in PATH");
    expectNothingLeft();
  });

  test("an unknown option is refused with 2", async () => {
    await using demo = startDemo("--nope");

    expect(await demo.ended()).toBe(2);
    expect(demo.output()).toContain("--nope");
  });
});
