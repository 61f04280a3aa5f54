import { expect, test } from "vitest";
import { ApiError } from "../../../src/kube/errors.ts";
import { canonical, HashKey } from "../../../src/reconcilers/hash.ts";
import { NotText, References, type ValueKind, type ValueSource } from "../../../src/reconcilers/references.ts";
import { referencesOf, resolveDecryption, resolveEnv } from "../../../src/reconcilers/edge-container/values.ts";
import { decode } from "../../../src/reconcilers/values-source.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** Objects in memory, with every read counted; `watched` says whether a metadata-only watch runs. */
class Objects implements ValueSource {
  readonly data = new Map<string, { values: Record<string, string | NotText>; version: number }>();
  watched = true;
  reads = 0;

  set(kind: ValueKind, name: string, values: Record<string, string | NotText>): void {
    const version = (this.data.get(`${kind}/line/${name}`)?.version ?? 0) + 1;
    this.data.set(`${kind}/line/${name}`, { values, version });
  }
  async read(kind: ValueKind, key: { namespace: string; name: string }) {
    this.reads++;
    const found = this.data.get(`${kind}/${key.namespace}/${key.name}`);
    if (found === undefined) throw new ApiError("get", 404, { reason: "NotFound" });
    return { data: new Map(Object.entries(found.values)), resourceVersion: String(found.version) };
  }
  watchedVersion(kind: ValueKind, key: { namespace: string; name: string }) {
    if (!this.watched) return undefined;
    const found = this.data.get(`${kind}/${key.namespace}/${key.name}`);
    return found === undefined ? null : String(found.version);
  }
  isWatched() {
    return this.watched;
  }
}

function setUp() {
  const objects = new Objects();
  const clock = new FakeClock();
  return { objects, clock, references: new References(objects, clock, { random: () => 0.5 }) };
}

const spec = { deviceRef: { name: "press" } };

test("env wins over envFrom, a later source over an earlier one, as in a Pod", async () => {
  const { objects, references } = setUp();
  objects.set("ConfigMap", "base", { A: "base", B: "base", C: "base" });
  objects.set("Secret", "creds", { B: "secret", token: "t" });
  const resolved = await resolveEnv(
    {
      ...spec,
      envFrom: [{ configMapRef: { name: "base" } }, { secretRef: { name: "creds" } }],
      env: [
        { name: "C", value: "own" },
        { name: "T", valueFrom: { secretKeyRef: { name: "creds", key: "token" } } },
      ],
    },
    "line",
    references,
  );
  expect(resolved).toMatchObject({
    ok: true,
    env: [
      { name: "A", value: "base" },
      { name: "B", value: "secret" },
      { name: "C", value: "own" },
      { name: "token", value: "t" },
      { name: "T", value: "t" },
    ],
  });
  if (resolved.ok) expect([...resolved.fromSecret].sort()).toEqual(["B", "T", "token"]);
});

test("what is missing is named, never its value; optional references may be missing", async () => {
  const { objects, references } = setUp();
  const ask = (valueFrom: object) => resolveEnv({ ...spec, env: [{ name: "T", valueFrom }] }, "line", references);
  expect(await ask({ secretKeyRef: { name: "creds", key: "token" } })).toMatchObject({
    problem: { reason: "SecretNotFound", message: "Secret line/creds does not exist" },
  });
  objects.set("Secret", "creds", { other: "hidden" });
  const missing = await ask({ secretKeyRef: { name: "creds", key: "token" } });
  expect(missing).toMatchObject({
    problem: { reason: "SecretKeyMissing", message: 'Secret line/creds has no key "token"; it has other' },
  });
  expect(JSON.stringify(missing)).not.toContain("hidden");
  expect(await ask({ configMapKeyRef: { name: "c", key: "k", optional: true } })).toEqual({
    ok: true,
    env: [],
    fromSecret: new Set(),
  });
});

test("every reference of a spec is found once", () => {
  expect(
    referencesOf({
      ...spec,
      envFrom: [{ secretRef: { name: "a" } }],
      env: [
        { name: "X", valueFrom: { secretKeyRef: { name: "a", key: "k" } } },
        { name: "Y", valueFrom: { configMapKeyRef: { name: "b", key: "k" } } },
      ],
    }),
  ).toEqual([
    { kind: "Secret", name: "a" },
    { kind: "ConfigMap", name: "b" },
  ]);
});

test("a watched value is read once until the watch shows a newer version", async () => {
  const { objects, references } = setUp();
  const key = { namespace: "line", name: "creds" };
  objects.set("Secret", "creds", { token: "1" });
  await references.get("Secret", key);
  await references.get("Secret", key);
  expect(objects.reads).toBe(1);
  objects.set("Secret", "creds", { token: "2" });
  expect((await references.get("Secret", key))?.get("token")).toBe("2");
  expect(objects.reads).toBe(2);
  expect(references.recheckInMs(new Set(["Secret"]))).toBeUndefined();
});

test("without a watch a value is read again after a while, and its readers are told when to come", async () => {
  const { objects, clock, references } = setUp();
  objects.watched = false;
  const key = { namespace: "line", name: "creds" };
  expect(await references.get("Secret", key)).toBeUndefined();
  objects.set("Secret", "creds", { token: "1" });
  const recheckMs = references.recheckInMs(new Set(["Secret"]));
  expect(recheckMs).toBe(60_000);
  clock.advance(60_001);
  expect((await references.get("Secret", key))?.get("token")).toBe("1");
  expect(references.recheckInMs(new Set())).toBeUndefined();
});

test("a hash is keyed, names its key, and does not depend on the order of members", () => {
  const key = new HashKey(Buffer.alloc(32, 1));
  const other = new HashKey(Buffer.alloc(32, 2));
  const hash = key.hash({ b: 1, a: [1, { y: 2, x: undefined }] });
  expect(hash).toBe(key.hash({ a: [1, { y: 2 }], b: 1 }));
  expect(hash.startsWith(`${key.id}:`)).toBe(true);
  expect(key.knows(hash)).toBe(true);
  expect(other.knows(hash)).toBe(false);
  expect(other.hash({ a: 1 })).not.toBe(key.hash({ a: 1 }));
  expect(canonical({ a: undefined })).toBe("{}");
  expect(() => new HashKey(Buffer.alloc(31))).toThrow(RangeError);
});

test("bytes that are no UTF-8 text are no value, wherever they are asked for", async () => {
  const bytes = decode(Buffer.from([0x61, 0xff]).toString("base64"));
  expect(bytes).toBeInstanceOf(NotText);
  expect(decode(Buffer.from("é\0").toString("base64"))).toBe("é\0");
  const { objects, references } = setUp();
  objects.set("Secret", "creds", { token: bytes });
  const ref = { name: "creds", key: "token" };
  const malformed = { ok: false, problem: { reason: "SecretMalformed" } };
  const one = { ...spec, env: [{ name: "T", valueFrom: { secretKeyRef: ref } }] };
  const all = { ...spec, envFrom: [{ secretRef: { name: "creds" } }] };
  const keys = { ...spec, backendOptions: { kanto: { decryption: { keys: [ref] } } } };
  expect(await resolveEnv(one, "line", references)).toMatchObject(malformed);
  expect(await resolveEnv(all, "line", references)).toMatchObject(malformed);
  expect(await resolveDecryption(keys, "line", references)).toMatchObject(malformed);
});

test("keys of an encrypted image are resolved in their order; an optional one may be missing", async () => {
  const { objects, references } = setUp();
  const decryption = {
    keys: [
      { name: "k", key: "a" },
      { name: "k", key: "none", optional: true },
      { name: "k", key: "b" },
    ],
    recipients: [{ name: "r", key: "c" }],
  };
  const wanted = { ...spec, backendOptions: { kanto: { decryption } } };
  expect(referencesOf(wanted)).toEqual([
    { kind: "Secret", name: "k" },
    { kind: "Secret", name: "r" },
  ]);
  expect(await resolveDecryption(wanted, "line", references)).toMatchObject({ problem: { reason: "SecretNotFound" } });
  objects.set("Secret", "k", { a: "/a", b: "/b:pw" });
  objects.set("Secret", "r", {});
  expect(await resolveDecryption(wanted, "line", references)).toMatchObject({
    problem: { reason: "SecretKeyMissing" },
  });
  objects.set("Secret", "r", { c: "pkcs7:/c" });
  expect(await resolveDecryption(wanted, "line", references)).toEqual({
    ok: true,
    decryption: { keys: ["/a", "/b:pw"], recipients: ["pkcs7:/c"] },
  });
  expect(await resolveDecryption(spec, "line", references)).toEqual({ ok: true });
});
