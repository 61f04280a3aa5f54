/** What both kinds of credentials share: reading files with errors that help, and re-reading at a bounded rate. */

import { readFile } from "node:fs/promises";
import type { Clock } from "./clock.ts";
import { ClusterAccessError, type TlsMaterial } from "./access.ts";

/** client-go re-reads token files each minute (transport/token_source.go). */
const REREAD_INTERVAL_MS = 60_000;
const REFRESH_INTERVAL_MS = 5_000;

/** One reading of the credentials. */
export interface Reading {
  tls: TlsMaterial;
  authHeader: string | undefined;
}

/**
 * Keeps the last good reading and renews it: quietly once a minute (a failed re-read keeps what was good, since a file
 * may be absent for an instant while it is replaced), and loudly when asked to.
 */
export class Credentials {
  readonly #read: (forced: boolean) => Promise<Reading>;
  readonly #clock: Clock;
  #current: Reading;
  #readAt: number;
  #forcedAt = Number.NEGATIVE_INFINITY;
  #underWay: Promise<boolean> | undefined;

  private constructor(read: (forced: boolean) => Promise<Reading>, clock: Clock, first: Reading) {
    this.#read = read;
    this.#clock = clock;
    this.#current = first;
    this.#readAt = clock.monotonic();
  }

  /** @throws whatever the first reading throws. */
  static async open(read: (forced: boolean) => Promise<Reading>, clock: Clock): Promise<Credentials> {
    return new Credentials(read, clock, await read(false));
  }

  get tls(): TlsMaterial {
    return this.#current.tls;
  }

  async authHeader(): Promise<string | undefined> {
    if (this.#clock.monotonic() - this.#readAt >= REREAD_INTERVAL_MS) {
      await this.#renew(false).catch(() => false);
    }
    return this.#current.authHeader;
  }

  async refresh(): Promise<boolean> {
    if (this.#clock.monotonic() - this.#forcedAt < REFRESH_INTERVAL_MS && this.#underWay === undefined) {
      return false;
    }
    return this.#renew(true);
  }

  /** Callers that come while a reading is under way share it. */
  #renew(forced: boolean): Promise<boolean> {
    this.#underWay ??= this.#readOnce(forced).finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #readOnce(forced: boolean): Promise<boolean> {
    this.#readAt = this.#clock.monotonic();
    if (forced) {
      this.#forcedAt = this.#readAt;
    }
    const next = await this.#read(forced);
    const sameTls = equalTls(this.#current.tls, next.tls);
    const changed = !sameTls || this.#current.authHeader !== next.authHeader;
    this.#current = sameTls ? { tls: this.#current.tls, authHeader: next.authHeader } : next;
    return changed;
  }
}

function equalTls(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    a.ca === b.ca &&
    a.cert === b.cert &&
    a.key === b.key &&
    a.servername === b.servername &&
    a.rejectUnauthorized === b.rejectUnauthorized
  );
}

/**
 * Reads a text file.
 * @param purpose what the file is for, for the message.
 * @throws ClusterAccessError with the path and the remedy.
 */
export async function readCredentialFile(path: string, purpose: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    const remedy =
      code === "ENOENT"
        ? "the file does not exist"
        : code === "EACCES"
          ? "this user may not read it"
          : code === "EISDIR"
            ? "it is a folder, not a file"
            : code;
    throw new ClusterAccessError(`cannot read ${purpose} ${path}: ${remedy}`, { cause: error });
  }
}
