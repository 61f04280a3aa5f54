/**
 * Everything about a spec that a Kanto device cannot do as asked, found before anything is sent. Rules: container-management,
 * containerm/util/containers_validation.go; fields that it has no place for: containerm/things/datatypes_container_configuration.go.
 */
import type { DesiredContainer, FieldProblem } from "../../contract.ts";
import { defaultHostName } from "../config.ts";
import { MARKER_VARIABLE } from "../marker.ts";
import { ignore, invalid, refuse } from "./problems.ts";
import { networkProblems, portProblems, privilegeProblems, volumeProblems } from "./validate-host.ts";
import {
  decryptionProblems,
  loggingProblems,
  resourceProblems,
  restartProblems,
  stopProblems,
} from "./validate-run.ts";
import { sizeProblems, textProblem, textProblems } from "./validate-text.ts";

type Spec = DesiredContainer["spec"];

/** A container's name, as the daemon takes it. */
export const NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;
const VARIABLE = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Longest host name the kernel takes (HOST_NAME_MAX). */
const LONGEST_HOST_NAME = 64;
/** All problems; total, also on specs that no schema has seen. */
export function validate(desired: DesiredContainer): FieldProblem[] {
  const { spec } = desired;
  return [
    ...unsupported(spec),
    ...ignored(spec),
    ...nameProblems(desired),
    ...imageProblems(desired),
    ...envProblems(desired),
    ...portProblems(spec),
    ...volumeProblems(spec),
    ...resourceProblems(spec),
    ...restartProblems(spec),
    ...networkProblems(spec),
    ...privilegeProblems(spec),
    ...loggingProblems(spec),
    ...stopProblems(spec),
    ...decryptionProblems(desired),
    ...textProblems(desired),
    ...sizeProblems(desired),
  ];
}

function unsupported(spec: Spec): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const check = (asked: boolean, path: string, message: string): void => {
    if (asked) problems.push(refuse(path, message));
  };
  const { imagePullPolicy: pull } = spec;
  check(
    pull !== undefined && pull !== "IfNotPresent",
    "imagePullPolicy",
    `Kanto pulls an image only if the device does not have it: ${pull} cannot be asked for; leave imagePullPolicy out and name a digest or a tag that never moves`,
  );
  check(
    (spec.command?.length ?? 0) > 0,
    "command",
    "Kanto cannot replace an image's ENTRYPOINT: leave command out and use args, or build an image without ENTRYPOINT",
  );
  check(
    spec.resources?.limits?.cpu !== undefined,
    "resources.limits.cpu",
    "Kanto knows no CPU limits: leave resources.limits.cpu out",
  );
  check(
    spec.startupScript !== undefined,
    "startupScript",
    "Kanto runs no startup scripts: put the script into the image, or into args",
  );
  check((spec.sshPublicKeys?.length ?? 0) > 0, "sshPublicKeys", "Kanto gives no SSH access: leave sshPublicKeys out");
  for (const path of ["registryRefs", "imagePullSecrets"] as const) {
    check(
      (spec[path]?.length ?? 0) > 0,
      path,
      `Kanto takes registry credentials only from the daemon's own configuration on the device: leave ${path} out`,
    );
  }
  const options = spec.backendOptions ?? {};
  for (const other of ["hiveon", "mittwald"] as const) {
    check(
      options[other] !== undefined,
      `backendOptions.${other}`,
      `this device is on Kanto: leave backendOptions.${other} out`,
    );
  }
  return problems;
}

/** Cosmetic, and without a place on a Kanto device: only listed. */
function ignored(spec: Spec): FieldProblem[] {
  const named = (spec.ports ?? []).some((port) => port.hostPort === undefined);
  return named ? [ignore("ports", "ports without hostPort are not published: they only document the container")] : [];
}

function nameProblems({ name, spec }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (!NAME.test(name)) {
    problems.push(invalid("name", `name ${name} must begin with a letter, digit or _ and go on with these, . or -`));
  }
  const tooLong = defaultHostName(name).length > LONGEST_HOST_NAME;
  if (tooLong && spec.network?.hostname === undefined && spec.network?.mode !== "Host") {
    problems.push(
      invalid(
        "name",
        `Kanto makes the host name ${defaultHostName(name)} of the name, and a host name has at most ${LONGEST_HOST_NAME} characters: shorten name, or set network.hostname`,
      ),
    );
  }
  return problems;
}

function imageProblems({ image }: DesiredContainer): FieldProblem[] {
  const [host, ...path] = image.split("/");
  const qualified = path.length > 0 && host !== undefined && (host === "localhost" || /[.:]/.test(host));
  if (qualified && !/\s/.test(image)) return [];
  const fix =
    /\s/.test(image) || image === ""
      ? "docker.io/library/nginx:1.27"
      : `docker.io/${path.length === 0 ? "library/" : ""}${image}`;
  return [
    invalid("image", `Kanto knows no default registry: write the image in full, e.g. ${fix}`, "InvalidImageName"),
  ];
}

function envProblems({ env }: DesiredContainer): FieldProblem[] {
  return env.flatMap(({ name, value }) => {
    if (name === MARKER_VARIABLE) {
      return [
        invalid("env", `${name} is Drayage's own mark on the container: rename the variable, or give envFrom a prefix`),
      ];
    }
    if (!VARIABLE.test(name)) {
      return [
        invalid(
          "env",
          `Kanto takes variable names of letters, digits and _ only, not ${JSON.stringify(name)}: rename it`,
        ),
      ];
    }
    const problem = textProblem(`the value of ${name}`, value);
    if (problem !== undefined) return [invalid("env", problem)];
    // The value may be secret: it is not shown.
    if (value.includes("\n")) {
      return [
        invalid(
          "env",
          `the value of ${name} has a line break, which Kanto refuses: encode it, e.g. as base64, or mount a file`,
        ),
      ];
    }
    return [];
  });
}
