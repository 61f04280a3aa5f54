/**
 * Probes and metrics over HTTP: /healthz (the process is alive; a failure asks for a restart), /readyz (it does its work,
 * or stands by for it; a failure says why) and /metrics. Answers follow the API server's own: `ok`, or with `?verbose` or on
 * failure one line per named check, `[+]name ok` or `[-]name failed: why`; `?exclude=name` leaves one out; `/readyz/name`
 * asks for one alone.
 */
import { type HttpAnswer, type HttpHandler, HttpServer, type ListenAddress, textAnswer } from "./http-server.ts";
import type { Metrics } from "./metrics.ts";

/** What is wrong, for people, in one line and without secrets; undefined when all is well. */
export type Check = () => string | undefined;

/** A set of named checks that parts of the program add to. */
export class Checks {
  readonly #checks = new Map<string, Check>();

  /** Adds a check. Disposing it takes it away. @throws Error if the name is taken. */
  add(name: string, check: Check): Disposable {
    if (this.#checks.has(name)) throw new Error(`a check named ${name} exists already`);
    this.#checks.set(name, check);
    return { [Symbol.dispose]: () => void this.#checks.delete(name) };
  }

  /** What is wrong, by name; empty when all is well. */
  problems(): Map<string, string> {
    return new Map(this.#run().flatMap(({ name, problem }) => (problem === undefined ? [] : [[name, problem]])));
  }

  /** Answers a probe. */
  readonly answer: HttpHandler = (subPath, query): HttpAnswer => {
    if (subPath !== "") {
      const check = this.#checks.get(decodeName(subPath));
      if (check === undefined) return textAnswer(404, "no such check\n");
      const problem = runCheck(check);
      return problem === undefined ? textAnswer(200, "ok\n") : textAnswer(503, `${problem}\n`);
    }
    const excluded = new Set(query.getAll("exclude"));
    const results = this.#run().filter(({ name }) => !excluded.has(name));
    const isWell = results.every(({ problem }) => problem === undefined);
    if (isWell && !query.has("verbose")) return textAnswer(200, "ok\n");
    const lines = results.map(({ name, problem }) =>
      problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
    );
    return textAnswer(isWell ? 200 : 503, `${[...lines, isWell ? "check passed" : "check failed"].join("\n")}\n`);
  };

  #run(): { readonly name: string; readonly problem: string | undefined }[] {
    return Array.from(this.#checks, ([name, check]) => ({ name, problem: runCheck(check) }));
  }
}

/** Options of {@link healthServers}; an address that is undefined serves nothing. */
export interface HealthOptions {
  readonly healthAddress: ListenAddress | undefined;
  readonly metricsAddress: ListenAddress | undefined;
  readonly live: Checks;
  readonly ready: Checks;
  readonly metrics: Metrics;
  readonly onError?: (error: unknown) => void;
  readonly onListening?: (name: string, address: string) => void;
}

/** The servers for probes and metrics: one where both addresses are the same (and not a port of the system's choice). */
export function healthServers(options: HealthOptions): HttpServer[] {
  const { healthAddress, metricsAddress, live, ready, metrics } = options;
  const probes = { "/healthz": live.answer, "/readyz": ready.answer };
  const scrape = {
    "/metrics": async (): Promise<HttpAnswer> => {
      const { contentType, text } = await metrics.expose();
      return { status: 200, contentType, body: text };
    },
  };
  const { onError, onListening } = options;
  const make = (name: string, address: ListenAddress, routes: Record<string, HttpHandler>): HttpServer =>
    new HttpServer({ name, address, routes, onError, onListening });
  const isShared =
    healthAddress !== undefined &&
    healthAddress.port !== 0 &&
    healthAddress.port === metricsAddress?.port &&
    healthAddress.host === metricsAddress.host;
  if (isShared) return [make("probes and metrics", healthAddress, { ...probes, ...scrape })];
  return [
    ...(healthAddress === undefined ? [] : [make("probes", healthAddress, probes)]),
    ...(metricsAddress === undefined ? [] : [make("metrics", metricsAddress, scrape)]),
  ];
}

/** A check that throws has found a problem. */
function runCheck(check: Check): string | undefined {
  try {
    return check();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function decodeName(subPath: string): string {
  try {
    return decodeURIComponent(subPath);
  } catch {
    return subPath;
  }
}
