/**
 * Reasons of Kubernetes events that are not condition reasons (those stand in src/crds/reasons.ts and are used for events of their
 * transitions). They are API: alerts select by them; a test freezes this table.
 */
export const EVENT_REASONS = {
  /** A create is about to be sent. */
  Creating: "Creating",
  /** A container that we did not make was taken over. */
  Adopted: "Adopted",
  /** An object was let go although its container may still exist. */
  Orphaned: "Orphaned",
  /** A removal was handed to the device's pending removals. */
  RemovalPending: "RemovalPending",
  /** A pending removal failed and is tried again. */
  RemovalFailed: "RemovalFailed",
  /** A rental could not be stopped and goes on costing; it is tried again. */
  StopFailed: "StopFailed",
  /** An EdgeStack made an EdgeContainer. */
  ChildCreated: "ChildCreated",
  /** An EdgeStack deleted an EdgeContainer that it had made. */
  ChildRemoved: "ChildRemoved",
  /** An EdgeStack removed from its own stack at the vendor what somebody else had put there. */
  StrayRemoved: "StrayRemoved",
  /** In an EdgeStack's own stack at the vendor is what carries another installation's mark; it is left. */
  StrayLeft: "StrayLeft",
  /** A second stack at the vendor carries an EdgeStack's mark. */
  StackDoubled: "StackDoubled",
  /** What an EdgeStack has left of its own stack at the vendor: the stack, and its volumes. */
  StackKept: "StackKept",
  /** A device is connected (again). */
  Connected: "Connected",
} as const;
