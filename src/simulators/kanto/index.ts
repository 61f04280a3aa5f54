// The Kanto simulator: a device that behaves on its MQTT broker as Eclipse Kanto container-management does, quirks and faults included, with
// no containers behind it. It shares no code with the client of src/backends, so that the two cannot be wrong together. Layers, each in its own
// files: what survives the daemon (runtime, images, ports), the daemon (manager, restart-manager, thing, operations, commands), its MQTT client
// (mqtt-client), the device around them (device, faults, human), the ways in from outside (connector, control, cli), and suite-connector, which
// carries a device's messages to a broker in the cloud. What is and is not
// reproduced: docs/simulators.md.

export { ManualClock, systemClock, type Clock } from "../clock.ts";
export type { WireConfig } from "./arguments.ts";
export { startConnector, type Connector, type ConnectorOptions } from "./connector.ts";
export type { ContainerTruth, ReceivedCommand } from "./books.ts";
export { startKantoDevice, type KantoDevice, type KantoDeviceOptions } from "./device.ts";
export type { Faults } from "./device-faults.ts";
export type { CommandEffect, CommandRule, EventEffect, EventRule, Moment } from "./faults.ts";
export type { Human, HumanCreate } from "./human.ts";
export type { ImageBehaviour, ImageTable, ProcessBehaviour, PullFailure } from "./images.ts";
export type { Credentials, TlsOptions } from "./mqtt-socket.ts";
export type { HeldPort } from "./ports.ts";
export {
  CONNECTOR_STATUS,
  startSuiteConnector,
  type ConnectorCounts,
  type SuiteConnector,
  type SuiteConnectorOptions,
} from "./suite-connector.ts";
export { startControl, type Control } from "./control.ts";
