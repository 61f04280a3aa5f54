/** Whether what is to be sent can be, as text: every character arrives as it is, and the whole is no longer than a broker takes. */
import type { DesiredContainer, FieldProblem } from "../../contract.ts";
import { desiredConfig } from "./desired.ts";
import { invalid } from "./problems.ts";

/**
 * Longest configuration as JSON, bytes. No limit of the daemon's, but it publishes the whole of it with each change (with <, > and & at six
 * times their length), and brokers take messages of some MiB at most.
 */
const LONGEST_CONFIG = 2 ** 20;

/** Every text that is sent but env, by its place in the spec. Keys may be secret: only the place is ever shown. */
function textsOf({ name, image, spec, decryption }: DesiredContainer): [string, string][] {
  const { network, logging } = spec;
  const each = (path: string, texts: readonly (string | undefined)[]): [string, string][] =>
    texts.flatMap((text, index): [string, string][] => (text === undefined ? [] : [[`${path}[${index}]`, text]]));
  return [
    ["name", name],
    ["image", image],
    ...each("args", spec.args ?? []),
    ...(spec.volumes ?? []).flatMap(({ hostPath, mountPath }, index): [string, string][] => [
      [`volumes[${index}].hostPath`, hostPath ?? ""],
      [`volumes[${index}].mountPath`, mountPath],
    ]),
    ...(spec.devices ?? []).flatMap(({ hostPath, containerPath }, index): [string, string][] => [
      [`devices[${index}].hostPath`, hostPath],
      [`devices[${index}].containerPath`, containerPath ?? ""],
    ]),
    ["network.hostname", network?.hostname ?? ""],
    ["network.domainname", network?.domainname ?? ""],
    ...each("network.extraHosts", network?.extraHosts ?? []),
    ...each("securityContext.capabilities.add", spec.securityContext?.capabilities?.add ?? []),
    ["logging.rootDir", logging?.rootDir ?? ""],
    ...each("backendOptions.kanto.decryption.keys", decryption?.keys ?? []),
    ...each("backendOptions.kanto.decryption.recipients", decryption?.recipients ?? []),
  ];
}

/**
 * What is wrong with a text whose characters would not all arrive as they are: NUL ends a text for the kernel, and half a surrogate pair is
 * no Unicode, for which the daemon would put another character, so that the container would never be as specified.
 *
 * @param what names the text; it is never shown itself.
 */
export function textProblem(what: string, text: string): string | undefined {
  if (text.includes("\0")) return `${what} has a NUL character, which no process can be given: remove it`;
  return text.isWellFormed() ? undefined : `${what} is not valid Unicode: encode it, e.g. as base64`;
}

/** Problems of the characters of all texts but env's. */
export function textProblems(desired: DesiredContainer): FieldProblem[] {
  return textsOf(desired).flatMap(([path, text]) => {
    const problem = textProblem(path, text);
    return problem === undefined ? [] : [invalid(path, problem)];
  });
}

/** Parts of the configuration that grow without another bound, by the field that fills them. */
const GROWING = {
  env: "env",
  cmd: "args",
  mountPoints: "volumes",
  devices: "devices",
  extraHosts: "network.extraHosts",
  decryption: "backendOptions.kanto.decryption",
} as const;

/** Problems of the length of the whole. */
export function sizeProblems(desired: DesiredContainer): FieldProblem[] {
  const config = desiredConfig(desired);
  const bytes = (part: unknown): number => Buffer.byteLength(JSON.stringify(part));
  const total = bytes(config);
  if (total <= LONGEST_CONFIG) return [];
  const [largest] = (["env", "cmd", "mountPoints", "devices", "extraHosts", "decryption"] as const)
    .map((key) => ({ path: GROWING[key], size: bytes(config[key]) }))
    .sort((left, right) => right.size - left.size);
  const path = largest?.path ?? "env";
  return [
    invalid(
      path,
      `the configuration is ${total} bytes long, ${largest?.size ?? 0} of them ${path}, and Drayage sends at most ${LONGEST_CONFIG}: mount large content from a file`,
    ),
  ];
}
