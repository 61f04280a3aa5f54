import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "../../controlplane/lock.ts";
import { identify } from "../../controlplane/processes.ts";

let root: string;
let path: string;
const never = (): void => expect.unreachable("nobody holds the lock");

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "lock-"));
  path = join(root, "lock");
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test("the lock is held during the work and gone afterwards, also when the work fails", async () => {
  const work = async (): Promise<string> => {
    expect(existsSync(path)).toBe(true);
    return Promise.resolve("done");
  };
  expect(await withLock(path, never, work)).toBe("done");
  expect(readdirSync(root)).toEqual([]);
  await expect(withLock(path, never, async () => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
  expect(readdirSync(root)).toEqual([]);
});

test("of two only one works at a time, and the other is told once whom it waits for", async () => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const order: string[] = [];
  const waits: number[] = [];
  const first = withLock(path, never, async () => {
    started.resolve();
    await finish.promise;
    order.push("first");
  });
  await started.promise;
  const second = withLock(
    path,
    (pid) => {
      waits.push(pid);
      finish.resolve();
    },
    async () => {
      order.push("second");
      return Promise.resolve();
    },
  );
  await Promise.all([first, second]);
  expect(order).toEqual(["first", "second"]);
  expect(waits).toEqual([process.pid]);
});

test("the lock of a process that was killed counts for nothing", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  writeFileSync(path, JSON.stringify(identify(child.pid ?? 0)));
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await withLock(path, never, async () => Promise.resolve("done"))).toBe("done");
});
