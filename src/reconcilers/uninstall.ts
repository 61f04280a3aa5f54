/**
 * Whether one of our CustomResourceDefinitions is itself being deleted. The API server then deletes every object of the kind;
 * that is an uninstallation, not a wish to empty the fleet.
 */
import type { Logger } from "../controller/logging.ts";
import { GROUP } from "../crds/group.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { ApiError, isNotFound } from "../kube/errors.ts";
import { CRDS } from "./resources.ts";

/** An answer holds this long: a fleet that is uninstalled asks once, not once per object. */
const FRESH_MS = 1_000;

/** A check by plural name. It asks the API server; where RBAC forbids that, deletions are taken as what they say. */
export function uninstallCheck(client: KubeClient, clock: Clock, log: Logger): (plural: string) => Promise<boolean> {
  const answers = new Map<string, { atMs: number; answer: Promise<boolean> }>();
  const ask = async (plural: string): Promise<boolean> => {
    try {
      const crd = await client.get(CRDS, { namespace: "", name: `${plural}.${GROUP}` });
      return crd.metadata.deletionTimestamp !== undefined;
    } catch (error) {
      if (isNotFound(error)) return true;
      if (error instanceof ApiError && error.status === 403) {
        log.warn(
          { plural },
          "not allowed to read the CustomResourceDefinition: an uninstallation cannot be told from deletions",
        );
        return false;
      }
      throw error;
    }
  };
  return (plural) => {
    const known = answers.get(plural);
    // "Not being deleted" is asked anew each time: acting on an old no would remove what was only to be uninstalled.
    if (known !== undefined && clock.monotonic() - known.atMs < FRESH_MS) {
      return known.answer.then((yes) => (yes ? true : ask(plural)));
    }
    const answer = ask(plural);
    answers.set(plural, { atMs: clock.monotonic(), answer });
    return answer;
  };
}
