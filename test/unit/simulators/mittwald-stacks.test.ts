import { describe, expect, test } from "vitest";
import { bench, document, web } from "./mittwald-bench.ts";

const names = (body: { services?: { serviceName: string }[] }) => (body.services ?? []).map((each) => each.serviceName);

describe("a project", () => {
  test("has a default stack of its own id and three registries, which may come late", async () => {
    const { call, project, stack, vendor, clock } = await bench();
    expect((await call("GET", stack)).body).toEqual({
      id: project.id,
      projectId: project.id,
      description: "default",
      disabled: false,
      prefix: project.shortId,
      services: [],
      volumes: [],
    });
    const registries = await call("GET", `/v2/projects/${project.shortId}/registries`);
    expect(registries.body.map(({ uri }: { uri: string }) => uri)).toEqual([
      "index.docker.io",
      "ghcr.io",
      "registry.gitlab.com",
    ]);
    const late = vendor.platform.addProject({ defaultStackDelayMs: 5000 });
    expect((await call("GET", `/v2/stacks/${late.id}`)).status).toBe(403);
    expect((await call("GET", `/v2/projects/${late.id}/stacks`)).body).toEqual([]);
    await clock.advance(5000);
    expect((await call("GET", `/v2/stacks/${late.id}`)).status).toBe(200);
  });
});

describe("a PUT", () => {
  test("removes what is not in it, and its answer has no key for what there is none of", async () => {
    const { put, vendor, project, stack, call } = await bench();
    const both = await put({ one: {}, two: {} });
    expect(both.status).toBe(400);
    expect(names((await put({ web: web(), db: web() })).body)).toEqual(["web", "db"]);
    expect(names((await put({ db: web() })).body)).toEqual(["db"]);
    const empty = await put({});
    expect(empty.body).toEqual({
      id: project.id,
      projectId: project.id,
      description: "default",
      disabled: false,
      prefix: project.shortId,
    });
    expect((await call("GET", stack)).body).toMatchObject({ services: [], volumes: [] });
    expect(vendor.platform.effects.counts()).toMatchObject({ created: 2, removed: 2, recreated: 0 });
  });

  test("without the key services empties the stack, unless told otherwise", async () => {
    const { put, call, stack, vendor } = await bench();
    await put({ web: web() });
    vendor.quirks.putWithoutKey = "keep";
    expect(names((await call("PUT", stack, {})).body)).toEqual(["web"]);
    vendor.quirks.putWithoutKey = "empty";
    expect(names((await call("PUT", stack, {})).body)).toEqual([]);
  });

  test("replaces a service: what it leaves out goes back to its default, limits and policy unless told otherwise", async () => {
    const { put, vendor } = await bench();
    const full = web({
      environment: { A: "1" },
      ports: ["80/tcp"],
      restartPolicy: "no",
      deploy: { resources: { limits: { memory: "1gb" } } },
    });
    await put({ web: full });
    vendor.quirks.putOmitted = "keep";
    const kept = (await put({ web: web() })).body.services[0];
    expect(kept).toMatchObject({ restartPolicy: "no", deploy: { resources: { limits: { memory: "1gb" } } } });
    expect(kept.pendingState).not.toHaveProperty("envs");
    expect(kept.pendingState).not.toHaveProperty("ports");
    vendor.quirks.putOmitted = "reset";
    const reset = (await put({ web: web() })).body.services[0];
    expect(reset).toMatchObject({ restartPolicy: "always" });
    expect(reset).not.toHaveProperty("deploy");
  });

  test("with the same body again changes nothing and requires nothing", async () => {
    const { put, clock, vendor } = await bench();
    const services = { web: web({ environment: { A: "1" }, command: ["run"] }) };
    await put(services);
    await clock.advance(10_000);
    const again = await put(services);
    expect(again.body.services[0]).toMatchObject({ requiresRecreate: false, status: "running" });
    expect(vendor.platform.effects.counts()).toMatchObject({ created: 1, edited: 0, recreated: 0 });
  });

  test("ignores description and schedule of the stack", async () => {
    const { call, stack } = await bench();
    const body = { services: {}, volumes: {}, description: "mine", updateSchedule: { cron: "* * * * *" } };
    const answer = await call("PUT", stack, body);
    expect(answer.body.description).toBe("default");
    expect(answer.body).not.toHaveProperty("updateSchedule");
  });
});

describe("a PATCH", () => {
  test("touches only the names and fields in it; lists and maps are replaced as a whole, empty commands are the image's", async () => {
    const { patch, service } = await bench();
    await patch({
      web: web({ environment: { A: "1", B: "2" }, command: ["run"], ports: ["80/tcp"] }),
      theirs: web({ description: "theirs" }),
    });
    await patch({ web: { environment: { B: "3" } } });
    expect((await service("web")).pendingState).toMatchObject({
      envs: { B: "3" },
      envOrder: ["B"],
      command: ["run"],
      ports: ["80/tcp"],
    });
    await patch({ web: { command: [] } });
    expect((await service("web")).pendingState.command).toEqual(["serve"]);
    await patch({ web: { envs: { OLD: "1" } } });
    expect((await service("web")).pendingState.envs).toEqual({ OLD: "1" });
    expect((await service("theirs")).description).toBe("theirs");
  });

  test("with {} removes a service; for a name that is not there it does nothing, or is refused", async () => {
    const { patch, vendor } = await bench();
    await patch({ web: web(), db: web() });
    expect(names((await patch({ web: {} })).body)).toEqual(["db"]);
    expect((await patch({ web: {} })).status).toBe(200);
    vendor.quirks.emptyForUnknown = 400;
    expect((await patch({ web: {} })).status).toBe(400);
  });

  test("without limits clears them, and sets description and schedule of the stack", async () => {
    const { call, stack, patch } = await bench();
    await patch({ web: web({ deploy: { resources: { limits: { cpus: "0.5" } } } }) });
    const cleared = await patch({ web: { deploy: { resources: {} } } });
    expect(cleared.body.services[0]).not.toHaveProperty("deploy");
    await call("PATCH", stack, { description: "mine", updateSchedule: { cron: "0 3 * * *" } });
    expect((await call("GET", stack)).body).toMatchObject({
      description: "mine",
      updateSchedule: { cron: "0 3 * * *" },
    });
    await call("PATCH", stack, { updateSchedule: null });
    expect((await call("GET", stack)).body.updateSchedule).toBeNull();
  });

  test("that is refused in one part does nothing in the others", async () => {
    const { patch, call, stack } = await bench();
    expect((await patch({ good: web(), bad: web({ ports: ["80:81/tcp"] }) })).status).toBe(400);
    expect((await patch({ good: web({ volumes: ["data:/data"] }) })).status).toBe(412);
    expect((await call("GET", stack)).body.services).toEqual([]);
  });
});

describe("validation", () => {
  test("of memory answers with the vendor's own words and path", async () => {
    const { patch } = await bench();
    const answer = await patch({ xxx: web({ deploy: { resources: { limits: { memory: "205M" } } } }) });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      type: "ValidationError",
      message: "Validation failed",
      params: { traceId: expect.stringMatching(/^[0-9a-f]{16}$/) },
      validationErrors: [
        {
          path: "services.services.xxx.limits.memory",
          message: "input '205M' does not match regex '^[0-9]+(mb|m|b|gb|g|kb|k)$'",
        },
      ],
    });
  });

  test.each<[string, string, object, string]>([
    ["a name of 64", "a".repeat(64), web(), "63"],
    ["a name with a slash", "a/b", web(), "regex"],
    ["no image", "web", { description: "web" }, "image"],
    ["no description", "web", { image: "nginx" }, "blank"],
    ["a blank description", "web", web({ description: "  " }), "blank"],
    ["a remapped port", "web", web({ ports: ["8080:80/tcp"] }), "must equal"],
    ["a port that is none", "web", web({ ports: ["70000/tcp"] }), "not a port"],
    ["a relative mount", "web", web({ volumes: ["./data:/data"] }), "no volume name"],
    ["a mount without a target", "web", web({ volumes: ["data"] }), "mountpoint"],
    ["a mode", "web", web({ volumes: ["data:/data:ro"] }), "mode"],
    ["a path of another project", "web", web({ volumes: ["/home/p-others/x:/x"] }), "not below"],
    ["a policy that is none", "web", web({ restartPolicy: "sometimes" }), "restart policy"],
    ["no processors", "web", web({ deploy: { resources: { limits: { cpus: "0" } } } }), "positive"],
    ["a number for an environment", "web", web({ environment: { A: 1 } }), "string"],
    ["null for a field", "web", web({ ports: null }), "array"],
  ])("refuses %s with 400 and makes nothing", async (_what, name, service, says) => {
    const { patch, vendor } = await bench();
    const answer = await patch({ [name]: service });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(says)]);
    expect(vendor.platform.effects.list()).toEqual([]);
  });

  test("takes paths of the project's own folder, ranges, all protocols, and a mode where told so", async () => {
    const { patch, project, vendor } = await bench();
    vendor.quirks.volumeMode = "accept";
    const service = web({
      ports: ["80", "8000-8010/tcp", "53/udp", "9:9/sctp"],
      volumes: [`/home/${project.shortId}/files:/files`, "data:/data:ro"],
    });
    const answer = await patch({ web: service }, { volumes: { data: { name: "data" } } });
    expect(answer.body.services[0].pendingState.ports).toEqual(["80/tcp", "8000-8010/tcp", "53/udp", "9/sctp"]);
    vendor.quirks.portsEcho = "long";
    expect((await patch({})).body.services[0].pendingState.ports[0]).toBe("80:80/tcp");
    vendor.quirks.portsEcho = "given";
    expect((await patch({})).body.services[0].pendingState.ports[0]).toBe("80");
  });

  test("refuses what is no JSON", async () => {
    const { call, stack } = await bench();
    expect((await call("PATCH", stack, "{services")).status).toBe(400);
  });
});

describe("volumes", () => {
  const mounting = web({ volumes: ["data:/data"] });
  const declared = { volumes: { data: { name: "data" } } };

  test("left out of a PUT are detached and keep their data; only DELETE destroys them, and only unlinked", async () => {
    const { put, call, stack } = await bench();
    const made = await put({ web: mounting }, { data: { name: "data" } });
    const [volume] = made.body.volumes;
    expect(volume).toMatchObject({ name: "data", orphaned: false, linkedServices: [made.body.services[0].id] });
    const path = `${stack}/volumes/${volume.id}`;
    const refused = await call("DELETE", path);
    expect([refused.status, refused.body.type]).toEqual([412, "VError"]);
    await put({});
    const alone = (await call("GET", path)).body;
    expect(alone).toMatchObject({ id: volume.id, orphaned: true });
    expect(alone).not.toHaveProperty("linkedServices");
    expect((await call("DELETE", path)).status).toBe(204);
    expect((await call("GET", path)).status).toBe(404);
    expect((await call("DELETE", path)).status).toBe(404);
  });

  test("are found again by name, detached ones too; {} in a PATCH detaches, unless mounted", async () => {
    const { patch, call, stack } = await bench();
    const id = (await patch({ web: mounting }, declared)).body.volumes[0].id;
    expect((await patch({}, { volumes: { data: {} } })).status).toBe(412);
    await patch({ web: {} }, { volumes: { data: {} } });
    expect((await call("GET", `${stack}/volumes`)).body).toMatchObject([{ id, orphaned: true }]);
    expect((await patch({ db: mounting })).body.volumes).toMatchObject([{ id, orphaned: false }]);
  });

  test("that a PUT mounts have to be declared in it", async () => {
    const { put } = await bench();
    expect((await put({ web: mounting }, {})).status).toBe(412);
  });
});

describe("stacks of one's own", () => {
  test("are not idempotent to make, found by a word in their description or their services' names, and gone with all that is in them", async () => {
    const { call, project, vendor } = await bench();
    const path = `/v2/projects/${project.shortId}/stacks`;
    const [one, two] = [
      await call("POST", path, { description: "shop [x#1]" }),
      await call("POST", path, { description: "shop [x#1]" }),
    ];
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(one.body.id).not.toBe(two.body.id);
    expect((await call("GET", `${path}?searchTerm=X%231`)).body).toHaveLength(2);
    const own = `/v2/stacks/${one.body.id}`;
    await call("PUT", own, { services: { shop: web({ volumes: ["data:/d"] }) }, volumes: { data: { name: "data" } } });
    expect((await call("GET", `${path}?searchTerm=shop`)).body).toHaveLength(2);
    expect((await call("DELETE", own)).status).toBe(204);
    expect((await call("GET", own)).status).toBe(403);
    expect((await call("DELETE", own)).status).toBe(403);
    expect((await call("GET", `/v2/projects/${project.id}/volumes`)).body).toEqual([]);
    expect(vendor.platform.effects.counts({ stackId: one.body.id })).toMatchObject({ created: 1, removed: 1 });
  });

  test("may be too many, and templates are unknown", async () => {
    const { call, project } = await bench({ quirks: { mostStacks: 1 } });
    const path = `/v2/projects/${project.id}/stacks`;
    expect((await call("POST", path, { description: "mine" })).status).toBe(409);
    expect((await call("POST", path, { description: "mine", templateConfig: { templateId: "x" } })).status).toBe(404);
    expect((await call("POST", path, { description: " " })).status).toBe(400);
  });

  test("deleting the default one empties it, or is refused", async () => {
    const { call, stack, put, vendor } = await bench();
    await put({ web: web() }, { data: { name: "data" } });
    vendor.quirks.deleteDefaultStack = "refuse";
    expect((await call("DELETE", stack)).status).toBe(412);
    vendor.quirks.deleteDefaultStack = "empty";
    expect((await call("DELETE", stack)).status).toBe(204);
    expect((await call("GET", stack)).body).toMatchObject({ services: [], volumes: [] });
  });
});

test("lists come in pages, filtered and sorted", async () => {
  const { call, project, put } = await bench();
  const services = Object.fromEntries(["aa", "bb", "cc"].map((name) => [name, web({ description: `d-${name}` })]));
  await put(services, { one: { name: "one" }, two: { name: "two" } });
  const path = `/v2/projects/${project.id}/services`;
  const page = await call("GET", `${path}?limit=2&page=2&sortOrder=descriptionDesc`);
  expect(page.body.map(({ serviceName }: { serviceName: string }) => serviceName)).toEqual(["aa"]);
  expect(["limit", "skip", "page", "totalcount"].map((name) => page.headers.get(`x-pagination-${name}`))).toEqual([
    "2",
    "2",
    "2",
    "3",
  ]);
  expect((await call("GET", `${path}?limit=1&skip=1&page=9`)).body).toHaveLength(1);
  expect((await call("GET", `${path}?limit=x`)).status).toBe(400);
  expect((await call("GET", `${path}?searchTerm=D-BB`)).body).toHaveLength(1);
  expect((await call("GET", `${path}?status=creating`)).body).toHaveLength(3);
  expect((await call("GET", `${path}?stackId=${project.id}&requiresRecreate=true`)).body).toEqual([]);
  expect((await call("GET", "/v2/services?searchTerm=cc")).body).toHaveLength(1);
  expect((await call("GET", "/v2/stacks?searchTerm=bb")).body).toHaveLength(1);
  const volumes = await call("GET", `/v2/projects/${project.id}/volumes?sortOrder=nameDesc`);
  expect(volumes.body.map(({ name }: { name: string }) => name)).toEqual(["two", "one"]);
});

test("the judge of these tests sees what the document does not have", () => {
  expect(document.schemaProblem("container.ServiceStatus", "restarting")).toContain("must be equal");
  expect(document.answerProblem("get-stack", 200, "application/json", "{}")).toContain("required");
  expect(document.answerProblem("delete-stack", 204, null, "x")).toContain("body");
});
