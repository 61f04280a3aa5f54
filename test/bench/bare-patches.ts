/**
 * The yardstick: a process that does nothing but PATCHes, with the operator's HTTP client (undici, the same options), concurrency,
 * credentials and bodies. It marks what this API server can do on this machine. Started by bare.ts:
 *
 *     node test/bench/bare-patches.ts <plan.json>
 *
 * Prints one line of JSON, a BareRound per round.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { Agent, request } from "undici";

/** One PATCH. */
export interface BarePatch {
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

/** All that is to be done. */
export interface BarePlan {
  readonly server: string;
  readonly ca: string;
  /** File with the bearer token: it stays out of arguments and plans. */
  readonly tokenFile: string;
  /** Jobs under way at a time. */
  readonly concurrency: number;
  /** Rounds one after the other; a round is a number of jobs, a job its PATCHes in order. */
  readonly rounds: readonly (readonly (readonly BarePatch[])[])[];
}

export interface BareRound {
  readonly seconds: number;
  readonly jobs: number;
  readonly patches: number;
  /** Answers other than 200, by status. */
  readonly refused: Readonly<Record<string, number>>;
}

async function runRound(
  plan: BarePlan,
  agent: Agent,
  token: string,
  jobs: BarePlan["rounds"][number],
): Promise<BareRound> {
  let next = 0;
  let patches = 0;
  const refused: Record<string, number> = {};
  const work = async (): Promise<void> => {
    for (let job = jobs[next++]; job !== undefined; job = jobs[next++]) {
      for (const { path, contentType, body } of job) {
        const response = await request(`${plan.server}${path}`, {
          method: "PATCH",
          dispatcher: agent,
          headers: { accept: "application/json", "content-type": contentType, authorization: `Bearer ${token}` },
          body,
        });
        await response.body.arrayBuffer();
        patches += 1;
        const { statusCode } = response;
        if (statusCode !== 200) refused[statusCode] = (refused[statusCode] ?? 0) + 1;
      }
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: plan.concurrency }, work));
  return { seconds: (performance.now() - startedMs) / 1000, jobs: jobs.length, patches, refused };
}

async function main(file: string): Promise<void> {
  const plan = JSON.parse(readFileSync(file, "utf8")) as BarePlan;
  const token = readFileSync(plan.tokenFile, "utf8").trim();
  // As src/kube/transport.ts opens its lane for requests.
  const agent = new Agent({ connections: 32, pipelining: 1, allowH2: false, connect: { ca: plan.ca } });
  const results: BareRound[] = [];
  for (const jobs of plan.rounds) results.push(await runRound(plan, agent, token, jobs));
  await agent.close();
  process.stdout.write(`${JSON.stringify(results)}\n`);
}

await main(process.argv[2] ?? "");
