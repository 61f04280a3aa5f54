// Puts custom resource definitions into a test control plane and waits until their objects can be used.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import type { ApiAccess } from "./access.ts";
import { messageOf } from "./admin.ts";

const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

interface Definition {
  metadata: { name: string };
  spec: { group: string; versions: { name: string; served: boolean }[] };
  status?: { conditions?: { type: string; status: string; message?: string }[] };
}

/**
 * Applies every *.yaml file of a folder (one CRD each; a missing folder holds none) and waits until the API server serves them.
 * @returns the names of the definitions
 * @throws when the API server refuses one, with its message, or does not serve it within 30 s
 */
export async function applyCrds(controlPlane: ApiAccess, folder: string): Promise<string[]> {
  const definitions = listYaml(folder).map((file) => parse(readFileSync(join(folder, file), "utf8")) as Definition);
  await Promise.all(definitions.map(async (definition) => applyCrd(controlPlane, definition)));
  return definitions.map((definition) => definition.metadata.name);
}

async function applyCrd(controlPlane: ApiAccess, definition: Definition): Promise<void> {
  const path = `${CRDS}/${definition.metadata.name}`;
  const applied = await controlPlane.request("PATCH", `${path}?fieldManager=controlplane&force=true`, {
    body: definition,
    contentType: "application/apply-patch+yaml",
  });
  if (applied.status !== 200 && applied.status !== 201) {
    throw new Error(`the API server refuses ${definition.metadata.name}: ${applied.status} ${messageOf(applied.body)}`);
  }
  let last = "";
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await delay(25)) {
    const { body } = await controlPlane.request("GET", path);
    const conditions = (body as Definition).status?.conditions ?? [];
    const refused = conditions.find(({ type, status }) => type === "NonStructuralSchema" && status === "True");
    if (refused) {
      throw new Error(`${definition.metadata.name}: ${refused.message}`);
    }
    if (conditions.some(({ type, status }) => type === "Established" && status === "True")) {
      if (await served(controlPlane, definition)) {
        return;
      }
    }
    last = JSON.stringify(conditions);
  }
  throw new Error(`${definition.metadata.name} is not served after 30 s: ${last}`);
}

/** Established is set before the handlers of all versions are in place: the lists tell. */
async function served(controlPlane: ApiAccess, { metadata, spec }: Definition): Promise<boolean> {
  const plural = metadata.name.slice(0, metadata.name.indexOf("."));
  const answers = await Promise.all(
    spec.versions
      .filter((version) => version.served)
      .map(async ({ name }) => controlPlane.request("GET", `/apis/${spec.group}/${name}/${plural}?limit=1`)),
  );
  return answers.every(({ status }) => status === 200);
}

function listYaml(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => file.endsWith(".yaml"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return [];
    }
    throw error;
  }
}
