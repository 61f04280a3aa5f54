/** Whether a command may be sent at all. What is refused here never leaves the process. */
import type { Command } from "../contract.ts";
import { commonRefusal, refuse, transient, unsupportedCommand, type Refusal } from "../http/admission.ts";
import type { Names } from "./ids.ts";
import type { Ledger } from "./ledger.ts";
import type { SessionDeps } from "./parts.ts";

/** The session, as far as it is needed here. */
export interface AdmissionView {
  closed: boolean;
  /** A command is in flight. */
  busy: boolean;
  deps: Pick<SessionDeps, "fence" | "account" | "lookup">;
  ledger(names: Names): Ledger | undefined;
  /** Whether the rental has been looked up. */
  knows(externalId: string): boolean;
}

export function refusal(command: Command, view: AdmissionView): Refusal | undefined {
  const refused = commonRefusal(view);
  if (refused !== undefined) return refused;
  switch (command.kind) {
    case "Create": {
      const account = view.ledger(command.marker);
      if (account?.complete !== true) return refuse("NotSynced", transient("what is rented is still being looked up"));
      if (command.attempt === undefined)
        return refuse("Invalid", { class: "Invalid", reason: "InvalidSpec", message: "a rental needs its number" });
      // Whether a start of unknown outcome took effect could not be found out.
      const { broken } = view.deps.lookup;
      if (broken !== undefined) return refuse("Invalid", transient(broken));
      // The last line of defence, whatever was planned: never a second one beside one that has not ended.
      const [live] = account.live();
      if (live !== undefined && live.attempt !== command.attempt)
        return refuse("Invalid", {
          class: "Conflict",
          reason: "StateConflict",
          message: `rental ${live.status.deploymentId} of this object has not ended`,
        });
      return undefined;
    }
    case "Stop":
    case "Remove":
      return !view.knows(command.externalId)
        ? refuse("NotSynced", transient(`rental ${command.externalId} has not been looked up`))
        : undefined;
    default:
      return unsupportedCommand("Hiveon", command.kind, "rental");
  }
}
