// Vitest's global set-up of the projects that need a Kubernetes API: one control plane per run, with the custom resource definitions of
// manifests/crds, told to the test files through `inject("controlPlane")`. Where no control plane can be had it throws, and with it every test
// of the project fails, with what to install; scripts/setup.mjs looks beforehand and lists the tests instead.
//
//     import { inject } from "vitest";
//     const { kubeconfig } = inject("controlPlane");
//     const api = await attach(inject("controlPlane")); // kubectl, requests, further users: access.ts
//
// DRAYAGE_TEST_KUBERNETES chooses another Kubernetes minor of versions.json. A file takes a namespace of its own in it. One that restarts or pauses the API server starts a control plane of its own instead.

import { join } from "node:path";
import type { TestProject } from "vitest/node";
import type { AccessFacts } from "./access.ts";
import { startControlPlane } from "./index.ts";
import { applyCrds } from "./manifests.ts";

/** What the tests get to know of the control plane of the run. */
export interface ProvidedControlPlane extends AccessFacts {
  /** False where no kube-controller-manager could be had: no garbage collection, namespaces never go. */
  hasControllerManager: boolean;
}

declare module "vitest" {
  interface ProvidedContext {
    controlPlane: ProvidedControlPlane;
  }
}

/** Starts the control plane; vitest calls the returned function at the end of the run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const version = process.env["DRAYAGE_TEST_KUBERNETES"];
  const controlPlane = await startControlPlane({
    ...(version ? { version } : {}),
    log: (line) => process.stderr.write(`control plane: ${line}\n`),
  });
  try {
    await applyCrds(controlPlane, join(import.meta.dirname, "../../manifests/crds"));
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  const { kubeconfig, server, ca, dir, kubectlPath, hasControllerManager } = controlPlane;
  const facts = { kubeconfig, server, ca, dir, version: controlPlane.version, kubectlPath, hasControllerManager };
  project.provide("controlPlane", facts);
  return async () => controlPlane.stop();
}
