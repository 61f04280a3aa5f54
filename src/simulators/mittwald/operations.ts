// The container operations of the API by method, path and name. The names are those of the OpenAPI document without `container-` and
// `deprecated-container-`. https://developer.mittwald.de, tag Container.

const TABLE = [
  ["validate-container-registry-uri", "POST", "/v2/actions/validate-container-registry-uri"],
  ["get-container-image-config", "GET", "/v2/container-image-config"],
  ["list-registries", "GET", "/v2/projects/{projectId}/registries"],
  ["create-registry", "POST", "/v2/projects/{projectId}/registries"],
  ["list-services", "GET", "/v2/projects/{projectId}/services"],
  ["list-stacks", "GET", "/v2/projects/{projectId}/stacks"],
  ["create-stack", "POST", "/v2/projects/{projectId}/stacks"],
  ["list-volumes", "GET", "/v2/projects/{projectId}/volumes"],
  ["get-registry", "GET", "/v2/registries/{registryId}"],
  ["update-registry", "PATCH", "/v2/registries/{registryId}"],
  ["delete-registry", "DELETE", "/v2/registries/{registryId}"],
  ["validate-registry-credentials", "POST", "/v2/registries/{registryId}/actions/validate-credentials"],
  ["list-accessible-services", "GET", "/v2/services"],
  ["list-self-stacks", "GET", "/v2/stacks"],
  ["get-stack", "GET", "/v2/stacks/{stackId}"],
  ["declare-stack", "PUT", "/v2/stacks/{stackId}"],
  ["update-stack", "PATCH", "/v2/stacks/{stackId}"],
  ["delete-stack", "DELETE", "/v2/stacks/{stackId}"],
  ["set-stack-update-schedule", "PUT", "/v2/stacks/{stackId}/update-schedule"],
  ["get-service", "GET", "/v2/stacks/{stackId}/services/{serviceId}"],
  ["pull-image-for-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/actions/pull"],
  ["recreate-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/actions/recreate"],
  ["restart-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/actions/restart"],
  ["start-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/actions/start"],
  ["stop-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/actions/stop"],
  ["get-service-logs", "GET", "/v2/stacks/{stackId}/services/{serviceId}/logs"],
  ["rotate-pull-image-webhook-for-service", "POST", "/v2/stacks/{stackId}/services/{serviceId}/webhook-token"],
  ["list-stack-volumes", "GET", "/v2/stacks/{stackId}/volumes"],
  ["get-volume", "GET", "/v2/stacks/{stackId}/volumes/{volumeId}"],
  ["delete-volume", "DELETE", "/v2/stacks/{stackId}/volumes/{volumeId}"],
  ["call-pull-image-webhook-for-service", "GET", "/v2/stacks/{stackId}/webhooks/pull-image"],
] as const;

/** An operation, e.g. `update-stack`. */
export type Operation = (typeof TABLE)[number][0];

/** All of them. */
export const OPERATIONS: readonly Operation[] = TABLE.map(([operation]) => operation);

export interface Route {
  operation: Operation;
  /** Values of the parameters in the path, by name. */
  path: Readonly<Record<string, string>>;
}

/** The operation of a method and a path; undefined where there is none. */
export function routeOf(method: string, pathname: string): Route | undefined {
  const given = pathname.split("/");
  for (const [operation, wanted, template] of TABLE) {
    const parts = template.split("/");
    if (wanted !== method || parts.length !== given.length) continue;
    const path: Record<string, string> = {};
    const fits = parts.every((part, index) => {
      const value = given[index] ?? "";
      if (!part.startsWith("{")) return part === value;
      path[part.slice(1, -1)] = decode(value);
      return value !== "";
    });
    if (fits) return { operation, path };
  }
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Those that need the right to write, or, as a webhook's, no token but act all the same. */
const WRITES: ReadonlySet<Operation> = new Set(
  TABLE.filter(([operation, method]) => method !== "GET" && !operation.startsWith("validate-")).map(([name]) => name),
);

/** Whether it needs a token that may write. */
export function writes(operation: Operation): boolean {
  return WRITES.has(operation);
}
