// The control endpoint of the mittwald simulator. The paths are listed in docs/simulators.md. No answer shows an environment or a password.

import { z } from "zod";
import {
  action,
  commonActions,
  HTTP_EFFECTS,
  RULE_COUNTS,
  serveControl,
  type Action,
  type Control,
} from "../http-control.ts";
import { Refusal } from "./answers.ts";
import { OPERATIONS } from "./operations.ts";
import type { MittwaldSimulator } from "./server.ts";

const rule = z.strictObject({
  match: z.union([z.enum(OPERATIONS), z.enum(["writes", "reads"])]).exactOptional(),
  ...RULE_COUNTS,
  effect: z.discriminatedUnion("kind", [
    ...HTTP_EFFECTS,
    z.strictObject({ kind: z.literal("duplicate"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("cut") }),
    z.strictObject({ kind: z.literal("pretend") }),
  ]),
});
const truth = z.boolean().exactOptional();
const ms = z.number().nonnegative().exactOptional();
const count = z.int().nonnegative().exactOptional();
const quirks = z.strictObject({
  lagMs: ms,
  listLagMs: ms,
  olderReadsMs: ms,
  readsStuck: truth,
  writesSeeLag: truth,
  unknownStack: z.literal([403, 404]).exactOptional(),
  unknownService: z.literal([403, 404]).exactOptional(),
  putOmitted: z.enum(["reset", "keep"]).exactOptional(),
  putWithoutKey: z.enum(["empty", "keep"]).exactOptional(),
  putRecreates: truth,
  patchRecreates: z.enum(["all", "required"]).exactOptional(),
  emptyForUnknown: z.union([z.literal("ignore"), z.literal(400)]).exactOptional(),
  volumeMode: z.enum(["refuse", "accept"]).exactOptional(),
  portsEcho: z.enum(["short", "long", "given"]).exactOptional(),
  libraryPrefix: truth,
  pullFailure: z.enum(["stays", "error"]).exactOptional(),
  exited: z.enum(["stopped", "error"]).exactOptional(),
  recreateStarts: truth,
  actionLagMs: ms,
  statusSeconds: truth,
  deleteDefaultStack: z.enum(["empty", "refuse"]).exactOptional(),
  mostStacks: count,
  badCredentials: z.union([z.literal("accept"), z.literal(412)]).exactOptional(),
  credentialsCheckMs: ms,
  scheduleRecreates: z.enum(["all", "changed"]).exactOptional(),
  otherDigest: truth,
  rateLimit: count,
  rateWindowMs: ms,
  imageConfigLimit: count,
  logNuls: count,
  logTruncated: truth,
  logsUnavailable: truth,
  logLines: count,
  unknownStatus: z.string().exactOptional(),
  extraFields: truth,
});

const container = z.string().min(1);
const stackId = z.string().min(1);
/** Checked by the API's own rules. */
const service = z.record(z.string(), z.unknown());
const behaviour = z.strictObject({
  problem: z.enum(["missing", "platform", "unreachable", "noRegistry", "schema1"]).exactOptional(),
  private: truth,
  entrypoint: z.array(z.string()).exactOptional(),
  command: z.array(z.string()).exactOptional(),
  pullMs: ms,
  exit: z.strictObject({ code: z.int(), afterMs: z.number().nonnegative() }).exactOptional(),
  output: z.array(z.string()).exactOptional(),
});

type Act = Action<MittwaldSimulator>;

/** `POST /<action>` */
const actions: Readonly<Record<string, Act>> = {
  ...commonActions(rule),
  quirks: action(quirks, (vendor: MittwaldSimulator, body) => Object.assign(vendor.quirks, body)),
  token: action(z.strictObject({ token: z.string().min(1) }), (vendor: MittwaldSimulator, body) =>
    vendor.setToken(body.token),
  ),
  "add-project": action(
    z.strictObject({
      id: z.uuid().exactOptional(),
      shortId: z.string().exactOptional(),
      defaultStackDelayMs: ms,
    }),
    (vendor: MittwaldSimulator, body) => vendor.platform.addProject(body),
  ),
  image: action(
    z.strictObject({ image: z.string().min(1), behaviour: behaviour.exactOptional() }),
    (vendor: MittwaldSimulator, body) => vendor.platform.images.set(body.image, body.behaviour),
  ),
  "push-image": action(z.strictObject({ image: z.string().min(1) }), (vendor: MittwaldSimulator, body) =>
    vendor.platform.images.push(body.image),
  ),
  "registry-login": action(
    z.strictObject({ host: z.string(), username: z.string(), password: z.string() }),
    (vendor: MittwaldSimulator, { host, ...login }) => {
      vendor.platform.images.setLogin(host, login);
      vendor.platform.registries.recheck(host);
    },
  ),
  "run-schedule": action(z.strictObject({ stackId }), (vendor: MittwaldSimulator, body) =>
    vendor.platform.runSchedule(vendor.platform.stack(body.stackId)),
  ),
  disable: action(
    z.strictObject({ stackId, disabled: z.boolean().default(true) }),
    (vendor: MittwaldSimulator, body) => {
      const stack = vendor.platform.stack(body.stackId);
      stack.disabled = body.disabled;
      vendor.platform.stackChanged(stack);
    },
  ),
  exit: action(z.strictObject({ container, code: z.int().default(1) }), (vendor: MittwaldSimulator, body) =>
    vendor.human.exit(body.container, body.code),
  ),
  write: action(z.strictObject({ container, line: z.string() }), (vendor: MittwaldSimulator, body) =>
    vendor.human.write(body.container, body.line),
  ),
  "human/create": action(z.strictObject({ stackId, name: z.string(), service }), (vendor: MittwaldSimulator, body) =>
    vendor.human.create(body.stackId, body.name, body.service),
  ),
  "human/edit": action(z.strictObject({ container, service }), (vendor: MittwaldSimulator, body) =>
    vendor.human.edit(body.container, body.service),
  ),
  "human/remove": action(z.strictObject({ container }), (vendor: MittwaldSimulator, body) =>
    vendor.human.remove(body.container),
  ),
  ...Object.fromEntries(
    (["start", "stop", "restart", "recreate"] as const).map((what): [string, Act] => [
      `human/${what}`,
      action(z.strictObject({ container }), (vendor: MittwaldSimulator, body) =>
        vendor.human.act(body.container, what),
      ),
    ]),
  ),
  "human/pull": action(
    z.strictObject({ container, skipRecreate: z.boolean().default(false) }),
    (vendor: MittwaldSimulator, body) => vendor.human.pull(body.container, body.skipRecreate),
  ),
  "human/deploy": action(
    z.strictObject({ stackId, services: z.record(z.string(), service), volumes: z.array(z.string()).default([]) }),
    (vendor: MittwaldSimulator, body) => vendor.human.deploy(body.stackId, body.services, body.volumes),
  ),
  "human/call": action(
    z.strictObject({
      operation: z.enum(OPERATIONS),
      path: z.record(z.string(), z.string()).default({}),
      query: z.record(z.string(), z.string()).default({}),
      body: z.unknown(),
    }),
    (vendor: MittwaldSimulator, { operation, path, query, body }) => {
      vendor.human.call(operation, path, body, query);
    },
  ),
};

/** What is refused by the API's rules is told in the API's words. */
const inWords = (run: Act): Act => {
  return (vendor, body) => {
    try {
      return run(vendor, body);
    } catch (error) {
      if (error instanceof Refusal) throw new Error(JSON.stringify(error.answer.body), { cause: error });
      throw error;
    }
  };
};

/** `GET /<view>` */
const views: Readonly<Record<string, (vendor: MittwaldSimulator) => unknown>> = {
  "": (vendor) => ({
    url: vendor.url,
    projects: vendor.platform.projects().length,
    stacks: vendor.platform.stacks().length,
    containers: vendor.platform.stacks().reduce((sum, { containers }) => sum + containers.size, 0),
    requests: vendor.requests().length,
  }),
  projects: (vendor) => vendor.platform.projects(),
  stacks: (vendor) =>
    vendor.platform.stacks().map(({ id, projectId, prefix, description, updateSchedule, containers, volumes }) => ({
      id,
      projectId,
      prefix,
      description,
      updateSchedule,
      containers: [...containers.keys()],
      volumes: [...volumes.values()].map(({ name, detached }) => ({ name, detached })),
    })),
  containers: (vendor) =>
    vendor.platform.stacks().flatMap(({ containers }) =>
      [...containers.values()].map((each) => {
        const { identity, declared, requiresRecreate, status } = each;
        const { image, description, ports, volumes, restartPolicy, deploy } = declared;
        const { message, statusSetAt } = each.body();
        return {
          ...identity,
          status,
          statusSetAt,
          message,
          requiresRecreate,
          declared: { image, description, ports, volumes, restartPolicy, deploy },
        };
      }),
    ),
  effects: (vendor) => vendor.platform.effects.list(),
  requests: (vendor) =>
    vendor.requests().map(({ operation, method, path, status, etag }) => ({ operation, method, path, status, etag })),
  quirks: (vendor) => vendor.quirks,
};

export type { Control } from "../http-control.ts";

/** @throws when the port is taken. */
export async function startControl(vendor: MittwaldSimulator, port: number): Promise<Control> {
  const worded = Object.fromEntries(Object.entries(actions).map(([name, run]) => [name, inWords(run)]));
  return serveControl(vendor, port, worded, views);
}
