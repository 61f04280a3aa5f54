/** What is known of a device's containers: what its list says, with what this process has sent where the list is silent. */
import type { Claim, Marker, ObservedContainer } from "../contract.ts";
import { CONFIG_FIELDS, ownName, type AlponConfig, type Listed } from "./wire.ts";

interface Sent {
  config: AlponConfig;
  marker: Marker | undefined;
}

interface Since {
  form: string;
  atMs: number;
}

export class Inventory {
  /** By name. */
  #listed: ReadonlyMap<string, Listed> = new Map();
  readonly #claims = new Map<string, Claim>();
  /** What this process has sent, and the vendor has said that it was done. */
  readonly #sent = new Map<string, Sent>();
  /** Names that the vendor has said are not there (any more), where it has no list. */
  readonly #gone = new Set<string>();
  /** Names that were sent and that no list has shown since. */
  readonly #awaited = new Set<string>();
  readonly #since = new Map<string, Since>();
  /** A list has come. */
  #hasList = false;
  /** Clock.now() of the last list. */
  #listedMs = 0;
  /** The account cannot list: only answers to our own commands are known. */
  isBlind = false;

  /** The account has listed before. */
  get hasList(): boolean {
    return this.#hasList;
  }

  claim(claim: Claim): void {
    this.#claims.set(keyOf(claim), claim);
  }

  /** The object of these names is gone. What was sent for its container stays known as long as that may be there. */
  forget(of: Names): void {
    const name = this.#claims.get(keyOf(of))?.containerName;
    this.#claims.delete(keyOf(of));
    if (name !== undefined) this.#gone.delete(name);
  }

  /** How much is remembered beside the list. */
  get size(): number {
    return this.#claims.size + this.#sent.size + this.#gone.size + this.#since.size;
  }

  listed(name: string): Listed | undefined {
    return this.#listed.get(name);
  }

  /** Whether it was sent, and no list has shown it since: the list may be an old one. */
  isAwaited(name: string): boolean {
    return this.#awaited.has(name);
  }

  /** Takes over a list. @returns what has changed since the last one. */
  take(items: readonly Listed[], nowMs: number): { name: string; marker: Marker | undefined }[] {
    const before = this.#listed;
    this.#hasList = true;
    this.#listedMs = nowMs;
    this.#listed = new Map(items.map((item) => [item.name, item]));
    for (const { name } of items) this.#awaited.delete(name);
    const changed: { name: string; marker: Marker | undefined }[] = [];
    for (const item of items)
      if (JSON.stringify(before.get(item.name)) !== JSON.stringify(item))
        changed.push({ name: item.name, marker: this.#markerOf(item) });
    for (const item of before.values())
      if (!this.#listed.has(item.name)) {
        changed.push({ name: item.name, marker: this.#markerOf(item) });
        this.#sent.delete(item.name);
      }
    // Only where there is no list does it matter what is known not to be there.
    this.#gone.clear();
    return changed;
  }

  /** The vendor has said that this was done. Fields of an update go over those before. */
  noteSent(name: string, config: AlponConfig, marker: Marker | undefined): void {
    const before = this.#sent.get(name);
    this.#sent.set(name, { config: { ...before?.config, ...config }, marker: marker ?? before?.marker });
    this.#gone.delete(name);
    if (!this.#listed.has(name)) this.#awaited.add(name);
  }

  /** The vendor has said that there is none. */
  noteGone(name: string): void {
    this.#sent.delete(name);
    this.#awaited.delete(name);
    this.#gone.add(name);
  }

  containers(nowMs: number): ObservedContainer[] {
    const found = this.isBlind ? this.#believed() : [...this.#listed.values()].map((item) => this.#seen(item));
    const names = new Set(found.map(({ name }) => name));
    for (const name of this.#since.keys()) if (!names.has(name)) this.#since.delete(name);
    return found.map((container) => ({ ...container, stateSinceMs: this.#sinceMs(container, nowMs) }));
  }

  #seen(item: Listed): ObservedContainer {
    const sent = this.#sent.get(item.name)?.config;
    const silent = CONFIG_FIELDS.filter((field) => item.config[field] === undefined && sent?.[field] !== undefined);
    const filled: AlponConfig = Object.fromEntries(silent.map((field) => [field, sent?.[field]]));
    const config: AlponConfig = { ...item.config, ...filled };
    const marker = this.#markerOf(item);
    return {
      externalId: item.name,
      name: item.name,
      image: config.image ?? "",
      ...(marker !== undefined && { marker }),
      state: item.state,
      ...(item.waiting !== undefined && { waiting: item.waiting, error: item.waiting.message }),
      ...(item.createdAt !== undefined && { createdAt: item.createdAt }),
      runs: [],
      stateSinceMs: 0,
      seenMs: this.#listedMs,
      hostPorts: (config.ports ?? []).map(({ host }) => ({
        hostIP: "0.0.0.0",
        hostPort: host,
        hostPortEnd: host,
        protocol: "TCP",
      })),
      config,
    };
  }

  /** Where a list shows no variables, a container is ours by what this process did, or by a name that nobody else chooses. */
  #markerOf(item: Listed): Marker | undefined {
    if (item.config.environments !== undefined) return item.marker;
    const sent = this.#sent.get(item.name)?.marker;
    if (sent !== undefined) return sent;
    const claim = [...this.#claims.values()].find((each) => ownName(each) === item.name);
    return claim === undefined ? undefined : bareMarker(claim);
  }

  /** Without a list: what the vendor has said was done, and what former processes may have done. */
  #believed(): ObservedContainer[] {
    const believed = new Map<string, ObservedContainer>();
    const put = (name: string, marker: Marker, isSure: boolean): void => {
      const config = this.#sent.get(name)?.config ?? {};
      believed.set(name, {
        externalId: name,
        name,
        image: config.image ?? "",
        marker,
        state: isSure ? "Running" : "Unknown",
        unverified: true,
        runs: [],
        stateSinceMs: 0,
        hostPorts: [],
        config,
      });
    };
    for (const claim of this.#claims.values()) {
      const name = claim.recordedId ?? claim.containerName;
      if (name === undefined || this.#gone.has(name) || this.#sent.has(name)) continue;
      // A create may have been sent; only a name of our own may be taken for ours.
      const mayBe = claim.operation !== undefined && name === ownName(claim);
      if (claim.recordedId !== undefined || mayBe) put(name, bareMarker(claim), claim.recordedId !== undefined);
    }
    for (const [name, { marker }] of this.#sent) if (marker !== undefined) put(name, marker, true);
    return [...believed.values()];
  }

  #sinceMs(container: ObservedContainer, nowMs: number): number {
    const form = JSON.stringify([container.state, container.waiting?.reason, container.createdAt]);
    const known = this.#since.get(container.name);
    if (known?.form === form) return known.atMs;
    this.#since.set(container.name, { form, atMs: nowMs });
    return nowMs;
  }
}

type Names = Pick<Claim, "owner" | "namespace" | "name">;

function keyOf({ owner, namespace, name }: Names): string {
  return `${owner}/${namespace}/${name}`;
}

function bareMarker({ owner, namespace, name }: Claim): Marker {
  return { owner, namespace, name, uid: "", operation: "", hash: "" };
}
