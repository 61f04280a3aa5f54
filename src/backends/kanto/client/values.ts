/**
 * The values that the daemon's operations take. The daemon dies of some malformed ones (a `null` in a list of objects), silently ignores
 * keys that it does not know, and silently changes words in the wrong case; so a value is held to these schemas before it is sent.
 *
 * Sources: container-management, containerm/things/datatypes_container_*.go and features_container*.go (fields and types), and
 * containerm/util/containers_validation.go (limits). Where the vendor's pages on the Container and Container Factory API say otherwise, the
 * code counts: `propagationMode` is upper case only, sizes have no suffix B, `update` knows `retryTimeout` and no `timeout`.
 */
import { z } from "zod";
import { parseSize } from "../config.ts";
import { isSignal } from "../planner/validate-run.ts";
import { NAME } from "../planner/validate.ts";

/** Both spellings that the daemon reads: `UNLESS_STOPPED`, which it also writes, and `unless-stopped`. */
function word<const W extends readonly string[]>(words: W) {
  return z.enum([...words, ...words.map((each) => each.toLowerCase().replaceAll("_", "-"))]);
}

/** The longest wait that a stop may be given, seconds: the daemon does nothing else meanwhile. */
const LONGEST_STOP_SECONDS = 86_400;

const filled = z.string().min(1, "must not be empty");
const image = z
  .string()
  .regex(
    /^[^\s/]*([.:][^\s/]*|localhost)\/[^\s]+[:@][^\s/]+$/,
    "must be an image with registry and tag or digest, e.g. docker.io/library/nginx:1.27",
  );
const name = z.string().regex(NAME, "must be letters, digits, _, . and -, beginning with a letter, a digit or _");
const size = z
  .string()
  .refine((text) => parseSize(text) !== undefined, "must be a size with a suffix K, M or G (1024-based), e.g. 64M");
const swap = z
  .string()
  .refine(
    (text) => text === "-1" || parseSize(text) !== undefined,
    'must be a size with a suffix K, M or G, or "-1" for no limit',
  );
const port = z.int().min(1).max(65_535);
const seconds = z.number().min(0);

const restartPolicy = z
  .strictObject({
    type: word(["ALWAYS", "ON_FAILURE", "UNLESS_STOPPED", "NO"]),
    maxRetryCount: z.int().min(0).optional(),
    /** The longest pause between two restarts, whatever the type. */
    retryTimeout: seconds.optional(),
  })
  .refine(
    ({ type, maxRetryCount = 0 }) => maxRetryCount === 0 || /^on[-_]failure$/i.test(type),
    "maxRetryCount counts only with type ON_FAILURE",
  );

const resources = z.strictObject({
  memory: size.optional(),
  memoryReservation: size.optional(),
  memorySwap: swap.optional(),
});

const config = z.strictObject({
  domainName: z.string().optional(),
  hostName: z.string().optional(),
  env: z
    .array(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*(=[^\n\r\0]*)?$/, "must be NAME=value, in one line"))
    .optional(),
  cmd: z.array(z.string()).optional(),
  privileged: z.boolean().optional(),
  extraHosts: z.array(z.string().regex(/^[^:\s]+:[^:\s]+$/, "must be hostname:ip")).optional(),
  extraCapabilities: z
    .array(z.string().regex(/^CAP_[A-Z_]+$/, "must be a capability such as CAP_NET_ADMIN"))
    .optional(),
  networkMode: word(["BRIDGE", "HOST"]).optional(),
  openStdin: z.boolean().optional(),
  tty: z.boolean().optional(),
  mountPoints: z
    .array(
      z.strictObject({
        source: filled,
        destination: filled,
        // In lower case, as the vendor's page has it, the daemon takes each for RPRIVATE.
        propagationMode: z.enum(["RPRIVATE", "PRIVATE", "RSHARED", "SHARED", "RSLAVE", "SLAVE"]).optional(),
      }),
    )
    .optional(),
  decryption: z.strictObject({ keys: z.array(filled).optional(), recipients: z.array(filled).optional() }).optional(),
  devices: z
    .array(
      z.strictObject({
        pathOnHost: filled,
        pathInContainer: filled.optional(),
        cgroupPermissions: z
          .string()
          .regex(/^[rwm]{1,3}$/, "must be of the letters r, w and m")
          .optional(),
      }),
    )
    .optional(),
  restartPolicy: restartPolicy.optional(),
  portMappings: z
    .array(
      z.strictObject({
        proto: z.enum(["tcp", "udp"]).optional(),
        containerPort: port,
        hostPort: port,
        hostPortEnd: port.optional(),
        hostIP: z.ipv4().optional(),
      }),
    )
    .optional(),
  log: z
    .strictObject({
      type: word(["JSON_FILE", "NONE"]).optional(),
      maxFiles: z.int().min(1).optional(),
      maxSize: size.optional(),
      rootDir: z.string().optional(),
      mode: word(["BLOCKING", "NON_BLOCKING"]).optional(),
      maxBufferSize: size.optional(),
    })
    .optional(),
  resources: resources.optional(),
});

const nothing = z.strictObject({});

/** The value of each operation that the vendor's two pages name. */
export const VALUES = {
  /** No name and no environment, so nothing of ours can be put into the container: the reconciler never uses it. */
  create: z.strictObject({ imageRef: image, start: z.boolean().optional() }),
  createWithConfig: z.strictObject({
    imageRef: image,
    /** Read by the daemon, though the vendor's page does not have it. Default: the id. */
    name: name.optional(),
    start: z.boolean().optional(),
    config: config.optional(),
  }),
  start: nothing,
  /** SIGTERM and 30 s of patience; fails where the process ignores the signal. */
  stop: nothing,
  stopWithOptions: z.strictObject({
    signal: z.string().refine(isSignal, "must be a signal such as SIGTERM, or its number as text").optional(),
    /** Seconds; 0 is the daemon's own 30. */
    timeout: z.int().min(0).max(LONGEST_STOP_SECONDS).optional(),
    force: z.boolean().optional(),
  }),
  pause: nothing,
  resume: nothing,
  rename: name,
  /** Each of the two objects replaces the stored one as a whole. */
  update: z
    .strictObject({ restartPolicy: restartPolicy.optional(), resources: resources.optional() })
    .refine(
      ({ restartPolicy: policy, resources: limits }) => policy !== undefined || limits !== undefined,
      "must hold restartPolicy, resources, or both",
    ),
  /** Whether a container that runs is stopped first. */
  remove: z.boolean(),
} as const;

/** An operation of the vendor's pages. */
export type OperationName = keyof typeof VALUES;

/** What an operation is given. */
export type OperationValue<N extends OperationName> = z.output<(typeof VALUES)[N]>;
