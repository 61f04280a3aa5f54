import { describe, expect, test } from "vitest";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import type { DesiredContainer } from "../../../../src/backends/contract.ts";
import { wanted } from "./wanted.ts";

type Spec = Partial<DesiredContainer["spec"]>;

const found = (spec: Spec, rest: Partial<DesiredContainer> = {}): string[] =>
  kantoPlanner.validate(wanted(spec, rest)).map(({ path, kind, reason }) => `${path} ${kind} ${reason}`);

describe("validate", () => {
  test("a spec that uses everything a Kanto device can do has no problem", () => {
    expect(
      found({
        imagePullPolicy: "IfNotPresent",
        args: ["--verbose"],
        env: [{ name: "A_1", value: "" }],
        ports: [{ containerPort: 80, hostPort: 8080, hostPortEnd: 8085, hostIP: "127.0.0.1", protocol: "UDP" }],
        volumes: [{ hostPath: "/a", mountPath: "/b", propagation: "RShared", readOnly: false }],
        resources: { limits: { memory: "64Mi" }, reservations: { memory: "64Mi" }, memorySwap: "Unlimited" },
        restartPolicy: { type: "OnFailure", maxRetries: 3, retryTimeoutSeconds: 5 },
        network: { mode: "Bridge", hostname: "h", domainname: "d", extraHosts: ["device:host_ip", "db:10.0.0.1"] },
        securityContext: { capabilities: { add: ["NET_ADMIN"] } },
        devices: [{ hostPath: "/dev/ttyS0" }],
        logging: { driver: "JsonFile", maxFiles: 3, maxSize: "5Mi", mode: "NonBlocking", maxBufferSize: "2Mi" },
        tty: true,
        stdin: true,
        stop: { signal: "SIGINT", timeoutSeconds: 5, force: false },
      }),
    ).toEqual([]);
  });

  test.each<[string, Spec, string[]]>([
    ["pull policy Always", { imagePullPolicy: "Always" }, ["imagePullPolicy Unsupported UnsupportedField"]],
    ["pull policy Never", { imagePullPolicy: "Never" }, ["imagePullPolicy Unsupported UnsupportedField"]],
    ["an ENTRYPOINT", { command: ["sh"] }, ["command Unsupported UnsupportedField"]],
    ["a CPU limit", { resources: { limits: { cpu: "500m" } } }, ["resources.limits.cpu Unsupported UnsupportedField"]],
    ["a startup script", { startupScript: { value: "true" } }, ["startupScript Unsupported UnsupportedField"]],
    ["SSH keys", { sshPublicKeys: ["ssh-ed25519 AAAA"] }, ["sshPublicKeys Unsupported UnsupportedField"]],
    ["registries", { registryRefs: [{ name: "r" }] }, ["registryRefs Unsupported UnsupportedField"]],
    ["pull secrets", { imagePullSecrets: [{ name: "s" }] }, ["imagePullSecrets Unsupported UnsupportedField"]],
    [
      "a named volume",
      { volumes: [{ volumeName: "v", mountPath: "/v" }] },
      ["volumes[0].volumeName Unsupported UnsupportedField"],
    ],
    [
      "a read-only mount",
      { volumes: [{ hostPath: "/v", mountPath: "/v", readOnly: true }] },
      ["volumes[0].readOnly Unsupported UnsupportedField"],
    ],
    [
      "HTTPS",
      { ports: [{ containerPort: 443, hostPort: 443, protocol: "HTTPS" }] },
      ["ports[0].protocol Unsupported UnsupportedField"],
    ],
    [
      "IPv6",
      { ports: [{ containerPort: 80, hostPort: 80, hostIP: "::1" }] },
      ["ports[0].hostIP Unsupported UnsupportedField"],
    ],
    [
      "another vendor's options",
      { backendOptions: { hiveon: {} } },
      ["backendOptions.hiveon Unsupported UnsupportedField"],
    ],
    [
      "sizes of files that are not kept",
      { logging: { driver: "None", maxFiles: 3, maxSize: "5Mi" } },
      ["logging.maxFiles Ignored UnsupportedField", "logging.maxSize Ignored UnsupportedField"],
    ],
    [
      "a host name in host network",
      { network: { mode: "Host", hostname: "h" } },
      ["network.hostname Invalid InvalidSpec"],
    ],
    [
      "another container's name in host network",
      { network: { mode: "Host", extraHosts: ["db:container_db-host"] } },
      ["network.extraHosts[0] Invalid InvalidSpec"],
    ],
    [
      "an extra host whose address is none",
      { network: { extraHosts: ["db:db.example", "d:host_ip_"] } },
      ["network.extraHosts[0] Invalid InvalidSpec", "network.extraHosts[1] Invalid InvalidSpec"],
    ],
    ["a NUL in an argument", { args: ["a", "b\0c"] }, ["args[1] Invalid InvalidSpec"]],
    [
      "a NUL in a path",
      { volumes: [{ hostPath: "/a\0", mountPath: "/b" }] },
      ["volumes[0].hostPath Invalid InvalidSpec"],
    ],
    ["half a surrogate pair", { env: [{ name: "A", value: "x\ud800" }] }, ["env Invalid InvalidSpec"]],
    ["a value with a NUL", { env: [{ name: "A", value: "\0" }] }, ["env Invalid InvalidSpec"]],
    ["a configuration of more than 1 MiB", { args: Array(200).fill("x".repeat(8_000)) }, ["args Invalid InvalidSpec"]],
    ["the second name of a signal", { stop: { signal: "SIGPOLL" } }, ["stop.signal Invalid InvalidSpec"]],
    ["an unpublished port", { ports: [{ containerPort: 80 }] }, ["ports Ignored UnsupportedField"]],
    [
      "too little memory",
      { resources: { limits: { memory: "2Mi" } } },
      ["resources.limits.memory Invalid InvalidSpec"],
    ],
    ["odd bytes", { resources: { limits: { memory: 5_000_001 } } }, ["resources.limits.memory Invalid InvalidSpec"]],
    [
      "decimal megabytes that are no KiB",
      { resources: { limits: { memory: "5M" } } },
      ["resources.limits.memory Invalid InvalidSpec"],
    ],
    ["no quantity", { resources: { limits: { memory: "much" } } }, ["resources.limits.memory Invalid InvalidSpec"]],
    [
      "a reservation above the limit",
      { resources: { limits: { memory: "4Mi" }, reservations: { memory: "8Mi" } } },
      ["resources.reservations.memory Invalid InvalidSpec"],
    ],
    ["swap without memory", { resources: { memorySwap: "8Mi" } }, ["resources.memorySwap Invalid InvalidSpec"]],
    [
      "swap below memory",
      { resources: { limits: { memory: "8Mi" }, memorySwap: "4Mi" } },
      ["resources.memorySwap Invalid InvalidSpec"],
    ],
    [
      "retries without OnFailure",
      { restartPolicy: { type: "Always", maxRetries: 2 } },
      ["restartPolicy.maxRetries Invalid InvalidSpec"],
    ],
    [
      "privileged with devices",
      { securityContext: { privileged: true }, devices: [{ hostPath: "/dev/a" }] },
      ["devices Invalid InvalidSpec"],
    ],
    [
      "host network with ports",
      { network: { mode: "Host" }, ports: [{ containerPort: 80, hostPort: 80 }] },
      ["ports[0].hostPort Invalid InvalidSpec"],
    ],
    [
      "host_ip in host network",
      { network: { mode: "Host", extraHosts: ["d:host_ip_eth0"] } },
      ["network.extraHosts[0] Invalid InvalidSpec"],
    ],
    ["an IPv6 extra host", { network: { extraHosts: ["db:fe80::1"] } }, ["network.extraHosts[0] Invalid InvalidSpec"]],
    [
      "a port out of range",
      { ports: [{ containerPort: 80, hostPort: 70_000 }] },
      ["ports[0].hostPort Invalid PortOutOfRange"],
    ],
    [
      "a port range upside down",
      { ports: [{ containerPort: 80, hostPort: 9, hostPortEnd: 8 }] },
      ["ports[0].hostPortEnd Invalid PortOutOfRange"],
    ],
    ["a variable with a dash", { env: [{ name: "A-B", value: "1" }] }, ["env Invalid InvalidSpec"]],
    ["a value with a line break", { env: [{ name: "A", value: "1\n2" }] }, ["env Invalid InvalidSpec"]],
    [
      "our own marker, as envFrom might bring it",
      { env: [{ name: "DRAYAGE_MARKER", value: "{}" }] },
      ["env Invalid InvalidSpec"],
    ],
    ["a signal that the daemon does not know", { stop: { signal: "SIGRTMIN+3" } }, ["stop.signal Invalid InvalidSpec"]],
    ["a buffer for Blocking", { logging: { maxBufferSize: "1Mi" } }, ["logging.maxBufferSize Invalid InvalidSpec"]],
  ])("%s", (_what, spec, expected) => expect(found(spec)).toEqual(expected));

  test.each([
    ["a short image", { image: "nginx" }, ["image Invalid InvalidImageName"]],
    ["an image without registry", { image: "library/nginx:1" }, ["image Invalid InvalidImageName"]],
    ["a name that the daemon refuses", { name: "-x y" }, ["name Invalid InvalidSpec"]],
    ["a name too long for a host name", { name: "a".repeat(60) }, ["name Invalid InvalidSpec"]],
  ])("%s", (_what, rest, expected) => expect(found({}, rest)).toEqual(expected));

  test.each<[string, Spec]>([
    ["a reservation below what a limit may be", { resources: { reservations: { memory: "1Mi" } } }],
    ["a carriage return in a value", { env: [{ name: "A", value: "1\r" }] }],
    [
      "every form of an extra host",
      { network: { extraHosts: ["a:10.0.0.1", "b:host_ip", "c:host_ip_eth0", "d:container_db-host"] } },
    ],
    [
      "capabilities of a privileged container",
      { securityContext: { privileged: true, capabilities: { add: ["NET_ADMIN"] } } },
    ],
  ])("%s is none of the daemon's concerns", (_what, spec) => expect(found(spec)).toEqual([]));

  test.each<[string, Partial<DesiredContainer["decryption"]>, string[]]>([
    ["a path", { keys: ["/keys/k.pem"] }, []],
    ["a path with a password", { keys: ["/keys/k.pem:secret"], recipients: ["pkcs7:/keys/c.pem"] }, []],
    [
      "a line break at its end",
      { keys: ["/keys/k.pem\n"] },
      ["backendOptions.kanto.decryption.keys Invalid InvalidSpec"],
    ],
    ["nothing", { keys: [""] }, ["backendOptions.kanto.decryption.keys Invalid InvalidSpec"]],
    [
      "a recipient without protocol",
      { recipients: ["/keys/c.pem"] },
      ["backendOptions.kanto.decryption.recipients Invalid InvalidSpec"],
    ],
  ])("a key or recipient that is %s", (_what, decryption, expected) => {
    const problems = found({}, { decryption: { keys: [], recipients: [], ...decryption } });
    expect(problems).toEqual(expected);
    expect(
      JSON.stringify(kantoPlanner.validate(wanted({}, { decryption: { keys: [], recipients: [], ...decryption } }))),
    ).not.toContain("/keys/");
  });

  test("a long name is fine with a host name of its own", () => {
    expect(found({ network: { hostname: "h" } }, { name: "a".repeat(60) })).toEqual([]);
  });

  test("every message names the fix, and none shows a value of the environment", () => {
    const problems = kantoPlanner.validate(
      wanted({ env: [{ name: "A", value: "s3cret\n" }], command: ["x"] }, { image: "nginx" }),
    );
    expect(problems.find(({ path }) => path === "image")?.message).toContain("docker.io/library/nginx");
    expect(JSON.stringify(problems)).not.toContain("s3cret");
    for (const { message } of problems) expect(message.length).toBeGreaterThan(20);
  });

  test("the nearest size that can be asked for is named", () => {
    const [problem] = kantoPlanner.validate(wanted({ resources: { limits: { memory: "5M" } } }));
    expect(problem?.message).toContain("4883Ki");
  });
});

describe("capabilities", () => {
  test("name each path once, with a note where something is not as asked", () => {
    const paths = kantoPlanner.capabilities.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    for (const { level, note } of kantoPlanner.capabilities) {
      if (level !== "Native") expect(note).toBeTruthy();
    }
  });

  test("list as unsupported everything that validate refuses as such", () => {
    const refused = kantoPlanner.validate(
      wanted({
        imagePullPolicy: "Always",
        command: ["x"],
        startupScript: { value: "x" },
        sshPublicKeys: ["k"],
        registryRefs: [{ name: "r" }],
        imagePullSecrets: [{ name: "s" }],
        resources: { limits: { cpu: 1 } },
        volumes: [{ volumeName: "v", mountPath: "/v", readOnly: true }],
        ports: [{ containerPort: 1, hostPort: 1, protocol: "HTTPS" }],
      }),
    );
    const unsupported = kantoPlanner.capabilities
      .filter(({ level }) => level === "Unsupported")
      .map(({ path }) => path.split("=")[0]);
    for (const { path, kind } of refused) {
      if (kind === "Unsupported") expect(unsupported).toContain(path.replace(/\[[0-9]+\]/, ""));
    }
  });
});
