// Host ports: which are taken, by our containers and by others on the device. A container holds its ports from its start to its end, so a
// crash loop lets go of them during each back-off. A range takes the first free port and the choice is reported nowhere.

import { NetworkError, text } from "./errors.ts";
import type { Container, PortMapping } from "./types.ts";

/** A host port that a process outside the container manager has taken. */
export interface HeldPort {
  port: number;
  /** Default tcp. */
  proto?: string;
  /** Default 0.0.0.0, all addresses. */
  hostIP?: string;
}

interface Binding extends Required<HeldPort> {
  owner: string;
}

const ANY = new Set(["0.0.0.0", "::", ""]);
const FOREIGN = "";

export class Ports {
  #bindings: Binding[] = [];

  /** Takes a port for a process that is none of ours. */
  hold({ port, proto = "tcp", hostIP = "0.0.0.0" }: HeldPort): void {
    this.#bindings.push({ owner: FOREIGN, port, proto, hostIP });
  }

  /** Ends what `hold` did; with no argument, all of it. */
  release(held?: HeldPort): void {
    this.#bindings = this.#bindings.filter(
      (binding) =>
        binding.owner !== FOREIGN || (held && (binding.port !== held.port || binding.proto !== (held.proto ?? "tcp"))),
    );
  }

  /** Host ports that a container holds now, in the order of its mappings. */
  heldBy(containerId: string): number[] {
    return this.#bindings.filter(({ owner }) => owner === containerId).map(({ port }) => port);
  }

  /**
   * Takes all ports of a container, or none.
   * @throws NetworkError in libnetwork's words
   */
  connect(container: Container): void {
    const taken: Binding[] = [];
    for (const mapping of container.config.portMappings) {
      const port = this.#firstFree(mapping, taken);
      if (port === undefined) {
        throw new NetworkError(
          text.portTaken(`${container.id} (${container.id.replaceAll("-", "")})`, mapping.hostIP, mapping.hostPort),
        );
      }
      taken.push({ owner: container.id, port, proto: mapping.proto, hostIP: mapping.hostIP });
    }
    this.#bindings.push(...taken);
  }

  disconnect(containerId: string): void {
    this.#bindings = this.#bindings.filter(({ owner }) => owner !== containerId);
  }

  /** Power cut: only what is held again afterwards is taken. */
  clearContainers(): void {
    this.#bindings = this.#bindings.filter(({ owner }) => owner === FOREIGN);
  }

  #firstFree({ hostPort, hostPortEnd, proto, hostIP }: PortMapping, alsoTaken: readonly Binding[]): number | undefined {
    if (hostPort === 0) {
      return 0;
    }
    const overlaps = (binding: Binding): boolean =>
      binding.proto === proto && (binding.hostIP === hostIP || ANY.has(binding.hostIP) || ANY.has(hostIP));
    const others = [...this.#bindings, ...alsoTaken].filter(overlaps);
    for (let port = hostPort; port <= Math.max(hostPort, hostPortEnd); port++) {
      if (!others.some((binding) => binding.port === port)) {
        return port;
      }
    }
    return undefined;
  }
}
