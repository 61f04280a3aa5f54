// What the parts of the Ditto simulator pass to each other.

/** A JSON object. */
export type Json = Record<string, unknown>;

/** A thing as Ditto stores it, with the fields that are only shown when they are asked for. */
export interface StoredThing {
  thingId: string;
  policyId: string;
  attributes: Json;
  features: Record<string, Json>;
  /** `_revision`: counts every accepted change, also one that changes nothing. */
  revision: number;
  /** `_modified`, RFC 3339. */
  modified: string;
}

/** A change of a twin, as it is told to subscribers. */
export interface ThingEvent {
  thingId: string;
  action: "created" | "modified" | "deleted";
  path: string;
  value?: unknown;
  revision: number;
  modified: string;
}

/** Who is asking, and what the policies let them do. */
export interface Subject {
  /** `<issuer>:<id>`, e.g. `nginx:ditto`. */
  id: string;
  /** READ on `thing:/`. Without it a thing is "not found". */
  read: boolean;
  /** WRITE on `message:/`. */
  message: boolean;
}

/** Ditto's error body. */
export interface DittoError {
  status: number;
  error: string;
  message: string;
  description?: string;
}
