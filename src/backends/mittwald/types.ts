/**
 * The API's JSON, both ways, as far as it is used here. Names and forms are those of mittwald's OpenAPI document (operations container-*,
 * schemas de.mittwald.v1.container.*). Reading is tolerant: unknown fields are dropped, unknown words kept as they are, null counts as absent;
 * only what a decision hangs on has to be there. Nothing here may be logged: variables come back in clear text.
 */
import { z } from "zod";

/** Absent, null and undefined are the same. */
function maybe<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined);
}

const serviceState = z.object({
  image: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  /** Of what runs. */
  imageDigest: maybe(z.string()),
  command: maybe(z.array(z.string())),
  entrypoint: maybe(z.array(z.string())),
  /** The read name of what is written as `environment`. */
  envs: maybe(z.record(z.string(), z.string())),
  ports: maybe(z.array(z.string())),
  volumes: maybe(z.array(z.string())),
});

/** The API gives numbers as strings; a number is taken, too. */
const decimal = z.union([z.string(), z.number().transform(String)]);

const deploy = z.object({
  resources: maybe(z.object({ limits: maybe(z.object({ cpus: maybe(decimal), memory: maybe(decimal) })) })),
});

export const serviceSchema = z.object({
  id: z.string().min(1),
  stackId: z.string().min(1),
  projectId: z.string().min(1),
  shortId: maybe(z.string()),
  serviceName: z.string().min(1),
  description: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  /** running, stopped, error, creating, starting or stopping today; the list has changed before (2026-04-17, 2026-06-03). */
  status: z.string(),
  /** When the status last changed; the only trace of a restart. */
  statusSetAt: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  message: maybe(z.string()),
  requiresRecreate: z.boolean(),
  /** What is declared. */
  pendingState: serviceState,
  /** What runs, or ran last. */
  deployedState: maybe(serviceState),
  /** One value only: whether it is deployed is told by requiresRecreate. */
  deploy: maybe(deploy),
  restartPolicy: maybe(z.string()),
});

export const volumeSchema = z.object({
  id: z.string().min(1),
  stackId: z.string().min(1),
  name: z.string(),
  /** Not mounted by anything, its data kept. */
  orphaned: z
    .boolean()
    .nullish()
    .transform((value) => value === true),
  linkedServices: maybe(z.array(z.string())),
  storageUsageInBytes: maybe(z.number()),
});

export const stackSchema = z.object({
  id: z.string().min(1),
  projectId: z.string().min(1),
  description: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  /** Prefix of its services' DNS names. */
  prefix: maybe(z.string()),
  disabled: z
    .boolean()
    .nullish()
    .transform((value) => value === true),
  /** The vendor leaves both out where they are empty. */
  services: z
    .array(serviceSchema)
    .nullish()
    .transform((value) => value ?? []),
  volumes: z
    .array(volumeSchema)
    .nullish()
    .transform((value) => value ?? []),
  updateSchedule: maybe(z.object({ cron: z.string(), timezone: maybe(z.string()) })),
});

export const registrySchema = z.object({
  id: z.string().min(1),
  projectId: z.string().min(1),
  /** A bare host. */
  uri: z.string(),
  description: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  /** Absent: anonymous. `valid` is checked on the vendor's own schedule and lags. */
  credentials: maybe(z.object({ username: z.string(), valid: maybe(z.boolean()) })),
});

export const imageConfigSchema = z.object({
  digest: z.string().min(1),
  command: maybe(z.array(z.string())),
  entrypoint: maybe(z.array(z.string())),
});

/** A project, as far as its ids go: which of them a path takes is up to the operation. */
export type Service = z.infer<typeof serviceSchema>;
export type ServiceState = z.infer<typeof serviceState>;
export type Volume = z.infer<typeof volumeSchema>;
export type Stack = z.infer<typeof stackSchema>;
export type Registry = z.infer<typeof registrySchema>;
export type ImageConfig = z.infer<typeof imageConfigSchema>;

/** ServiceRequest: in a PATCH what is absent stays as it is, and `{}` deletes the service; in a PUT image and description must be there. */
export interface ServiceBody {
  readonly image?: string;
  /** Must not be blank, whatever the schema says. */
  readonly description?: string;
  /** CMD; [] is the image's own. */
  readonly command?: readonly string[];
  /** ENTRYPOINT; [] is the image's own. */
  readonly entrypoint?: readonly string[];
  /** The whole set: it is not merged. */
  readonly environment?: Readonly<Record<string, string>>;
  /** `<port>/<protocol>`; the whole set. */
  readonly ports?: readonly string[];
  /** `<volume or path>:<mount point>`; the whole set. */
  readonly volumes?: readonly string[];
  readonly restartPolicy?: string;
  /** `{ resources: {} }` takes the limits away. */
  readonly deploy?: { readonly resources?: { readonly limits?: { readonly cpus?: string; readonly memory?: string } } };
}

/** Body of a PATCH of a stack: keys that are absent are left alone. Null is refused everywhere but for updateSchedule. */
export interface StackPatch {
  readonly description?: string;
  readonly services?: Readonly<Record<string, ServiceBody>>;
  readonly volumes?: Readonly<Record<string, { readonly name: string }>>;
}

/** Body of a PUT: whatever is absent is removed. Only for stacks that nobody else uses. */
export interface StackDeclaration {
  readonly services: Readonly<Record<string, ServiceBody>>;
  readonly volumes: Readonly<Record<string, { readonly name: string }>>;
}

export interface RegistryBody {
  readonly uri?: string;
  readonly description?: string;
  /** Null takes them away. */
  readonly credentials?: { readonly username: string; readonly password: string } | null;
}
