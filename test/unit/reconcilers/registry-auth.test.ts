import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NotText } from "../../../src/reconcilers/references.ts";
import { authFor, loginFrom, matchLength } from "../../../src/reconcilers/edge-container/registry-auth.ts";

const config = (auths: object) => JSON.stringify({ auths });
const LOGIN = { auth: Buffer.from("user:pass:word").toString("base64") };

describe("the login for an image's registry", () => {
  test.each([
    ["registry.example/app:1", "registry.example"],
    ["registry.example:5000/team/app@sha256:00", "registry.example:5000"],
    ["registry.example/app", "https://registry.example/v2/"],
    ["docker.io/library/nginx", "https://index.docker.io/v1/"],
    ["REGISTRY.example/app", "registry.example"],
  ])("of %s is found under %s", (image, server) => {
    expect(authFor(image, config({ other: LOGIN, [server]: LOGIN }))).toEqual({
      server,
      username: "user",
      password: "pass:word",
    });
  });

  test.each([
    ["ghcr.io/acme/app:1", ["ghcr.io", "ghcr.io/acme", "ghcr.io/ac"], "ghcr.io/acme"],
    ["ghcr.io/acme/team/app:1", ["ghcr.io/acme/team/app", "ghcr.io/acme"], "ghcr.io/acme/team/app"],
    ["ghcr.io/acme-other/app", ["ghcr.io/acme", "ghcr.io"], "ghcr.io"],
    ["ghcr.io/app@sha256:00", ["ghcr.io/app/", "ghcr.io"], "ghcr.io/app/"],
    ["registry.example:5000/app:1", ["registry.example", "registry.example:5000/v1/"], "registry.example:5000/v1/"],
  ])("of %s, with entries for %j, is the longest that fits: %s", (image, servers, chosen) => {
    for (const order of [servers, servers.toReversed()])
      expect(
        authFor(image, config(Object.fromEntries(["other.example", ...order].map((name) => [name, LOGIN])))),
      ).toMatchObject({ server: chosen });
  });

  test("may be in plain fields, and is none where nothing fits or nothing can be read", () => {
    expect(authFor("r.example/a", config({ "r.example": { username: "u", password: "p" } }))).toMatchObject({
      username: "u",
    });
    expect(authFor("r.example/a", config({ "r.example.org": LOGIN }))).toBeUndefined();
    expect(authFor("r.example:1/a", config({ "r.example:2": LOGIN }))).toBeUndefined();
    for (const entry of [{}, null, { auth: "" }, { auth: Buffer.from("nocolon").toString("base64") }, 7])
      expect(authFor("r.example/a", config({ "r.example": entry }))).toBeUndefined();
    for (const text of ["{}", "[]", "null", '{"auths":null}', '{"auths":[]}'])
      expect(authFor("r.example/a", text)).toBeUndefined();
  });
});

describe("an entry with a path", () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,4}$/);
  test("fits what is below it and nothing beside it, and the longer one always wins", () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), fc.array(part, { maxLength: 5 }), (path, entry) => {
        const image = `ghcr.io/${path.join("/")}`;
        const below = entry.length <= path.length && entry.every((each, at) => each === path[at]);
        const server = ["ghcr.io", ...entry].join("/");
        const length = matchLength(server, `${image}:1`);
        expect(length !== undefined).toBe(below);
        if (length !== undefined && entry.length > 0)
          expect(length).toBeGreaterThan(matchLength("ghcr.io", image) ?? 99);
      }),
    );
  });
});

describe("an EdgeRegistry's Secret", () => {
  const AUTH = { server: "ghcr.io", username: "user", password: "pass:word" };
  test.each([
    ["dockerconfigjson", { ".dockerconfigjson": config({ "ghcr.io": LOGIN }) }, "ghcr.io/acme"],
    [
      "dockerconfigjson with a path",
      { ".dockerconfigjson": config({ "ghcr.io/acme": LOGIN, "ghcr.io": {} }) },
      "ghcr.io/acme",
    ],
    ["basic-auth", { username: "user", password: "pass:word" }, "ghcr.io"],
  ])("of type %s gives the login", (_, data, host) => {
    expect(loginFrom(new Map(Object.entries(data)), host)).toEqual({ ok: true, auth: AUTH });
  });

  test.each([
    ["nothing in it", {}, "ghcr.io", "SecretKeyMissing", 'has no key ".dockerconfigjson"'],
    ["no password", { username: "user" }, "ghcr.io", "SecretKeyMissing", 'has no key "password"'],
    ["no user name", { password: "hunter22" }, "ghcr.io", "SecretKeyMissing", 'has no key "username"'],
    [
      "another host",
      { ".dockerconfigjson": config({ "quay.io": LOGIN }) },
      "ghcr.io",
      "SecretKeyMissing",
      "has no login for ghcr.io",
    ],
    [
      "a narrower host only",
      { ".dockerconfigjson": config({ "ghcr.io/x": LOGIN }) },
      "ghcr.io",
      "SecretKeyMissing",
      "no login for ghcr.io",
    ],
    ["no JSON", { ".dockerconfigjson": "hunter22" }, "ghcr.io", "SecretMalformed", "is no JSON"],
    ["a line break", { username: "user", password: "hunter22\n" }, "ghcr.io", "SecretMalformed", "line break"],
    ["an empty password", { username: "user", password: "" }, "ghcr.io", "SecretMalformed", "is empty"],
    ["bytes", { username: "user", password: new NotText("hunter22") }, "ghcr.io", "SecretMalformed", "not UTF-8"],
    ["bytes for a config", { ".dockerconfigjson": new NotText("hunter22") }, "ghcr.io", "SecretMalformed", "not UTF-8"],
  ])("with %s is refused, in words that hold no value", (_, data, host, reason, words) => {
    const found = loginFrom(new Map(Object.entries(data)), host);
    expect(found).toMatchObject({ ok: false, problem: { reason } });
    expect(JSON.stringify(found)).toContain(JSON.stringify(words).slice(1, -1));
    expect(JSON.stringify(found)).not.toContain("hunter22");
  });
});
