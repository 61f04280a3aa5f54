/** What a CustomResourceDefinition says of each kind beside its schema. */
import { KINDS, type KindName } from "../group.ts";
import { SCHEMAS } from "../parse.ts";

/** One column of `kubectl get`; those with priority 1 only with -o wide. */
export interface Column {
  name: string;
  type: "string" | "integer" | "date";
  description: string;
  jsonPath: string;
  priority?: 1;
}

/** A kind, complete. */
export type KindDefinition = (typeof KINDS)[KindName] & {
  description: string;
  schemas: (typeof SCHEMAS)[KindName];
  columns: readonly Column[];
  selectableFields: readonly string[];
};

const AGE: Column = {
  name: "Age",
  type: "date",
  description: "Time since the object was created.",
  jsonPath: ".metadata.creationTimestamp",
};

function ofCondition(type: string, field: "status" | "reason" | "message"): string {
  return `.status.conditions[?(@.type=="${type}")].${field}`;
}

const REASON: Column = {
  name: "Reason",
  type: "string",
  description: "Why it is ready or not, in one word.",
  jsonPath: ofCondition("Ready", "reason"),
  priority: 1,
};
const MESSAGE: Column = {
  name: "Message",
  type: "string",
  description: "Why it is ready or not.",
  jsonPath: ofCondition("Ready", "message"),
  priority: 1,
};
const READY: Column = {
  name: "Ready",
  type: "string",
  description: "Whether what was observed is what is wanted.",
  jsonPath: ofCondition("Ready", "status"),
};

/** All kinds, in the order of their dependence. */
export const KIND_DEFINITIONS: readonly KindDefinition[] = [
  {
    ...KINDS.EdgeBackend,
    description: "One vendor account or broker through which devices are reached.",
    schemas: SCHEMAS.EdgeBackend,
    columns: [
      { name: "Type", type: "string", description: "The vendor.", jsonPath: ".status.type" },
      { ...READY, description: "Whether the account or broker is connected." },
      {
        name: "Devices",
        type: "integer",
        description: "EdgeDevices on this backend.",
        jsonPath: ".status.devices.total",
      },
      AGE,
      {
        name: "Connected",
        type: "integer",
        description: "EdgeDevices that are connected.",
        jsonPath: ".status.devices.connected",
        priority: 1,
      },
      REASON,
      MESSAGE,
    ],
    selectableFields: [],
  },
  {
    ...KINDS.EdgeDevice,
    description: "One addressable target on a backend: a device that runs containers.",
    schemas: SCHEMAS.EdgeDevice,
    columns: [
      { name: "Backend", type: "string", description: "Its EdgeBackend.", jsonPath: ".spec.backendRef.name" },
      {
        name: "Connected",
        type: "string",
        description: "Whether the device can be reached.",
        jsonPath: ofCondition("DeviceReachable", "status"),
      },
      {
        name: "Managed",
        type: "integer",
        description: "Containers on it that belong to EdgeContainers.",
        jsonPath: ".status.managed",
      },
      AGE,
      {
        name: "Connection",
        type: "string",
        description: "State of its connection.",
        jsonPath: ".status.connection.state",
        priority: 1,
      },
      REASON,
      MESSAGE,
    ],
    selectableFields: [".spec.backendRef.name"],
  },
  {
    ...KINDS.EdgeContainer,
    description: "One container on one device.",
    schemas: SCHEMAS.EdgeContainer,
    columns: [
      { name: "Device", type: "string", description: "Its EdgeDevice.", jsonPath: ".spec.deviceRef.name" },
      { name: "Image", type: "string", description: "The image wanted.", jsonPath: ".spec.image" },
      { name: "State", type: "string", description: "What it does, in one word.", jsonPath: ".status.phase" },
      READY,
      {
        name: "Restarts",
        type: "integer",
        description: "How often its process was started again.",
        jsonPath: ".status.restartCount",
      },
      AGE,
      REASON,
      {
        name: "External-ID",
        type: "string",
        description: "The vendor's id of it.",
        jsonPath: ".status.external.id",
        priority: 1,
      },
      MESSAGE,
    ],
    selectableFields: [".spec.deviceRef.name"],
  },
  {
    ...KINDS.EdgeStack,
    description: "Containers and volumes that belong together on one device.",
    schemas: SCHEMAS.EdgeStack,
    columns: [
      { name: "Device", type: "string", description: "Its EdgeDevice.", jsonPath: ".spec.deviceRef.name" },
      {
        name: "Ready",
        type: "string",
        description: "How many of its containers are ready, of how many.",
        jsonPath: ".status.ready",
      },
      { name: "Status", type: "string", description: "How it stands, in one word.", jsonPath: ".status.phase" },
      AGE,
      REASON,
      {
        name: "External-ID",
        type: "string",
        description: "The vendor's id of its stack, in mode Own where the vendor has stacks.",
        jsonPath: ".status.external.id",
        priority: 1,
      },
      MESSAGE,
    ],
    selectableFields: [".spec.deviceRef.name"],
  },
  {
    ...KINDS.EdgeRegistry,
    description: "A login at an image registry, made real on each backend in that backend's own way.",
    schemas: SCHEMAS.EdgeRegistry,
    columns: [
      { name: "Host", type: "string", description: "The registry.", jsonPath: ".spec.host" },
      { ...READY, description: "Whether every backend named has the login, or takes it with each container." },
      {
        name: "Valid",
        type: "string",
        description: "Whether the registry takes the login, where the vendor tells.",
        jsonPath: ofCondition("CredentialsValid", "status"),
      },
      AGE,
      REASON,
      MESSAGE,
    ],
    selectableFields: [],
  },
];
