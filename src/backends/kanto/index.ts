/**
 * The Kanto backend: Eclipse Kanto's container-management, spoken to on the device's own MQTT broker (transport Local) or through Kanto's
 * suite connector and a broker in the cloud (Connector); transport.ts is the seam between the two. What is sent and why stands in docs/backends/kanto.md; the daemon's behaviour was read from eclipse-kanto/container-management at 351ca14.
 *
 * account.ts holds the broker's connection and its devices' sessions; session.ts one device; planner/ the pure half.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import type { Backend, BackendDeps, FieldProblem } from "../contract.ts";
import { KantoAccount, targetKeyOf } from "./account.ts";
import { kantoPlanner } from "./planner/index.ts";
import { isTopicLevel, kantoTarget } from "./topics.ts";
import type { KantoSpec } from "./transport.ts";

export { kantoPlanner } from "./planner/index.ts";

/**
 * How long a former leader's command may still be under way after its lease has run out, ms: the fence stops it from writing, so this is
 * only what its last bytes may take through its socket and the broker.
 */
const SETTLE_MS = 5_000;

/** @returns the backend; nothing is connected before `connect`. */
export function createKantoBackend(deps: BackendDeps): Backend {
  return {
    type: "kanto",
    planner: kantoPlanner,
    settleMs: deps.timings.settleMs ?? SETTLE_MS,
    validateBackend,
    validateDevice,
    connect: (spec, credentials) => {
      if (spec.kanto === undefined) throw new RangeError("not an EdgeBackend of type kanto");
      return new KantoAccount(spec, spec.kanto, credentials, deps);
    },
    targetKey: (backend, device) => {
      if (backend.kanto === undefined || device.kanto === undefined) return undefined;
      const target = kantoTarget(device.kanto.thingId, device.kanto.topicPrefix, device.kanto.tenant);
      return target === undefined || !isEndpoint(backend.kanto) ? undefined : targetKeyOf(backend.kanto, target);
    },
  };
}

function problem(path: string, kind: "Invalid" | "Unsupported", message: string): FieldProblem {
  return { path, kind, reason: kind === "Invalid" ? "InvalidSpec" : "UnsupportedField", message };
}

const BROKERS = "mqtt://, mqtts://, ws:// or wss:// host:port";

function isDitto({ transport }: KantoSpec): boolean {
  return transport === "Ditto";
}

function isEndpoint(kanto: KantoSpec): boolean {
  const { url } = kanto;
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return (isDitto(kanto) ? /^https?:$/ : /^(mqtts?|wss?):$/).test(protocol) && hostname !== "";
}

function validateBackend(spec: EdgeBackendSpec): FieldProblem[] {
  const { kanto } = spec;
  if (kanto === undefined) return [problem("kanto", "Invalid", "set spec.kanto")];
  const problems: FieldProblem[] = [];
  if (!isEndpoint(kanto)) {
    const schemes = isDitto(kanto)
      ? "https:// (or http://) host, with the path before /api/2 if there is one"
      : BROKERS;
    problems.push(problem("kanto.url", "Invalid", `write ${schemes}`));
  } else if (isDitto(kanto) && /\/api\/2\/*$/.test(new URL(kanto.url).pathname)) {
    problems.push(problem("kanto.url", "Invalid", "leave /api/2 out: the url ends before it"));
  } else if (new URL(kanto.url).username !== "" || new URL(kanto.url).password !== "") {
    problems.push(problem("kanto.url", "Invalid", "a url holds no credentials: use spec.credentialsSecretRef"));
  } else if (spec.tls !== undefined && !/^(mqtts|wss|https):/.test(kanto.url)) {
    problems.push(
      problem(
        "tls",
        "Invalid",
        "spec.tls counts only with mqtts://, wss:// or https://: change spec.kanto.url, or leave tls out",
      ),
    );
  }
  if (!isTopicLevel(kanto.tenant)) {
    problems.push(
      problem(
        "kanto.tenant",
        "Invalid",
        "a tenant is printable ASCII without /, + and #, at most 256 characters: it is a part of MQTT topics",
      ),
    );
  }
  const { statusTopic } = kanto.connector ?? {};
  if (statusTopic !== undefined && !statusTopic.includes("{deviceId}")) {
    problems.push(
      problem("kanto.connector.statusTopic", "Invalid", "a status topic holds {deviceId}, the gateway's id"),
    );
  }
  return problems;
}

function validateDevice(spec: EdgeDeviceSpec): FieldProblem[] {
  const { kanto } = spec;
  if (kanto === undefined)
    return [problem("kanto", "Invalid", "the EdgeBackend is of type kanto: set spec.kanto.thingId")];
  const problems: FieldProblem[] = [];
  if (kantoTarget(kanto.thingId) === undefined) {
    problems.push(
      problem(
        "kanto.thingId",
        "Invalid",
        "write <namespace>:<name>:edge:containers, or the gateway's id <namespace>:<name>",
      ),
    );
  }
  const { topicPrefix } = kanto;
  if (topicPrefix !== undefined && !/^[!"$-*,-~]*\/$/.test(topicPrefix)) {
    problems.push(
      problem(
        "kanto.topicPrefix",
        "Invalid",
        "a prefix is printable ASCII without +, # and blanks and ends with /, e.g. site-7/",
      ),
    );
  }
  return problems;
}
