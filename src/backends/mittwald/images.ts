/**
 * What tags mean at their registries (container-image-config). Asked before a service is made, so that an image that cannot be had is told
 * at once; and again from time to time for those whose imagePullPolicy is Always.
 */
import type { BackendClock } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Call } from "./client.ts";
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
      return { known: false, failure: { class: "WorkloadFailed", reason: "ImageUnauthorized", message } };
    case 404:
    case 412:
      return { known: false, failure: { class: "WorkloadFailed", reason: "ErrImagePull", message } };
    default:
      return undefined;
  }
}

/** Digests of the tags that are watched. */
export class TagWatch {
  readonly #clock: BackendClock;
  readonly #known = new Map<string, { digest?: string; nextAt: number }>();
  /** By service: what its tag meant when it was last pulled, and what ran then. They may be of two kinds (index and manifest). */
  readonly #pulled = new Map<string, { latest: string; deployed: string | undefined }>();

  constructor(clock: BackendClock) {
    this.#clock = clock;
  }

  /** The images of these that are to be looked up now. */
  due(images: Iterable<string>): string[] {
    const wanted = new Set(images);
    for (const image of this.#known.keys()) if (!wanted.has(image)) this.#known.delete(image);
    return [...wanted].filter((image) => (this.#known.get(image)?.nextAt ?? 0) <= this.#clock.monotonic());
  }

  /** @returns whether it is news. */
  note(image: string, verdict: ImageVerdict): boolean {
    const before = this.#known.get(image)?.digest;
    const digest = verdict?.known === true ? verdict.config.digest : before;
    const nextAt = this.#clock.monotonic() + (verdict?.known === true ? TAG_INTERVAL_MS : AGAIN_MS);
    this.#known.set(image, { ...(digest !== undefined && { digest }), nextAt });
    return digest !== before;
  }

  /** A pull for it has ended. */
  pulled(serviceId: string, latest: string, deployed: string | undefined): void {
    this.#pulled.set(serviceId, { latest, deployed });
  }

  /** What the tag means now, in the kind of digest that the service shows; undefined if it is not known. */
  latest(image: string, serviceId: string, deployed: string | undefined): string | undefined {
    const latest = this.#known.get(image)?.digest;
    const pulled = this.#pulled.get(serviceId);
    return pulled?.latest === latest && pulled?.deployed === deployed ? deployed : latest;
  }
}
