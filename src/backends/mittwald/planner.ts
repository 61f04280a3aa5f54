/**
 * The pure half of the mittwald backend. Four kinds of drift are told apart: of the spec (mended by a PATCH of our service), of the rollout
 * (what is declared does not run yet: recreate), of the image (the tag means something new: pull) and of the run state (plan/run-state.ts).
 */
import type {
  Capability,
  CommandAction,
  DesiredContainer,
  Difference,
  ObservedContainer,
  ObservedVolume,
  Planner,
} from "../contract.ts";
import { isPinned } from "./normalise.ts";
import { isTransitional } from "./states.ts";
import { validate } from "./validate.ts";
import {
  bodyOf,
  canonical,
  configOf,
  declaredSettings,
  FIELDS,
  namedVolumes,
  PATHS,
  wantedSettings,
  type Change,
  type Field,
} from "./wire.ts";

const native = (path: string, note?: string): Capability => ({
  path,
  level: "Native",
  ...(note !== undefined && { note }),
});
const emulated = (path: string, note: string): Capability => ({ path, level: "Emulated", note });
const unsupported = (path: string, note: string): Capability => ({ path, level: "Unsupported", note });

const CAPABILITIES: readonly Capability[] = [
  native("image", "for linux/amd64"),
  native("name", "the service's host name in its stack; at most 63 characters"),
  native("command", "the image's ENTRYPOINT"),
  native("args", "the image's CMD"),
  native("env", "readable at the vendor"),
  native("envFrom", "resolved by Drayage"),
  native("ports", "TCP and UDP, reachable in the project; hostPort must be containerPort"),
  native("volumes", "volumes of the stack, and files of the project below /home/"),
  native("resources.limits"),
  native("restartPolicy", "Always, OnFailure, No"),
  native("desiredState=Running"),
  native("desiredState=Stopped"),
  native("restartedAt", "with imagePullPolicy Always a new image of the tag is pulled"),
  emulated(
    "restartPolicy.type=UnlessStopped",
    "sent as always: the vendor's own unless-stopped behaves like on-failure",
  ),
  native("registryRefs", "the login stands in the project, for all its containers; see EdgeRegistry"),
  emulated("imagePullSecrets", "Drayage makes an EdgeRegistry for each"),
  emulated("imagePullPolicy=Always", "the tag is looked up at a restart and every hour"),
  emulated("deletion.deleteVolumes", "those that nothing else mounts, one by one"),
  emulated("updateStrategy.type=OnDelete", "declared at once, a new container at the next restart"),
  unsupported("updateStrategy.type=InPlaceOnly", "each change needs a new container"),
  unsupported("imagePullPolicy=Never", "the vendor pulls what it does not have"),
  unsupported("desiredState=Paused", "no way to pause"),
  unsupported("ports.hostIP", "a service has its own address"),
  unsupported("ports.hostPortEnd", "no choice from a range"),
  unsupported("ports.protocol=HTTPS", "an ingress of your own"),
  unsupported("volumes.readOnly", "no such setting"),
  unsupported("resources.reservations", "no such setting"),
  unsupported("resources.memorySwap", "no such setting"),
  unsupported("restartPolicy.maxRetries", "ignored by the vendor"),
  unsupported("network", "its own network, its name the service's"),
  unsupported("securityContext", "no privileges"),
  unsupported("devices", "no device files"),
  unsupported("startupScript", "use command and args"),
  unsupported("sshPublicKeys", "the vendor's own access"),
  unsupported("backendOptions.mittwald.ingresses", "not managed by this version"),
  unsupported("logging", "ignored"),
  unsupported("tty", "ignored"),
  unsupported("stdin", "ignored"),
  unsupported("stop", "no signal and no time; ignored"),
];

function paths({ env, spec }: DesiredContainer): string[] {
  const { limits } = spec.resources ?? {};
  return [
    "image",
    ...(spec.command !== undefined ? ["command"] : []),
    ...(spec.args !== undefined ? ["args"] : []),
    ...(env.length > 0 ? ["env"] : []),
    ...(spec.ports !== undefined ? ["ports"] : []),
    ...(spec.volumes !== undefined ? ["volumes"] : []),
    ...(spec.restartPolicy !== undefined ? ["restartPolicy"] : []),
    ...(limits?.cpu !== undefined ? ["resources.limits.cpu"] : []),
    ...(limits?.memory !== undefined ? ["resources.limits.memory"] : []),
  ];
}

/** Fields that differ: of those set now, or when the spec was last rolled out. */
function differing(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]): Field[] {
  const { service, defaults } = configOf(observed);
  const wanted = wantedSettings(desired);
  const declared = declaredSettings(service);
  const meant = new Set([...paths(desired), ...appliedPaths]);
  return FIELDS.filter((field) => {
    if (!meant.has(PATHS[field])) return false;
    if (canonical(wanted, field) === canonical(declared, field)) return false;
    if ((field === "entrypoint" || field === "command") && wanted[field].length === 0) {
      // The vendor fills in what the image has: that is what an empty list asks for.
      const own = defaults?.[field];
      return own === undefined || canonical({ ...wanted, [field]: own }, field) !== canonical(declared, field);
    }
    return true;
  });
}

/** What is declared is to run; on request (OnDelete) only at a restart, and never to wake what is stopped. */
function isRolloutDue(desired: DesiredContainer, observed: ObservedContainer): boolean {
  const { service } = configOf(observed);
  if (!service.requiresRecreate || desired.spec.updateStrategy?.type === "OnDelete") return false;
  return desired.state === "Running" || service.status !== "stopped";
}

/** It is on its way to what is declared, and another interruption would only begin that anew; or it has to be started first. */
function hasToWait(observed: ObservedContainer): boolean {
  const { service, isOutrun, isUnmoved } = configOf(observed);
  return (isTransitional(service) && isOutrun !== true) || isUnmoved === true;
}

/** The digests where the tag means something else than what runs. */
function newImage(
  desired: DesiredContainer,
  observed: ObservedContainer,
): { latest: string; deployed: string } | undefined {
  const { service, latestDigest: latest } = configOf(observed);
  const deployed = service.deployedState?.imageDigest;
  if (desired.spec.imagePullPolicy !== "Always" || isPinned(desired.image) || desired.state !== "Running")
    return undefined;
  return latest === undefined || deployed === undefined || latest === deployed ? undefined : { latest, deployed };
}

function diff(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]): Difference[] {
  const { service, isMarkLost } = configOf(observed);
  const wanted = wantedSettings(desired);
  const declared = declaredSettings(service);
  const differences: Difference[] = [];
  // A service keeps its name: another one is another service.
  if (observed.name !== desired.name)
    differences.push({ path: "name", desired: desired.name, observed: observed.name, effect: "Recreate" });
  for (const field of differing(desired, observed, appliedPaths))
    differences.push({
      path: PATHS[field],
      // Values of variables may be secret.
      desired: field === "environment" ? "as in the spec" : canonical(wanted, field),
      observed: field === "environment" ? "other names or values" : canonical(declared, field),
      effect: "Update",
    });
  if (isMarkLost === true)
    differences.push({ path: "description", desired: "with Drayage's mark", observed: "without it", effect: "Update" });
  const effect = hasToWait(observed) ? "Wait" : "Update";
  if (isRolloutDue(desired, observed))
    differences.push({ path: "rollout", desired: "as declared", observed: "declared, not deployed", effect });
  const image = newImage(desired, observed);
  if (image !== undefined)
    differences.push({ path: "imagePullPolicy", desired: image.latest, observed: image.deployed, effect });
  return differences;
}

function act(observed: ObservedContainer, change: Change, changed: readonly string[]): CommandAction {
  return { kind: "Update", externalId: observed.externalId, payload: change, paths: changed };
}

/** First what is declared, then what runs: by a pull where the tag is new, which makes a new container, too. */
function update(
  desired: DesiredContainer,
  observed: ObservedContainer,
  appliedPaths: readonly string[],
): CommandAction {
  const fields = differing(desired, observed, appliedPaths);
  if (fields.length > 0 || configOf(observed).isMarkLost === true) {
    const wanted = wantedSettings(desired);
    const volumes = fields.includes("volumes") ? namedVolumes(wanted.volumes) : [];
    return act(
      observed,
      { change: "Patch", body: bodyOf(wanted, fields), volumes },
      fields.map((field) => PATHS[field]),
    );
  }
  return newImage(desired, observed) === undefined
    ? act(observed, { change: "Recreate" }, ["rollout"])
    : act(observed, { change: "Pull" }, ["imagePullPolicy"]);
}

/** A restart where something runs (or tries to); what is stopped is started. */
function restart(desired: DesiredContainer, observed: ObservedContainer): CommandAction | undefined {
  const { service } = configOf(observed);
  if (service.status === "stopped") return undefined;
  if (service.requiresRecreate) return act(observed, { change: "Recreate" }, ["restartedAt"]);
  const looksUp = desired.spec.imagePullPolicy === "Always" && !isPinned(desired.image);
  const image = looksUp ? { image: service.pendingState.image } : {};
  return act(observed, { change: "Restart", ...image }, ["restartedAt"]);
}

/** Those that the spec names and nothing mounts any more; what else is in the stack is not ours. */
function removeVolumes(desired: DesiredContainer, volumes: readonly ObservedVolume[]): CommandAction | undefined {
  const names = new Set(namedVolumes(wantedSettings(desired).volumes));
  const volume = volumes.find(({ name, isUsed }) => names.has(name) && !isUsed);
  if (volume === undefined) return undefined;
  const change: Change = { change: "DropVolume", volume: volume.externalId };
  return { kind: "Update", externalId: volume.externalId, payload: change, paths: ["deletion.deleteVolumes"] };
}

export const mittwaldPlanner: Planner = {
  type: "mittwald",
  capabilities: CAPABILITIES,
  // A service is changed in place; a new one has another name.
  coexistence: false,
  restartsByItself: true,
  nameConflicts: true,
  exposesEnv: true,
  keepsRegistries: true,
  claims: true,
  validate,
  paths,
  diff,
  identity: (desired) => {
    const wanted = wantedSettings(desired);
    return Object.fromEntries(FIELDS.map((field) => [field, canonical(wanted, field)]));
  },
  update,
  restart,
  stop: (observed, { signal, timeoutSeconds, force }) =>
    configOf(observed).service.status === "stopped"
      ? undefined
      : { kind: "Stop", externalId: observed.externalId, signal, timeoutSeconds, force },
  removeVolumes,
  remove: ({ externalId }) => ({ kind: "Remove", externalId }),
  // What has ended for good under another policy is Exited (states.ts).
  restarts: ({ spec }, { state }) =>
    spec.restartPolicy?.type === "No" ? false : spec.restartPolicy?.type !== "OnFailure" || state !== "Exited",
};
