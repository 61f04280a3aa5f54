// The SoftwareUpdatable feature: asynchronous installs and removals with progress in `status/lastOperation`. An install fetches a container
// descriptor over HTTP and creates and starts what it says, under the id it says. It runs beside the command queue, one operation at a time.
// Source: containerm/things/features_rollouts_software_updatable*.go, features_rollouts_util.go.

import { createHash } from "node:crypto";
import type { Random } from "../random.ts";
import { descriptorSpec } from "./descriptor.ts";
import { parameterInvalid, ProcessEnded, subjectNotFound } from "./errors.ts";
import { isObject } from "./go-json.ts";
import type { Manager } from "./manager.ts";
import { Mutex } from "./mutex.ts";
import type { Container, CreateSpec } from "./types.ts";

export interface SoftwareUpdatableOptions {
  manager: Manager;
  random: Random;
  create: (spec: CreateSpec) => Promise<Container>;
  /** Publishes a property of the feature; failures are its own business. */
  setProperty: (path: string, value: unknown) => Promise<void>;
}

type Json = Record<string, unknown>;

/** The checksum of the descriptor does not match, or its content is invalid: FINISHED_REJECTED instead of FINISHED_ERROR. */
class Rejected extends Error {}

export class SoftwareUpdatable {
  readonly #options: SoftwareUpdatableOptions;
  readonly #queue = new Mutex();

  constructor(options: SoftwareUpdatableOptions) {
    this.#options = options;
  }

  /** Answers at once; the work goes on behind it. */
  async handle(operation: string, value: unknown): Promise<undefined> {
    const action = isObject(value) ? value : {};
    const correlationId = asText(action["correlationId"]);
    switch (operation) {
      case "install": {
        const modules = objects(action["softwareModules"]);
        if (modules.length === 0) {
          throw parameterInvalid("there are no SoftwareModules to be installed");
        }
        for (const module of modules) {
          if (objects(module["artifacts"]).length === 0) {
            const { name, version } = asObject(module["softwareModule"]);
            throw parameterInvalid(
              `there are no SoftwareArtifacts referenced for SoftwareModule [Name.version] = [${asText(name)}.${asText(version)}]`,
            );
          }
        }
        void this.#queue.run(async () => {
          for (const module of modules) {
            await this.#install(module, correlationId);
          }
        });
        return undefined;
      }
      case "remove": {
        const software = objects(action["software"]);
        if (software.length === 0) {
          throw parameterInvalid("there are no DependencyDescriptions to be removed");
        }
        void this.#queue.run(async () => this.#remove(software, correlationId, action["forced"] === true));
        return undefined;
      }
      default:
        throw subjectNotFound(`unsupported operation called [operationId = ${operation}]`);
    }
  }

  async #install(module: Json, correlationId: string): Promise<void> {
    const { create, manager, setProperty } = this.#options;
    const base = { correlationId, softwareModule: asObject(module["softwareModule"]) };
    const report = async (status: string): Promise<void> => setProperty("status/lastOperation", { ...base, status });
    try {
      await report("STARTED");
      await report("DOWNLOADING");
      const specs: CreateSpec[] = [];
      for (const artifact of objects(module["artifacts"])) {
        specs.push(await this.#download(artifact));
      }
      await report("DOWNLOADED");
      await report("INSTALLING");
      const created: Container[] = [];
      for (const spec of specs) {
        created.push(await create(spec));
      }
      await report("INSTALLED");
      for (const { id } of created) {
        await manager.start(id);
      }
      await report("FINISHED_SUCCESS");
    } catch (error) {
      if (error instanceof ProcessEnded) {
        return;
      }
      const status = error instanceof Rejected ? "FINISHED_REJECTED" : "FINISHED_ERROR";
      const failed = { ...base, status, message: error instanceof Error ? error.message : String(error) };
      await setProperty("status/lastFailedOperation", failed);
      await setProperty("status/lastOperation", failed);
    }
  }

  async #download(artifact: Json): Promise<CreateSpec> {
    const sources = asObject(artifact["download"]);
    const url = asText(asObject(sources["HTTP"] ?? sources["HTTPS"])["url"]);
    if (url === "") {
      throw new Error("internal runtime error");
    }
    const answer = await fetch(url, { signal: AbortSignal.timeout(30_000) });
    const descriptor = Buffer.from(await answer.arrayBuffer());
    const checksums = asObject(artifact["checksums"]);
    const algorithm = ["MD5", "SHA1", "SHA256"].find((name) => asText(checksums[name]) !== "");
    if (algorithm !== undefined) {
      const actual = createHash(algorithm.toLowerCase()).update(descriptor).digest("hex");
      if (actual !== asText(checksums[algorithm]).trim().toLowerCase()) {
        throw new Rejected(`${algorithm.toLowerCase()} checksum does not match`);
      }
    }
    const parsed: unknown = JSON.parse(descriptor.toString("utf8"));
    return descriptorSpec(asObject(parsed));
  }

  async #remove(software: readonly Json[], correlationId: string, forced: boolean): Promise<void> {
    const { manager, setProperty } = this.#options;
    const done: Json[] = [];
    const failed: Json[] = [];
    const rejected: Json[] = [];
    const messages: string[] = [];
    const report = async (status: string, of: readonly Json[], message = ""): Promise<void> =>
      setProperty("status/lastOperation", {
        correlationId,
        status,
        software: of,
        ...(message === "" ? {} : { message }),
      });
    for (const item of software) {
      if (!forced && failed.length > 0) {
        rejected.push(item);
        continue;
      }
      const id = asText(item["name"]);
      await report("REMOVING", [item]);
      try {
        if (!manager.get(id)) {
          throw new Error(`container with ID = ${id} does not exist`);
        }
        await manager.remove(id, true);
        await report("REMOVED", [item]);
        done.push(item);
      } catch (error) {
        if (error instanceof ProcessEnded) {
          return;
        }
        messages.push(error instanceof Error ? error.message : String(error));
        failed.push(item);
      }
    }
    for (const [status, items] of [
      ["FINISHED_REJECTED", rejected],
      ["FINISHED_ERROR", failed],
    ] as const) {
      if (items.length > 0) {
        await setProperty("status/lastFailedOperation", {
          correlationId,
          status,
          software: items,
          message: messages.join("\n"),
        });
        await report(status, items, messages.join("\n"));
      }
    }
    if (done.length > 0) {
      await report("FINISHED_SUCCESS", done);
    }
  }
}

const asText = (value: unknown): string => (typeof value === "string" ? value : "");
const asObject = (value: unknown): Json => (isObject(value) ? value : {});
const objects = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
