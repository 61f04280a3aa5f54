// The documented rules of a start, and nothing else. https://clore-docs.hiveon.ai/api-endpoints/container-start

type Json = Readonly<Record<string, unknown>>;

const FIELDS = new Set([
  "machine_id",
  "machine_price_id",
  "external_deployment_id",
  "ssh_pub_keys",
  "container_config",
  "metadata",
]);
const CONFIG_FIELDS = new Set(["image", "docker_auth", "ports", "startup_script", "environment_variables"]);
const AUTH_FIELDS = new Set(["server", "login", "password"]);
const PORT_FIELDS = new Set(["host_port", "protocol"]);
const PROTOCOLS = new Set(["PORT_PROTOCOL_TCP", "PORT_PROTOCOL_HTTPS"]);
const MOST_PORTS = 100;

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is wrong with the body of a start; undefined when nothing is. `strict` refuses fields that no page has. */
export function startProblem(body: unknown, strict: boolean): string | undefined {
  if (!isJson(body)) return "the request body must be a JSON object";
  const unknown = (value: Json, known: ReadonlySet<string>, where: string): string | undefined => {
    const field = strict ? Object.keys(value).find((key) => !known.has(key)) : undefined;
    return field === undefined ? undefined : `unknown field "${where}${field}"`;
  };
  const problem =
    unknown(body, FIELDS, "") ?? nonEmpty(body, "machine_id", "") ?? nonEmpty(body, "machine_price_id", "");
  if (problem !== undefined) return problem;
  if (body["external_deployment_id"] !== undefined && typeof body["external_deployment_id"] !== "string")
    return "external_deployment_id must be a string";
  const keys = body["ssh_pub_keys"];
  if (keys !== undefined && !isTexts(keys)) return "ssh_pub_keys must be an array of strings";
  if (body["metadata"] !== undefined && !isJson(body["metadata"])) return "metadata must be an object";
  const config = body["container_config"];
  if (!isJson(config)) return "container_config must be an object";
  return (
    unknown(config, CONFIG_FIELDS, "container_config.") ??
    nonEmpty(config, "image", "container_config.") ??
    authProblem(config["docker_auth"], unknown) ??
    portsProblem(config["ports"], unknown) ??
    (config["startup_script"] !== undefined && typeof config["startup_script"] !== "string"
      ? "container_config.startup_script must be a string"
      : environmentProblem(config["environment_variables"]))
  );
}

type Unknown = (value: Json, known: ReadonlySet<string>, where: string) => string | undefined;

function nonEmpty(value: Json, key: string, where: string): string | undefined {
  const text = value[key];
  return typeof text === "string" && text !== "" ? undefined : `${where}${key} must be a non-empty string`;
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}

function authProblem(auth: unknown, unknown: Unknown): string | undefined {
  if (auth === undefined) return undefined;
  const where = "container_config.docker_auth";
  if (!isJson(auth)) return `${where} must be an object`;
  const wrong = [...AUTH_FIELDS].find((key) => auth[key] !== undefined && typeof auth[key] !== "string");
  return (
    unknown(auth, AUTH_FIELDS, `${where}.`) ?? (wrong === undefined ? undefined : `${where}.${wrong} must be a string`)
  );
}

function portsProblem(ports: unknown, unknown: Unknown): string | undefined {
  if (ports === undefined) return undefined;
  if (!Array.isArray(ports)) return "container_config.ports must be an array";
  if (ports.length > MOST_PORTS) return `container_config.ports must have at most ${MOST_PORTS} entries`;
  for (const [index, port] of ports.entries()) {
    const where = `container_config.ports[${index}]`;
    if (!isJson(port)) return `${where} must be an object`;
    const stray = unknown(port, PORT_FIELDS, `${where}.`);
    if (stray !== undefined) return stray;
    const number = port["host_port"];
    if (typeof number !== "number" || !Number.isInteger(number) || number < 1 || number > 65_535)
      return `${where}.host_port must be between 1 and 65535`;
    if (typeof port["protocol"] !== "string" || !PROTOCOLS.has(port["protocol"]))
      return `${where}.protocol must be one of ${[...PROTOCOLS].join(", ")}`;
  }
  return undefined;
}

function environmentProblem(environment: unknown): string | undefined {
  if (environment === undefined) return undefined;
  return isJson(environment) && Object.values(environment).every((value) => typeof value === "string")
    ? undefined
    : "container_config.environment_variables must be a map of strings";
}
