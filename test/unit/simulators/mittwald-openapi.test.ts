import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { startMittwald } from "../../../src/simulators/mittwald/index.ts";
import { OPERATIONS, routeOf } from "../../../src/simulators/mittwald/operations.ts";
import { bench, document, web } from "./mittwald-bench.ts";

test("every operation of the document is there, by its method and path, and no other", () => {
  const described = document.operations.map(({ name, method, path }) => {
    const filled = path.replaceAll(/\{[^}]+\}/g, "x");
    return [name, routeOf(method, filled)?.operation];
  });
  expect(described.filter(([name, found]) => name !== found)).toEqual([]);
  expect([...OPERATIONS].toSorted()).toEqual(document.operations.map(({ name }) => name).toSorted());
});

describe("requests that the document's own examples and mittwald's clients make", () => {
  const uuid = "11111111-1111-4111-8111-111111111111";
  test.each<[string, string, string, unknown, number]>([
    [
      "declare-stack",
      "PUT",
      "/v2/stacks/{stack}",
      {
        services: {
          web: {
            description: "web [mng:prod/shop#1f3c]",
            image: "ghcr.io/acme/web:1.4.2",
            environment: { PORT: "8080" },
            ports: ["8080/tcp"],
            volumes: ["web-data:/data"],
            restartPolicy: "always",
            deploy: { resources: { limits: { cpus: "0.5", memory: "512mb" } } },
          },
        },
        volumes: { "web-data": { name: "web-data" } },
      },
      200,
    ],
    ["declare-stack", "PUT", "/v2/stacks/{stack}", { services: {}, volumes: {} }, 200],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: { image: "ghcr.io/acme/web:1.4.3" } } }, 200],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: {} } }, 200],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: { command: [] } } }, 200],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: { deploy: { resources: {} } } } }, 200],
    [
      "update-stack",
      "PATCH",
      "/v2/stacks/{stack}",
      { updateSchedule: { cron: "0 3 * * *", timezone: "Europe/Berlin" } },
      200,
    ],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { updateSchedule: null }, 200],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: null } }, 400],
    ["declare-stack", "PUT", "/v2/stacks/{stack}", { services: { app: {} } }, 400],
    ["declare-stack", "PUT", "/v2/stacks/{stack}", { services: {}, volumes: { data: {} } }, 400],
    ["declare-stack", "PUT", "/v2/stacks/{stack}", { services: {}, volumes: { data: null } }, 400],
    ["update-stack", "PATCH", "/v2/stacks/{stack}", { services: { app: { command: "serve" } } }, 400],
    ["set-stack-update-schedule", "PUT", "/v2/stacks/{stack}/update-schedule", { updateSchedule: null }, 204],
    ["set-stack-update-schedule", "PUT", "/v2/stacks/{stack}/update-schedule", { updateSchedule: {} }, 400],
    ["create-stack", "POST", "/v2/projects/{short}/stacks", { description: "shop [mng:prod/shop#1f3c]" }, 201],
    ["create-stack", "POST", "/v2/projects/{short}/stacks", {}, 400],
    [
      "create-registry",
      "POST",
      "/v2/projects/{short}/registries",
      { uri: "registry.example.com", description: "acme", credentials: { username: "u", password: "p" } },
      201,
    ],
    ["create-registry", "POST", "/v2/projects/{short}/registries", { uri: "registry.example.com" }, 400],
    ["update-registry", "PATCH", "/v2/registries/{registry}", { credentials: null }, 204],
    ["update-registry", "PATCH", "/v2/registries/{registry}", undefined, 204],
    ["update-registry", "PATCH", "/v2/registries/{registry}", { credentials: { username: "u" } }, 400],
    [
      "validate-container-registry-uri",
      "POST",
      "/v2/actions/validate-container-registry-uri",
      { registryUri: "ghcr.io" },
      200,
    ],
    ["validate-container-registry-uri", "POST", "/v2/actions/validate-container-registry-uri", {}, 400],
    ["validate-registry-credentials", "POST", "/v2/registries/{registry}/actions/validate-credentials", undefined, 200],
    ["get-registry", "GET", "/v2/registries/{registry}", undefined, 200],
    ["get-registry", "GET", `/v2/registries/${uuid}`, undefined, 403],
    ["delete-registry", "DELETE", "/v2/registries/{registry}", undefined, 204],
    ["list-registries", "GET", "/v2/projects/{short}/registries", undefined, 200],
    ["list-stacks", "GET", "/v2/projects/{project}/stacks", undefined, 200],
    ["list-self-stacks", "GET", "/v2/stacks", undefined, 200],
    ["list-services", "GET", "/v2/projects/{short}/services?status=running&requiresRecreate=false", undefined, 200],
    ["list-services", "GET", "/v2/projects/{short}/services?status=lost", undefined, 400],
    ["list-services", "GET", `/v2/projects/${uuid}/services`, undefined, 403],
    ["list-accessible-services", "GET", "/v2/services?sortOrder=descriptionAsc", undefined, 200],
    ["list-volumes", "GET", "/v2/projects/{short}/volumes?sortOrder=storageDesc", undefined, 200],
    ["list-stack-volumes", "GET", "/v2/stacks/{stack}/volumes", undefined, 200],
    ["get-volume", "GET", "/v2/stacks/{stack}/volumes/{volume}", undefined, 200],
    ["get-volume", "GET", `/v2/stacks/{stack}/volumes/${uuid}`, undefined, 404],
    ["delete-volume", "DELETE", "/v2/stacks/{stack}/volumes/{volume}", undefined, 412],
    ["get-stack", "GET", "/v2/stacks/{stack}", undefined, 200],
    ["get-stack", "GET", `/v2/stacks/${uuid}`, undefined, 403],
    ["get-stack", "GET", "/v2/stacks/{short}", undefined, 400],
    ["delete-stack", "DELETE", "/v2/stacks/{stack}", undefined, 204],
    ["get-service", "GET", "/v2/stacks/{stack}/services/{service}", undefined, 200],
    ["get-service", "GET", "/v2/stacks/{stack}/services/{shortService}", undefined, 200],
    ["get-service", "GET", `/v2/stacks/{stack}/services/${uuid}`, undefined, 404],
    ["start-service", "POST", "/v2/stacks/{stack}/services/{service}/actions/start", undefined, 412],
    ["stop-service", "POST", "/v2/stacks/{stack}/services/{shortService}/actions/stop", undefined, 204],
    ["restart-service", "POST", "/v2/stacks/{stack}/services/{service}/actions/restart", undefined, 204],
    ["recreate-service", "POST", "/v2/stacks/{stack}/services/{service}/actions/recreate", undefined, 204],
    [
      "pull-image-for-service",
      "POST",
      "/v2/stacks/{stack}/services/{service}/actions/pull?skipRecreate=true",
      undefined,
      204,
    ],
    ["get-service-logs", "GET", "/v2/stacks/{stack}/services/{service}/logs?tail=5", undefined, 200],
    [
      "rotate-pull-image-webhook-for-service",
      "POST",
      "/v2/stacks/{stack}/services/{service}/webhook-token",
      undefined,
      200,
    ],
    ["call-pull-image-webhook-for-service", "GET", "/v2/stacks/{stack}/webhooks/pull-image?token=none", undefined, 401],
    ["call-pull-image-webhook-for-service", "GET", "/v2/stacks/{stack}/webhooks/pull-image", undefined, 400],
    ["get-container-image-config", "GET", "/v2/container-image-config?imageReference=mysql", undefined, 200],
    ["get-container-image-config", "GET", "/v2/container-image-config", undefined, 400],
  ])("%s %s %s %j: %i", async (operation, method, path, body, status) => {
    const { call, project, running, patch, vendor } = await bench();
    await patch({}, { volumes: { data: { name: "data" } } });
    const service = await running("app", { volumes: ["data:/data"] });
    const { containers, volumes } = vendor.platform.stack(project.id);
    const registries = await call("GET", `/v2/projects/${project.id}/registries`);
    const values: Record<string, string | undefined> = {
      stack: project.id,
      project: project.id,
      short: project.shortId,
      service,
      shortService: containers.get("app")?.identity.shortId,
      volume: volumes.get("data")?.id,
      registry: registries.body[0].id,
    };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "");
    expect(routeOf(method, filled.split("?")[0] ?? "")?.operation).toBe(operation);
    const answer = await call(method, filled, body);
    expect(answer.status).toBe(status);
    // What the document refuses is refused, and what it takes is refused for other reasons than the form of its body.
    const wrong = document.requestProblem(operation, body);
    if (wrong !== undefined) expect(answer.status).toBe(400);
    if (answer.status < 300) expect(wrong).toBeUndefined();
  });
});

describe("answers have the fields of recorded ones, and what the document has beyond them", () => {
  test("a running service", async () => {
    const { running, service } = await bench();
    await running("mcp-server", { environment: { PORT: "8080", NODE_ENV: "production" }, ports: ["8080/tcp"] });
    const seen = await service("mcp-server");
    const recorded =
      "deployedState description id message pendingState projectId requiresRecreate serviceName shortId stackId status statusSetAt";
    expect(Object.keys(seen).toSorted()).toEqual([...recorded.split(" "), "restartPolicy"].toSorted());
    const state = ["command", "entrypoint", "envOrder", "envs", "image", "imageDigest", "ports"];
    expect([seen.pendingState, seen.deployedState].map((each) => Object.keys(each).toSorted())).toEqual([state, state]);
    expect(seen.deployedState.envOrder).toEqual(["NODE_ENV", "PORT"]);
    expect(seen.statusSetAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("a volume that nothing mounts, and an illegal transition", async () => {
    const { call, stack, patch, running } = await bench();
    const [volume] = (await patch({}, { volumes: { data: { name: "data" } } })).body.volumes;
    expect(Object.keys(volume).toSorted()).toEqual(
      ["id", "name", "orphaned", "stackId", "storageUsageInBytes", "storageUsageInBytesSetAt"].toSorted(),
    );
    const id = await running("web");
    const { body } = await call("POST", `${stack}/services/${id}/actions/start`);
    expect(Object.keys(body).toSorted()).toEqual(["message", "params", "type"]);
    expect(body.params.traceId).toMatch(/^[0-9a-f]{16}$/);
  });
});

const name = fc.stringMatching(/^[a-z][a-z0-9-]{1,20}$/);
const good = fc.record(
  {
    image: fc.constantFrom("nginx:1.27", "ghcr.io/acme/web:1", "registry.example:5000/a/b@sha256:00"),
    description: fc.stringMatching(/^[a-z][a-z ]{0,20}$/),
    command: fc.array(fc.string(), { maxLength: 3 }),
    entrypoint: fc.array(fc.string(), { maxLength: 3 }),
    environment: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,8}$/), fc.string(), { maxKeys: 3 }),
    ports: fc.array(
      fc.integer({ min: 1, max: 65_535 }).map((port) => `${port}/tcp`),
      { maxLength: 3 },
    ),
    restartPolicy: fc.constantFrom("no", "always", "on-failure", "unless-stopped", "on-failure:3"),
    deploy: fc.record({
      resources: fc.record({ limits: fc.record({ cpus: fc.constant("0.5"), memory: fc.constant("512mb") }) }),
    }),
  },
  { requiredKeys: ["image", "description"] },
);
/** A body of the right form, with values of wrong types here and there. */
const anyField = fc.oneof(fc.string(), fc.constant(null), fc.integer(), fc.array(fc.string()), fc.constant({}));
const spoiled = fc
  .tuple(
    good,
    fc.constantFrom(
      "image",
      "description",
      "command",
      "environment",
      "envs",
      "ports",
      "volumes",
      "deploy",
      "restartPolicy",
    ),
    anyField,
  )
  .map(([service, field, value]) => ({ ...service, [field]: value }));

describe("any body", () => {
  test("of the right form and with right values is taken, and comes back as it was declared", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, good, { maxKeys: 3 }), async (services) => {
        await using stack = await freshStack();
        const answer = await stack.send("PUT", { services, volumes: {} });
        expect(answer.problem).toBeUndefined();
        expect(answer.status).toBe(200);
        expect(stack.names()).toEqual(Object.keys(services).toSorted());
      }),
      { numRuns: 60 },
    );
  });

  test("that the document refuses is 400, and every answer is one of the document's", async () => {
    const service = fc.oneof(good, spoiled, fc.constant({}), fc.constant(null));
    const body = fc.oneof(
      fc.record({ services: fc.oneof(fc.dictionary(name, service, { maxKeys: 3 }), anyField) }),
      fc.record({ services: fc.dictionary(name, service, { maxKeys: 2 }), volumes: fc.dictionary(name, anyField) }),
      anyField,
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("PUT", "PATCH"), body, async (method, sent) => {
        await using stack = await freshStack();
        const operation = method === "PUT" ? "declare-stack" : "update-stack";
        const answer = await stack.send(method, sent);
        expect(answer.problem).toBeUndefined();
        const wrong = document.requestProblem(operation, sent);
        if (wrong === undefined) expect([200, 400, 412]).toContain(answer.status);
        else expect([answer.status, wrong]).toEqual([400, wrong]);
        if (answer.status !== 200) expect(stack.names()).toEqual(["kept"]);
      }),
      { numRuns: 200 },
    );
  });
});

async function freshStack() {
  const vendor = await startMittwald();
  const [project] = vendor.platform.projects();
  if (project === undefined) throw new Error("no project");
  vendor.human.create(project.id, "kept", web());
  return {
    names: () => [...vendor.platform.stack(project.id).containers.keys()].toSorted(),
    send: async (method: "PUT" | "PATCH", body: unknown) => {
      const response = await fetch(`${vendor.url}/v2/stacks/${project.id}`, {
        method,
        headers: { authorization: "Bearer mittwald-token" },
        body: JSON.stringify(body),
      });
      const { status } = response;
      const operation = method === "PUT" ? "declare-stack" : "update-stack";
      const type = response.headers.get("content-type");
      return { status, problem: document.answerProblem(operation, status, type, await response.text()) };
    },
    [Symbol.asyncDispose]: () => vendor.stop(),
  };
}
