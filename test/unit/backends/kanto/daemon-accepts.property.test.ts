/**
 * Nothing that an API server accepts, and no content of a Secret, becomes a message that the daemon cannot take: its process would die of
 * it. What validate() lets pass, the daemon accepts, and what it then shows of the container differs from the spec in nothing.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DesiredContainer } from "../../../../src/backends/contract.ts";
import { createKantoBackend, kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { identityPayload } from "../../../../src/backends/kanto/envelope.ts";
import { kantoTarget, kantoTopics } from "../../../../src/backends/kanto/topics.ts";
import type { EdgeContainerSpec } from "../../../../src/crds/edge-container.ts";
import { annotatedSchema } from "../../../../src/crds/generate/openapi.ts";
import { SCHEMAS } from "../../../../src/crds/parse.ts";
import { desiredContainer } from "../../../../src/reconcilers/edge-container/desire.ts";
import { referencesOf, resolveDecryption, resolveEnv } from "../../../../src/reconcilers/edge-container/values.ts";
import { References, type ValueData } from "../../../../src/reconcilers/references.ts";
import { decode } from "../../../../src/reconcilers/values-source.ts";
import { arbitraryOf } from "../../../support/arbitrary-crd.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { inPlace, kantoSpec, onHostNetwork } from "./arbitrary-spec.ts";
import { LabDaemon } from "./lab-daemon.ts";
import { deliver, LabLoop } from "./lab-loop.ts";
import { judgeTopic } from "./request-judge.ts";
import { MARKER, wanted } from "./wanted.ts";

/** Bytes as Secrets hold them: texts of all sorts, and bytes that are none. */
const secretBytes = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => Buffer.from(text)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("/keys/k.pem:pass", "pkcs7:/keys/c.pem", "", "a=b").map((text) => Buffer.from(text)),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("\0", "a\nb", "\r", "\u2028", "\ufffd", "\u{10ffff}", '"\\', "<&>")
      .map((text) => Buffer.from(text)),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom([0xff], [0xed, 0xa0, 0x80], [0xc0, 0x80]).map((bytes) => Buffer.from(bytes)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)) },
);

/** The spec with everything that Kanto has not left out, so that more of them get through. */
function withoutForeign(spec: EdgeContainerSpec): EdgeContainerSpec {
  const { command: _c, startupScript: _s, sshPublicKeys: _k, registryRefs: _r, imagePullSecrets: _p, ...rest } = spec;
  const { imagePullPolicy: _i, backendOptions, ports, volumes, ...bare } = rest;
  return {
    ...bare,
    ...(backendOptions?.kanto !== undefined && { backendOptions: { kanto: backendOptions.kanto } }),
    ...(ports !== undefined && { ports: ports.map((port) => ({ ...port, protocol: "TCP" as const })) }),
    ...(volumes !== undefined && {
      volumes: volumes.map(({ mountPath, propagation }) => ({
        hostPath: "/data",
        mountPath,
        ...(propagation !== undefined && { propagation }),
      })),
    }),
  };
}

const schema = SCHEMAS.EdgeContainer.spec;
const anyValid = fc
  .tuple(arbitraryOf(annotatedSchema(schema)), fc.boolean())
  .map(([spec, keep]) => {
    const parsed = schema.safeParse({ image: "docker.io/library/nginx:1.27", ...(spec as object) });
    if (!parsed.success) return undefined;
    const valid = parsed.data as EdgeContainerSpec;
    return keep ? valid : withoutForeign(valid);
  })
  .filter((spec) => spec !== undefined);

/** A spec's references resolved against Secrets of arbitrary content, as a pass would. */
async function desireWith(spec: EdgeContainerSpec, values: readonly Buffer[]): Promise<DesiredContainer | undefined> {
  let next = 0;
  const content = () => decode((values[(next += 1) % values.length] ?? Buffer.alloc(0)).toString("base64"));
  const keys = new Map<string, Set<string>>();
  const note = (ref: { name: string; key: string } | undefined) => {
    if (ref !== undefined) keys.set(ref.name, (keys.get(ref.name) ?? new Set()).add(ref.key));
  };
  for (const { valueFrom } of spec.env ?? []) note(valueFrom?.secretKeyRef ?? valueFrom?.configMapKeyRef);
  const { keys: privates = [], recipients = [] } = spec.backendOptions?.kanto?.decryption ?? {};
  for (const ref of [...privates, ...recipients]) note(ref);
  expect([...keys.keys()].every((name) => referencesOf(spec).some((reference) => reference.name === name))).toBe(true);
  const references = new References(
    {
      read: (_kind, { name }) => {
        const entries = [...(keys.get(name) ?? []), "FROM_ALL"].map((key) => [key, content()] as const);
        return Promise.resolve({ data: new Map(entries) as ValueData, resourceVersion: "1" });
      },
      watchedVersion: () => "1",
      isWatched: () => true,
    },
    new FakeClock(),
  );
  const env = await resolveEnv(spec, "ns", references);
  const decryption = await resolveDecryption(spec, "ns", references);
  if (!env.ok || !decryption.ok) return undefined;
  const object = { apiVersion: "", kind: "", metadata: { name: "web", uid: "u" }, spec } as unknown as Parameters<
    typeof desiredContainer
  >[0];
  return desiredContainer(object, spec.desiredState ?? "Running", env.env, decryption.decryption);
}

const refusals = (desired: DesiredContainer) => kantoPlanner.validate(desired).filter(({ kind }) => kind !== "Ignored");

describe("a spec that an API server accepts, with Secrets of any content", () => {
  test(
    "is refused with field and fix, or made into a container that differs from it in nothing",
    { timeout: 120_000 },
    async () => {
      const count = { waiting: 0, refused: 0, made: 0 };
      await fc.assert(
        fc.asyncProperty(anyValid, fc.array(secretBytes, { minLength: 1, maxLength: 4 }), async (spec, values) => {
          const desired = await desireWith(spec, values);
          if (desired === undefined) {
            count.waiting += 1;
            return;
          }
          using daemon = await LabDaemon.start();
          const problems = refusals(desired);
          for (const { path, message, reason } of problems) {
            expect(path).not.toBe("");
            expect(reason).not.toBe("");
            expect(message.length).toBeGreaterThan(20);
          }
          if (problems.length > 0) {
            count.refused += 1;
            return;
          }
          count.made += 1;
          const loop = new LabLoop(daemon);
          await loop.apply(desired);
          for (const inventory of [loop.inventory, await loop.freshInventory()]) {
            const [container] = inventory.list();
            expect(container && kantoPlanner.diff(desired, container, kantoPlanner.paths(desired))).toEqual([]);
            expect(loop.plan(desired, inventory)).toMatchObject({
              step: { type: "None" },
              differences: [],
              drifted: false,
            });
          }
          expect(daemon.complaints).toEqual([]);
        }),
        { numRuns: 300 },
      );
      // Else the property would say little.
      expect(count.made).toBeGreaterThan(30);
      expect(count.refused).toBeGreaterThan(10);
    },
  );

  test("never ends the daemon's process, even if it were sent unchecked", { timeout: 120_000 }, async () => {
    const text = fc.string({ unit: "binary", maxLength: 8 });
    const fields = fc.record({
      name: fc.oneof(fc.constant("web"), text),
      image: fc.oneof(fc.constant("docker.io/library/nginx:1"), text),
      env: fc.array(fc.record({ name: text, value: text }), { maxLength: 3 }),
      args: fc.array(text, { maxLength: 3 }),
      path: text,
    });
    await fc.assert(
      fc.asyncProperty(fields, async ({ name, image, env, args, path }) => {
        using daemon = await LabDaemon.start();
        const desired: DesiredContainer = {
          ...wanted({ args, volumes: [{ hostPath: path, mountPath: path }], devices: [{ hostPath: path }] }),
          name,
          image,
          env,
          decryption: { keys: [path], recipients: [path] },
        };
        const faultless = refusals(desired).length === 0;
        // The independent judge looks at what would be sent; the daemon must survive the rest too.
        const sent = deliver(daemon, { kind: "Create", desired, marker: MARKER, commandId: "c", key: "k" });
        const answer = faultless ? await sent : await sent.catch(judged);
        if (faultless) expect(answer).toMatchObject({ status: 200 });
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ["one huge value", (size: number) => [{ name: "A", value: "x".repeat(size) }]],
    [
      "many values",
      (size: number) => Array.from({ length: 500 }, (_, n) => ({ name: `V${n}`, value: "é".repeat(size / 1_000) })),
    ],
    ["a value that escaping makes long", (size: number) => [{ name: "A", value: "\u0001".repeat(size / 6) }]],
  ])("with %s is refused before a broker has to", async (_what, env) => {
    const large = wanted({}, { env: env(1.2 * 2 ** 20) });
    expect(refusals(large).map(({ path }) => path)).toEqual(["env"]);
    const small = wanted({}, { env: env(0.5 * 2 ** 20) });
    expect(refusals(small)).toEqual([]);
    using daemon = await LabDaemon.start();
    await expect(
      deliver(daemon, { kind: "Create", desired: small, marker: MARKER, commandId: "c", key: "k" }),
    ).resolves.toMatchObject({ status: 200 });
  });
});

/** The judge's verdict is an assertion; anything else is the daemon's end. */
function judged(error: unknown): undefined {
  if (error instanceof RangeError || (error instanceof Error && error.name === "AssertionError")) return undefined;
  throw error;
}

describe("a spec that Kanto can do", () => {
  test("ends at None, and so does each change of it, also for one who comes new", { timeout: 120_000 }, async () => {
    const state = fc.constantFrom("Running" as const, "Stopped" as const, "Paused" as const);
    await fc.assert(
      fc.asyncProperty(
        kantoSpec,
        inPlace,
        kantoSpec,
        fc.boolean(),
        fc.array(state, { minLength: 3, maxLength: 3 }),
        async (first, change, other, host, states) => {
          using daemon = await LabDaemon.start();
          const loop = new LabLoop(daemon);
          const before = host ? onHostNetwork(first) : first;
          const { restartPolicy: _policy, resources: _limits, ...kept } = before;
          const generations = [
            wanted(before, { state: states[0] ?? "Running" }),
            wanted({ ...kept, ...change }, { state: states[1] ?? "Running", name: "renamed" }),
            wanted(other, { state: states[2] ?? "Running" }),
          ];
          for (const [index, desired] of generations.entries()) {
            expect(refusals(desired)).toEqual([]);
            await loop.apply(desired);
            if (index === 1)
              expect(loop.steps.filter((step) => step === "Create" || step === "Recreate")).toHaveLength(1);
            const fresh = await loop.freshInventory();
            expect(loop.plan(desired)).toMatchObject({ step: { type: "None" }, differences: [], drifted: false });
            expect(loop.plan(desired, fresh)).toMatchObject({
              step: { type: "None" },
              differences: [],
              drifted: false,
            });
          }
          expect(loop.inventory.list()).toHaveLength(1);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("an EdgeBackend and an EdgeDevice that an API server accepts", () => {
  const backendSchema = SCHEMAS.EdgeBackend.spec;
  const deviceSchema = SCHEMAS.EdgeDevice.spec;
  const kantoOf = (spec: unknown) => (spec as { kanto?: object }).kanto;

  test("are refused, or give topics that every broker takes, for us and for the daemon", () => {
    const log = (): void => undefined;
    const backend = createKantoBackend({
      clock: new FakeClock(),
      log: { debug: log, info: log, warn: log, error: log },
      metrics: { command: log, malformed: log, reconnect: log },
      fence: { valid: () => true },
      random: () => 0.5,
      timings: {},
      processId: "p",
    });
    const only = (kind: "EdgeBackend" | "EdgeDevice") => {
      const whole = annotatedSchema(SCHEMAS[kind].spec);
      return arbitraryOf(whole.properties?.["kanto"] ?? {});
    };
    let checked = 0;
    fc.assert(
      fc.property(only("EdgeBackend"), only("EdgeDevice"), (kanto, device) => {
        const backends = backendSchema.safeParse({ kanto });
        const devices = deviceSchema.safeParse({ backendRef: { name: "b" }, kanto: device });
        if (!backends.success || !devices.success || kantoOf(backends.data) === undefined) return;
        if (backend.validateBackend(backends.data).length + backend.validateDevice(devices.data).length > 0) return;
        checked += 1;
        const { thingId = "", topicPrefix } = devices.data.kanto ?? {};
        const target = kantoTarget(thingId, topicPrefix);
        if (target === undefined) throw new Error(`no target: ${thingId}`);
        const topics = kantoTopics(target);
        const tenant = backends.data.kanto?.tenant ?? "";
        for (const topic of [topics.identityRequest, topics.identityResponse, topics.command("r", "start")])
          judgeTopic(topic);
        // Where the daemon will publish.
        judgeTopic(`${target.topicPrefix}e/${tenant}/${target.thingId}`);
        const payload = identityPayload({ deviceId: target.gatewayId, tenantId: tenant, policyId: "p:q" });
        expect(JSON.parse(payload)).toEqual({ deviceId: target.gatewayId, tenantId: tenant, policyId: "p:q" });
      }),
      { numRuns: 500 },
    );
    expect(checked).toBeGreaterThan(50);
  });
});
