import { describe, expect, test } from "vitest";
import { bench, web } from "./mittwald-bench.ts";

describe("registries", () => {
  test.each<[string, number]>([
    ["https://registry.example.com", 400],
    ["registry.example.com/acme", 400],
    ["registry.invalid", 412],
    ["web.example.com", 412],
    ["ghcr.io", 409],
    ["registry.example.com", 201],
    ["registry.example.com:5000", 201],
  ])("at %s: %i", async (uri, status) => {
    const { call, project } = await bench();
    const answer = await call("POST", `/v2/projects/${project.id}/registries`, { uri, description: "acme" });
    expect(answer.status).toBe(status);
  });

  test("never tell a password; whether it is valid is told late", async () => {
    const { call, project, clock } = await bench({ quirks: { credentialsCheckMs: 60_000 } });
    const path = `/v2/projects/${project.shortId}/registries`;
    const credentials = { username: "u", password: "wrong" };
    const made = await call("POST", path, { uri: "registry.example.com", description: "acme", credentials });
    expect(made.body.credentials).toEqual({ username: "u", valid: true });
    const own = `/v2/registries/${made.body.id}`;
    await clock.advance(60_000);
    expect((await call("GET", own)).body.credentials).toEqual({ username: "u", valid: false });
    expect((await call("POST", `${own}/actions/validate-credentials`)).body).toEqual({ valid: false });
    await call("PATCH", own, { credentials: { username: "u", password: "right" } });
    expect((await call("GET", own)).body.credentials.valid).toBe(false);
    await clock.advance(60_000);
    expect((await call("GET", own)).body.credentials.valid).toBe(true);
    expect((await call("GET", `${path}?hasCredentials=true`)).body).toHaveLength(1);
    await call("PATCH", own, { credentials: null, description: "open" });
    const open = (await call("GET", own)).body;
    expect(open).toMatchObject({ description: "open" });
    expect(open).not.toHaveProperty("credentials");
    expect((await call("DELETE", own)).status).toBe(204);
    expect((await call("GET", own)).status).toBe(403);
    expect((await call("DELETE", own)).status).toBe(403);
  });

  test("may refuse credentials at once, and keep others' hosts apart", async () => {
    const { call, project } = await bench({ quirks: { badCredentials: 412 } });
    const path = `/v2/projects/${project.id}/registries`;
    const credentials = { username: "u", password: "wrong" };
    expect((await call("POST", path, { uri: "a.example", description: "a", credentials })).status).toBe(412);
    const { id } = (await call("POST", path, { uri: "a.example", description: "a" })).body;
    expect((await call("PATCH", `/v2/registries/${id}`, { uri: "ghcr.io" })).status).toBe(409);
    expect((await call("PATCH", `/v2/registries/${id}`, { credentials })).status).toBe(412);
    expect((await call("PATCH", `/v2/registries/${id}`, { uri: "b.example" })).status).toBe(204);
  });

  test("of the three from the start can be deleted and made again", async () => {
    const { call, project } = await bench();
    const path = `/v2/projects/${project.id}/registries`;
    const { id } = (await call("GET", path)).body[1];
    await call("DELETE", `/v2/registries/${id}`);
    expect((await call("POST", path, { uri: "ghcr.io", description: "again" })).status).toBe(201);
  });

  test("let a private image of their host be pulled, and of no other", async () => {
    const { call, project, patch, service, clock } = await bench({ quirks: { credentialsCheckMs: 0 } });
    await patch({ web: web({ image: "registry.example.com/acme/private:1" }) });
    await clock.advance(10_000);
    expect((await service("web")).status).toBe("creating");
    const credentials = { username: "u", password: "p" };
    const path = `/v2/projects/${project.id}/registries`;
    await call("POST", path, { uri: "other.example.com", description: "other", credentials });
    await clock.advance(10_000);
    expect((await service("web")).status).toBe("creating");
    await call("POST", path, { uri: "registry.example.com", description: "acme", credentials });
    await clock.advance(10_000);
    expect((await service("web")).status).toBe("running");
  });

  test("are judged beforehand by their host", async () => {
    const { call } = await bench();
    const judge = async (registryUri: string) =>
      (await call("POST", "/v2/actions/validate-container-registry-uri", { registryUri })).body;
    expect(await judge("ghcr.io")).toEqual({ valid: true });
    expect(await judge("registry.invalid")).toEqual({
      valid: false,
      reason: "registry registry.invalid is not reachable",
    });
  });
});

describe("container-image-config", () => {
  test("tells the digest that a container of it gets, and the image's command; another kind of digest if told so", async () => {
    const { call, running, service, vendor } = await bench();
    await running("web", { image: "mysql:8" });
    const look = async () => (await call("GET", "/v2/container-image-config?imageReference=mysql:8")).body;
    const { imageDigest, command, entrypoint } = (await service("web")).deployedState;
    expect(await look()).toMatchObject({ digest: imageDigest, command, entrypoint, isUserRoot: true });
    vendor.platform.images.push("mysql:8");
    expect((await look()).digest).not.toBe(imageDigest);
    vendor.quirks.otherDigest = true;
    expect((await look()).digest).toMatch(/^sha256:/);
  });

  test.each<[string, number, RegExp]>([
    ["ghcr.io/acme/absent:1", 404, /does not exist$/],
    ["ghcr.io/acme/app:arm64", 412, /'linux\/amd64' platform$/],
    ["ghcr.io/acme/app:schema1", 412, /unsupported with schema 1 manifest$/],
    ["registry.invalid/app:1", 412, /is not reachable$/],
    ["web.example.com/app:1", 412, /does not host a registry$/],
    ["ghcr.io/acme/private:1", 403, /denied$/],
  ])("of %s: %i", async (image, status, says) => {
    const { call } = await bench();
    const answer = await call("GET", `/v2/container-image-config?imageReference=${encodeURIComponent(image)}`);
    expect([answer.status, answer.body.message]).toEqual([status, expect.stringMatching(says)]);
  });

  test("of a private image needs a project's or a registry's credentials", async () => {
    const { call, project } = await bench();
    const path = `/v2/projects/${project.id}/registries`;
    const { id } = (await call("GET", path)).body[1];
    await call("PATCH", `/v2/registries/${id}`, { credentials: { username: "u", password: "p" } });
    const look = async (query: string) =>
      (await call("GET", `/v2/container-image-config?imageReference=ghcr.io/acme/private:1${query}`)).status;
    expect(await look(`&useCredentialsForProjectId=${project.id}`)).toBe(200);
    expect(await look(`&useCredentialsForRegistryId=${id}`)).toBe(200);
    expect(await look(`&useCredentialsForProjectId=${project.shortId}`)).toBe(400);
    expect(await look("")).toBe(403);
  });
});

describe("logs", () => {
  test("are plain text, by tail, with NULs before them, 503, or broken off", async () => {
    const { call, running, stack, vendor } = await bench();
    const id = await running("web");
    for (let line = 1; line <= 50; line++) vendor.human.write(id, `line ${line}`);
    const logs = (query = "") => call("GET", `${stack}/services/${id}/logs${query}`);
    const all = await logs();
    expect(all.headers.get("content-type")).toBe("text/plain");
    expect(all.text.split("\n")).toHaveLength(52);
    expect((await logs("?tail=2")).text).toBe("line 49\nline 50\n");
    expect((await logs("?tail=0")).text).toBe("");
    expect((await logs("?tail=x")).status).toBe(400);
    vendor.quirks.logNuls = 3;
    expect((await logs("?tail=1")).text).toBe("\0\0\0line 50\n");
    vendor.quirks.logsUnavailable = true;
    expect((await logs()).status).toBe(503);
    Object.assign(vendor.quirks, { logsUnavailable: false, logTruncated: true });
    await expect(logs()).rejects.toThrow();
    Object.assign(vendor.quirks, { logTruncated: false, logNuls: 0, logLines: 2 });
    vendor.human.write(id, "last");
    expect((await logs()).text).toBe("line 50\nlast\n");
    expect((await call("GET", `${stack}/services/${id}x/logs`)).status).toBe(404);
  });
});

describe("what recreates containers by itself", () => {
  test("a webhook: by its token, without any other, until it is rotated", async () => {
    const { call, running, stack, vendor, clock } = await bench();
    const id = await running("web");
    const rotate = async () => (await call("POST", `${stack}/services/${id}/webhook-token`)).body;
    const { token, webhookUrl } = await rotate();
    expect(webhookUrl).toBe(`${vendor.url}${stack}/webhooks/pull-image?token=${token}`);
    const visit = (url: string) => call("GET", url.slice(vendor.url.length), undefined, { token: "" });
    expect((await visit(webhookUrl)).status).toBe(204);
    await clock.advance(10_000);
    expect(vendor.platform.effects.counts({ by: "webhook" })).toMatchObject({ pulled: 1, recreated: 1, downtimes: 1 });
    await rotate();
    expect((await visit(webhookUrl)).status).toBe(401);
    expect(
      vendor
        .requests()
        .map(({ path }) => path)
        .join(" "),
    ).not.toContain(token);
  });

  test("an update schedule: at its minute, in its time zone, what has a new image, or all", async () => {
    const { call, running, stack, vendor, clock } = await bench();
    await running("web");
    await running("other", { image: "ghcr.io/acme/other:1" });
    await call("PATCH", stack, { updateSchedule: { cron: "0 3 * * *", timezone: "Europe/Berlin" } });
    const done = () => vendor.platform.effects.counts({ by: "schedule" }).recreated;
    vendor.platform.images.push("ghcr.io/acme/web:1");
    // The clock begins at midnight UTC, in winter.
    await clock.advance(2 * 3_600_000 - 60_000);
    expect(done()).toBe(0);
    await clock.advance(60_000);
    expect(done()).toBe(1);
    await clock.advance(24 * 3_600_000);
    expect(done()).toBe(1);
    vendor.quirks.scheduleRecreates = "all";
    await clock.advance(24 * 3_600_000);
    expect(done()).toBe(3);
    await call("PATCH", stack, { updateSchedule: null });
    await clock.advance(24 * 3_600_000);
    expect(done()).toBe(3);
  });

  test.each(["* * * *", "61 * * * *", "* * * * mon", "*/0 * * * *", "5-1 * * * *"])(
    "a schedule of '%s' is refused",
    async (cron) => {
      const { call, stack } = await bench();
      expect((await call("PATCH", stack, { updateSchedule: { cron } })).status).toBe(400);
      expect((await call("PUT", `${stack}/update-schedule`, { updateSchedule: { cron } })).status).toBe(400);
    },
  );

  test("a schedule in no time zone is refused", async () => {
    const { call, stack } = await bench();
    const updateSchedule = { cron: "* * * * *", timezone: "Europe/Atlantis" };
    expect((await call("PATCH", stack, { updateSchedule })).status).toBe(400);
  });
});
