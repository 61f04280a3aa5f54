/** The three conditions that kstatus reads, before they are merged with the former ones. */

/** Ready, and what goes with it. */
export interface Verdict {
  ready: { status: "True" | "False" | "Unknown"; reason: string; message: string };
  reconciling?: { reason: string; message: string };
  stalled?: { reason: string; message: string };
}
