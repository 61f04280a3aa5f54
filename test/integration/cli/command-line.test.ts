import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { DrayageProcess } from "./drayage-process.ts";

describe("the real process", () => {
  test("drayage run --help: exit 0, help on standard output, nothing on standard error", async () => {
    await using drayage = new DrayageProcess(["run", "--help"]);
    expect(await drayage.exit).toBe(0);
    expect(drayage.stdout).toContain("--lease-duration");
    expect(drayage.stderr).toBe("");
  });

  test.each([
    { args: ["run", "--lease-duration", "15"], env: {}, names: "option --lease-duration" },
    { args: ["run"], env: { DRAYAGE_LOG_LEVEL: "loud" }, names: "variable DRAYAGE_LOG_LEVEL" },
    { args: ["run", "--nonsense"], env: {}, names: "'--nonsense'" },
  ])("bad usage $args $env: exit 2, exactly one line that names it", async ({ args, env, names }) => {
    await using drayage = new DrayageProcess(args, env);
    expect(await drayage.exit).toBe(2);
    expect(drayage.stdout).toBe("");
    expect(drayage.stderr).toMatch(/^drayage: [^\n]+\n$/);
    expect(drayage.stderr).toContain(names);
  });

  test("no credentials anywhere: exit 1, one line that says where they were looked for", async () => {
    await using drayage = new DrayageProcess(["run"]);
    expect(await drayage.exit).toBe(1);
    expect(drayage.stderr).toMatch(/^drayage: no credentials for a cluster: --kubeconfig and KUBECONFIG[^\n]+\n$/);
  });

  test("a kubeconfig that is not there or is nonsense: exit 1, one line that names the file", async () => {
    const dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
    try {
      const broken = join(dir, "broken.yaml");
      await writeFile(broken, "{[");
      for (const file of [join(dir, "missing.yaml"), broken]) {
        await using drayage = new DrayageProcess(["run", "--kubeconfig", file]);
        expect(await drayage.exit).toBe(1);
        expect(drayage.stderr).toMatch(/^drayage: [^\n]+\n$/);
        expect(drayage.stderr).toContain(file);
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test("a port that is taken: exit 1, one line that names the address and what it is for", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const holder = createServer().listen(0, "127.0.0.1", resolve);
    await promise;
    try {
      const { port } = holder.address() as AddressInfo;
      const { kubeconfig } = inject("controlPlane");
      await using drayage = new DrayageProcess([
        "run",
        "--kubeconfig",
        kubeconfig,
        "--health-address=127.0.0.1:0",
        `--metrics-address=127.0.0.1:${port}`,
      ]);
      expect(await drayage.exit).toBe(1);
      expect(drayage.stderr).toBe(
        `drayage: cannot listen on 127.0.0.1:${port} for metrics: the port is taken by another process: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
      );
    } finally {
      holder.close();
    }
  });
});
