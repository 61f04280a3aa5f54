import { afterAll, beforeAll, inject } from "vitest";
import { KubeAdmin } from "../../kube-admin.ts";
import { admissionSuite } from "./admission-suite.ts";

let kube: KubeAdmin;
let namespace: string;
beforeAll(async () => {
  kube = new KubeAdmin(inject("controlPlane").kubeconfig);
  namespace = await kube.namespace("admission");
});
afterAll(async () => kube[Symbol.asyncDispose]());

admissionSuite(() => ({ kube, namespace }));
