// Machines, rentals and what they cost. Knows no HTTP: the server asks it, its clock moves it.

import { randomUUID } from "node:crypto";
import { systemClock, type Clock } from "../clock.ts";
import { createRandom } from "../random.ts";
import type { HiveonOptions, MachineOptions, Price, Quirks, Rental, Status } from "./types.ts";
import { isJson, startProblem } from "./validation.ts";

/** What the platform answers: a status with either a body or an error's sentence. */
export type Answer = { status: number; body: Readonly<Record<string, unknown>> } | { status: number; error: string };

/** Something that the vendor tells by webhook. */
export type PlatformEvent =
  | {
      type: "EVENT_TYPE_DEPLOYMENT_CREATED" | "EVENT_TYPE_DEPLOYMENT_UPDATED" | "EVENT_TYPE_DEPLOYMENT_STOPPED";
      rental: Rental;
    }
  | { type: "EVENT_TYPE_MACHINE_UPDATED"; machineId: string; status: string };

interface FailReason {
  code: number;
  message: string;
}

interface Terms {
  account: string;
  readonly deploymentId: string;
  readonly externalId: string;
  readonly machineId: string;
  readonly price: Price;
  readonly image: string;
  readonly beganAt: number;
  readonly request: Readonly<Record<string, unknown>>;
}

class Deployment implements Rental {
  status: Status = "STATUS_PENDING";
  rented = true;
  endedAt: number | undefined;
  stops = 0;
  failReason: FailReason = { code: 0, message: "" };
  readonly startedMs: number;
  endedMs: number | undefined;
  stoppedMs: number | undefined;
  /** No id leads to it, and it goes on as it is. */
  lost = false;
  /** Whose key began it. */
  readonly account: string;
  readonly deploymentId: string;
  readonly externalId: string;
  readonly machineId: string;
  readonly image: string;
  readonly beganAt: number;
  readonly request: Readonly<Record<string, unknown>>;
  readonly #price: Price;
  readonly #clock: Clock;

  constructor(terms: Terms, clock: Clock) {
    this.account = terms.account;
    this.deploymentId = terms.deploymentId;
    this.externalId = terms.externalId;
    this.machineId = terms.machineId;
    this.image = terms.image;
    this.beganAt = terms.beganAt;
    this.request = terms.request;
    this.#price = terms.price;
    this.#clock = clock;
    this.startedMs = clock.now();
  }

  get priceId(): string {
    return this.#price.id;
  }

  get rentedMs(): number {
    return (this.endedMs ?? this.#clock.now()) - this.startedMs;
  }

  get cost(): number {
    return (Number(this.#price.amount) * this.rentedMs) / 60_000;
  }
}

interface Machine {
  id: string;
  prices: readonly Price[];
  slots: number;
  /** Rented by another vendor, in maintenance or offline. */
  away: boolean;
}

export class Platform {
  readonly quirks: Quirks;
  /** The customer whose key is used now: each sees its own deployments only. */
  account = "first";
  readonly #clock: Clock;
  readonly #machines = new Map<string, Machine>();
  readonly #deployments = new Map<string, Deployment>();
  readonly #startMs: number;
  readonly #stopMs: number;
  readonly #newId: () => string;
  readonly #tell: (event: PlatformEvent) => void;
  readonly #failingStarts = new Map<string, FailReason>();
  #failingStops = 0;
  #moments = 0;

  constructor(options: HiveonOptions, quirks: Quirks, tell: (event: PlatformEvent) => void) {
    this.quirks = quirks;
    this.#clock = options.clock ?? systemClock;
    this.#startMs = options.startMs ?? 2_000;
    this.#stopMs = options.stopMs ?? 1_000;
    this.#tell = tell;
    const random = options.seed === undefined ? undefined : createRandom(options.seed);
    this.#newId = random === undefined ? randomUUID : () => random.uuid();
    for (const machine of options.machines) this.addMachine(machine);
  }

  addMachine({ id, prices, slots = 1 }: MachineOptions): void {
    const fallback = [{ id: `${id}-price`, amount: "1", currency: "BTC" }];
    this.#machines.set(id, { id, prices: prices ?? fallback, slots, away: false });
  }

  // What the API does.

  start(body: unknown): Answer {
    const problem = startProblem(body, this.quirks.unknownFields === "refuse");
    if (problem !== undefined || !isJson(body)) return { status: 400, error: problem ?? "not a JSON object" };
    const machine = this.#machines.get(String(body["machine_id"]));
    if (machine === undefined) return { status: 404, error: "machine not found" };
    const externalId = typeof body["external_deployment_id"] === "string" ? body["external_deployment_id"] : "";
    const known = externalId === "" ? undefined : this.#own().find((each) => each.externalId === externalId);
    if (known !== undefined && this.quirks.duplicates === "refuse")
      return { status: 409, error: "a deployment with this external_deployment_id exists" };
    if (known !== undefined && this.quirks.duplicates === "same")
      return { status: 200, body: { deployment_id: known.deploymentId } };
    if (machine.away || this.#rentedOn(machine) >= machine.slots)
      return { status: this.quirks.unavailableStatus, error: "the machine is not available" };
    const price = machine.prices.find(({ id }) => id === body["machine_price_id"]);
    if (price === undefined) return { status: this.quirks.stalePriceStatus, error: "machine price not found" };
    return { status: 200, body: { deployment_id: this.#rent(machine, price, externalId, body).deploymentId } };
  }

  stop(deploymentId: string): Answer {
    const deployment = this.#own().find((each) => each.deploymentId === deploymentId);
    if (deployment === undefined) return { status: 404, error: "deployment not found" };
    deployment.stops += 1;
    if (deployment.status === "STATUS_STOPPED" && this.quirks.stopTwice !== 200)
      return { status: this.quirks.stopTwice, error: "the deployment is stopped" };
    if (deployment.status !== "STATUS_STOPPED" && deployment.status !== "STATUS_STOPPING") {
      this.#move(deployment, "STATUS_STOPPING");
      this.#clock.setTimeout(() => this.#finishStop(deployment), this.#stopMs);
    }
    return { status: 200, body: { deployment_id: deploymentId } };
  }

  /** @param by which kinds of id the route knows. */
  look(id: string, by: { own: boolean; external: boolean }): Answer {
    const visible = this.#own().filter((each) => this.#isVisible(each));
    const found =
      (by.own ? visible.find((each) => each.deploymentId === id) : undefined) ??
      // Of several under one id the newest, as a database that was asked for one of them might say.
      (by.external ? visible.findLast((each) => each.externalId === id && id !== "") : undefined);
    return found === undefined
      ? { status: 404, error: "deployment not found" }
      : { status: 200, body: this.#statusBody(found) };
  }

  // What happens to it.

  /** The next `count` stops end in STATUS_FAILED, and the machine stays rented. */
  failStops(count = 1): void {
    this.#failingStops = count;
  }

  /** Rentals of this image fail instead of running; undefined: no longer. */
  failImage(image: string, reason: FailReason | undefined): void {
    if (reason === undefined) this.#failingStarts.delete(image);
    else this.#failingStarts.set(image, reason);
  }

  /** A rental fails now. */
  fail(deploymentId: string, reason: FailReason = { code: 1, message: "container exited" }): void {
    const deployment = this.#of(deploymentId);
    deployment.failReason = reason;
    this.#move(deployment, "STATUS_FAILED");
    if (this.quirks.releaseAfterFailed) this.#release(deployment);
  }

  /** The platform loses track of a rental: no id leads to it any more, and it goes on costing; or finds it again. */
  lose(deploymentId: string, lost = true): void {
    this.#of(deploymentId).lost = lost;
  }

  /** The platform ends a rental by itself. */
  end(deploymentId: string): void {
    const deployment = this.#of(deploymentId);
    this.#release(deployment);
    this.#move(deployment, "STATUS_STOPPED");
  }

  /** Others rent the machine, or it is switched off; or it is there again. */
  setAway(machineId: string, away: boolean): void {
    const machine = this.#machines.get(machineId);
    if (machine === undefined) throw new Error(`no machine ${machineId}`);
    machine.away = away;
    this.#tell({ type: "EVENT_TYPE_MACHINE_UPDATED", machineId, status: this.machineStatus(machineId) });
  }

  /** Replaces the prices, as its owner may. */
  setPrices(machineId: string, prices: readonly Price[]): void {
    const machine = this.#machines.get(machineId);
    if (machine === undefined) throw new Error(`no machine ${machineId}`);
    machine.prices = prices;
  }

  // The books.

  machineStatus(machineId: string): "available" | "rented" | "inactive" {
    const machine = this.#machines.get(machineId);
    if (machine === undefined || machine.away) return "inactive";
    return this.#rentedOn(machine) >= machine.slots ? "rented" : "available";
  }

  machines(): { id: string; status: string; prices: readonly Price[] }[] {
    return [...this.#machines.values()].map(({ id, prices }) => ({ id, status: this.machineStatus(id), prices }));
  }

  /** Every rental there ever was, oldest first. */
  rentals(): Rental[] {
    return [...this.#deployments.values()];
  }

  /** What everything has cost so far. */
  cost(): number {
    return this.rentals().reduce((sum, { cost }) => sum + cost, 0);
  }

  #rent(machine: Machine, price: Price, externalId: string, request: Readonly<Record<string, unknown>>): Deployment {
    const config = isJson(request["container_config"]) ? request["container_config"] : {};
    const image = String(config["image"]);
    this.#moments += 1;
    const deployment = new Deployment(
      {
        account: this.account,
        // The vendor's own sample is no UUID: a client must not take it for one.
        deploymentId: this.#newId().replaceAll(/[ab]/g, "k"),
        externalId,
        machineId: machine.id,
        price,
        image,
        beganAt: this.#moments,
        request,
      },
      this.#clock,
    );
    this.#deployments.set(deployment.deploymentId, deployment);
    this.#tell({ type: "EVENT_TYPE_DEPLOYMENT_CREATED", rental: deployment });
    this.#clock.setTimeout(() => {
      if (deployment.status !== "STATUS_PENDING") return;
      const reason = this.#failingStarts.get(image);
      if (reason === undefined) this.#move(deployment, "STATUS_RUNNING");
      else this.fail(deployment.deploymentId, reason);
    }, this.#startMs);
    return deployment;
  }

  #finishStop(deployment: Deployment): void {
    if (deployment.status !== "STATUS_STOPPING") return;
    if (this.#failingStops > 0) {
      this.#failingStops -= 1;
      deployment.failReason = { code: 13, message: "the container could not be stopped" };
      this.#move(deployment, "STATUS_FAILED");
      return;
    }
    this.#release(deployment);
    this.#move(deployment, "STATUS_STOPPED");
  }

  #release(deployment: Deployment): void {
    if (!deployment.rented) return;
    deployment.rented = false;
    deployment.endedMs = this.#clock.now();
    this.#moments += 1;
    deployment.endedAt = this.#moments;
  }

  #move(deployment: Deployment, status: Status): void {
    deployment.status = status;
    if (status === "STATUS_STOPPED") deployment.stoppedMs = this.#clock.now();
    const type = status === "STATUS_STOPPED" ? "EVENT_TYPE_DEPLOYMENT_STOPPED" : "EVENT_TYPE_DEPLOYMENT_UPDATED";
    this.#tell({ type, rental: deployment });
  }

  #rentedOn(machine: Machine): number {
    return this.rentals().filter((each) => each.machineId === machine.id && each.rented).length;
  }

  #own(): Deployment[] {
    return [...this.#deployments.values()].filter(({ account, lost }) => account === this.account && !lost);
  }

  #isVisible({ startedMs, stoppedMs }: Deployment): boolean {
    const now = this.#clock.now();
    const { visibleAfterMs, forgetAfterMs } = this.quirks;
    const forgotten = forgetAfterMs !== undefined && stoppedMs !== undefined && now - stoppedMs >= forgetAfterMs;
    return now - startedMs >= visibleAfterMs && !forgotten;
  }

  #of(deploymentId: string): Deployment {
    const deployment = this.#deployments.get(deploymentId);
    if (deployment === undefined) throw new Error(`no deployment ${deploymentId}`);
    return deployment;
  }

  #statusBody(deployment: Deployment): Record<string, unknown> {
    const { quirks } = this;
    const { request } = deployment;
    const metadata: Record<string, unknown> = {
      ...(quirks.echoMetadata && isJson(request["metadata"]) && request["metadata"]),
      ...(quirks.guessSshAddress && { ssh: `ssh://root@${deployment.machineId}.rig.example:2222` }),
    };
    const body: Record<string, unknown> = {
      deployment_id: deployment.deploymentId,
      machine_id: deployment.machineId,
      external_deployment_id: deployment.externalId,
      status: quirks.unknownStatus ? "STATUS_MIGRATING" : deployment.status,
      ...this.#failReason(deployment.failReason),
      metadata,
      ...(quirks.extraFields && { created_at: "2026-01-01T00:00:00Z", network: { ip: "192.0.2.1" } }),
    };
    return quirks.omitZero ? withoutZeros(body) : body;
  }

  #failReason(reason: FailReason): Record<string, unknown> {
    switch (this.quirks.failReason) {
      case "object":
        return { fail_reason: { ...reason } };
      case "string":
        return { fail_reason: reason.message };
      case "null":
        return { fail_reason: null };
      default:
        return {};
    }
  }
}

/** As Protobuf's JSON mapping: zero, empty and the first enum value are not written. */
function withoutZeros(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(body).flatMap(([key, value]): [string, unknown][] => {
      const isZero = value === 0 || value === "" || value === null || value === "STATUS_UNSPECIFIED";
      if (isZero) return [];
      if (!isJson(value)) return [[key, value]];
      const inner = withoutZeros({ ...value });
      return Object.keys(inner).length === 0 ? [] : [[key, inner]];
    }),
  );
}
