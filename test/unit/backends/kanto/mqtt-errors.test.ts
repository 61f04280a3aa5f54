import { describe, expect, test } from "vitest";
import { classifyConnectError, closedBeforeAnswer } from "../../../../src/backends/kanto/mqtt-errors.ts";

const URL = "mqtts://broker.example:8883";
const error = (code: string | number, message = "text"): Error => Object.assign(new Error(message), { code });

describe("classifyConnectError", () => {
  test.each<[string | number, string]>([
    ["ECONNREFUSED", "ConnectionFailed"],
    ["ENOTFOUND", "ConnectionFailed"],
    ["ETIMEDOUT", "ConnectionFailed"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "TLSFailed"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "TLSFailed"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "TLSFailed"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "TLSFailed"],
    ["CERT_HAS_EXPIRED", "TLSFailed"],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSFailed"],
    ["EPROTO", "TLSFailed"],
    [4, "Unauthorized"],
    [5, "Unauthorized"],
    [0x86, "Unauthorized"],
    [0x87, "Unauthorized"],
    [3, "ConnectionFailed"],
  ])("%s is %s, and names the broker", (code, reason) => {
    const failure = classifyConnectError(URL, error(code));
    expect(failure).toMatchObject({ reason, versionRefused: false });
    expect(failure.message).toContain(URL);
  });

  test.each([1, 0x84])("CONNACK %i is about the version", (code) => {
    expect(classifyConnectError(URL, error(code))).toMatchObject({ reason: "ConnectionFailed", versionRefused: true });
  });

  test("silence after a version 5 greeting may be about the version", () => {
    expect(closedBeforeAnswer(URL, 5).versionRefused).toBe(true);
    expect(closedBeforeAnswer(URL, 4).versionRefused).toBe(false);
  });

  test("several addresses that all refuse are told as one cause", () => {
    const all = new AggregateError([error("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:1")], "");
    expect(classifyConnectError(URL, Object.assign(all, { code: "ECONNREFUSED" })).message).toContain("refused");
  });

  test("bytes that are no MQTT are told as another program on that port", () => {
    const { message } = classifyConnectError(URL, new Error("Invalid header flag bits, must be 0x0 for puback packet"));
    expect(message).toMatch(/does not speak MQTT.*port/);
  });

  test("a connection that is reset where TLS was spoken asks for the scheme, another does not", () => {
    expect(classifyConnectError(URL, error("ECONNRESET")).message).toMatch(/TLS.*scheme/);
    expect(classifyConnectError("mqtt://broker.example:1883", error("ECONNRESET")).message).not.toContain("TLS");
  });

  test("what is no error is told as such", () => {
    expect(classifyConnectError(URL, "odd")).toMatchObject({ reason: "ConnectionFailed" });
  });
});
