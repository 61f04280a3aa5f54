/** What `drayage kanto call` makes of its options, and what it refuses before anything is sent. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OperationName } from "../../../src/backends/kanto/client/operations.ts";
import { callOf, CALL_OPTIONS, targetOf } from "../../../src/cli/kanto-options.ts";
import { readOptions, UsageError } from "../../../src/cli/option-table.ts";

const IMAGE = "docker.io/library/influxdb:1.8.4";
const read = (given: Record<string, string | true>, env: Record<string, string> = {}) =>
  readOptions(CALL_OPTIONS, given, env);

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
});
afterAll(() => rm(dir, { recursive: true }));

async function file(content: string): Promise<string> {
  const path = join(dir, `${Math.random()}.json`);
  await writeFile(path, content);
  return path;
}

describe("the call", () => {
  test.each<[OperationName, Record<string, string | true>, unknown]>([
    ["create", { image: IMAGE, start: true }, { imageRef: IMAGE, start: true }],
    ["createWithConfig", { image: IMAGE, name: "x" }, { imageRef: IMAGE, name: "x" }],
    ["start", { container: "c" }, {}],
    ["stop", { container: "c" }, {}],
    [
      "stopWithOptions",
      { container: "c", stopSignal: "SIGINT", grace: "10s", force: true },
      { signal: "SIGINT", timeout: 10, force: true },
    ],
    ["stopWithOptions", { container: "c" }, {}],
    ["rename", { container: "c", name: "y" }, "y"],
    ["update", { container: "c", value: '{"resources":{"memory":"64M"}}' }, { resources: { memory: "64M" } }],
    ["remove", { container: "c" }, false],
    ["remove", { container: "c", force: true }, true],
    ["remove", { container: "c", value: "true" }, true],
  ])("%s from %j", async (operation, given, value) => {
    const container = given["container"];
    expect(await callOf(operation, read(given))).toEqual({
      operation,
      value,
      ...(container !== undefined && { container }),
    });
  });

  test("from variables, and from a file", async () => {
    expect(await callOf("rename", read({}, { DRAYAGE_CONTAINER: "c", DRAYAGE_NAME: "y" }))).toMatchObject({
      value: "y",
    });
    const valueFile = await file(`{"imageRef":"${IMAGE}","config":{"env":["A=1"]}}`);
    expect(await callOf("createWithConfig", read({ valueFile }))).toMatchObject({
      value: { config: { env: ["A=1"] } },
    });
  });
});

describe("refused, with the option that is wrong", () => {
  test.each<[OperationName, Record<string, string | true>, string]>([
    ["start", {}, "option --container"],
    ["create", { image: IMAGE, container: "c" }, "create takes no container"],
    ["create", {}, "(option --image)"],
    ["create", { image: "nginx" }, "create was not sent: value.imageRef: must be an image with registry"],
    ["create", { image: IMAGE, name: "x" }, "option --name is for createWithConfig and rename, not for create"],
    ["stop", { container: "c", force: true }, "option --force is for stopWithOptions and remove, not for stop"],
    ["stop", { container: "c", grace: "5s" }, "option --grace is for stopWithOptions, not for stop"],
    ["stopWithOptions", { container: "c", stopSignal: "SIGFOO" }, "value.signal: must be a signal"],
    ["stopWithOptions", { container: "c", grace: "1s500ms" }, "value.timeout"],
    ["remove", { container: "c", force: true, value: "true" }, "option --force is a part of the value"],
    ["update", { container: "c", value: "{}", valueFile: "x" }, "two ways to say the same"],
    ["update", { container: "c" }, "update needs a value"],
  ])("%s %j", async (operation, given, says) => {
    const failure: unknown = await callOf(operation, read(given)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UsageError);
    expect(String(failure)).toContain(says);
  });

  test("a value that is no JSON, without repeating it", async () => {
    expect(() => read({ value: "s3cr3t" })).toThrow(/option --value: what was given is not accepted; it must be JSON/);
    const valueFile = await file("s3cr3t");
    await expect(callOf("update", read({ container: "c", valueFile }))).rejects.toThrow(
      /^the file of --value-file holds no JSON$/,
    );
  });
});

describe("the device", () => {
  test("is named by its gateway or by its containers thing", () => {
    const byGateway = targetOf(read({ thing: "edge:device", topicPrefix: "site-7/" }));
    expect(byGateway).toEqual(targetOf(read({ thing: "edge:device:edge:containers", topicPrefix: "site-7/" })));
    expect(byGateway).toMatchObject({ thingId: "edge:device:edge:containers", topicPrefix: "site-7/" });
  });

  test.each([
    [{}, "option --thing is missing"],
    [{ thing: "device" }, "write <namespace>:<name>"],
    [{ thing: "a:b", topicPrefix: "site" }, "a prefix ends with /"],
  ])("%j is refused", (given, says) => {
    expect(() => targetOf(read(given))).toThrow(says);
  });
});
