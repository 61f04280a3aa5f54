// The others who work on the same stacks: humans in mStudio, pipelines, the command line tool. They go by the API's own operations, at once and without
// the lag that a client sees, and their effects are booked as theirs.

import type { Answer } from "./answers.ts";
import type { Container } from "./container.ts";
import type { ServiceRequest } from "./declared.ts";
import type { Call } from "./handlers.ts";
import type { Operation } from "./operations.ts";
import type { Platform, Stack } from "./platform.ts";
import { Query } from "./validation.ts";

/** A container by its id, its short id, or `<stack id>/<name>`. */
export type ContainerRef = string;

export class Human {
  readonly #platform: Platform;
  readonly #handlers: Readonly<Record<Operation, (call: Call) => Answer>>;

  constructor(platform: Platform, handlers: Readonly<Record<Operation, (call: Call) => Answer>>) {
    this.#platform = platform;
    this.#handlers = handlers;
  }

  /** Any operation. @throws Refusal when it is refused */
  call(operation: Operation, path: Call["path"], body?: unknown, query: Record<string, string> = {}): Answer {
    return this.#handlers[operation]({ path, query: new Query(new URLSearchParams(query)), body, by: "human" });
  }

  /** A pipeline deploys a whole stack; what is not in it is gone. @throws Refusal */
  deploy(stackId: string, services: Record<string, ServiceRequest>, volumes: readonly string[] = []): void {
    const declared = Object.fromEntries(volumes.map((name) => [name, { name }]));
    this.call("declare-stack", { stackId }, { services, volumes: declared });
  }

  /** Adds a container, with the volumes that it mounts. @throws Refusal */
  create(stackId: string, name: string, request: ServiceRequest): void {
    const volumes = (request.volumes ?? [])
      .map((volume) => volume.split(":")[0] ?? "")
      .filter((volume) => !volume.startsWith("/"));
    const declared = Object.fromEntries(volumes.map((volume) => [volume, { name: volume }]));
    const service = { description: name, ...request };
    this.call("update-stack", { stackId }, { services: { [name]: service }, volumes: declared });
  }

  /** @throws Refusal; Error when there is no such container */
  edit(ref: ContainerRef, request: ServiceRequest): void {
    const { stack, container } = this.#find(ref);
    this.call("update-stack", { stackId: stack.id }, { services: { [container.identity.serviceName]: request } });
  }

  /** @throws Refusal; Error when there is no such container */
  act(ref: ContainerRef, what: "start" | "stop" | "restart" | "recreate"): void {
    this.call(`${what}-service`, this.#path(ref));
  }

  /** @throws Refusal; Error when there is no such container */
  pull(ref: ContainerRef, skipRecreate = false): void {
    this.call("pull-image-for-service", this.#path(ref), undefined, { skipRecreate: String(skipRecreate) });
  }

  /** @throws Error when there is no such container */
  remove(ref: ContainerRef): void {
    const { stack, container } = this.#find(ref);
    this.call("update-stack", { stackId: stack.id }, { services: { [container.identity.serviceName]: {} } });
  }

  /** Its process ends. @throws Error when there is no such container */
  exit(ref: ContainerRef, code: number): void {
    this.#find(ref).container.exit(code);
  }

  /** It writes a line. @throws Error when there is no such container */
  write(ref: ContainerRef, line: string): void {
    this.#find(ref).container.write(line);
  }

  #path(ref: ContainerRef): Call["path"] {
    const { stack, container } = this.#find(ref);
    return { stackId: stack.id, serviceId: container.identity.id };
  }

  #find(ref: ContainerRef): { stack: Stack; container: Container } {
    for (const stack of this.#platform.stacks())
      for (const container of stack.containers.values()) {
        const { id, shortId, serviceName } = container.identity;
        if ([id, shortId, `${stack.id}/${serviceName}`].includes(ref)) return { stack, container };
      }
    throw new Error(`no container ${ref}`);
  }
}
