/** Comparing what is wanted with what the twin shows, both in normal form. */
import type { DesiredContainer, Difference, ObservedContainer } from "../../contract.ts";
import { defaultDomainName, defaultHostName, type KantoConfig } from "../config.ts";
import { desiredConfig, normalImage } from "./desired.ts";
import { differingVariables, FIELDS, type Field } from "./fields.ts";

/** What the inventory holds in `config`; only this backend puts anything there. */
export function configOf(observed: ObservedContainer): KantoConfig {
  return observed.config as KantoConfig;
}

/** Paths that the spec sets and the device honours. */
export function honouredPaths(desired: DesiredContainer): string[] {
  const set = FIELDS.filter((field) => field.isSet(desired.spec, desired)).map((field) => field.path);
  return ["image", "name", ...set];
}

export function diff(
  desired: DesiredContainer,
  observed: ObservedContainer,
  appliedPaths: readonly string[],
): Difference[] {
  const differences: Difference[] = [];
  if (normalImage(desired.image) !== normalImage(observed.image)) {
    differences.push({ path: "image", desired: desired.image, observed: observed.image, effect: "Recreate" });
  }
  if (desired.name !== observed.name) {
    differences.push({ path: "name", desired: desired.name, observed: observed.name, effect: "Rename" });
  }
  const config = configOf(observed);
  const wanted = desiredConfig(desired);
  for (const field of FIELDS) {
    const counts = field.isSet(desired.spec, desired) || appliedPaths.includes(field.path);
    const held = field.path === "restartPolicy" && policyIsHeld(desired, observed, counts);
    if (held === "Ignored" || (!counts && held !== "Counts")) continue;
    if (same(field, wanted, config) || isUntouchedName(field, desired, config)) continue;
    differences.push({ path: field.path, ...texts(field, wanted, config), effect: field.effect });
  }
  return differences;
}

/**
 * A container that is to stay stopped is held there by policy NO, whatever the spec says of restarts; changing the policy of a stopped
 * container may start it. When it is to run again, the hold has to go, also where the spec says nothing of restarts.
 */
function policyIsHeld(
  desired: DesiredContainer,
  observed: ObservedContainer,
  counts: boolean,
): "Ignored" | "Counts" | undefined {
  if (desired.state === "Stopped") return "Ignored";
  if (counts) return undefined;
  return observed.marker !== undefined && configOf(observed).restartPolicy.type === "NO" ? "Counts" : undefined;
}

function same(field: Field, wanted: KantoConfig, config: KantoConfig): boolean {
  return JSON.stringify(field.read(wanted)) === JSON.stringify(field.read(config));
}

/** Host and domain name that nobody asks for any more: the daemon made its own from whatever the name was at creation. */
function isUntouchedName(field: Field, desired: DesiredContainer, config: KantoConfig): boolean {
  const { network } = desired.spec;
  if (field.path === "network.hostname" && network?.hostname === undefined) {
    return config.hostName === "" || config.hostName.endsWith(defaultHostName(""));
  }
  if (field.path === "network.domainname" && network?.domainname === undefined) {
    return config.domainName === "" || config.domainName.endsWith(defaultDomainName(""));
  }
  return false;
}

function texts(field: Field, wanted: KantoConfig, config: KantoConfig): Pick<Difference, "desired" | "observed"> {
  if (field.path === "env") {
    const names = differingVariables(wanted.env, config.env).join(", ");
    return { desired: `values as specified of: ${names}`, observed: `other values of: ${names}` };
  }
  // A key's entry may hold its password.
  if (field.path === "backendOptions.kanto.decryption")
    return { desired: "keys and recipients as specified", observed: "other keys or recipients" };
  const show = (from: KantoConfig): string => {
    const value = field.read(from);
    return typeof value === "string" ? value : JSON.stringify(value);
  };
  return { desired: show(wanted), observed: show(config) };
}

/**
 * Everything that needs a new container when it changes. What equals the daemon's default is left out, so that writing it down changes
 * nothing; that of host and domain name is made from the container's name.
 */
export function identity(desired: DesiredContainer): unknown {
  const { decryption: _keys, ...rest } = desired;
  const bare: DesiredContainer = { ...rest, env: [], spec: { deviceRef: desired.spec.deviceRef } };
  const wanted = desiredConfig(desired);
  const defaults = desiredConfig(bare);
  const fields = FIELDS.filter((field) => field.effect === "Recreate" && !same(field, wanted, defaults));
  return {
    image: normalImage(desired.image),
    ...Object.fromEntries(fields.map((field) => [field.path, field.read(wanted)])),
  };
}
