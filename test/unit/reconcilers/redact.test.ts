// What a vendor repeats of what it was sent is not shown, whoever sent it.

import { expect, test } from "vitest";
import type { DesiredContainer, ObservedContainer } from "../../../src/backends/contract.ts";
import { secretValues, withoutSecrets } from "../../../src/reconcilers/edge-container/redact.ts";

const DESIRED: DesiredContainer = {
  name: "web",
  image: "registry.example/app:1",
  state: "Running",
  env: [
    { name: "LEVEL", value: "debugging" },
    { name: "TOKEN", value: "planted-token" },
  ],
  startupScript: "run --key planted-script",
  registryAuth: { server: "registry.example", username: "robot", password: "planted-password" },
  decryption: { keys: ["/keys/a.pem:pass=planted-pass"], recipients: [] },
  spec: { deviceRef: { name: "d" }, image: "registry.example/app:1" },
};

const container = (change: Partial<ObservedContainer>): ObservedContainer => ({
  externalId: "c1",
  name: "web",
  image: "registry.example/app:1",
  state: "Exited",
  runs: [],
  stateSinceMs: 0,
  hostPorts: [],
  config: {},
  ...change,
});

test("only values that come from Secrets are secret", () => {
  expect(secretValues(DESIRED, new Set(["TOKEN"]))).toEqual([
    "planted-token",
    "run --key planted-script",
    "planted-password",
    "planted-pass",
  ]);
});

test("a vendor's words are shown without them", () => {
  const secrets = secretValues(DESIRED, new Set(["TOKEN"]));
  const [shown] = withoutSecrets(
    [
      container({
        error: "login robot/planted-password refused while debugging",
        waiting: { reason: "CreateContainerError", message: "TOKEN=planted-token is no number" },
      }),
    ],
    secrets,
  );
  expect(shown).toMatchObject({
    error: "login robot/*** refused while debugging",
    waiting: { reason: "CreateContainerError", message: "TOKEN=*** is no number" },
  });
});

test("a container of which nothing is said is handed on as it is", () => {
  const containers = [container({})];
  expect(withoutSecrets(containers, ["planted-token"])[0]).toBe(containers[0]);
  expect(withoutSecrets(containers, [])).toBe(containers);
});
