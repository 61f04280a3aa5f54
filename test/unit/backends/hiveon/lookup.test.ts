import { describe, expect, test } from "vitest";
import { lookByDeploymentId, lookByExternalId } from "../../../../src/backends/hiveon/lookup.ts";
import { Ledger } from "../../../../src/backends/hiveon/ledger.ts";
import { readStatus } from "../../../../src/backends/hiveon/wire.ts";
import { clientOf, json, startVendor } from "../http/vendor.ts";

describe("a rental that the vendor does not know", () => {
  const pages: [string, string | undefined, string, string][] = [
    ["in JSON", "application/json", '{"error":"not found"}', "Absent"],
    ["without a body", undefined, "", "Absent"],
    ["as a web page, by something before the vendor", "text/html; charset=utf-8", "<h1>not found</h1>", "Unclear"],
  ];
  test.each(pages)("said %s: %s", async (_how, type, body, seen) => {
    const vendor = await startVendor((_request, response) => {
      response.writeHead(404, type === undefined ? {} : { "content-type": type });
      response.end(body);
    });
    const client = clientOf(vendor.url);
    const options = { externalIdPath: undefined, urgent: true, signal: new AbortController().signal };
    const send: Parameters<typeof lookByDeploymentId>[0] = (request) => client.send(request);
    expect((await lookByDeploymentId(send, "d", options)).seen).toBe(seen);
    expect((await lookByExternalId(send, "e", options)).seen).toBe(seen);
  });
});

test("an answer about another deployment is believed in nothing", async () => {
  const vendor = await startVendor((_request, response) =>
    json(response, 200, { deployment_id: "another", external_deployment_id: "another's", status: "STATUS_STOPPED" }),
  );
  const client = clientOf(vendor.url);
  const options = { externalIdPath: undefined, urgent: true, signal: new AbortController().signal };
  expect(await lookByExternalId((request) => client.send(request), "e", options)).toMatchObject({ malformed: true });
});

test("a reason of the vendor's that repeats what a rental was given in confidence is shown without it", () => {
  const account = new Ledger({ owner: "o", namespace: "n", name: "web" });
  account.secrets = ["hunter22-secret"];
  const message = `exit 1:\nlogin with ${"x".repeat(250)} hunter22-secret failed`;
  const status = readStatus({ deployment_id: "d", status: "STATUS_FAILED", fail_reason: { code: 7, message } });
  if (status === undefined) throw new Error("no status");
  account.note(1, status, 0);
  const [rental] = account.live();
  const { error = "" } = rental === undefined ? {} : account.observed(rental, "m");
  expect(error).toMatch(/^exit 1: login with x+ \*\*\* failed/);
  expect(error.length).toBeLessThanOrEqual(300);
});
