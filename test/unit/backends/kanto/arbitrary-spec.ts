/** Specs for properties of the Kanto planner. */
import {
  array,
  boolean,
  constantFrom,
  integer,
  oneof,
  option,
  record,
  stringMatching,
  tuple,
  uniqueArray,
  type Arbitrary,
} from "fast-check";
import type { DesiredContainer } from "../../../../src/backends/contract.ts";

type Spec = Partial<DesiredContainer["spec"]>;

const word = stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const path = stringMatching(/^\/[a-z]{1,8}$/);
const size = integer({ min: 3, max: 4000 }).map((mebibytes) => `${mebibytes}Mi`);
const port = integer({ min: 1, max: 60_000 });

function some<T>(value: Arbitrary<T>): Arbitrary<T | undefined> {
  return option(value, { nil: undefined });
}

/** Leaves out what is undefined, as YAML does. */
function present<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

const resources = record({
  memory: size,
  swap: some(constantFrom("double", "Unlimited", "more")),
  reservation: boolean(),
}).map(({ memory, swap, reservation }) => {
  const mebibytes = Number(memory.replace("Mi", ""));
  return present({
    limits: { memory },
    reservations: reservation ? { memory } : undefined,
    memorySwap: swap === "double" ? `${2 * mebibytes}Mi` : swap === "more" ? `${3 * mebibytes}Mi` : swap,
  });
});

const published = record({
  containerPort: port,
  hostPort: some(port),
  range: boolean(),
  hostIP: some(constantFrom("127.0.0.1", "0.0.0.0")),
  protocol: some(constantFrom("TCP" as const, "UDP" as const)),
}).map(({ containerPort, hostPort, range, hostIP, protocol }) =>
  present({
    containerPort,
    hostPort,
    hostPortEnd: hostPort !== undefined && range ? hostPort + 5 : undefined,
    hostIP: hostPort === undefined ? undefined : hostIP,
    protocol,
  }),
);

/** Specs that a Kanto device can do, in every field that it knows. */
export const kantoSpec = record({
  env: some(
    uniqueArray(record({ name: word.map((name) => name.toUpperCase()), value: stringMatching(/^[ -~]{0,12}$/) }), {
      selector: (each) => each.name,
      maxLength: 4,
    }),
  ),
  args: some(array(word, { maxLength: 3 })),
  // The schema takes no hostPort and no mountPath twice.
  ports: some(uniqueArray(published, { selector: (each) => each.hostPort ?? `c${each.containerPort}`, maxLength: 3 })),
  volumes: some(
    uniqueArray(
      record({
        hostPath: path,
        mountPath: path,
        propagation: some(constantFrom("RPrivate" as const, "Shared" as const, "RSlave" as const)),
      }).map(present),
      { selector: (each) => each.mountPath, maxLength: 3 },
    ),
  ),
  resources: some(resources),
  restartPolicy: some(
    record({
      type: constantFrom("Always" as const, "UnlessStopped" as const, "OnFailure" as const, "No" as const),
      maxRetries: integer({ min: 0, max: 5 }),
      retryTimeoutSeconds: some(integer({ min: 1, max: 90 })),
    }).map((policy) => present({ ...policy, maxRetries: policy.type === "OnFailure" ? policy.maxRetries : undefined })),
  ),
  network: some(
    record({
      mode: some(constantFrom("Bridge" as const)),
      hostname: some(oneof(word, constantFrom("web-host"))),
      domainname: some(word),
      extraHosts: some(
        array(
          tuple(word, constantFrom("host_ip", "host_ip_eth0", "container_db-host", "10.0.0.7")).map((parts) =>
            parts.join(":"),
          ),
          { maxLength: 2 },
        ),
      ),
    }).map(present),
  ),
  devices: some(
    array(
      record({
        hostPath: path,
        containerPath: some(path),
        permissions: some(constantFrom("r", "rw", "rwm", "m")),
      }).map(present),
      { maxLength: 2 },
    ),
  ),
  securityContext: some(
    record({
      privileged: some(boolean()),
      capabilities: some(constantFrom({ add: ["NET_ADMIN"] }, { add: ["CAP_SYS_TIME", "NET_RAW"] }, { add: [] })),
    }).map(present),
  ),
  logging: some(
    record({
      driver: some(constantFrom("JsonFile" as const, "None" as const)),
      maxFiles: some(integer({ min: 1, max: 9 })),
      maxSize: some(size),
      mode: some(constantFrom("Blocking" as const, "NonBlocking" as const)),
      maxBufferSize: some(size),
    }).map((logging) =>
      present({ ...logging, maxBufferSize: logging.mode === "NonBlocking" ? logging.maxBufferSize : undefined }),
    ),
  ),
  tty: some(boolean()),
  stdin: some(boolean()),
}).map(fitting);

/** What excludes each other: a privileged container has no devices of its own, and network mode Host neither ports nor names. */
function fitting(each: object): Spec {
  const spec: Spec = present(each);
  if (spec.securityContext?.privileged === true) delete spec.devices;
  return spec;
}

/** The same on the device's own network. */
export function onHostNetwork({ ports: _ports, network, ...spec }: Spec): Spec {
  const { hostname: _name, extraHosts = [], ...rest } = network ?? {};
  return { ...spec, network: { ...rest, mode: "Host", extraHosts: extraHosts.filter((host) => host.endsWith(".7")) } };
}

/** What can be changed in place. */
export const inPlace = kantoSpec.map(({ resources: limits, restartPolicy }): Spec =>
  present({ resources: limits, restartPolicy }),
);
