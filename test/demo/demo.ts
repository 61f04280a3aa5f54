// Runs the demo: sets everything up, goes through the steps, says how it went, and either ends or goes on until it is told to.

import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { MissingBinaries } from "../controlplane/binaries.ts";
import { cacheDir } from "../controlplane/cache.ts";
import { STEPS, type Step } from "./steps.ts";
import type { View } from "./view.ts";
import { World } from "./world.ts";

export interface DemoOptions {
  /** End after the last step, rather than at the signal. */
  exit: boolean;
  /** Ends the demo in order. */
  signal: AbortSignal;
}

/** 0: all seen. 1: something was not, or could not be started. 130: ended by the signal before that was known. */
export type DemoCode = 0 | 1 | 130;

const LOOK_MS = 150;

/** Never rejects: what goes wrong is told by the view. */
export async function runDemo(view: View, options: DemoOptions): Promise<DemoCode> {
  const { signal } = options;
  try {
    await using world = await World.start(view, signal);
    view.attach(world.board);
    const missed = await tell(world, view, signal);
    const rest = STEPS.length - missed.seen - missed.missed;
    const result = `demo: ${missed.seen} steps seen, ${missed.missed} missed${rest > 0 ? `, ${rest} not tried` : ""}`;
    if (missed.missed > 0) {
      view.print(`logs: ${keepLogs(world.controlPlane.dir)}`);
    }
    const code = missed.missed > 0 ? 1 : 0;
    if (options.exit || code !== 0) {
      view.close();
      view.print(result);
      return code;
    }
    view.print(`\n${result}\n\n${invitation(world)}`);
    await hold(world, view, signal);
    view.close();
    return 0;
  } catch (error) {
    view.close();
    if (signal.aborted) {
      view.print("demo: interrupted; everything it had started has ended");
      return 130;
    }
    view.print(`demo: ${error instanceof MissingBinaries ? noControlPlane(error) : messageOf(error)}`);
    return 1;
  }
}

/** Goes through the steps until one is missed. */
async function tell(world: World, view: View, signal: AbortSignal): Promise<{ seen: number; missed: number }> {
  for (const [index, step] of STEPS.entries()) {
    const number = index + 1;
    view.begin(number, STEPS.length, step.title);
    const began = performance.now();
    const failure = await take(world, step, signal);
    if (failure !== undefined) {
      view.print(`step ${number}/${STEPS.length} MISSED: ${step.title}\n  ${failure}`);
      return { seen: index, missed: 1 };
    }
    view.seen(number, STEPS.length, step.title, step.outcome, performance.now() - began);
  }
  return { seen: STEPS.length, missed: 0 };
}

/** @returns why the step was missed; undefined when it was seen. @throws the signal's reason when it aborts */
async function take(world: World, step: Step, signal: AbortSignal): Promise<string | undefined> {
  let missing: string | undefined;
  try {
    await step.act(world);
    for (const deadline = performance.now() + step.deadlineS * 1000; performance.now() < deadline;) {
      signal.throwIfAborted();
      missing = await step.missing(world);
      if (missing === undefined) {
        return undefined;
      }
      const ended = world.ended();
      if (ended !== undefined) {
        return `${ended.logFile.split("/").at(-1)}: the program has ended\n${ended.logTail(8)}`;
      }
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
  return `expected within ${step.deadlineS} s: ${missing}`;
}

/** Saves the logs of a run whose folder is about to go; those of the last failure only are kept. */
function keepLogs(run: string): string {
  const kept = join(cacheDir(), "demo-logs");
  rmSync(kept, { recursive: true, force: true });
  mkdirSync(kept, { recursive: true, mode: 0o700 });
  for (const file of readdirSync(run).filter((name) => name.endsWith(".log"))) {
    copyFileSync(join(run, file), join(kept, file));
  }
  return kept;
}

/** How to go on by hand. */
function invitation({ kubeconfig, controlPlane, operatorUrl }: World): string {
  const inPath = (process.env["PATH"] ?? "").split(delimiter).some((folder) => folderHolds(folder, "kubectl"));
  return [
    "The demo goes on until Ctrl-C. In another terminal:",
    "",
    `  export KUBECONFIG=${kubeconfig}`,
    ...(inPath ? [] : [`  export PATH=$PATH:${dirname(controlPlane.kubectlPath)}`]),
    "",
    "  kubectl get edge",
    "  kubectl describe ec reporter",
    "  kubectl events --for ec/web",
    `  kubectl patch ec web --type=merge -p '{"spec":{"desiredState":"Paused"}}'`,
    "  kubectl annotate ec sensor edge.drayage.dev/restartedAt=$(date +%s) --overwrite",
    `  kubectl patch ec reporter --type=merge -p '{"spec":{"image":"registry.example.com/acme/reporter:1.0"}}'`,
    "  kubectl wait --for=condition=Ready ec --all --timeout=60s",
    `  curl -s ${operatorUrl}/metrics | grep ^drayage_`,
    "",
    `  logs: ${controlPlane.dir}/*.log`,
    "",
  ].join("\n");
}

function folderHolds(folder: string, name: string): boolean {
  try {
    return readdirSync(folder).includes(name);
  } catch {
    return false;
  }
}

function noControlPlane(error: MissingBinaries): string {
  return `no Kubernetes API can be run here, and without one there is nothing to show.\n${error.message}`;
}

/** Until the signal aborts; says it once when a program ends meanwhile. */
async function hold(world: World, view: View, signal: AbortSignal): Promise<void> {
  for (let told = false; !signal.aborted;) {
    const ended = world.ended();
    if (ended !== undefined && !told) {
      told = true;
      view.print(`the program of ${ended.logFile} has ended:\n${ended.logTail(8)}`);
    }
    await delay(1000, undefined, { signal }).catch(() => undefined);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
