// What is seen: rows of a view, found, filtered, sorted and cut into pages, and dressed up by the quirks.

import { unknown, type Answer } from "./answers.ts";
import type { View, ViewName } from "./events.ts";
import { bodyOfStack, bodyOfVolume, type Platform, type Project, type Stack } from "./platform.ts";
import type { RegistryBody, ServiceBody, StackBody, VolumeBody } from "./types.ts";
import type { Query } from "./validation.ts";

const PAGE = 1000;
const SERVICE_ORDERS = ["descriptionAsc", "descriptionDesc"] as const;
const VOLUME_ORDERS = ["nameAsc", "nameDesc", "storageAsc", "storageDesc"] as const;
const STATUSES = ["running", "stopped", "error", "creating", "starting", "stopping"] as const;

/** A project by id or short id. @throws Refusal when there is none */
export function projectOf(platform: Platform, id: string): Project {
  const project = platform.project(id);
  if (project === undefined) throw unknown(platform.quirks.unknownStack, "project");
  return project;
}

export class Reads {
  readonly #platform: Platform;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** @throws Refusal when it is not there or not visible */
  stack(id: string): StackBody {
    const row = this.#view("stack").stacks.get(id);
    if (row === undefined) throw unknown(this.#platform.quirks.unknownStack, "stack");
    return row;
  }

  /** By id or short id. @throws Refusal when it is not there or not visible */
  service(stackId: string, id: string): ServiceBody {
    this.stack(stackId);
    const row = this.#servicesOf("stack", stackId).find((each) => each.id === id || each.shortId === id);
    if (row === undefined) throw unknown(this.#platform.quirks.unknownService, "service");
    return row;
  }

  /** @throws Refusal when it is not there or not visible */
  volume(stackId: string, id: string): VolumeBody {
    this.stack(stackId);
    const row = this.#view("stack").volumes.get(id);
    if (row?.stackId !== stackId) throw unknown(this.#platform.quirks.unknownService, "volume");
    return row;
  }

  /** @throws Refusal when it is not there or not visible */
  registry(id: string): RegistryBody {
    const row = this.#view("stack").registries.get(id);
    if (row === undefined) throw unknown(this.#platform.quirks.unknownStack, "registry");
    return row;
  }

  /** A stack with what is in it, as it is seen. */
  stackBody(id: string, name: ViewName = "stack"): object {
    const row = name === "stack" ? this.stack(id) : this.#view(name).stacks.get(id);
    const volumes = [...this.#view(name).volumes.values()].filter(({ stackId }) => stackId === id);
    return this.#dressed({
      ...row,
      services: this.#servicesOf(name, id).map((service) => this.serviceBody(service)),
      volumes: volumes.map((volume) => this.#dressed(volume)),
    });
  }

  serviceBody(service: ServiceBody): object {
    const { unknownStatus } = this.#platform.quirks;
    const status = service.status === "starting" && unknownStatus !== undefined ? unknownStatus : service.status;
    return this.#dressed({ ...service, status });
  }

  volumeBody(volume: VolumeBody): object {
    return this.#dressed(volume);
  }

  registryBody(registry: RegistryBody): object {
    return this.#dressed(registry);
  }

  /** The answer of a PUT or PATCH: the stack as it is right now, with no key for what it has none of (recorded). */
  written(stack: Stack): object {
    const services = [...stack.containers.values()].map((container) => this.serviceBody(container.body()));
    const volumes = [...stack.volumes.values()].map((volume) => this.#dressed(bodyOfVolume(stack, volume)));
    return this.#dressed({
      ...bodyOfStack(stack),
      ...(services.length > 0 && { services }),
      ...(volumes.length > 0 && { volumes }),
    });
  }

  /** @param projectId undefined: of all projects */
  stacks(projectId: string | undefined, query: Query): Answer {
    const view = this.#view("list");
    const term = query.text("searchTerm")?.toLowerCase();
    const rows = [...view.stacks.values()].filter(
      (stack) =>
        (projectId === undefined || stack.projectId === projectId) &&
        (term === undefined ||
          [stack.description, ...this.#servicesOf("list", stack.id).map(({ serviceName }) => serviceName)].some(
            (text) => text.toLowerCase().includes(term),
          )),
    );
    return page(rows, query, (stack) => this.stackBody(stack.id, "list"));
  }

  /** @param projectId undefined: of all projects */
  services(projectId: string | undefined, query: Query): Answer {
    const term = query.text("searchTerm")?.toLowerCase();
    const stackId = projectId === undefined ? undefined : query.uuid("stackId");
    const status = projectId === undefined ? undefined : query.oneOf("status", STATUSES);
    const recreate = projectId === undefined ? undefined : query.truth("requiresRecreate");
    const order = query.oneOf("sortOrder", SERVICE_ORDERS);
    const rows = [...this.#view("list").services.values()].filter(
      (row) =>
        (projectId === undefined || row.projectId === projectId) &&
        (stackId === undefined || row.stackId === stackId) &&
        (status === undefined || row.status === status) &&
        (recreate === undefined || row.requiresRecreate === recreate) &&
        (term === undefined ||
          [row.id, row.shortId, row.stackId, row.projectId, row.serviceName, row.message ?? "", row.description].some(
            (text) => text.toLowerCase().includes(term),
          )),
    );
    if (order !== undefined) rows.sort((one, other) => compare(one.description, other.description, order));
    return page(rows, query, (row) => this.serviceBody(row));
  }

  /** Of one stack, or of a project's stacks. */
  volumes(where: { stackId: string } | { projectId: string }, query: Query): Answer {
    const name = "stackId" in where ? "stack" : "list";
    const view = this.#view(name);
    const stackId = "stackId" in where ? where.stackId : query.uuid("stackId");
    const term = query.text("searchTerm")?.toLowerCase();
    const order = query.oneOf("sortOrder", VOLUME_ORDERS);
    const rows = [...view.volumes.values()].filter(
      (row) =>
        (stackId === undefined || row.stackId === stackId) &&
        ("stackId" in where || view.stacks.get(row.stackId)?.projectId === where.projectId) &&
        (term === undefined || row.name.toLowerCase().includes(term)),
    );
    if (order === "nameAsc" || order === "nameDesc") rows.sort((one, other) => compare(one.name, other.name, order));
    else if (order !== undefined)
      rows.sort((one, other) => compare(one.storageUsageInBytes, other.storageUsageInBytes, order));
    return page(rows, query, (row) => this.#dressed(row));
  }

  registries(projectId: string, query: Query): Answer {
    const wanted = query.truth("hasCredentials");
    const rows = [...this.#view("list").registries.values()].filter(
      (row) => row.projectId === projectId && (wanted === undefined || (row.credentials !== undefined) === wanted),
    );
    return page(rows, query, (row) => this.#dressed(row));
  }

  #view(name: ViewName): View {
    return this.#platform.events.view(name);
  }

  #servicesOf(name: ViewName, stackId: string): ServiceBody[] {
    return [...this.#view(name).services.values()].filter((row) => row.stackId === stackId);
  }

  #dressed(body: object): object {
    return this.#platform.quirks.extraFields ? { ...body, meta: { revision: 7 }, labels: null } : body;
  }
}

function compare(one: string | number, other: string | number, order: string): number {
  const sign = order.endsWith("Asc") ? 1 : -1;
  return one === other ? 0 : one < other ? -sign : sign;
}

/** `skip` wins over `page`; the first page is 1 for those who count pages. */
function page<Row>(rows: readonly Row[], query: Query, show: (row: Row) => object): Answer {
  const limit = query.whole("limit", 0) ?? PAGE;
  const number = query.whole("page", 0);
  const skip = query.whole("skip", 0) ?? Math.max(0, (number ?? 1) - 1) * limit;
  return {
    status: 200,
    body: rows.slice(skip, skip + limit).map((row) => show(row)),
    headers: {
      "x-pagination-limit": String(limit),
      "x-pagination-skip": String(skip),
      "x-pagination-page": String(limit === 0 ? 1 : Math.floor(skip / limit) + 1),
      "x-pagination-totalcount": String(rows.length),
    },
  };
}
