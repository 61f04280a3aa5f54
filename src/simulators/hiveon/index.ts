// The Hiveon simulator: the vendors API of a platform that rents machines out, with what its pages leave open as switches, and a meter. It shares
// no code with the client of src/backends. platform holds machines and rentals, validation the documented rules, server the HTTP and its faults,
// webhooks what it tells by itself, control and cli the ways in. What is and is not reproduced: docs/simulators.md.

export { ManualClock, systemClock, type Clock } from "../clock.ts";
export { hurried } from "./cli.ts";
export { startControl, type Control } from "./control.ts";
export type { Platform } from "./platform.ts";
export { startHiveon, type HiveonSimulator } from "./server.ts";
export type { HttpEffect as Effect } from "../http-server.ts";
export type { HiveonOptions, MachineOptions, Price, Quirks, Rental, Rule, SeenRequest, Status } from "./types.ts";
