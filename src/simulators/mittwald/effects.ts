// The books of what happened to containers: what tests count, so that nothing is done twice and nobody's container is touched.

import type { Clock } from "../clock.ts";
import type { Actor, EffectCounts, EffectKind, ServiceEffect } from "./types.ts";

type Who = Pick<ServiceEffect, "stackId" | "serviceName"> & { id: string };

export interface EffectFilter {
  stackId?: string;
  serviceName?: string;
  serviceId?: string;
  by?: Actor;
}

export class Effects {
  readonly #all: ServiceEffect[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add({ id, stackId, serviceName }: Who, kind: EffectKind, by: Actor, downtime: boolean): void {
    this.#all.push({ atMs: this.#clock.now(), kind, by, serviceId: id, stackId, serviceName, downtime });
  }

  /** All that fit, oldest first. */
  list(filter: EffectFilter = {}): readonly ServiceEffect[] {
    const { stackId, serviceName, serviceId, by } = filter;
    return this.#all.filter(
      (effect) =>
        (stackId ?? effect.stackId) === effect.stackId &&
        (serviceName ?? effect.serviceName) === effect.serviceName &&
        (serviceId ?? effect.serviceId) === effect.serviceId &&
        (by ?? effect.by) === effect.by,
    );
  }

  counts(filter: EffectFilter = {}): EffectCounts {
    const counts: Record<keyof EffectCounts, number> = {
      created: 0,
      edited: 0,
      recreated: 0,
      restarted: 0,
      started: 0,
      stopped: 0,
      pulled: 0,
      exited: 0,
      removed: 0,
      downtimes: 0,
    };
    for (const { kind, downtime } of this.list(filter)) {
      counts[kind] += 1;
      if (downtime) counts.downtimes += 1;
    }
    return counts;
  }
}
