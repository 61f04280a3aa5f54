import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { identify, isAlive, type ProcessIdentity } from "../../controlplane/processes.ts";
import { endLeftovers, RunDirectory } from "../../controlplane/runs.ts";

let root: string;
const children: ChildProcess[] = [];

beforeEach(() => (root = mkdtempSync(join(tmpdir(), "runs-"))));

afterEach(async () => {
  for (const child of children.splice(0)) {
    await end(child);
  }
  rmSync(root, { recursive: true, force: true });
});

/** A process that does nothing, in a group of its own like those of a control plane. */
function idle(): ChildProcess & { pid: number } {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "ignore" });
  children.push(child);
  if (child.pid === undefined) {
    throw new Error("no process");
  }
  return Object.assign(child, { pid: child.pid });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
}

function identity(pid: number): ProcessIdentity {
  const found = identify(pid);
  if (!found) {
    throw new Error(`no process ${pid}`);
  }
  return found;
}

/** Makes the run look as if another process had started it. */
function setOwner(run: RunDirectory, owner: ProcessIdentity, place: object = {}): void {
  const file = join(run.path, "run.json");
  const content = JSON.parse(readFileSync(file, "utf8")) as { place: object };
  writeFileSync(file, JSON.stringify({ ...content, owner, place: { ...content.place, ...place } }));
}

/** The identity of a process that has ended. */
async function ended(): Promise<ProcessIdentity> {
  const child = idle();
  const found = identity(child.pid);
  await end(child);
  return found;
}

test("the children of a killed run are ended and its folder is removed", async () => {
  const child = idle();
  const run = new RunDirectory(root);
  run.addChild("etcd", child.pid);
  setOwner(run, await ended());
  const exited = once(child, "exit");
  expect(endLeftovers(root)).toEqual([`etcd ${child.pid}`]);
  expect(await exited).toEqual([null, "SIGKILL"]);
  expect(existsSync(run.path)).toBe(false);
});

test("a run whose owner lives is left alone", () => {
  const child = idle();
  const run = new RunDirectory(root);
  run.addChild("etcd", child.pid);
  expect(endLeftovers(root)).toEqual([]);
  expect(existsSync(run.path)).toBe(true);
  expect(isAlive(identity(child.pid))).toBe(true);
});

test("a process that got the pid of a dead child is not touched, nor does one with the owner's pid keep the run", async () => {
  const stranger = idle();
  const run = new RunDirectory(root);
  run.addChild("etcd", stranger.pid);
  const file = join(run.path, "run.json");
  const content = JSON.parse(readFileSync(file, "utf8")) as { children: { etcd: ProcessIdentity } };
  content.children.etcd.startTime = "1";
  writeFileSync(file, JSON.stringify(content));
  setOwner(run, { pid: process.pid, startTime: "1" });
  expect(endLeftovers(root)).toEqual([]);
  expect(existsSync(run.path)).toBe(false);
  expect(isAlive(identity(stranger.pid))).toBe(true);
});

test("after a restart of the machine only the folder is removed: the pids belong to others now", async () => {
  const stranger = idle();
  const run = new RunDirectory(root);
  run.addChild("etcd", stranger.pid);
  setOwner(run, await ended(), { boot: "another" });
  expect(endLeftovers(root)).toEqual([]);
  expect(existsSync(run.path)).toBe(false);
  expect(isAlive(identity(stranger.pid))).toBe(true);
});

test("runs of another machine or container that shares the disk are left alone", async () => {
  for (const place of [{ host: "another" }, { pidNamespace: "pid:[1]" }]) {
    const child = idle();
    const run = new RunDirectory(root);
    run.addChild("etcd", child.pid);
    setOwner(run, await ended(), place);
    expect(endLeftovers(root)).toEqual([]);
    expect(existsSync(run.path)).toBe(true);
    expect(isAlive(identity(child.pid))).toBe(true);
  }
});

test("a child that was stopped in order is not looked for any more", async () => {
  const child = idle();
  const run = new RunDirectory(root);
  run.addChild("etcd", child.pid);
  run.removeChild("etcd");
  setOwner(run, await ended());
  expect(endLeftovers(root)).toEqual([]);
  expect(isAlive(identity(child.pid))).toBe(true);
});

test("a folder without a readable record is removed only when it is old", () => {
  const folder = join(root, "1-abc");
  mkdirSync(folder);
  endLeftovers(root);
  expect(existsSync(folder)).toBe(true);
  utimesSync(folder, new Date(0), new Date(0));
  endLeftovers(root);
  expect(existsSync(folder)).toBe(false);
});

test("a missing folder of runs holds no leftovers", () => {
  expect(endLeftovers(join(root, "nothing"))).toEqual([]);
});
