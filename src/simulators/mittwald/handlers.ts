// What each operation does: one function each, by its name in the OpenAPI document.

import { Refusal, unknown, unmet, type Answer } from "./answers.ts";
import type { Container } from "./container.ts";
import { hostOf } from "./images.ts";
import type { Operation } from "./operations.ts";
import type { Platform, Stack } from "./platform.ts";
import { projectOf, Reads } from "./reads.ts";
import { declareStack, updateStack } from "./stack-writes.ts";
import type { Actor } from "./types.ts";
import { BODIES, checked, checkNotBlank, checkSchedule, checkUuid, type Query } from "./validation.ts";

export interface Call {
  path: Readonly<Record<string, string>>;
  query: Query;
  body: unknown;
  by: Actor;
}

type Handler = (call: Call) => Answer;

/** @param origin of the URL that a webhook is called at */
export function handlersOf(platform: Platform, origin: () => string): Readonly<Record<Operation, Handler>> {
  const reads = new Reads(platform);
  const { quirks, registries, images } = platform;

  const id = (call: Call, name: string): string => {
    const value = call.path[name] ?? "";
    if (name !== "projectId" && name !== "serviceId") checkUuid(name, value);
    return value;
  };
  /** Whether what is written to has to be visible. */
  const looksFirst = ({ by }: Call): boolean => by === "api" && quirks.writesSeeLag;
  const stackOf = (call: Call): Stack => {
    const stackId = id(call, "stackId");
    if (looksFirst(call)) reads.stack(stackId);
    return platform.stack(stackId);
  };
  const containerOf = (call: Call): { stack: Stack; container: Container } => {
    const stack = stackOf(call);
    const serviceId = id(call, "serviceId");
    if (looksFirst(call)) reads.service(stack.id, serviceId);
    return { stack, container: platform.container(stack, serviceId) };
  };
  const registryOf = (call: Call): string => {
    const registryId = id(call, "registryId");
    if (looksFirst(call)) reads.registry(registryId);
    if (!registries.has(registryId)) throw unknown(quirks.unknownStack, "registry");
    return registryId;
  };
  const done = (run: () => void): Answer => ({ status: 204, etag: platform.write(run).etag });
  const act = (call: Call, run: (container: Container) => void): Answer => {
    const { container } = containerOf(call);
    return done(() => run(container));
  };
  const writtenStack = (stack: Stack, status: number, run: () => void): Answer => {
    const { etag } = platform.write(run);
    return { status, body: reads.written(stack), etag };
  };

  return {
    "list-self-stacks": ({ query }) => reads.stacks(undefined, query),
    "list-stacks": (call) => reads.stacks(projectOf(platform, id(call, "projectId")).id, call.query),
    "get-stack": (call) => ({ status: 200, body: reads.stackBody(id(call, "stackId")) }),
    "create-stack": (call) => {
      const project = projectOf(platform, id(call, "projectId"));
      const { description, templateConfig } = checked(BODIES.createStack, call.body);
      checkNotBlank("description", description);
      if (templateConfig !== undefined) throw unknown(404, `template ${templateConfig.templateId}`);
      const { result: stack, etag } = platform.write(() => platform.createStack(project, description));
      return { status: 201, body: reads.written(stack), etag };
    },
    "declare-stack": (call) => {
      const stack = stackOf(call);
      const request = checked(BODIES.declare, call.body);
      return writtenStack(stack, 200, () => declareStack(platform, stack, request, call.by));
    },
    "update-stack": (call) => {
      const stack = stackOf(call);
      const recreates = call.query.truth("recreate") === true;
      const request = checked(BODIES.update, call.body);
      return writtenStack(stack, 200, () => updateStack(platform, stack, request, recreates, call.by));
    },
    "delete-stack": (call) => {
      const stack = stackOf(call);
      const isDefault = stack.id === stack.projectId;
      if (isDefault && quirks.deleteDefaultStack === "refuse")
        throw unmet(`cannot delete stack ${stack.id}, it is the default stack`);
      return done(() => (isDefault ? platform.emptyStack(stack, call.by) : platform.deleteStack(stack, call.by)));
    },
    "set-stack-update-schedule": (call) => {
      const stack = stackOf(call);
      const { updateSchedule } = checked(BODIES.schedule, call.body);
      checkSchedule(updateSchedule);
      return done(() => platform.setSchedule(stack, updateSchedule ?? null));
    },
    "list-accessible-services": ({ query }) => reads.services(undefined, query),
    "list-services": (call) => reads.services(projectOf(platform, id(call, "projectId")).id, call.query),
    "get-service": (call) => ({
      status: 200,
      body: reads.serviceBody(reads.service(id(call, "stackId"), id(call, "serviceId"))),
    }),
    "pull-image-for-service": (call) => {
      const skips = call.query.truth("skipRecreate") === true;
      return act(call, (container) => container.pull(call.by, skips));
    },
    "recreate-service": (call) => act(call, (container) => container.recreate(call.by)),
    "restart-service": (call) => act(call, (container) => container.restart(call.by)),
    "start-service": (call) => act(call, (container) => container.start(call.by)),
    "stop-service": (call) => act(call, (container) => container.stop(call.by)),
    "get-service-logs": (call) => {
      const { id: serviceId } = reads.service(id(call, "stackId"), id(call, "serviceId"));
      const tail = call.query.whole("tail", Number.MIN_SAFE_INTEGER);
      if (quirks.logsUnavailable) throw new Refusal(503, "ServiceUnavailable", "logs are not available");
      const { log } = platform.container(platform.stack(id(call, "stackId")), serviceId);
      const lines = tail === undefined || tail < 0 ? log : tail === 0 ? [] : log.slice(-tail);
      return { status: 200, text: "\0".repeat(quirks.logNuls) + lines.map((line) => `${line}\n`).join("") };
    },
    "rotate-pull-image-webhook-for-service": (call) => {
      const { stack, container } = containerOf(call);
      const { result: token, etag } = platform.write(() => platform.rotateWebhook(container.identity));
      const webhookUrl = `${origin()}/v2/stacks/${stack.id}/webhooks/pull-image?token=${token}`;
      return { status: 200, body: { token, webhookUrl }, etag };
    },
    "call-pull-image-webhook-for-service": (call) => {
      const token = call.query.required("token");
      const hook = platform.webhook(token);
      if (hook?.stackId !== id(call, "stackId")) throw new Refusal(401, "Unauthenticated", "unauthenticated");
      const container = platform.container(platform.stack(hook.stackId), hook.serviceId);
      return done(() => container.pull("webhook", false));
    },
    "list-volumes": (call) => reads.volumes({ projectId: projectOf(platform, id(call, "projectId")).id }, call.query),
    "list-stack-volumes": (call) => reads.volumes({ stackId: reads.stack(id(call, "stackId")).id }, call.query),
    "get-volume": (call) => ({
      status: 200,
      body: reads.volumeBody(reads.volume(id(call, "stackId"), id(call, "volumeId"))),
    }),
    "delete-volume": (call) => {
      const stack = stackOf(call);
      const volumeId = id(call, "volumeId");
      if (looksFirst(call)) reads.volume(stack.id, volumeId);
      const volume = platform.volume(stack, volumeId);
      return done(() => platform.deleteVolume(stack, volume));
    },
    "list-registries": (call) => reads.registries(projectOf(platform, id(call, "projectId")).id, call.query),
    "get-registry": (call) => ({ status: 200, body: reads.registryBody(reads.registry(id(call, "registryId"))) }),
    "create-registry": (call) => {
      const project = projectOf(platform, id(call, "projectId"));
      const { uri, description, credentials } = checked(BODIES.createRegistry, call.body);
      const request = { uri, description, ...(credentials !== undefined && { credentials: loginOf(credentials) }) };
      const { result, etag } = platform.write(() => registries.create(project.id, request));
      return { status: 201, body: reads.registryBody(result), etag };
    },
    "update-registry": (call) => {
      const registryId = registryOf(call);
      const { uri, description, credentials } = checked(BODIES.updateRegistry, call.body ?? {});
      return done(() =>
        registries.update(registryId, {
          ...(uri !== undefined && { uri }),
          ...(description !== undefined && { description }),
          ...(credentials !== undefined && { credentials: credentials === null ? null : loginOf(credentials) }),
        }),
      );
    },
    "delete-registry": (call) => {
      const registryId = registryOf(call);
      return done(() => registries.delete(registryId));
    },
    "validate-registry-credentials": (call) => ({
      status: 200,
      body: { valid: registries.isValid(registryOf(call)) },
    }),
    "validate-container-registry-uri": (call) => {
      const { registryUri } = checked(BODIES.registryUri, call.body);
      const reason = registries.hostProblem(registryUri);
      return { status: 200, body: reason === undefined ? { valid: true } : { valid: false, reason } };
    },
    "get-container-image-config": ({ query }) => {
      const image = query.required("imageReference");
      const projectId = query.uuid("useCredentialsForProjectId");
      const registryId = query.uuid("useCredentialsForRegistryId");
      query.truth("generateAiData");
      const login =
        registryId !== undefined
          ? registries.loginOf(registryId)
          : projectId === undefined
            ? undefined
            : registries.login(projectOf(platform, projectId).id, hostOf(image));
      const problem = images.pullProblem(image, login);
      if (problem !== undefined)
        throw new Refusal(problem.status, problem.status === 403 ? "PermissionDenied" : "VError", problem.text);
      const { entrypoint, command } = images.behaviour(image);
      return {
        status: 200,
        body: {
          digest: images.digest(image, quirks.otherDigest ? "index" : "manifest"),
          user: "root",
          userId: 0,
          isUserRoot: true,
          hasAiGeneratedData: false,
          isAiAvailable: false,
          ...(entrypoint !== undefined && { entrypoint }),
          ...(command !== undefined && { command }),
        },
      };
    },
  };
}

function loginOf({ username, password }: { username: string; password: string }) {
  return { username, password };
}
