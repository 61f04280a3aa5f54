import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane } from "../../controlplane/index.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import { DrayageProcess, runArgs } from "./drayage-process.ts";

// A control plane of its own: these tests stop and pause its API server.
let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  await applyCrds(controlPlane, fileURLToPath(new URL("../../../manifests/crds", import.meta.url)));
});
afterEach(async () => {
  await controlPlane.startApiServer();
});
afterAll(async () => {
  await controlPlane?.stop();
});

describe("an API server that is away", { timeout: 180_000 }, () => {
  test("at the start is waited for, with the cause in /readyz, and the daemon goes on by itself", async () => {
    await controlPlane.stopApiServer();
    await using drayage = new DrayageProcess(runArgs(controlPlane.kubeconfig));
    await drayage.log("cannot do yet: the API server");
    await drayage.readiness(503, /\[-\]manager failed: waiting for the API server: .*ECONNREFUSED/);
    expect(drayage.hasEnded).toBe(false);
    await controlPlane.startApiServer();
    await drayage.log("leading");
    await drayage.readiness(200);
    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
  });

  test("a stop while it is away ends with 0 at once", async () => {
    await controlPlane.stopApiServer();
    await using drayage = new DrayageProcess(runArgs(controlPlane.kubeconfig));
    await drayage.log("cannot do yet: the API server");
    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
    await controlPlane.startApiServer();
  });

  test("later, for less than the renew deadline, is survived with the lease kept", async () => {
    await using drayage = new DrayageProcess(
      runArgs(
        controlPlane.kubeconfig,
        "--lease-name=survives",
        "--lease-duration=2m",
        "--renew-deadline=1m",
        "--retry-period=200ms",
      ),
    );
    await drayage.log("leading");
    await controlPlane.kill9ApiServer();
    await drayage.readiness(503, /\[-\]lease failed: /);
    await drayage.readiness(503, /\[-\]cache-edgecontainers\S+ failed: cut off from the API server: /);
    await controlPlane.startApiServer();
    await drayage.readiness(200);
    expect(await drayage.metric('leader_election_master_status{name="survives"}')).toBe(1);
    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
  });

  test("for longer than the renew deadline costs the lease: exit 1 and one line", async () => {
    await using drayage = new DrayageProcess(
      runArgs(
        controlPlane.kubeconfig,
        "--lease-name=lost",
        "--lease-duration=3s",
        "--renew-deadline=2s",
        "--retry-period=200ms",
      ),
    );
    await drayage.log("leading");
    controlPlane.pauseApiServer();
    try {
      expect(await drayage.exit).toBe(1);
    } finally {
      controlPlane.resumeApiServer();
    }
    expect(drayage.stderr).toMatch(/^drayage: the lease was lost: [^\n]+\n$/);
  });

  test("a second signal does not wait for a release that hangs", async () => {
    await using drayage = new DrayageProcess(runArgs(controlPlane.kubeconfig, "--lease-name=hangs"));
    await drayage.log("leading");
    controlPlane.pauseApiServer();
    try {
      drayage.kill("SIGTERM");
      await drayage.log("stopping");
      expect(drayage.hasEnded).toBe(false);
      drayage.kill("SIGTERM");
      expect(await drayage.exit).toBe(130);
    } finally {
      controlPlane.resumeApiServer();
    }
  });
});
