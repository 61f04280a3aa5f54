import { expect, test } from "vitest";
import type { DesiredContainer, Marker } from "../../../../src/backends/contract.ts";
import { ALPON_DIALECT } from "../../../../src/backends/alpon/dialect.ts";
import { runCreate, type FlightHost } from "../../../../src/backends/alpon/flight.ts";
import { Inventory } from "../../../../src/backends/alpon/inventory.ts";
import { readList } from "../../../../src/backends/alpon/wire.ts";
import { clientOf, startVendor } from "../http/vendor.ts";

const SECRET = "hunter22-secret";
const marker: Marker = { owner: "o", namespace: "n", name: "web", uid: "u", operation: "op", hash: "k:1" };
const desired: DesiredContainer = {
  name: "web",
  image: "i:1",
  state: "Running",
  env: [{ name: "TOKEN", value: SECRET }],
  spec: { deviceRef: { name: "d" } },
};

test("a sentence of the vendor's that repeats a variable's value is told without it", async () => {
  const fail = { status: "Fail", message: `cannot set\nTOKEN=${SECRET}` };
  const vendor = await startVendor((_seen, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`data: ${JSON.stringify(fail)}\n\n`);
  });
  const client = clientOf(vendor.url);
  const host: FlightHost = {
    assetId: "A1",
    dialect: ALPON_DIALECT,
    inventory: new Inventory(),
    pollMs: 1,
    settleMs: 1,
    idleTimeoutMs: 60_000,
    createTimeoutMs: 60_000,
    signal: new AbortController().signal,
    send: (request) => client.send(request),
    look: () => Promise.resolve(true),
    progress: () => undefined,
    unreachable: () => undefined,
    malformed: () => undefined,
    monotonic: () => performance.now(),
    pause: () => Promise.resolve(),
    after: () => () => undefined,
  };
  const outcome = await runCreate(
    host,
    { kind: "Create", desired, marker, commandId: "c", key: "n/web" },
    { commandId: "c", kind: "Create" },
  );
  expect(outcome).toMatchObject({ result: "Failed", failure: { message: "cannot set TOKEN=***" } });
});

test("so is the list's word of why a container waits", () => {
  const items = [{ name: "web", environments: { TOKEN: SECRET }, status: "Weird", message: `no ${SECRET}` }];
  const dialect = { ...ALPON_DIALECT, stateKeys: ["status"], reasonKeys: ["message"] };
  expect(readList(items, dialect, () => undefined)?.[0]?.waiting).toEqual({ reason: "Weird", message: "no ***" });
});
