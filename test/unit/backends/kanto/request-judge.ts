/**
 * Whether a command is well-formed, told without the client's code and without the simulator's: UTF-8, JSON, the envelope that the
 * vendor's page shows, and only the keys that it names (the daemon ignores others without a word).
 */
import { isUtf8 } from "node:buffer";
import { expect } from "vitest";

type Json = Record<string, unknown>;

/** Keys of createWithConfig's config, as the Container Factory API page lists them; null where a value has no keys of its own. */
const CONFIG: Record<string, readonly string[] | null> = {
  domainName: null,
  hostName: null,
  env: null,
  cmd: null,
  privileged: null,
  extraHosts: null,
  extraCapabilities: null,
  networkMode: null,
  openStdin: null,
  tty: null,
  mountPoints: ["source", "destination", "propagationMode"],
  decryption: ["keys", "recipients"],
  devices: ["pathOnHost", "pathInContainer", "cgroupPermissions"],
  restartPolicy: ["type", "maxRetryCount", "retryTimeout"],
  portMappings: ["proto", "containerPort", "hostIP", "hostPort", "hostPortEnd"],
  log: ["type", "maxFiles", "maxSize", "rootDir", "mode", "maxBufferSize"],
  resources: ["memory", "memoryReservation", "memorySwap"],
};

/** Enums as the daemon writes them itself; for propagationMode it understands no other spelling. */
const ENUMS: Record<string, readonly string[]> = {
  networkMode: ["BRIDGE", "HOST"],
  propagationMode: ["RPRIVATE", "PRIVATE", "RSHARED", "SHARED", "RSLAVE", "SLAVE"],
  "restartPolicy.type": ["ALWAYS", "NO", "ON_FAILURE", "UNLESS_STOPPED"],
  "log.type": ["JSON_FILE", "NONE"],
  "log.mode": ["BLOCKING", "NON_BLOCKING"],
};

/** Longest request: the configuration's own bound with room for the rest. */
const LONGEST = 1.1 * 2 ** 20;

function eachText(value: unknown, check: (text: string) => void): void {
  if (typeof value === "string") check(value);
  else if (Array.isArray(value)) for (const item of value) eachText(item, check);
  else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      check(key);
      eachText(item, check);
    }
  }
}

/** A topic that brokers take: well-formed UTF-8 without control characters and wildcards, at most 65535 bytes. */
export function judgeTopic(topic: string): void {
  expect(topic.isWellFormed()).toBe(true);
  expect(topic).not.toMatch(/\p{Cc}|[+#]/u);
  expect(Buffer.byteLength(topic)).toBeLessThan(65_536);
}

function judgeParts(config: Json): void {
  const sized = ["memory", "memoryReservation", "memorySwap", "maxSize", "maxBufferSize"];
  for (const [key, value] of Object.entries(config)) {
    expect(Object.keys(CONFIG)).toContain(key);
    const fields = CONFIG[key] ?? null;
    const parts = fields === null ? [] : Array.isArray(value) ? (value as Json[]) : [value as Json];
    for (const part of parts) {
      for (const [field, inner] of Object.entries(part)) {
        expect(fields).toContain(field);
        const words = ENUMS[field] ?? ENUMS[`${key}.${field}`];
        if (words !== undefined) expect(words).toContain(inner);
        if (sized.includes(field)) expect(inner).toMatch(/^(\d+[KMG]|-1)$/);
        if (/[pP]ort/.test(field)) expect([field, Number.isInteger(inner)]).toEqual([field, true]);
      }
    }
    if (ENUMS[key] !== undefined) expect(ENUMS[key]).toContain(value);
  }
}

/** Throws unless the request is as the daemon wants it. */
export function judgeRequest(topic: string, payload: string): void {
  judgeTopic(topic);
  expect(topic).toMatch(/^command\/\/edge:device:edge:containers\/req\/[^/]+\/[A-Za-z]+$/);
  expect(isUtf8(Buffer.from(payload))).toBe(true);
  expect(Buffer.byteLength(payload)).toBeLessThan(LONGEST);
  const body = JSON.parse(payload) as Json;
  eachText(body, (text) => {
    expect(text.isWellFormed()).toBe(true);
    expect(text.includes("\0")).toBe(false);
  });
  const [, requestId, operation] = /\/req\/([^/]+)\/([^/]+)$/.exec(topic) ?? [];
  expect(Object.keys(body).sort()).toEqual(["headers", "path", "topic", "value"]);
  expect(body["topic"]).toBe(`edge/device:edge:containers/things/live/messages/${operation}`);
  expect(body["path"]).toMatch(/^\/features\/[^/]+\/inbox\/messages\/[A-Za-z]+$/);
  expect(body["headers"]).toEqual({
    "response-required": true,
    "content-type": "application/json",
    "correlation-id": requestId,
  });
  const { value } = body;
  expect(value ?? undefined).toBeDefined();
  if (operation === "createWithConfig") {
    const create = value as Json;
    expect(Object.keys(create).sort()).toEqual(["config", "imageRef", "name", "start"]);
    judgeParts(create["config"] as Json);
  }
  if (operation === "update") judgeParts(value as Json);
}
