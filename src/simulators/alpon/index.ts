// The ALPON simulator: Sixfab's Connect API for containers on ALPON devices, with what its pages leave open as switches. It shares no code
// with the client of src/backends. device holds one asset, texts the vendor's sentences, fields the bodies, stream the framings, server the HTTP
// and its faults, control and cli the ways in. What is and is not reproduced: docs/simulators.md.

export { ManualClock, systemClock, type Clock } from "../clock.ts";
export { startControl, type Control } from "./control.ts";
export type { Device, StreamEvent } from "./device.ts";
export { startAlpon, type AlponSimulator } from "./server.ts";
export { ERROR_TEXTS, KUBELET_REASONS, type ErrorCode } from "./texts.ts";
export type {
  AlponOptions,
  AssetOptions,
  Container,
  Effect,
  Framing,
  Quirks,
  RequestKind,
  Rule,
  SeenRequest,
} from "./types.ts";
