/**
 * What tags mean at their registries (container-image-config). Asked before a service is made, so that an image that cannot be had is told
 * at once; and again from time to time for those whose imagePullPolicy is Always.
 */
import type { BackendClock } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Call } from "./client.ts";
import { canonicalImage } from "./normalise.ts";
import type { ImageConfig } from "./types.ts";

/** Between two looks at the same tag, ms. */
export const TAG_INTERVAL_MS = 3_600_000;
/** After a look that failed, ms. */
const AGAIN_MS = 300_000;

/** What is known of a reference. */
export type ImageVerdict =
  | { known: true; config: ImageConfig }
  /** The vendor says that it cannot be had. */
  | { known: false; failure: BackendFailure }
  /** Nothing was learned: no ground to hold anything up. */
  | undefined;

/** What an answer says of an image; the vendor's sentence is shown, never parsed. */
export function judgeImage(call: Call<ImageConfig>, image: string): ImageVerdict {
  if (call.kind === "Done") return { known: true, config: call.value };
  if (call.kind !== "Refused") return undefined;
  const { status } = call;
  const message = `${image}: ${call.failure.message}`;
  switch (status) {
    case 400:
      return { known: false, failure: { class: "Invalid", field: "image", reason: "InvalidImageName", message } };
    case 403:
      // Here the vendor's 403 is the registry's, not a doubt about our token.
      return {
        known: false,
        failure: {
          class: "WorkloadFailed",
          reason: "ImageUnauthorized",
          message: `${image}: the project may not pull it${call.said === undefined ? "" : ` (${call.said})`}; for a private image name a login: registryRefs with an EdgeRegistry, or imagePullSecrets`,
        },
      };
    case 404:
    case 412:
      return { known: false, failure: { class: "WorkloadFailed", reason: "ErrImagePull", message } };
    default:
      return undefined;
  }
}

/** What a look at a tag gave, and when the next one is due, monotonic ms. */
export interface TagLook {
  verdict: ImageVerdict;
  nextAt: number;
}

/** Looks at tags for all sessions of an account: one after another, each tag once per project, and none while the vendor's limit for them is spent. */
export class TagLooks {
  readonly #clock: BackendClock;
  readonly #ask: (image: string, projectId: string) => Promise<Call<ImageConfig>>;
  readonly #looks = new Map<string, TagLook>();
  #turn: Promise<unknown> = Promise.resolve();
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(clock: BackendClock, ask: (image: string, projectId: string) => Promise<Call<ImageConfig>>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** @param projectId UUID. @returns a look that is not due to be repeated yet. */
  look(image: string, projectId: string): Promise<TagLook> {
    const look = this.#turn.then(() => this.#look(image, projectId));
    this.#turn = look.catch(() => undefined);
    return look;
  }

  /** Somebody has looked for a reason of their own. */
  note(image: string, projectId: string, verdict: ImageVerdict): TagLook {
    const look = { verdict, nextAt: this.#clock.monotonic() + (verdict?.known === true ? TAG_INTERVAL_MS : AGAIN_MS) };
    const key = keyOf(image, projectId);
    if (verdict !== undefined || !this.#looks.has(key)) this.#looks.set(key, look);
    return look;
  }

  async #look(image: string, projectId: string): Promise<TagLook> {
    const now = this.#clock.monotonic();
    for (const [key, { nextAt }] of this.#looks) if (nextAt <= now) this.#looks.delete(key);
    const known = this.#looks.get(keyOf(image, projectId));
    if (known !== undefined) return known;
    if (now < this.#restUntil) return { verdict: undefined, nextAt: this.#restUntil };
    const call = await this.#ask(image, projectId);
    if (call.kind !== "Done" && call.failure.class === "RateLimited") {
      this.#restUntil = this.#clock.monotonic() + (call.failure.retryAfterMs ?? AGAIN_MS);
      return { verdict: undefined, nextAt: this.#restUntil };
    }
    return this.note(image, projectId, judgeImage(call, image));
  }
}

function keyOf(image: string, projectId: string): string {
  return `${projectId} ${canonicalImage(image)}`;
}

/** Digests of the tags that are watched. */
export class TagWatch {
  readonly #clock: BackendClock;
  readonly #known = new Map<string, { digest?: string; nextAt: number }>();
  /** By service: what its tag meant when it was last pulled, and what ran then. They may be of two kinds (index and manifest). */
  readonly #pulled = new Map<string, { latest: string; deployed: string | undefined }>();
  /** By service: what its tag meant when this process first saw what runs. */
  readonly #baselines = new Map<string, { image: string; latest: string; deployed: string }>();
  /** Of these the registry's digest has been seen running: the two are of one kind. */
  readonly #alike = new Set<string>();

  constructor(clock: BackendClock) {
    this.#clock = clock;
  }

  /** The images of these that are to be looked up now. */
  due(images: Iterable<string>): string[] {
    const wanted = new Set(images);
    for (const image of this.#known.keys()) if (!wanted.has(image)) this.#known.delete(image);
    for (const image of this.#alike) if (!wanted.has(image)) this.#alike.delete(image);
    return [...wanted].filter((image) => (this.#known.get(image)?.nextAt ?? 0) <= this.#clock.monotonic());
  }

  /** Forgets all services but these. */
  keep(serviceIds: ReadonlySet<string>): void {
    for (const known of [this.#pulled, this.#baselines])
      for (const id of known.keys()) if (!serviceIds.has(id)) known.delete(id);
  }

  /** @param nextAt when it is due again, monotonic ms. @returns whether it is news. */
  note(image: string, verdict: ImageVerdict, nextAt: number): boolean {
    const before = this.#known.get(image)?.digest;
    const digest = verdict?.known === true ? verdict.config.digest : before;
    this.#known.set(image, { ...(digest !== undefined && { digest }), nextAt });
    return digest !== before;
  }

  /** A pull for it has ended. */
  pulled(serviceId: string, latest: string, deployed: string | undefined): void {
    this.#pulled.set(serviceId, { latest, deployed });
  }

  /** A service runs what it was last told to. */
  see(image: string, serviceId: string, deployed: string | undefined): void {
    const latest = this.#known.get(image)?.digest;
    if (latest === undefined || deployed === undefined) return;
    if (latest === deployed) this.#alike.add(image);
    const baseline = this.#baselines.get(serviceId);
    if (baseline?.image !== image || baseline.deployed !== deployed)
      this.#baselines.set(serviceId, { image, latest, deployed });
  }

  /**
   * As `latest`, as far as it is a ground to pull: two digests that were never seen to be of one kind say nothing until one of them changes.
   * A pull for each of them would interrupt every service whenever the operator is started.
   */
  news(image: string, serviceId: string, deployed: string | undefined): string | undefined {
    const latest = this.#known.get(image)?.digest;
    const baseline = this.#baselines.get(serviceId);
    const isAsBefore = baseline?.image === image && baseline.latest === latest && baseline.deployed === deployed;
    return isAsBefore && !this.#alike.has(image) ? deployed : this.latest(image, serviceId, deployed);
  }

  /** What the tag means now, in the kind of digest that the service shows; undefined if it is not known. */
  latest(image: string, serviceId: string, deployed: string | undefined): string | undefined {
    const latest = this.#known.get(image)?.digest;
    const pulled = this.#pulled.get(serviceId);
    return pulled?.latest === latest && pulled?.deployed === deployed ? deployed : latest;
  }
}
