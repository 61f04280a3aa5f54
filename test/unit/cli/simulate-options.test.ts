import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readOptions, UsageError } from "../../../src/cli/option-table.ts";
import { SIMULATE_KANTO_OPTIONS, simulateKantoOptions } from "../../../src/cli/simulate-options.ts";

const read = async (given: Record<string, string>) =>
  simulateKantoOptions(readOptions(SIMULATE_KANTO_OPTIONS, given, {}));

test("without options: one device on a broker on this machine, no credentials, no control endpoint", async () => {
  expect(await read({})).toEqual({
    brokerUrl: "mqtt://127.0.0.1:1883",
    devices: 1,
    deviceIdPrefix: "edge:device-",
    tenantId: "t1",
    pullMs: 2000,
    seed: "kanto",
    externalConnector: false,
  });
});

test("a Ditto is started only if it is given a port; its password is that of Ditto's own examples unless a file has another", async () => {
  expect(await read({ dittoPort: "0" })).toMatchObject({ ditto: { port: 0, username: "ditto", password: "ditto" } });
  await expect(read({ dittoPasswordFile: "somewhere" })).rejects.toThrow(UsageError);
});

test("passwords, authorities and keys come from files", async () => {
  const dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
  try {
    const file = async (name: string, content: string): Promise<string> => {
      await writeFile(join(dir, name), content);
      return join(dir, name);
    };
    const options = await read({
      brokerUrl: "mqtts://broker:8883",
      username: "fleet",
      passwordFile: await file("password", "s3cret\n"),
      caFile: await file("ca.pem", "CA"),
      certFile: await file("cert.pem", "CERT"),
      keyFile: await file("key.pem", "KEY"),
      controlPort: "0",
    });
    expect(options).toMatchObject({
      credentials: { username: "fleet", password: "s3cret" },
      tls: { ca: "CA", cert: "CERT", key: "KEY" },
      controlPort: 0,
    });
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("a broker in the cloud has its own credentials and authority, from files too", async () => {
  const dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
  try {
    await writeFile(join(dir, "password"), "s3cret\n");
    await writeFile(join(dir, "ca.pem"), "CA");
    const options = await read({
      cloudBrokerUrl: "mqtts://cloud:8883",
      cloudUsername: "site-7",
      cloudPasswordFile: join(dir, "password"),
      cloudCaFile: join(dir, "ca.pem"),
      cloudReconnect: "2s",
    });
    expect(options).toMatchObject({
      cloud: {
        url: "mqtts://cloud:8883",
        credentials: { username: "site-7", password: "s3cret" },
        tls: { ca: "CA" },
      },
      cloudReconnectMs: 2000,
    });
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("options that contradict each other are refused", async () => {
  await expect(read({ cloudUsername: "x" })).rejects.toThrow("need --cloud-broker-url");
  await expect(read({ cloudBrokerUrl: "mqtt://c", cloudPasswordFile: "x" })).rejects.toThrow("--cloud-username");
  await expect(read({ certFile: "x" })).rejects.toThrow(UsageError);
  await expect(read({ passwordFile: "x" })).rejects.toThrow("option --password-file needs --username");
});

test("a file that cannot be read is named with its option", async () => {
  await expect(read({ caFile: "/nonexistent/ca.pem" })).rejects.toThrow("cannot read the file of --ca-file");
});

test("a password inside the URL is refused without being repeated", async () => {
  const message = await read({ brokerUrl: "mqtt://fleet:hunter2@broker:1883" }).catch((error: unknown) =>
    String(error),
  );
  expect(message).toContain("option --broker-url: what was given is not accepted; it must be a URL without user name");
  expect(message).not.toContain("hunter2");
});
