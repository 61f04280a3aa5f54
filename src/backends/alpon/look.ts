/**
 * One look at a device: which asset it is, whether it is online, and its list of containers. What the vendor's answers say is found out here;
 * session.ts decides what follows from it.
 */
import type { HttpAnswer, HttpResult } from "../http/client.ts";
import { isPage } from "../http/failures.ts";
import { pathOf, type AlponDialect } from "./dialect.ts";
import { errorIn } from "./errors-table.ts";
import { readIds, readList, readOnline, type Listed } from "./wire.ts";

/** What a look came to. */
export type Look =
  | { seen: "Containers"; items: readonly Listed[] }
  /** The account may not list, or the vendor has no list: `message` is its answer. */
  | { seen: "Refused"; message: string }
  | { seen: "Unreachable" }
  /** Waiting alone will not help. */
  | { seen: "Obstacle"; obstacle: string }
  /** Nothing is learned this time. */
  | { seen: "Nothing"; message: string };

export interface LookerHost {
  readonly assetId: string;
  readonly dialect: AlponDialect;
  /** How long a vendor that does not tell whether the device is online is not asked again, ms. */
  readonly mutedMs: number;
  get(path: string): Promise<HttpResult>;
  /** The id by which another EdgeDevice names the same asset, and was first. */
  firstOf(ids: readonly string[]): string | undefined;
  malformed(kind: string): void;
  monotonic(): number;
}

const NO_SUCH_ASSET = "the vendor knows no such asset: is spec.alpon.assetId right?";
/** The account may not list, or there is no list. */
const REFUSALS: readonly number[] = [403, 404, 405, 501];

export class Looker {
  readonly #host: LookerHost;
  /** Ids of the asset as the vendor told them; undefined before. */
  #ids: readonly string[] | undefined;
  #isOffline = false;
  /** Until then it is not asked whether the device is online, monotonic ms. */
  #mutedUntil = -Infinity;

  constructor(host: LookerHost) {
    this.#host = host;
  }

  /** Of the asset, as far as the vendor has told. */
  get ids(): readonly string[] {
    return this.#ids ?? [];
  }

  /** The vendor has said last that the device is offline. */
  get isOffline(): boolean {
    return this.#isOffline;
  }

  async look(): Promise<Look> {
    const look = (await this.#identify()) ?? (await this.#readDevice());
    // An asset may be registered later, or belong to somebody else by then.
    if (look.seen === "Obstacle") this.#ids = undefined;
    return look;
  }

  /** The asset has four kinds of ids, and two EdgeDevices may name it by different ones: the first has it. @returns undefined if it is ours. */
  async #identify(): Promise<Look | undefined> {
    const { assetId, dialect } = this.#host;
    if (this.#ids === undefined) {
      const result = await this.#host.get(pathOf(dialect.paths.asset, assetId));
      if (result.kind !== "Answer") return { seen: "Nothing", message: result.message };
      if (this.#errorIn(result) === "AssetNotFound") return { seen: "Obstacle", obstacle: NO_SUCH_ASSET };
      if (isNoWord(result) || result.status === 401) return { seen: "Nothing", message: result.message };
      // Where that cannot be asked, the id that was given has to do.
      this.#ids = result.status === 200 ? [...readIds(result.json, dialect), assetId] : [assetId];
    }
    const first = this.#host.firstOf(this.#ids);
    if (first === undefined) return undefined;
    const obstacle = `this asset is the one of another EdgeDevice, which names it ${first}: delete one of the two`;
    return { seen: "Obstacle", obstacle };
  }

  async #readDevice(): Promise<Look> {
    await this.#readOnline();
    return this.#readContainers();
  }

  async #readOnline(): Promise<void> {
    const { assetId, dialect, mutedMs } = this.#host;
    if (this.#host.monotonic() < this.#mutedUntil) return;
    const result = await this.#host.get(pathOf(dialect.paths.status, assetId));
    // A key that is refused says nothing of what a good one may ask.
    if (result.kind !== "Answer" || isNoWord(result) || result.status === 401) return;
    if (result.status !== 200 && this.#errorIn(result) === undefined)
      this.#mutedUntil = this.#host.monotonic() + mutedMs;
    this.#isOffline = result.status === 200 && readOnline(result.json, dialect) === false;
  }

  async #readContainers(): Promise<Look> {
    const { assetId, dialect } = this.#host;
    const result = await this.#host.get(pathOf(dialect.paths.containers, assetId));
    if (result.kind !== "Answer") return { seen: "Nothing", message: result.message };
    if (result.status === 200) {
      const malformed = (): void => this.#host.malformed("List");
      const items = readList(result.json, dialect, malformed);
      if (items !== undefined) return { seen: "Containers", items };
      malformed();
      return { seen: "Nothing", message: "the vendor's answer is no list of containers" };
    }
    switch (this.#errorIn(result)) {
      case "AssetNotFound":
        return { seen: "Obstacle", obstacle: NO_SUCH_ASSET };
      case "AssetNotAlponDevice":
        return { seen: "Obstacle", obstacle: "the asset is no ALPON: is spec.alpon.assetId right?" };
      case "DeviceNotReachable":
        return { seen: "Unreachable" };
      default:
        break;
    }
    const { message, status } = result;
    // What something before the vendor says is not what the account may do.
    return !isPage(result) && REFUSALS.includes(status)
      ? { seen: "Refused", message: `the vendor answers ${status} to the list${message === "" ? "" : `: ${message}`}` }
      : { seen: "Nothing", message };
  }

  #errorIn({ json, message }: HttpAnswer): ReturnType<typeof errorIn> {
    return errorIn(json, this.#host.dialect.codeKeys, message);
  }
}

/** Not the vendor's word about what was asked. */
function isNoWord(answer: HttpAnswer): boolean {
  return answer.status >= 500 || answer.status === 429 || isPage(answer);
}
