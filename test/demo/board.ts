// What can be seen through the Kubernetes API while the demo runs: its devices and containers, kept current by watches.

import type { ApiAccess } from "../controlplane/index.ts";
import { watch, type Watched } from "./watch.ts";

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  observedGeneration: number;
}

/** How far a creation is, as the vendor tells. */
export interface Progress {
  stage: string;
  percent?: number;
}

/** The fields of an EdgeContainer that the demo shows or waits for. */
export interface ContainerObject extends Watched {
  spec: { deviceRef: { name: string }; image?: string };
  status?: {
    observedGeneration?: number;
    phase?: string;
    restartCount?: number;
    progress?: Progress;
    external?: { id: string };
    conditions?: Condition[];
  };
}

export interface DeviceObject extends Watched {
  status?: { connection?: { state: string; lastSeenTime?: string }; managed?: number; conditions?: Condition[] };
}

export interface StackObject extends Watched {
  status?: { ready?: string; external?: { id: string }; conditions?: Condition[] };
}

export interface BackendObject extends Watched {
  status?: { conditions?: Condition[] };
}

/** One line of the table. */
export interface Row {
  device: string;
  name: string;
  image: string;
  state: string;
  /** Status of condition Ready; "" before there is one. */
  ready: string;
  restarts: number;
  reason: string;
  createdAtMs: number;
}

const API = "/apis/edge.drayage.dev/v1alpha1/namespaces/demo";

export class Board {
  readonly containers = new Map<string, ContainerObject>();
  readonly devices = new Map<string, DeviceObject>();
  readonly backends = new Map<string, BackendObject>();
  readonly stacks = new Map<string, StackObject>();
  /** Every progress that was shown of a container, in order; by its name. A look now and then would miss some. */
  readonly progress = new Map<string, string[]>();

  /** Watches until the signal aborts. @param onChange called after each change */
  async watch(access: ApiAccess, onChange: () => void, signal: AbortSignal): Promise<void> {
    await Promise.all([
      watch(
        access,
        `${API}/edgecontainers`,
        this.containers,
        () => {
          this.#noteProgress();
          onChange();
        },
        signal,
      ),
      watch(access, `${API}/edgedevices`, this.devices, onChange, signal),
      watch(access, `${API}/edgebackends`, this.backends, onChange, signal),
      watch(access, `${API}/edgestacks`, this.stacks, onChange, signal),
    ]);
  }

  #noteProgress(): void {
    for (const [name, { status }] of this.containers) {
      const shown = this.progress.get(name) ?? [];
      const text = status?.progress === undefined ? undefined : tellProgress(status.progress);
      if (text !== undefined && shown.at(-1) !== text) {
        this.progress.set(name, [...shown, text]);
      }
    }
  }

  rows(): Row[] {
    return [...this.containers.values()]
      .map((container) => rowOf(container))
      .sort((a, b) => a.device.localeCompare(b.device) || a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1));
  }

  /** Name and state of connection of each device, by name. */
  connections(): { name: string; state: string }[] {
    return [...this.devices.values()]
      .map(({ metadata, status }) => ({ name: metadata.name, state: status?.connection?.state ?? "Unknown" }))
      .sort((a, b) => a.name.localeCompare(b.name));
  }
}

/** A condition of an object, if it was computed from the object's present generation. */
export function currentCondition(
  object: { metadata: Watched["metadata"]; status?: { conditions?: Condition[] } } | undefined,
  type: string,
): Condition | undefined {
  return object?.status?.conditions?.find(
    (condition) => condition.type === type && condition.observedGeneration === (object.metadata.generation ?? 0),
  );
}

function rowOf({ metadata, spec, status }: ContainerObject): Row {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return {
    device: spec.deviceRef.name,
    name: metadata.name,
    image: shortImage(spec.image ?? ""),
    state: metadata.deletionTimestamp === undefined ? stateOf(status) : "Removing",
    ready: ready?.status ?? "",
    restarts: status?.restartCount ?? 0,
    reason: ready?.reason ?? "",
    createdAtMs: Date.parse(metadata.creationTimestamp),
  };
}

/** The phase, and how much of it is done where the vendor tells: Pulling 40%. */
function stateOf(status: ContainerObject["status"]): string {
  const percent = status?.progress?.percent;
  return `${status?.phase ?? ""}${percent === undefined ? "" : ` ${percent}%`}`;
}

/** Downloading 40% */
function tellProgress({ stage, percent }: Progress): string {
  return percent === undefined ? stage : `${stage} ${percent}%`;
}

/** The last part of a reference: nginx:1.27 for docker.io/library/nginx:1.27. */
function shortImage(reference: string): string {
  return reference.split("/").at(-1) ?? reference;
}
