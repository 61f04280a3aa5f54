// The daemon's own picture of a container: what it keeps in memory and on disk. Enumerations are kept in the daemon's internal spelling
// (lower-case), as its error texts show it; twin.ts writes them the way the twin does.

export type Status = "Creating" | "Created" | "Running" | "Stopped" | "Paused" | "Exited" | "Dead" | "Unknown";

export interface ContainerState {
  status: Status;
  /** -1 when there is no process. */
  pid: number;
  exitCode: number;
  error: string;
  oomKilled: boolean;
  /** RFC 3339 with fractions of a second; "" before the first start, or end. */
  startedAt: string;
  finishedAt: string;
}

export interface RestartPolicy {
  /** `always`, `on-failure`, `unless-stopped`, `no`; another text fails validation. */
  type: string;
  maxRetryCount: number;
  /** Longest delay between two restarts, whole seconds; 0 is the default of a minute. */
  retryTimeoutS: number;
}

export interface Resources {
  memory: string;
  memoryReservation: string;
  memorySwap: string;
}

export interface MountPoint {
  source: string;
  destination: string;
  propagationMode: string;
}

export interface Device {
  pathOnHost: string;
  pathInContainer: string;
  cgroupPermissions: string;
}

export interface PortMapping {
  proto: string;
  hostPort: number;
  hostPortEnd: number;
  containerPort: number;
  hostIP: string;
}

export interface LogConfig {
  type: string;
  maxFiles: number;
  maxSize: string;
  rootDir: string;
  mode: string;
  maxBufferSize: string;
}

export interface ContainerConfig {
  domainName: string;
  hostName: string;
  env: string[];
  cmd: string[];
  privileged: boolean;
  extraHosts: string[];
  extraCapabilities: string[];
  networkMode: string;
  openStdin: boolean;
  tty: boolean;
  mountPoints: MountPoint[];
  decryption: { keys: string[]; recipients: string[] } | undefined;
  devices: Device[];
  restartPolicy: RestartPolicy | undefined;
  portMappings: PortMapping[];
  log: LogConfig | undefined;
  resources: Resources | undefined;
}

/** What a create asks for, before ids and defaults. */
export interface CreateSpec {
  /** Honoured for SoftwareUpdatable installs only; else the daemon makes a UUID. */
  id?: string;
  name: string;
  imageRef: string;
  config: ContainerConfig;
}

export interface Container {
  id: string;
  name: string;
  imageRef: string;
  config: ContainerConfig;
  createdAt: string;
  state: ContainerState;
  restartCount: number;
  manuallyStopped: boolean;
  startedBefore: boolean;
}

/** What the manager tells its subscribers; the container is the live record, not a copy, as in the daemon. */
export type ContainerEventAction =
  | "created"
  | "running"
  | "stopped"
  | "exited"
  | "paused"
  | "resumed"
  | "renamed"
  | "updated"
  | "removed";

export interface ContainerEvent {
  action: ContainerEventAction;
  container: Container;
}

export const isActive = (container: Container): boolean =>
  container.state.status === "Running" || container.state.status === "Paused";

/** A configuration with nothing set, as an absent or empty `config` gives. */
export function emptyConfig(): ContainerConfig {
  return {
    domainName: "",
    hostName: "",
    env: [],
    cmd: [],
    privileged: false,
    extraHosts: [],
    extraCapabilities: [],
    networkMode: "",
    openStdin: false,
    tty: false,
    mountPoints: [],
    decryption: undefined,
    devices: [],
    restartPolicy: undefined,
    portMappings: [],
    log: undefined,
    resources: undefined,
  };
}
