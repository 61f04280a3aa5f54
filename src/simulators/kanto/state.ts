// The transitions of a container's state, each exactly as the daemon makes them: what it leaves alone (finishedAt of the previous run while
// running, the pid of a removed one) matters as much as what it sets. Source: containerm/util/containers.go (SetContainerStatus*).

import type { Random } from "../random.ts";
import type { ContainerState } from "./types.ts";

/** RFC 3339 in UTC with nanoseconds, trailing zeros cut, as Go writes it; the digits below a millisecond are made up. */
export function timestamp(nowMs: number, random: Random): string {
  const digits =
    `${String(Math.floor(nowMs % 1000)).padStart(3, "0")}${String(random.integer(1_000_000)).padStart(6, "0")}`.replace(
      /0+$/,
      "",
    );
  return `${new Date(nowMs).toISOString().slice(0, 19)}${digits === "" ? "" : `.${digits}`}Z`;
}

export function initialState(): ContainerState {
  return { status: "Created", pid: -1, exitCode: 0, error: "", oomKilled: false, startedAt: "", finishedAt: "" };
}

export function setRunning(state: ContainerState, pid: number, at: string): void {
  Object.assign(state, {
    status: "Running",
    startedAt: at,
    pid,
    exitCode: 0,
    error: "",
    oomKilled: false,
  } satisfies Partial<ContainerState>);
}

export function setStopped(state: ContainerState, exitCode: number, error: string, at: string): void {
  Object.assign(state, {
    status: "Stopped",
    finishedAt: at,
    pid: -1,
    exitCode,
    error,
  } satisfies Partial<ContainerState>);
}

export function setExited(state: ContainerState, exitCode: number, error: string, oom: boolean, at: string): void {
  const why = oom && error === "" ? "OOM Killed" : error;
  Object.assign(state, {
    status: "Exited",
    finishedAt: at,
    pid: -1,
    exitCode,
    error: why,
  } satisfies Partial<ContainerState>);
  state.oomKilled ||= oom;
}

/** How long the last run took, ms; 0 when it never ran or never ended. */
export function uptimeMs(state: ContainerState): number {
  return state.startedAt === "" || state.finishedAt === ""
    ? 0
    : Date.parse(state.finishedAt) - Date.parse(state.startedAt);
}
