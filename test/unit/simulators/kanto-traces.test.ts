// The exam of the Kanto simulator: each recorded scenario, replayed, must bring exactly what the real daemon said.

import { describe, expect, test } from "vitest";
import { readTrace, replay, until, type ReplayOptions, type Scenario } from "./replay.ts";

const sleeper = "127.0.0.1:5555/test/sleeper:1";

async function threeRunning({ broker, device, clock }: Scenario): Promise<void> {
  for (const [name, type] of [
    ["keep", "UNLESS_STOPPED"],
    ["no", "NO"],
    ["alw", "ALWAYS"],
  ] as const) {
    const created = device.human.create({ name, image: sleeper, config: { restartPolicy: { type } } });
    await clock.advance(1000);
    await created;
  }
  // Each: the feature, its state as created, its state as running.
  const told = (): number => broker.messages.filter(({ payload }) => payload.includes('"/features/Container:')).length;
  await until(() => told() === 9, "all that is to say of the three containers is said");
}

const scenarios: Record<string, ReplayOptions> = {
  "create-plain-and-start": {},
  lifecycle: {},
  "full-config-echo": {},
  "duplicate-names": {},
  "oneshot-no": {},
  "crash-loop-always": {},
  "stubborn-stop": {},
  "swallowed-start-error": {},
  errors: { device: { images: { "127.0.0.1:5555/test/absent": { pullFailure: "plain-http" } } } },
  "resync-by-policy-id": {},
  "daemon-clean-stop-and-restart": {
    before: threeRunning,
    actions: [
      { ms: 1000, run: async ({ device }) => device.faults.stopDaemon() },
      {
        ms: 13_000,
        run: async ({ device, clock }) => {
          const started = device.faults.startDaemon();
          await clock.advance(500);
          await started;
        },
      },
    ],
  },
  "daemon-kill9-and-restart": {
    before: threeRunning,
    actions: [{ ms: 100, run: ({ device }) => device.faults.crash() }],
  },
};

describe("the simulator answers as the recorded daemon did", () => {
  test.each(Object.entries(scenarios))("%s", async (name, options) => {
    const { recorded, replayed } = await replay(readTrace(name), options);
    expect(Object.keys(replayed).toSorted()).toEqual(Object.keys(recorded).toSorted());
    for (const [stream, messages] of Object.entries(recorded)) {
      expect(replayed[stream], stream).toEqual(messages);
    }
  });
});
