import { afterEach, describe, expect, test } from "vitest";
import {
  ERROR_TEXTS,
  KUBELET_REASONS,
  startAlpon,
  startControl,
  type AlponOptions,
  type AlponSimulator,
  type ErrorCode,
} from "../../../src/simulators/alpon/index.ts";
import { until } from "./replay.ts";

const KEY = { "x-api-key": "alpon-key" };
const ASSET = { serial: "A1", uuid: "9b2f", sid: "SID-A1", iccid: "89881" };
let vendor: AlponSimulator;
afterEach(async () => {
  await vendor.stop();
});

async function start(options: Partial<AlponOptions> = {}): Promise<void> {
  vendor = await startAlpon({ assets: [ASSET, { serial: "S1", kind: "sim" }], stepMs: 1, ...options });
}

const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = KEY) =>
  fetch(`${vendor.url}${path}`, {
    method,
    headers: { ...headers, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const deploy = (body: object, id = "A1") => call("POST", `/assets/${id}/alpon/containers`, body);
const eventsOf = async (response: Response): Promise<{ status: string; message: string; percentage?: number }[]> =>
  (await response.text())
    .split("\n")
    .flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6)) as never] : []));
const web = { name: "web", image: "docker.io/library/nginx:1" };
const listed = async () =>
  ((await (await call("GET", "/assets/A1/alpon/containers")).json()) as { data: Record<string, unknown>[] }).data;
const failure = async (response: Response) => (await eventsOf(response)).at(-1);

describe("a deployment", () => {
  test("streams the vendor's five words and is listed with what was sent", async () => {
    await start();
    const body = { ...web, environments: { A: "1" }, ports: [{ host_port: 30_080, container_port: 80 }] };
    const events = await eventsOf(await deploy(body));
    expect(events.map(({ status }) => status)).toEqual([
      ...Array.from({ length: 4 }, () => "Downloading"),
      "Unpacking",
      "Running",
      "Success",
    ]);
    expect(events[0]).toEqual({ status: "Downloading", message: "Downloading the image.", percentage: 0 });
    expect(await listed()).toMatchObject([{ ...body, status: "Running", host_network: false, privileged: false }]);
  });

  test("on an old bundle tells neither Downloading nor Unpacking", async () => {
    await start();
    vendor.device("A1").bundle = "25.1.18.9";
    expect((await eventsOf(await deploy(web))).map(({ status }) => status)).toEqual(["Running", "Success"]);
  });

  test.each(["A1", "9b2f", "SID-A1", "89881"])("reaches the same device by its id %s", async (id) => {
    await start();
    await deploy(web, id).then((response) => response.text());
    expect([...vendor.device("A1").containers.keys()]).toEqual(["web"]);
  });

  test("goes on when its stream is cut, or does not, as the fault says", async () => {
    await start();
    vendor.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 2, completes: true } });
    await expect(deploy(web).then((response) => response.text())).rejects.toThrow();
    await until(() => vendor.device("A1").containers.has("web"), "the container");
    vendor.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 2, completes: false, how: "end" } });
    const events = await eventsOf(await deploy({ ...web, name: "other" }));
    expect(events).toHaveLength(2);
    await until(() => !vendor.device("A1").busy, "the end");
    expect(vendor.device("A1").containers.has("other")).toBe(false);
  });
});

describe("errors", () => {
  const cases: [ErrorCode, () => Promise<unknown>, object, string?][] = [
    ["ErrorNoImage", async () => undefined, { name: "web" }],
    ["ErrorNoName", async () => undefined, { image: "x" }],
    ["AssetNotFound", async () => undefined, web, "nobody"],
    ["AssetNotAlponDevice", async () => undefined, web, "S1"],
    ["ContainerExists", () => deploy(web).then((response) => response.text()), web],
    [
      "ErrorDeploymentAlreadyExist",
      async () => {
        await (await deploy(web)).text();
        vendor.device("A1").orphans.add("web");
      },
      web,
    ],
    [
      "ErrorNodePortIsNotCorrectRange",
      async () => undefined,
      { ...web, ports: [{ host_port: 80, container_port: 80 }] },
    ],
    [
      "ErrorPortInUse",
      () =>
        deploy({ ...web, name: "a", ports: [{ host_port: 30_001, container_port: 1 }] }).then((response) =>
          response.text(),
        ),
      { ...web, ports: [{ host_port: 30_001, container_port: 2 }] },
    ],
    [
      "ErrorSaveDeploymentToFile",
      async () => {
        vendor.device("A1").diskFull = "notApplied";
      },
      web,
    ],
    ["ErrorControlLoopAlreadyRunning", async () => void (await deploy({ ...web, name: "a", image: "x/slow:1" })), web],
    [
      "DeviceNotReachable",
      async () => {
        vendor.device("A1").online = false;
      },
      web,
    ],
    ["ImagePullBackOff", async () => undefined, { ...web, image: "x/private:1" }],
    ["CrashLoopBackOff", async () => undefined, { ...web, image: "x/crashnow:1" }],
    ["CreateContainerConfigError", async () => undefined, { ...web, image: "x/badconfig:1" }],
    ["CreateContainerError", async () => undefined, { ...web, image: "x/nocreate:1" }],
    ["InvalidImageName", async () => undefined, { ...web, image: "x/badname:1" }],
    ["RunContainerError", async () => undefined, { ...web, image: "x/norun:1" }],
    ["ErrImageNeverPull", async () => undefined, { ...web, image: "x/neverpull:1" }],
    ...(["ErrorBindingRequest", "ErrorNameExists", "Unknown"] as const).map(
      (code): [ErrorCode, () => Promise<unknown>, object] => [
        code,
        async () => vendor.fault({ match: "deploy", effect: { kind: "fail", code } }),
        web,
      ],
    ),
  ];

  test("are the page's 21", () => {
    expect(cases.map(([code]) => code).sort()).toEqual(Object.keys(ERROR_TEXTS).sort());
  });

  test.each(cases)("%s comes as a Fail with the page's sentence and no code", async (code, arrange, body, id) => {
    await start();
    await arrange();
    expect(await failure(await deploy(body, id))).toEqual({ status: "Fail", message: ERROR_TEXTS[code] });
    const names = [...vendor.device("A1").containers.values()].map(({ state }) => state);
    if (KUBELET_REASONS.has(code)) expect(names).toEqual([code]);
  });

  test("come as HTTP statuses where that is switched on, and with a code where that is", async () => {
    await start({ quirks: { errors: "http" } });
    const answer = await deploy(web, "nobody");
    expect([answer.status, await answer.json()]).toEqual([404, { detail: ERROR_TEXTS.AssetNotFound }]);
    vendor.quirks.errors = "stream";
    vendor.quirks.codeKey = "error_code";
    expect(await failure(await deploy(web, "nobody"))).toMatchObject({ error_code: "AssetNotFound" });
  });

  test("of types come as FastAPI's 422; of keys as 401; of rights as 403", async () => {
    await start();
    const wrong = await deploy({ ...web, ports: [{ from: 1 }] });
    expect([wrong.status, await wrong.json()]).toMatchObject([422, { detail: [{ loc: ["body", "ports"] }] }]);
    expect((await call("GET", "/assets", undefined, {})).status).toBe(401);
    vendor.authorize(403);
    expect((await call("GET", "/assets")).status).toBe(403);
  });

  test("a full disk may have taken effect all the same", async () => {
    await start();
    vendor.device("A1").diskFull = "applied";
    expect(await failure(await deploy(web))).toMatchObject({ message: ERROR_TEXTS.ErrorSaveDeploymentToFile });
    expect(vendor.device("A1").containers.get("web")?.state).toBe("Running");
  });
});

describe("an update", () => {
  test("keeps what is absent, clears what is empty, and cannot rename", async () => {
    await start();
    const ports = [{ host_port: 30_080, container_port: 80 }];
    await (await deploy({ ...web, environments: { A: "1" }, ports })).text();
    const path = "/assets/A1/alpon/containers/web";
    await (await call("PATCH", path, { image: "docker.io/library/nginx:2", name: "other" })).text();
    expect(await listed()).toMatchObject([{ name: "web", image: "docker.io/library/nginx:2", ports }]);
    await (await call("PATCH", path, { ports: [], environments: {} })).text();
    expect(await listed()).toMatchObject([{ image: "docker.io/library/nginx:2", ports: [], environments: {} }]);
    expect((await failure(await call("PATCH", "/assets/A1/alpon/containers/nobody", {})))?.status).toBe("Fail");
  });
});

describe("framings", () => {
  const bodies: Record<string, string> = {
    "sse-lf": 'data: {"status":"Success"',
    "sse-crlf-ping": ': ping - the first\r\n\r\nevent: message\r\ndata: {"status":',
    ndjson: '{"status":"Running","message":"The container is being created."}\n{"status"',
    concatenated: '{"status":"Running","message":"The container is being created."}{"status"',
    "single-json": '{"status":"Success"',
  };
  test.each(["sse-lf", "sse-crlf-ping", "ndjson", "concatenated", "single-json"] as const)("%s", async (framing) => {
    await start({ quirks: { framing, chunks: "bytes" } });
    vendor.device("A1").bundle = "1.0";
    expect(await (await deploy(web)).text()).toContain(bodies[framing]);
  });
});

test("what is deleted is gone, and deleting it again is not found", async () => {
  await start();
  await (await deploy(web)).text();
  expect((await call("DELETE", "/assets/A1/alpon/containers/web")).status).toBe(200);
  expect(await listed()).toEqual([]);
  expect((await call("DELETE", "/assets/A1/alpon/containers/web")).status).toBe(404);
});

test("the control endpoint throws the switches and shows the devices without their environments", async () => {
  await start();
  const control = await startControl(vendor, 0);
  const post = (path: string, body: object) =>
    fetch(`${control.url}/${path}`, { method: "POST", body: JSON.stringify(body) });
  try {
    expect((await post("online", { id: "A1", online: false })).status).toBe(204);
    expect(vendor.device("A1").online).toBe(false);
    expect((await post("quirks", { framing: "ndjson", keys: { portHost: "from" } })).status).toBe(204);
    expect(vendor.quirks).toMatchObject({
      framing: "ndjson",
      keys: { portHost: "from", portContainer: "container_port" },
    });
    expect((await post("quirks", { framing: "morse" })).status).toBe(400);
    expect((await post("fault", { match: "deploy", effect: { kind: "fail", code: "Unknown" } })).status).toBe(204);
    await post("online", { id: "A1" });
    await (await deploy({ ...web, environments: { SECRET: "hunter22" } })).text();
    const devices = await (await fetch(`${control.url}/devices`)).text();
    expect(devices).toContain('"serial":"A1"');
    expect(devices).not.toContain("hunter22");
    expect((await fetch(`${control.url}/nothing`)).status).toBe(404);
  } finally {
    await control.close();
  }
});

describe("a gateway in between", () => {
  test("repeats a request, and gives the second answer", async () => {
    await start();
    vendor.fault({ match: "deploy", effect: { kind: "twice" } });
    expect(await failure(await deploy(web))).toMatchObject({ status: "Fail" });
    vendor.fault({ match: "delete", effect: { kind: "twice" } });
    await until(() => !vendor.device("A1").busy, "the deployment");
    expect((await call("DELETE", "/assets/A1/alpon/containers/web")).status).toBe(404);
    expect(vendor.device("A1").made).toHaveLength(1);
    expect(await listed()).toEqual([]);
  });

  test("gives an old answer, half of one, and the key and the body back", async () => {
    await start();
    expect(await listed()).toEqual([]);
    await (await deploy(web)).text();
    vendor.fault({ match: "list", effect: { kind: "stale" } });
    expect(await listed()).toEqual([]);
    vendor.fault({ match: "list", effect: { kind: "torn" } });
    await expect(listed()).rejects.toThrow();
    expect(await listed()).toHaveLength(1);
    vendor.fault({ match: "deploy", effect: { kind: "answer", when: "before", status: 500, echo: true } });
    const text = await (await deploy(web)).text();
    expect(text).toContain(KEY["x-api-key"]);
    expect(text).toContain("nginx");
  });
});

test.each([true, false])("a restart in the middle says nothing more, and goes on or not: %s", async (resumes) => {
  await start({ stepMs: 20 });
  const device = vendor.device("A1");
  const deploying = deploy(web);
  await until(() => device.busy, "the deployment");
  device.reboot({ downMs: 10, resumes });
  expect((await eventsOf(await deploying)).map(({ status }) => status)).not.toContain("Success");
  expect((await deploy(web)).status).toBe(200);
  await until(() => device.online, "the device");
  expect(device.made).toHaveLength(resumes ? 1 : 0);
});
