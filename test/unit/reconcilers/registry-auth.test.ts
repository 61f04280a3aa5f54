import { describe, expect, test } from "vitest";
import { authFor } from "../../../src/reconcilers/edge-container/registry-auth.ts";

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
