/** What a machine's session is made with. */
import type { HttpSessionDeps, HttpSessionTimes } from "../http/sessions.ts";
import type { HiveonSession } from "./session.ts";
import type { Witness } from "./witness.ts";

export interface SessionOptions extends HttpSessionTimes {
  readonly targetKey: string;
  readonly machineId: string;
  readonly machinePriceId: string;
  readonly externalIdPath: string | undefined;
}

export interface SessionDeps extends HttpSessionDeps {
  /** What our ids are worth: whoever finds that looking by them does not work says so, and nothing more is begun on the account. */
  readonly lookup: {
    readonly broken: string | undefined;
    report(message: string): void;
    /** Tells operators once that it cannot be known what costs. */
    tell(message: string): void;
  };
  readonly witness: Witness;
  closed(session: HiveonSession): void;
}
