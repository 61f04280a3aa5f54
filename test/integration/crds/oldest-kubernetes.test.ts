import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findBinaries, MissingBinaries } from "../../controlplane/binaries.ts";
import { startControlPlane, type ControlPlane } from "../../controlplane/index.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import { KubeAdmin } from "../../kube-admin.ts";
import { admissionSuite } from "./admission-suite.ts";

/** The oldest minor that Drayage supports. */
const OLDEST = "1.32";

/** Its programs are only looked for: making them takes minutes that the other tests do not need. */
const missing = await findBinaries({ version: OLDEST, controllerManager: false, make: false }).then(
  () => undefined,
  (error: unknown) => {
    if (error instanceof MissingBinaries) return error.message;
    throw error;
  },
);

describe.skipIf(missing !== undefined)(`on Kubernetes ${OLDEST}${missing === undefined ? "" : ` (${missing})`}`, () => {
  let controlPlane: ControlPlane;
  let kube: KubeAdmin;
  let namespace: string;
  beforeAll(async () => {
    controlPlane = await startControlPlane({ version: OLDEST, controllerManager: false });
    await applyCrds(controlPlane, resolve(import.meta.dirname, "../../../manifests/crds"));
    kube = new KubeAdmin(controlPlane.kubeconfig);
    namespace = await kube.namespace("admission");
  });
  afterAll(async () => {
    await kube?.[Symbol.asyncDispose]();
    await controlPlane?.stop();
  });

  test("the server is of that version", () => {
    expect(controlPlane.version).toMatch(new RegExp(`^${OLDEST}\\.`));
  });

  admissionSuite(() => ({ kube, namespace }));
});
