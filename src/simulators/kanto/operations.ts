// The operations of the features of the containers thing, as the remote side calls them. Source: containerm/things/features_container.go,
// features_container_factory.go.

import {
  parseCreate,
  parseCreateWithConfig,
  parseRemove,
  parseRename,
  parseStopOptions,
  parseUpdate,
  type CreateArgs,
} from "./arguments.ts";
import { ProcessEnded, subjectNotFound, text } from "./errors.ts";
import type { Manager } from "./manager.ts";
import type { OperationHandler } from "./thing.ts";
import type { Container, CreateSpec } from "./types.ts";

/** Handler of one `Container:<id>` feature. */
export function containerOperations(manager: Manager, id: string): OperationHandler {
  return async (operation, value) => {
    switch (operation) {
      case "start":
        return manager.start(id).then(nothing);
      case "stop":
        return manager.stop(id, { timeoutS: 0, force: false, signal: "" }).then(nothing);
      case "stopWithOptions":
        return manager.stop(id, parseStopOptions(value)).then(nothing);
      case "pause":
        return manager.pause(id).then(nothing);
      case "resume":
        return manager.resume(id).then(nothing);
      case "rename":
        return manager.rename(id, parseRename(value)).then(nothing);
      case "update":
        return manager.update(id, parseUpdate(value)).then(nothing);
      case "remove":
        return manager.remove(id, parseRemove(value)).then(nothing);
      default:
        throw subjectNotFound(text.unsupportedOperation(operation));
    }
  };
}

/** Handler of ContainerFactory. `create` makes the container and says so to whoever keeps the books. */
export function factoryOperations(
  manager: Manager,
  create: (spec: CreateSpec) => Promise<Container>,
): OperationHandler {
  return async (operation, value) => {
    switch (operation) {
      case "create":
        return createAndStart(parseCreate(value));
      case "createWithConfig":
        return createAndStart(parseCreateWithConfig(value));
      default:
        throw subjectNotFound(text.unsupportedOperation(operation));
    }
  };

  async function createAndStart({ spec, start }: CreateArgs): Promise<string> {
    if (spec.imageRef === "") {
      throw new Error("imageRef must be set");
    }
    const { id } = await create(spec);
    if (start) {
      try {
        await manager.start(id);
      } catch (error) {
        // The daemon only logs it: whoever created with `start` is told that all is well.
        if (error instanceof ProcessEnded) {
          throw error;
        }
      }
    }
    return id;
  }
}

const nothing = (): undefined => undefined;
