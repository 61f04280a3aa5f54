// What of a request's body is read, and what a list says of a container. Names that no page has come from the quirks.

import type { Fields } from "./device.ts";
import type { Container, Quirks } from "./types.ts";

type Json = Readonly<Record<string, unknown>>;

/** An entry of FastAPI's answer to a body that does not fit (422). */
export interface TypeProblem {
  loc: readonly string[];
  msg: string;
  type: string;
}

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of a body, or what is wrong with their types. */
export function readFields(body: unknown, quirks: Quirks): { fields: Fields } | { problem: TypeProblem } {
  const problem = (key: string, msg: string): { problem: TypeProblem } => ({
    problem: { loc: key === "" ? ["body"] : ["body", key], msg, type: "type_error" },
  });
  if (!isJson(body)) return problem("", "Input should be a valid dictionary");
  const { keys } = quirks;
  const known = new Set(["name", "image", "environments", "ports", "volumes", keys.hostNetwork, keys.privileged]);
  const stray = Object.keys(body).find((key) => !known.has(key));
  if (stray !== undefined && quirks.unknownFields === "refuse") return problem(stray, "Extra inputs are not permitted");
  const fields: Fields = {};
  for (const key of ["name", "image"] as const) {
    const value = body[key];
    if (value === undefined) continue;
    if (typeof value !== "string") return problem(key, "Input should be a valid string");
    fields[key] = value;
  }
  if (body["environments"] !== undefined) {
    if (!isJson(body["environments"])) return problem("environments", "Input should be a valid dictionary");
    fields.environments = body["environments"];
  }
  if (body["ports"] !== undefined) {
    const ports = items(body["ports"], keys.portHost, keys.portContainer, isNumber);
    if (ports === undefined) return problem("ports", "Field required");
    fields.ports = ports;
  }
  if (body["volumes"] !== undefined) {
    const volumes = items(body["volumes"], keys.volumeHost, keys.volumeContainer, isText);
    if (volumes === undefined) return problem("volumes", "Field required");
    fields.volumes = volumes;
  }
  for (const [key, field] of [
    [keys.hostNetwork, "hostNetwork"],
    [keys.privileged, "privileged"],
  ] as const) {
    const value = body[key];
    if (value === undefined) continue;
    if (typeof value !== "boolean") return problem(key, "Input should be a valid boolean");
    fields[field] = value;
  }
  return { fields };
}

function items<T extends number | string>(
  value: unknown,
  host: string,
  container: string,
  is: (value: unknown) => value is T,
): { host: T; container: T }[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const read: { host: T; container: T }[] = [];
  for (const item of value as unknown[]) {
    if (!isJson(item)) return undefined;
    const [first, second] = [item[host], item[container]];
    if (!is(first) || !is(second)) return undefined;
    read.push({ host: first, container: second });
  }
  return read;
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const isText = (value: unknown): value is string => typeof value === "string";

/** A container as a list shows it. */
export function listItem(container: Container, { echo, keys }: Quirks): Json {
  const { name, image, environments, ports, volumes, hostNetwork, privileged, state } = container;
  return {
    name,
    ...(echo.image && { image }),
    ...(echo.environments && { environments }),
    ...(echo.config && {
      ports: ports.map((port) => ({ [keys.portHost]: port.host, [keys.portContainer]: port.container })),
      volumes: volumes.map((volume) => ({ [keys.volumeHost]: volume.host, [keys.volumeContainer]: volume.container })),
      [keys.hostNetwork]: hostNetwork,
      [keys.privileged]: privileged,
    }),
    ...(echo.state && { status: state }),
  };
}
