import { describe, expect, test } from "vitest";
import type { Call } from "../../../../src/backends/mittwald/client.ts";
import {
  judgeImage,
  TAG_INTERVAL_MS,
  TagLooks,
  TagWatch,
  type ImageVerdict,
} from "../../../../src/backends/mittwald/images.ts";
import type { ImageConfig } from "../../../../src/backends/mittwald/types.ts";

const IMAGE = "registry.example/app:1";

function clockAt() {
  const clock = { nowMs: 0, now: () => clock.nowMs, monotonic: () => clock.nowMs };
  return clock;
}

describe("what a tag means", () => {
  const known = (digest: string): ImageVerdict => ({ known: true, config: { digest } as ImageConfig });
  /** A new process, which sees a service with this digest while the registry has that one. */
  function start(latest: string, deployed: string): TagWatch {
    const watch = new TagWatch(clockAt() as never);
    watch.note(IMAGE, known(latest), 1);
    watch.see(IMAGE, "s", deployed);
    return watch;
  }

  test("is no news at the start where the two digests may be of two kinds, but at a restart it is", () => {
    const watch = start("index-1", "manifest-1");
    expect(watch.news(IMAGE, "s", "manifest-1")).toBe("manifest-1");
    expect(watch.latest(IMAGE, "s", "manifest-1")).toBe("index-1");
  });

  test("is news once it changes, and none any more once that runs, by our pull or by the vendor's schedule", () => {
    const watch = start("index-1", "manifest-1");
    watch.note(IMAGE, known("index-2"), 1);
    watch.see(IMAGE, "s", "manifest-1");
    expect(watch.news(IMAGE, "s", "manifest-1")).toBe("index-2");
    watch.see(IMAGE, "s", "manifest-2");
    expect(watch.news(IMAGE, "s", "manifest-2")).toBe("manifest-2");
  });

  test("is news whenever it differs, once the registry's digest was seen to run", () => {
    const watch = start("one", "one");
    expect(watch.news(IMAGE, "s", "one")).toBe("one");
    watch.see(IMAGE, "other", "older");
    expect(watch.news(IMAGE, "other", "older")).toBe("one");
    watch.note(IMAGE, known("two"), 1);
    expect(watch.news(IMAGE, "s", "one")).toBe("two");
  });

  test("of an image that the service got just now starts anew, and of a service that is gone is forgotten", () => {
    const watch = start("index-1", "manifest-1");
    watch.note("other:1", known("index-o"), 1);
    expect(watch.news("other:1", "s", "manifest-1")).toBe("index-o");
    watch.pulled("s", "index-1", "manifest-0");
    watch.keep(new Set());
    expect(watch.news(IMAGE, "s", "manifest-1")).toBe("index-1");
    expect(watch.latest(IMAGE, "s", "manifest-0")).toBe("index-1");
  });
});

describe("looks at tags, for a whole account", () => {
  const done: Call<ImageConfig> = { kind: "Done", stale: false, value: { digest: "d" } as ImageConfig };

  test("ask once per project and hour for what many wait for, one after another", async () => {
    const clock = clockAt();
    const asked: string[] = [];
    let open = 0;
    const looks = new TagLooks(clock as never, async (image, projectId) => {
      asked.push(`${projectId} ${image}`);
      expect((open += 1)).toBe(1);
      await Promise.resolve();
      open -= 1;
      return done;
    });
    const all = ["a", "a", "b", "a"].flatMap((project) => [looks.look(IMAGE, project), looks.look("x:1", project)]);
    expect(new Set((await Promise.all(all)).map(({ nextAt }) => nextAt))).toEqual(new Set([TAG_INTERVAL_MS]));
    expect(asked).toEqual([`a ${IMAGE}`, "a x:1", `b ${IMAGE}`, "b x:1"]);
    clock.nowMs = TAG_INTERVAL_MS;
    await looks.look(IMAGE, "a");
    expect(asked).toHaveLength(5);
  });

  test("end with a 429, for all images, until the vendor's window is over", async () => {
    const clock = clockAt();
    let asked = 0;
    const looks = new TagLooks(clock as never, () => {
      asked += 1;
      const failure = { class: "RateLimited", message: "slowly", retryAfterMs: 50_000 } as const;
      return Promise.resolve(asked === 1 ? { kind: "Unknown", failure } : done);
    });
    const round = await Promise.all(["a:1", "b:1", "c:1"].map((image) => looks.look(image, "p")));
    expect(round).toEqual(Array.from({ length: 3 }, () => ({ verdict: undefined, nextAt: 50_000 })));
    expect(asked).toBe(1);
    clock.nowMs = 50_000;
    expect(await looks.look("a:1", "p")).toMatchObject({ verdict: { known: true } });
  });

  test("take over what a command has asked for itself", async () => {
    const looks = new TagLooks(clockAt() as never, () => Promise.reject(new Error("not to be asked")));
    looks.note("docker.io/library/nginx:1", "p", { known: true, config: { digest: "new" } as ImageConfig });
    expect(await looks.look("nginx:1", "p")).toMatchObject({ verdict: { config: { digest: "new" } } });
  });
});

test("an image that the registry refuses is told with what gives a login, and without a doubt about our token", () => {
  const failure = {
    class: "Unauthorized",
    message: "the vendor answers 403: denied; the token lacks the right",
  } as const;
  const verdict = judgeImage({ kind: "Refused", status: 403, failure, said: "denied" }, "ghcr.io/acme/app:1");
  expect(verdict).toMatchObject({ known: false, failure: { reason: "ImageUnauthorized" } });
  const message = verdict?.known === false ? verdict.failure.message : "";
  expect(message).toMatch(/ghcr\.io\/acme\/app:1: .*\(denied\).*registryRefs.*imagePullSecrets/);
  expect(message).not.toContain("token");
});
