// PUT and PATCH of a stack. A PUT is the whole of it: what is not in it is removed, volumes are detached and keep their data. A PATCH touches the names
// in it, `{}` removes one, and each field that is there replaces the old one as a whole. Neither looks at a version: there is none.

import { invalid, unmet, type ValidationError } from "./answers.ts";
import type { Container } from "./container.ts";
import { declare, merge, mounts, type Declared, type ServiceRequest } from "./declared.ts";
import type { Platform, Stack } from "./platform.ts";
import type { Actor, UpdateSchedule } from "./types.ts";
import { checkNotBlank, checkSchedule, serviceErrors, volumeErrors } from "./validation.ts";

export interface DeclareRequest {
  services?: Record<string, ServiceRequest>;
  volumes?: Record<string, { name: string }>;
}

export interface UpdateRequest {
  services?: Record<string, ServiceRequest>;
  volumes?: Record<string, { name?: string }>;
  description?: string;
  updateSchedule?: UpdateSchedule | null;
}

/** @throws Refusal 400 or 412, with nothing done */
export function declareStack(platform: Platform, stack: Stack, request: DeclareRequest, by: Actor): void {
  const { quirks } = platform;
  const keeps = quirks.putWithoutKey === "keep";
  const services = request.services ?? (keeps ? undefined : {});
  const volumes = request.volumes ?? (keeps ? undefined : {});
  const home = homeOf(platform, stack);
  const errors = [
    ...Object.entries(services ?? {}).flatMap(([name, service]) =>
      serviceErrors(name, service, { isNew: true, home, quirks }),
    ),
    ...Object.entries(volumes ?? {}).flatMap(([key, { name }]) => volumeErrors(key, name)),
  ];
  refuse(errors);
  const wanted = new Map<string, Declared>();
  for (const [name, service] of Object.entries(services ?? {})) {
    const old = stack.containers.get(name)?.declared;
    const kept =
      quirks.putOmitted === "keep" && old !== undefined ? { deploy: old.deploy, restartPolicy: old.restartPolicy } : {};
    wanted.set(name, declare(service, kept));
  }
  const declared = volumes === undefined ? undefined : new Set(Object.values(volumes).map(({ name }) => name));
  checkMounts(wanted, declared ?? new Set(stack.volumes.keys()));

  if (declared !== undefined) {
    for (const volume of stack.volumes.values()) volume.detached = !declared.has(volume.name);
    for (const name of declared) if (!stack.volumes.has(name)) platform.addVolume(stack, name);
  }
  if (services !== undefined)
    for (const [name, container] of stack.containers)
      if (!wanted.has(name)) platform.removeContainer(stack, container, by);
  apply(platform, stack, wanted, by);
  if (quirks.putRecreates)
    recreate(
      [...stack.containers.values()].filter((each) => each.requiresRecreate),
      by,
    );
  platform.volumesChanged(stack);
}

/** @param recreates the query's `recreate`; @throws Refusal 400 or 412, with nothing done */
export function updateStack(
  platform: Platform,
  stack: Stack,
  { services = {}, volumes = {}, description, updateSchedule }: UpdateRequest,
  recreates: boolean,
  by: Actor,
): void {
  const { quirks } = platform;
  const home = homeOf(platform, stack);
  checkNotBlank("description", description);
  checkSchedule(updateSchedule);
  const isEmpty = (request: object): boolean => Object.keys(request).length === 0;
  const errors: ValidationError[] = [];
  const wanted = new Map<string, Declared>();
  const unwanted: Container[] = [];
  for (const [name, service] of Object.entries(services)) {
    const old = stack.containers.get(name);
    if (isEmpty(service)) {
      if (old !== undefined) unwanted.push(old);
      else if (quirks.emptyForUnknown === 400)
        errors.push({ type: "unknown", path: `services.services.${name}`, message: "there is no such service" });
      continue;
    }
    errors.push(...serviceErrors(name, service, { isNew: old === undefined, home, quirks }));
    wanted.set(name, old === undefined ? declare(service) : merge(old.declared, service));
  }
  const added: string[] = [];
  const detached: string[] = [];
  for (const [key, volume] of Object.entries(volumes)) {
    errors.push(...volumeErrors(key, volume.name ?? key));
    (isEmpty(volume) ? detached : added).push(volume.name ?? key);
  }
  refuse(errors);
  checkMounts(wanted, new Set([...stack.volumes.keys(), ...added]));
  const mounted = [...stack.containers.values()]
    .filter((each) => !unwanted.includes(each))
    .flatMap((each) => mounts((wanted.get(each.identity.serviceName) ?? each.declared).volumes));
  const inUse = detached.find((name) => mounted.includes(name));
  if (inUse !== undefined) throw unmet(`cannot detach volume ${inUse}, it is mounted`);

  for (const name of added) {
    const volume = stack.volumes.get(name);
    if (volume === undefined) platform.addVolume(stack, name);
    else volume.detached = false;
  }
  for (const name of detached) {
    const volume = stack.volumes.get(name);
    if (volume !== undefined) volume.detached = true;
  }
  for (const container of unwanted) platform.removeContainer(stack, container, by);
  apply(platform, stack, wanted, by);
  if (description !== undefined) stack.description = description;
  if (updateSchedule !== undefined) platform.setSchedule(stack, updateSchedule);
  else if (description !== undefined) platform.stackChanged(stack);
  if (recreates)
    recreate(
      [...stack.containers.values()].filter((each) => quirks.patchRecreates === "all" || each.requiresRecreate),
      by,
    );
  platform.volumesChanged(stack);
}

function apply(platform: Platform, stack: Stack, wanted: ReadonlyMap<string, Declared>, by: Actor): void {
  for (const [name, declared] of wanted) {
    for (const mounted of mounts(declared.volumes)) {
      const volume = stack.volumes.get(mounted);
      if (volume !== undefined) volume.detached = false;
    }
    const old = stack.containers.get(name);
    if (old === undefined) platform.addContainer(stack, name, declared, by);
    else old.declare(declared, by);
  }
}

/** What has not been made yet is made by what is declared anyway. */
function recreate(containers: readonly Container[], by: Actor): void {
  for (const container of containers) if (container.isDeployed) container.recreate(by);
}

function checkMounts(wanted: ReadonlyMap<string, Declared>, volumes: ReadonlySet<string>): void {
  for (const [name, declared] of wanted)
    for (const volume of mounts(declared.volumes))
      if (!volumes.has(volume)) throw unmet(`service ${name} mounts volume ${volume}, which is not declared`);
}

function refuse(errors: readonly ValidationError[]): void {
  if (errors.length > 0) throw invalid(errors);
}

/** The project's own folder, which containers may mount by its path. */
function homeOf(platform: Platform, { projectId }: Stack): string {
  return `/home/${platform.project(projectId)?.shortId ?? ""}`;
}
