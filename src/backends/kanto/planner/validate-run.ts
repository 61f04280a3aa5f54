/** How a container runs: limits, restarts, output, stopping, and the keys of an encrypted image. */
import { parseQuantity, type Quantity } from "../../../crds/quantity.ts";
import type { DesiredContainer, FieldProblem } from "../../contract.ts";
import { ignore, invalid } from "./problems.ts";
import { quantityBytes, sizeProblem } from "./sizes.ts";

type Spec = DesiredContainer["spec"];

const SMALLEST_MEMORY = 3 * 2 ** 20;
/** Names that the daemon's unix.SignalNum knows on Linux (golang.org/x/sys, signalList: one name per number); it takes numbers too. */
const SIGNALS = new Set(
  `ABRT ALRM BUS CHLD CONT FPE HUP ILL INT IO KILL PIPE PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM
   WINCH XCPU XFSZ`
    .split(/\s+/)
    .map((name) => `SIG${name}`),
);

/** Problems of resources. */
export function resourceProblems(spec: Spec): FieldProblem[] {
  const { limits, reservations, memorySwap } = spec.resources ?? {};
  const sizes: [string, Quantity | undefined][] = [
    ["resources.limits.memory", limits?.memory],
    ["resources.reservations.memory", reservations?.memory],
    ["resources.memorySwap", memorySwap === "Unlimited" ? undefined : memorySwap],
  ];
  const problems = sizes.flatMap(([path, value]) => {
    const problem = value === undefined ? undefined : sizeProblem(path, value);
    return problem === undefined ? [] : [invalid(path, problem)];
  });
  if (problems.length > 0) return problems;
  const memory = limits?.memory === undefined ? undefined : parseQuantity(limits.memory);
  if (memory !== undefined && memory < SMALLEST_MEMORY) {
    problems.push(
      invalid("resources.limits.memory", "Kanto gives a container at least 3Mi of memory: write 3Mi or more"),
    );
  }
  const reserved = reservations?.memory === undefined ? undefined : parseQuantity(reservations.memory);
  if (reserved !== undefined && memory !== undefined && reserved > memory) {
    problems.push(
      invalid("resources.reservations.memory", "resources.reservations.memory must not be above limits.memory"),
    );
  }
  if (memorySwap === undefined) return problems;
  if (memory === undefined) {
    problems.push(invalid("resources.memorySwap", "memorySwap counts memory and swap together: set limits.memory too"));
  } else if (memorySwap !== "Unlimited" && parseQuantity(memorySwap) < memory) {
    problems.push(
      invalid("resources.memorySwap", "memorySwap counts memory and swap together: it must not be below limits.memory"),
    );
  }
  return problems;
}

/** Problems of restartPolicy. */
export function restartProblems(spec: Spec): FieldProblem[] {
  const { type, maxRetries } = spec.restartPolicy ?? {};
  if (maxRetries === undefined || maxRetries === 0 || type === "OnFailure") return [];
  return [
    invalid("restartPolicy.maxRetries", "maxRetries counts only with type OnFailure: leave it out or change the type"),
  ];
}

/** Problems of stop. */
export function stopProblems(spec: Spec): FieldProblem[] {
  const { signal } = spec.stop ?? {};
  if (signal === undefined || isSignal(signal)) return [];
  return [
    invalid(
      "stop.signal",
      `Kanto does not know the signal ${signal}: write a name such as SIGTERM or SIGINT, or a number`,
    ),
  ];
}

/** Whether the daemon knows a signal of this name (`SIGTERM`) or number (`"15"`). */
export function isSignal(signal: string): boolean {
  return SIGNALS.has(signal) || /^[1-9][0-9]?$/.test(signal);
}

/** Problems of logging. */
export function loggingProblems(spec: Spec): FieldProblem[] {
  const { driver, maxFiles, maxSize, maxBufferSize, mode } = spec.logging ?? {};
  const problems: FieldProblem[] = [];
  for (const [path, value] of [
    ["logging.maxSize", maxSize],
    ["logging.maxBufferSize", maxBufferSize],
  ] as const) {
    const problem = value === undefined || quantityBytes(value) === 0 ? undefined : sizeProblem(path, value);
    if (problem !== undefined) problems.push(invalid(path, problem));
  }
  if (maxBufferSize !== undefined && mode !== "NonBlocking") {
    problems.push(
      invalid(
        "logging.maxBufferSize",
        "maxBufferSize counts only with mode NonBlocking: set mode too, or leave it out",
      ),
    );
  }
  if (driver === "None") {
    const note = "the device keeps no output with logging.driver None, and drops this";
    if (maxFiles !== undefined) problems.push(ignore("logging.maxFiles", note));
    if (maxSize !== undefined) problems.push(ignore("logging.maxSize", note));
  }
  return problems;
}

/** Problems of the resolved keys and recipients; their values may hold passwords and are never shown. */
export function decryptionProblems({ decryption }: DesiredContainer): FieldProblem[] {
  const { keys = [], recipients = [] } = decryption ?? {};
  const path = "backendOptions.kanto.decryption";
  const problems: FieldProblem[] = [];
  if (keys.some((key) => key === "" || /[\n\r]/.test(key))) {
    problems.push(
      invalid(
        `${path}.keys`,
        "a key must be one line, <path on the device>[:<password>], without a line break at its end: create the Secret with --from-literal or printf '%s'",
      ),
    );
  }
  if (recipients.some((recipient) => !/^pkcs7:[^\n\r]+$/.test(recipient))) {
    problems.push(
      invalid(
        `${path}.recipients`,
        "a recipient must be one line, pkcs7:<path on the device of an x509 certificate>, without a line break at its end",
      ),
    );
  }
  return problems;
}
