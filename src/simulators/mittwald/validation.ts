// What is wrong with a request's body or query. First what the OpenAPI document says, then what the vendor's server is known or believed to check
// beyond it. The text for memory and its path, which is that of no field, are from a real answer
// (github.com/mittwald/terraform-provider-mittwald, issue 329).

import { z } from "zod";
import { invalid, type ValidationError } from "./answers.ts";
import type { ServiceRequest } from "./declared.ts";
import type { Quirks, UpdateSchedule } from "./types.ts";
import { cronProblem } from "./cron.ts";

const text = z.string().exactOptional();
const texts = z.array(z.string()).exactOptional();
const map = z.record(z.string(), z.string()).exactOptional();
const deploy = z.looseObject({
  resources: z.looseObject({ limits: z.looseObject({ cpus: text, memory: text }).exactOptional() }).exactOptional(),
});
const service = z.looseObject({
  image: text,
  description: text,
  command: texts,
  entrypoint: texts,
  environment: map,
  envs: map,
  ports: texts,
  volumes: texts,
  restartPolicy: text,
  deploy: deploy.exactOptional(),
});
const schedule = z.looseObject({ cron: z.string(), timezone: text }).nullable();
const credentials = z.looseObject({ username: z.string(), password: z.string() });

/** Bodies as the OpenAPI document has them. */
export const BODIES = {
  declare: z.looseObject({
    services: z.record(z.string(), service.extend({ image: z.string() })).exactOptional(),
    volumes: z.record(z.string(), z.looseObject({ name: z.string() })).exactOptional(),
  }),
  update: z.looseObject({
    services: z.record(z.string(), service).exactOptional(),
    volumes: z.record(z.string(), z.looseObject({ name: text })).exactOptional(),
    description: text,
    updateSchedule: schedule.exactOptional(),
  }),
  schedule: z.looseObject({ updateSchedule: schedule.exactOptional() }),
  createStack: z.looseObject({
    description: z.string(),
    templateConfig: z
      .looseObject({
        templateId: z.string(),
        userInputs: z.array(z.looseObject({ name: z.string(), value: z.string() })).exactOptional(),
      })
      .exactOptional(),
  }),
  createRegistry: z.looseObject({
    uri: z.string(),
    description: z.string(),
    credentials: credentials.exactOptional(),
  }),
  updateRegistry: z.looseObject({ uri: text, description: text, credentials: credentials.nullable().exactOptional() }),
  registryUri: z.looseObject({ registryUri: z.string() }),
} as const;

/** @throws Refusal with 400 */
export function checked<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw invalid(
    result.error.issues.map(({ path, message, code }) => ({
      type: code === "invalid_type" ? "type" : code,
      path: path.map(String).join("."),
      message,
    })),
  );
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const LONGEST_NAME = 63;
const MEMORY = /^[0-9]+(mb|m|b|gb|g|kb|k)$/;
const PORTS = /^(\d{1,5}(?:-\d{1,5})?)(?::(\d{1,5}(?:-\d{1,5})?))?(?:\/(?:tcp|udp|sctp))?$/;
const POLICY = /^(no|always|unless-stopped|on-failure(:\d+)?)$/;

/** What the server finds wrong with one service beyond the document. `isNew`: it is not there yet, or a PUT replaces it. */
export function serviceErrors(
  name: string,
  request: ServiceRequest,
  { isNew, home, quirks }: { isNew: boolean; home: string; quirks: Quirks },
): ValidationError[] {
  const at = `services.services.${name}`;
  const errors: ValidationError[] = [];
  const wrong = (type: string, path: string, message: string): void =>
    void errors.push({ type, path: `${at}${path}`, message });
  if (name.length > LONGEST_NAME) wrong("maxLength", "", `must not have more than ${LONGEST_NAME} characters`);
  else if (!NAME.test(name)) wrong("pattern", "", `'${name}' does not match regex '${NAME.source}'`);
  const { image, description, restartPolicy } = request;
  if (image === undefined ? isNew : image.trim() === "" || /\s/.test(image))
    wrong("required", ".image", "must be an image reference");
  if (description === undefined ? isNew : description.trim() === "")
    wrong("required", ".description", "must not be blank");
  if (restartPolicy !== undefined && !POLICY.test(restartPolicy))
    wrong("enum", ".restartPolicy", `'${restartPolicy}' is not a restart policy`);
  const { cpus, memory } = request.deploy?.resources?.limits ?? {};
  if (memory !== undefined && !MEMORY.test(memory))
    wrong("pattern", ".limits.memory", `input '${memory}' does not match regex '${MEMORY.source}'`);
  if (cpus !== undefined && !(/^\d+(\.\d+)?$/.test(cpus) && Number(cpus) > 0))
    wrong("pattern", ".limits.cpus", `input '${cpus}' is not a positive decimal number`);
  for (const port of request.ports ?? []) {
    const problem = portProblem(port);
    if (problem !== undefined) wrong("format", ".ports", problem);
  }
  for (const volume of request.volumes ?? []) {
    const problem = volumeProblem(volume, home, quirks);
    if (problem !== undefined) wrong("format", ".volumes", problem);
  }
  return errors;
}

function portProblem(port: string): string | undefined {
  const match = PORTS.exec(port);
  if (match === null) return `'${port}' is not a port`;
  const [, open = "", inner = open] = match;
  const numbers = [...open.split("-"), ...inner.split("-")].map(Number);
  if (numbers.some((number) => number < 1 || number > 65_535)) return `'${port}' is not a port`;
  return open === inner ? undefined : `'${port}': public port must equal container port`;
}

function volumeProblem(volume: string, home: string, { volumeMode }: Quirks): string | undefined {
  const [source = "", target, mode, ...more] = volume.split(":");
  if (target?.startsWith("/") !== true || more.length > 0) return `'${volume}' is not '<volume>:<mountpoint>'`;
  if (mode !== undefined && volumeMode === "refuse") return `'${volume}': mode is not supported`;
  if (source.startsWith("/")) return source.startsWith(`${home}/`) ? undefined : `'${volume}' is not below ${home}`;
  return NAME.test(source) ? undefined : `'${source}' is no volume name`;
}

export function volumeErrors(key: string, name: string): ValidationError[] {
  return NAME.test(name)
    ? []
    : [{ type: "pattern", path: `volumes.volumes.${key}`, message: `'${name}' does not match regex '${NAME.source}'` }];
}

/** @throws Refusal with 400 when the schedule can never come */
export function checkSchedule(updateSchedule: UpdateSchedule | null | undefined): void {
  const problem = updateSchedule === null || updateSchedule === undefined ? undefined : cronProblem(updateSchedule);
  if (problem !== undefined) throw invalid([{ type: "format", path: "updateSchedule", message: problem }]);
}

/** A registry is a bare host, perhaps with a port. @throws Refusal with 400 */
export function checkRegistryUri(uri: string): void {
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/i.test(uri))
    throw invalid([{ type: "format", path: "uri", message: `'${uri}' is not a host` }]);
}

/** @throws Refusal with 400 */
export function checkNotBlank(path: string, value: string | undefined): void {
  if (value?.trim() === "") throw invalid([{ type: "minLength", path, message: "must not be blank" }]);
}

/** Query parameters. Each throws Refusal with 400 for what is not of its type. */
export class Query {
  readonly #given: URLSearchParams;

  constructor(given: URLSearchParams) {
    this.#given = given;
  }

  text(name: string): string | undefined {
    return this.#given.get(name) ?? undefined;
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === "") throw wrongQuery("required", name, "is required");
    return value;
  }

  whole(name: string, least: number): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!/^-?\d{1,15}$/.test(value) || Number(value) < least)
      throw wrongQuery("type", name, `must be an integer not below ${least}`);
    return Number(value);
  }

  truth(name: string): boolean | undefined {
    const value = this.text(name);
    if (value !== undefined && value !== "true" && value !== "false")
      throw wrongQuery("type", name, "must be a boolean");
    return value === undefined ? undefined : value === "true";
  }

  uuid(name: string): string | undefined {
    const value = this.text(name);
    if (value !== undefined) checkUuid(name, value);
    return value;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.text(name);
    const found = values.find((each) => each === value);
    if (value !== undefined && found === undefined)
      throw wrongQuery("enum", name, `must be one of ${values.join(", ")}`);
    return found;
  }
}

function wrongQuery(type: string, path: string, message: string) {
  return invalid([{ type, path, message }]);
}

/** @throws Refusal with 400 */
export function checkUuid(path: string, value: string): void {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value))
    throw invalid([{ type: "format", path, message: "must be a uuid" }]);
}
