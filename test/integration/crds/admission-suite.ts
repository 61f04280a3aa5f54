/** The tables of cases/ as tests against one API server. */
import { describe, expect, test } from "vitest";
import { messageOf, type KubeAdmin } from "../../kube-admin.ts";
import * as backend from "./cases/edge-backend.ts";
import * as container from "./cases/edge-container.ts";
import * as device from "./cases/edge-device.ts";
import * as registry from "./cases/edge-registry.ts";
import * as stack from "./cases/edge-stack.ts";
import { createPath, objectOf, type Kind, type LooseSpec } from "./objects.ts";

const CASES = {
  EdgeContainer: container,
  EdgeDevice: device,
  EdgeBackend: backend,
  EdgeStack: stack,
  EdgeRegistry: registry,
};

/** @param server what to ask, once beforeAll has run. */
export function admissionSuite(server: () => { kube: KubeAdmin; namespace: string }): void {
  async function submit(
    kind: Kind,
    changes: LooseSpec,
  ): Promise<{ status: number; message: string; warnings: string[] }> {
    const { kube, namespace } = server();
    const answer = await kube.create(createPath(kind, namespace, "&dryRun=All"), objectOf(kind, "x", changes));
    return {
      status: answer.status,
      message: answer.status === 201 ? "" : messageOf(answer),
      warnings: answer.warnings,
    };
  }

  for (const kind of ["EdgeBackend", "EdgeDevice", "EdgeContainer", "EdgeStack", "EdgeRegistry"] as const) {
    describe(`${kind} is accepted with`, () => {
      test.each(Object.entries(CASES[kind].GOOD))("%s", async (_, changes) => {
        expect(await submit(kind, changes)).toEqual({ status: 201, message: "", warnings: [] });
      });
    });
    describe(`${kind} is refused with`, () => {
      test.each(Object.entries(CASES[kind].BAD))("%s", async (_, [changes, ...texts]) => {
        const { status, message } = await submit(kind, changes);
        expect([400, 422]).toContain(status);
        for (const text of texts) expect(message).toContain(text);
      });
    });
  }
}
