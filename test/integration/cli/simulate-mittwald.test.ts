import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DrayageProcess } from "./drayage-process.ts";

test("drayage simulate mittwald serves its projects to the token of a file, with a control endpoint, and leaves in order on SIGTERM", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drayage-test-"));
  try {
    const file = join(folder, "token");
    await writeFile(file, "s3cret-unique\n");
    const options = "--port 0 --control-port 0 --projects 2 --pull-time 10ms --start-time 10ms --lag 0ms";
    await using simulator = new DrayageProcess(["simulate", "mittwald", "--token-file", file, ...options.split(" ")]);
    await simulator.until(() => simulator.stdout.includes("control endpoint: http://"), "the control endpoint");
    const url = /simulated mittwald API on (http:\S+)/.exec(simulator.stdout)?.[1] ?? "";
    const control = /control endpoint: (http:\S+)/.exec(simulator.stdout)?.[1] ?? "";
    const projects = [...simulator.stdout.matchAll(/project ([0-9a-f-]{36}) \((p-[a-z0-9]{6})\)/g)];
    expect(projects).toHaveLength(2);
    const stack = `${url}/v2/stacks/${projects[0]?.[1]}`;
    const headers = { "x-access-token": "s3cret-unique" };
    const services = { web: { image: "nginx", description: "web" } };
    const made = await fetch(stack, { method: "PATCH", headers, body: JSON.stringify({ services }) });
    expect(made.status).toBe(200);
    await expect.poll(async () => (await fetch(stack, { headers })).text()).toContain('"status":"running"');
    expect((await fetch(stack)).status).toBe(401);
    expect(await (await fetch(control)).json()).toMatchObject({ projects: 2, containers: 1 });
    simulator.kill("SIGTERM");
    expect(await simulator.exit).toBe(0);
    expect(simulator.stderr).toBe("");
    expect(simulator.stdout).not.toContain("s3cret-unique");
  } finally {
    await rm(folder, { recursive: true });
  }
});
