/** The mittwald simulator in tests, every answer of which is held to the vendor's OpenAPI document. */
import { onTestFinished } from "vitest";
import {
  ManualClock,
  startMittwald,
  type MittwaldOptions,
  type MittwaldSimulator,
  type Project,
} from "../../../src/simulators/mittwald/index.ts";
import { routeOf } from "../../../src/simulators/mittwald/operations.ts";
import { openApi } from "../../support/mittwald-openapi.ts";

export const document = openApi();

export interface Reply {
  status: number;
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
  text: string;
  headers: Headers;
  etag: string | undefined;
}

export interface CallOptions {
  token?: string;
  headers?: Record<string, string>;
  /** The quirk in force breaks the document on purpose. */
  unchecked?: boolean;
}

export interface Bench {
  vendor: MittwaldSimulator;
  clock: ManualClock;
  project: Project;
  /** Path of the default stack. */
  stack: string;
  call: (method: string, path: string, body?: unknown, options?: CallOptions) => Promise<Reply>;
  /** PATCH of the default stack. */
  patch: (services: object, more?: object) => Promise<Reply>;
  /** PUT of the default stack. */
  put: (services: object, volumes?: object) => Promise<Reply>;
  /** A service of the default stack, as it is seen. */
  // oxlint-disable-next-line typescript/no-explicit-any
  service: (name: string) => Promise<any>;
  /** A running container. @returns its id */
  running: (name: string, over?: object) => Promise<string>;
}

export async function bench(options: MittwaldOptions = {}): Promise<Bench> {
  const clock = new ManualClock();
  const vendor = await startMittwald({ clock, ...options });
  onTestFinished(() => vendor.stop());
  const [project] = vendor.platform.projects();
  if (project === undefined) throw new Error("no project");
  const stack = `/v2/stacks/${project.id}`;
  const call: Bench["call"] = async (method, path, body, { token = "mittwald-token", headers, unchecked } = {}) => {
    const response = await fetch(`${vendor.url}${path}`, {
      method,
      headers: { ...(token !== "" && { "X-Access-Token": token }), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type");
    const operation = routeOf(method, new URL(path, vendor.url).pathname)?.operation;
    const problem =
      operation === undefined || unchecked === true
        ? undefined
        : document.answerProblem(operation, response.status, type, text);
    if (problem !== undefined) throw new Error(`not as the document has it: ${problem}\n${text}`);
    return {
      status: response.status,
      body: type === "application/json" ? JSON.parse(text) : undefined,
      text,
      headers: response.headers,
      etag: response.headers.get("etag") ?? undefined,
    };
  };
  const service: Bench["service"] = async (name) =>
    (await call("GET", stack)).body.services.find((each: { serviceName: string }) => each.serviceName === name);
  return {
    vendor,
    clock,
    project,
    stack,
    call,
    patch: (services, more = {}) => call("PATCH", stack, { services, ...more }),
    put: (services, volumes = {}) => call("PUT", stack, { services, volumes }),
    service,
    running: async (name, over = {}) => {
      const made = await call("PATCH", stack, { services: { [name]: { ...web(), ...over } } });
      if (made.status !== 200) throw new Error(made.text);
      await clock.advance(10_000);
      return (await service(name)).id;
    },
  };
}

/** A service that is taken. */
export function web(over: object = {}): object {
  return { image: "ghcr.io/acme/web:1", description: "web", ...over };
}
