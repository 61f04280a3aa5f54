/**
 * Everything about the vendor's API that no page of theirs says, as data in one place, so that first contact with the real service changes
 * data and not code. What EdgeBackend.spec.alpon.dialect sets goes before it. What is verified by which text: docs/backends/alpon.md.
 */

/** Names, paths and words; `{id}` and `{name}` are replaced, encoded. */
export interface AlponDialect {
  /** A third party's client sends the key in it. */
  authHeader: string;
  paths: {
    /** Third party, seen working. */
    assets: string;
    asset: string;
    /** Third party: whether the device is online. */
    status: string;
    /** POST is the vendor's word; GET (the list) a third party's. */
    containers: string;
    /** PATCH and DELETE: a third party's; the vendor's page has PATCH for the older "apps". */
    container: string;
  };
  /** Keys in an item of ports and of volumes; the vendor says only that there are several and that all are needed. */
  portHost: string;
  portContainer: string;
  volumeHost: string;
  volumeContainer: string;
  hostNetwork: string;
  privileged: string;
  /** Where a list may be in an answer that is no array. */
  listKeys: readonly string[];
  /** Keys of a listed container that may hold its state, and the sentence to it. */
  stateKeys: readonly string[];
  reasonKeys: readonly string[];
  createdKeys: readonly string[];
  /** Lower-case words for a container that runs, and for one that is on its way. Every other word is shown as it is. */
  runningWords: readonly string[];
  /** Where an event or error may carry its code. */
  codeKeys: readonly string[];
  /** Where the answer to `status` may say whether the device is online, and the words for it. */
  onlineKeys: readonly string[];
  offlineWords: readonly string[];
  /** Ids of an asset in the answer to `asset`, as paths of keys. */
  idPaths: readonly (readonly string[])[];
}

export const ALPON_DIALECT: AlponDialect = {
  authHeader: "x-api-key",
  paths: {
    assets: "/assets",
    asset: "/assets/{id}",
    status: "/assets/{id}/alpon",
    containers: "/assets/{id}/alpon/containers",
    container: "/assets/{id}/alpon/containers/{name}",
  },
  portHost: "host_port",
  portContainer: "container_port",
  volumeHost: "host_path",
  volumeContainer: "container_path",
  hostNetwork: "host_network",
  privileged: "privileged",
  listKeys: ["data", "containers", "items", "results"],
  stateKeys: ["status", "state"],
  reasonKeys: ["message", "reason"],
  createdKeys: ["created_at", "createdAt"],
  runningWords: ["running", "success", "active"],
  codeKeys: ["code", "error_code", "error", "reason"],
  onlineKeys: ["online", "is_online", "status", "state", "connection"],
  offlineWords: ["offline", "disconnected", "unreachable"],
  idPaths: [["uuid"], ["id"], ["serial_number"], ["serial"], ["sim", "sid"], ["sim", "iccid"], ["sid"], ["iccid"]],
};

/** @param overrides EdgeBackend.spec.alpon.dialect. */
export function dialectOf(
  overrides:
    | Partial<
        Pick<
          AlponDialect,
          "authHeader" | "portHost" | "portContainer" | "volumeHost" | "volumeContainer" | "hostNetwork" | "privileged"
        >
      >
    | undefined,
): AlponDialect {
  return { ...ALPON_DIALECT, ...overrides };
}

/** A path of the dialect with its parts, encoded. */
export function pathOf(template: string, id: string, name = ""): string {
  return template.replace("{id}", encodeURIComponent(id)).replace("{name}", encodeURIComponent(name));
}
