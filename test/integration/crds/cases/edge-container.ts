/** Specs of EdgeContainer that are accepted and refused, on every backend alike. */
import { longList, type BadSpecs, type GoodSpecs } from "../objects.ts";

const secretKey = { name: "s", key: "k" };
const port = (fields: Record<string, unknown>) => ({ ports: [{ containerPort: 80, ...fields }] });

/** Changes of the small good spec that stay good. */
export const GOOD: GoodSpecs = {
  "the least": {},
  "Observe without image": { image: undefined, managementPolicy: "Observe" },
  "image on a registry with a port": { image: "registry.local:5000/team/app:v1" },
  "image on localhost": { image: "localhost/app" },
  "image on localhost with a port": { image: "localhost:5000/app@sha256:" + "a".repeat(64) },
  "image with tag and digest": { image: `ghcr.io/a/b_c/d--e:1.0-rc.1@sha256:${"0".repeat(64)}` },
  "empty variable": { env: [{ name: "A", value: "" }] },
  "variables of every source": {
    env: [
      { name: "A", value: "1" },
      { name: "B", valueFrom: { secretKeyRef: secretKey } },
      { name: "C", valueFrom: { configMapKeyRef: { ...secretKey, optional: true } } },
    ],
    envFrom: [{ prefix: "P_", secretRef: { name: "s" } }, { configMapRef: { name: "c", optional: true } }],
  },
  "500 variables": { env: longList(500, (index) => ({ name: `V${index}`, value: "x".repeat(100) })) },
  "port range": port({ hostPort: 8000, hostPortEnd: 8010, hostIP: "127.0.0.1", protocol: "UDP" }),
  "port range of one": port({ hostPort: 8000, hostPortEnd: 8000, hostIP: "::1" }),
  "one hostPort on two transports, on two addresses, and in ranges": {
    ports: [
      { containerPort: 53, hostPort: 53 },
      { containerPort: 53, hostPort: 53, protocol: "UDP" },
      { containerPort: 53, hostPort: 53, hostIP: "127.0.0.1" },
      { containerPort: 54, hostPort: 53, hostPortEnd: 60 },
      { containerPort: 55, hostPort: 53, hostPortEnd: 60 },
    ],
  },
  "unpublished port with Host network": { network: { mode: "Host" }, ...port({}) },
  "100 ports": { ports: longList(100, (index) => ({ containerPort: index + 1, hostPort: index + 1 })) },
  quantities: {
    resources: { limits: { cpu: 1, memory: "64Mi" }, reservations: { memory: "64Mi" }, memorySwap: "64Mi" },
  },
  "unlimited swap": { resources: { limits: { memory: "1.5Gi" }, memorySwap: "Unlimited" } },
  "decimal cpu": { resources: { limits: { cpu: "0.5", memory: 1e9 } } },
  "reservation without limit": { resources: { reservations: { memory: "32Mi" } } },
  "OnFailure with maxRetries": { restartPolicy: { type: "OnFailure", maxRetries: 3, retryTimeoutSeconds: 60 } },
  "maxRetries 0 with any type": { restartPolicy: { type: "Always", maxRetries: 0 } },
  "privileged without devices": { securityContext: { privileged: true }, devices: [] },
  "devices without privilege": {
    securityContext: { privileged: false, capabilities: { add: ["NET_ADMIN", "CAP_SYS_TIME"] } },
    devices: [{ hostPath: "/dev/ttyUSB0", containerPath: "/dev/tty0", permissions: "rw" }],
  },
  "volumes of both kinds": {
    volumes: [
      { hostPath: "/srv", mountPath: "/srv", readOnly: true, propagation: "RShared" },
      { volumeName: "data", mountPath: "/data" },
    ],
  },
  "64 volumes": { volumes: longList(64, (index) => ({ hostPath: "/srv", mountPath: `/m/${index}` })) },
  "network in full": {
    network: {
      mode: "Bridge",
      hostname: "web-1",
      domainname: "plant.local",
      extraHosts: ["db:10.0.0.5", "h:host_ip"],
    },
  },
  "logging in full": {
    logging: {
      driver: "JsonFile",
      maxFiles: 3,
      maxSize: "10Mi",
      mode: "NonBlocking",
      maxBufferSize: "1Mi",
      rootDir: "/var/log/web",
    },
    tty: true,
    stdin: false,
  },
  "everything about a rollout": {
    stop: { signal: "SIGRTMIN+1", timeoutSeconds: 5, force: false },
    updateStrategy: { type: "Swap", minReadySeconds: 0, progressDeadlineSeconds: 1, rollbackOnFailure: false },
    backoff: { initialSeconds: 1, maxSeconds: 1, resetAfterSeconds: 1 },
  },
  "adoption by id": { adoption: { policy: "ById", externalId: "a4" }, driftPolicy: "Report", suspend: true },
  "adoption by name": { name: "Web_1.old", adoption: { policy: "ByName" }, desiredState: "Paused" },
  "deletion in full": { deletion: { policy: "Remove", deleteVolumes: true, graceSeconds: 0 } },
  "options of every backend": {
    backendOptions: {
      kanto: { decryption: { keys: [secretKey], recipients: [secretKey] } },
      hiveon: { reRent: "OnFailure", metadata: { team: "a" } },
      mittwald: { ingresses: [{ hostname: "app.example.org", path: "/", containerPort: 80 }] },
    },
    startupScript: { secretKeyRef: secretKey },
    sshPublicKeys: ["ssh-ed25519 AAAA me"],
    registryRefs: [{ name: "r" }],
    imagePullSecrets: [{ name: "s" }],
    imagePullPolicy: "IfNotPresent",
    command: ["/bin/sh"],
    args: ["-c", ""],
  },
};

/** Changes that are refused, with texts that the answer must hold: the field and what to do. The server lists allowed words in any order. */
export const BAD: BadSpecs = {
  "no image": [{ image: undefined }, "image is required unless managementPolicy is Observe"],
  "no image with Manage": [{ image: undefined, managementPolicy: "Manage" }, "image is required unless"],
  "short image": [{ image: "nginx:1.27" }, "spec.image", "write docker.io/library/nginx:1.27"],
  "image of Docker Hub without registry": [{ image: "acme/app" }, "spec.image", "write docker.io/acme/app"],
  "image in upper case": [{ image: "docker.io/Acme/app" }, "spec.image", "path in lower case"],
  "image with a scheme": [{ image: "https://docker.io/nginx" }, "spec.image", "not an image reference"],
  "image with a space": [{ image: "docker.io/library/nginx: 1" }, "spec.image", "not an image reference"],
  "image with a bad digest": [{ image: "docker.io/library/nginx@sha256:abc" }, "not an image reference"],
  "empty image": [{ image: "" }, "spec.image"],
  "no deviceRef": [{ deviceRef: undefined }, "spec.deviceRef: Required value"],
  "deviceRef that no object can have": [
    { deviceRef: { name: "Press 1" } },
    "spec.deviceRef.name",
    "lower-case letters",
  ],
  "unknown field": [{ imge: "x" }, 'unknown field "spec.imge"'],
  "unknown state": [{ desiredState: "Sleeping" }, "spec.desiredState", '"Running"', '"Stopped"', '"Paused"'],
  "value and valueFrom": [
    { env: [{ name: "A", value: "1", valueFrom: { secretKeyRef: secretKey } }] },
    "spec.env[0]",
    "exactly one of value and valueFrom",
  ],
  "neither value nor valueFrom": [{ env: [{ name: "A" }] }, "spec.env[0]", 'write value: ""'],
  "valueFrom nothing": [
    { env: [{ name: "A", valueFrom: {} }] },
    "spec.env[0].valueFrom",
    "exactly one of secretKeyRef",
  ],
  "variable twice": [
    {
      env: [
        { name: "A", value: "1" },
        { name: "A", value: "2" },
      ],
    },
    "spec.env[1]",
    "Duplicate value",
  ],
  "reserved variable": [{ env: [{ name: "DRAYAGE_OWNER", value: "me" }] }, "spec.env[0].name", "reserved"],
  "variable with a bad name": [
    { env: [{ name: "1A", value: "" }] },
    "spec.env[0].name",
    "begin the name with a letter",
  ],
  "501 variables": [{ env: longList(501, (index) => ({ name: `V${index}`, value: "" })) }, "spec.env", "500"],
  "envFrom of both": [
    { envFrom: [{ secretRef: { name: "s" }, configMapRef: { name: "c" } }] },
    "spec.envFrom[0]",
    "exactly one of secretRef and configMapRef",
  ],
  "port range without begin": [port({ hostPortEnd: 90 }), "spec.ports[0]", "hostPortEnd needs hostPort"],
  "port range backwards": [
    port({ hostPort: 91, hostPortEnd: 90 }),
    "spec.ports[0]",
    "hostPortEnd must not be below hostPort",
  ],
  "one hostPort twice": [
    {
      ports: [
        { containerPort: 80, hostPort: 80 },
        { containerPort: 81, hostPort: 80, protocol: "HTTPS" },
      ],
    },
    "spec.ports",
    "two ports have the same hostPort",
  ],
  "volumes destroyed by a stop": [
    { deletion: { policy: "Stop", deleteVolumes: true } },
    "spec.deletion",
    "only with policy Remove",
  ],
  "port 0": [{ ports: [{ containerPort: 0 }] }, "spec.ports[0].containerPort"],
  "port 65536": [port({ hostPort: 65_536 }), "spec.ports[0].hostPort"],
  "address that is none": [port({ hostPort: 80, hostIP: "localhost" }), "spec.ports[0].hostIP", "write an IP address"],
  "address without hostPort": [port({ hostIP: "127.0.0.1" }), "spec.ports[0]", "hostIP needs hostPort"],
  "unknown protocol": [port({ protocol: "tcp" }), "spec.ports[0].protocol", '"TCP"', '"UDP"', '"HTTPS"'],
  "101 ports": [{ ports: longList(101, () => ({ containerPort: 1 })) }, "spec.ports", "100"],
  "published port with Host network": [
    { network: { mode: "Host" }, ...port({ hostPort: 80 }) },
    "remove hostPort from ports, or use mode Bridge",
  ],
  "privileged with devices": [
    { securityContext: { privileged: true }, devices: [{ hostPath: "/dev/x" }] },
    "remove devices, or set privileged to false",
  ],
  "device permissions out of order": [
    { devices: [{ hostPath: "/dev/x", permissions: "wr" }] },
    "permissions",
    "e.g. rw",
  ],
  "two sources of a volume": [
    { volumes: [{ hostPath: "/a", volumeName: "b", mountPath: "/c" }] },
    "spec.volumes[0]",
    "exactly one of hostPath and volumeName",
  ],
  "relative path": [{ volumes: [{ hostPath: "a", mountPath: "/c" }] }, "spec.volumes[0].hostPath", "absolute path"],
  "one mountPath twice": [
    {
      volumes: [
        { hostPath: "/a", mountPath: "/c" },
        { volumeName: "b", mountPath: "/c" },
      ],
    },
    "spec.volumes",
    "two volumes have the same mountPath",
  ],
  "quantity that is none": [{ resources: { limits: { memory: "64MB" } } }, "spec.resources.limits.memory", "e.g. 64Mi"],
  "negative quantity": [{ resources: { limits: { memory: "-1" } } }, "spec.resources.limits.memory", "e.g. 64Mi"],
  "quantity of nothing": [{ resources: { limits: { cpu: "0" } } }, "spec.resources.limits.cpu", "must be more than 0"],
  "negative number": [{ resources: { limits: { cpu: -1 } } }, "spec.resources.limits.cpu"],
  "swap without memory": [{ resources: { memorySwap: "1Gi" } }, "spec.resources", "set limits.memory too"],
  "swap below memory": [
    { resources: { limits: { memory: "64Mi" }, memorySwap: "65M" } },
    "spec.resources",
    "must not be below limits.memory",
  ],
  "reservation above memory": [
    { resources: { limits: { memory: 1000 }, reservations: { memory: "1Ki" } } },
    "spec.resources",
    "reservations.memory must not be above limits.memory",
  ],
  "maxRetries with another type": [
    { restartPolicy: { type: "Always", maxRetries: 1 } },
    "spec.restartPolicy",
    "maxRetries counts only with type OnFailure",
  ],
  "restart policy without type": [{ restartPolicy: { maxRetries: 1 } }, "spec.restartPolicy.type: Required value"],
  "signal that is none": [{ stop: { signal: "TERM" } }, "spec.stop.signal", "SIGTERM or 15"],
  "no time to stop": [{ stop: { timeoutSeconds: 0 } }, "spec.stop.timeoutSeconds"],
  "deadline before readiness": [
    { updateStrategy: { minReadySeconds: 600 } },
    "spec.updateStrategy",
    "progressDeadlineSeconds (default 600) must be above minReadySeconds (default 10)",
  ],
  "backoff that shrinks": [{ backoff: { initialSeconds: 301 } }, "spec.backoff", "maxSeconds (default 300)"],
  "adoption by id without one": [{ adoption: { policy: "ById" } }, "spec.adoption", "policy ById and externalId"],
  "id without adoption by id": [
    { adoption: { policy: "ByName", externalId: "x" } },
    "spec.adoption",
    "belong together",
  ],
  "bad name on the device": [{ name: "-web" }, "spec.name", "begin with a letter"],
  "extra host without address": [{ network: { extraHosts: ["db"] } }, "spec.network.extraHosts[0]", "name:address"],
  "capability in lower case": [
    { securityContext: { capabilities: { add: ["net_admin"] } } },
    "spec.securityContext.capabilities.add[0]",
    "upper case",
  ],
  "buffer without NonBlocking": [{ logging: { maxBufferSize: "1Mi" } }, "spec.logging", "only with mode NonBlocking"],
  "script from two places": [
    { startupScript: { value: "x", secretKeyRef: secretKey } },
    "spec.startupScript",
    "exactly one of value, secretKeyRef and configMapKeyRef",
  ],
  "too many entries of metadata": [
    {
      backendOptions: {
        hiveon: { metadata: Object.fromEntries(longList(33, (index) => [`k${index}`, ""])) },
      },
    },
    "spec.backendOptions.hiveon.metadata",
    "32",
  ],
};
