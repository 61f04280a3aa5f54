/** Specs of EdgeStack that are accepted and refused, on every backend alike. */
import { GOOD as CONTAINERS } from "./edge-container.ts";
import { GOOD_SPECS, longList, type BadSpecs, type GoodSpecs, type LooseSpec } from "../objects.ts";

const IMAGE = { image: "docker.io/library/nginx:1.27" };
const one = (name: string, more: LooseSpec = {}): LooseSpec => ({ name, template: IMAGE, ...more });

/** What an EdgeContainer may say, a template may say. */
function templateOf(changes: LooseSpec): LooseSpec {
  const { deviceRef: _device, ...spec } = { ...GOOD_SPECS.EdgeContainer, ...changes };
  return spec;
}

/** Changes of the small good spec that stay good. */
export const GOOD: GoodSpecs = {
  "the least": {},
  everything: {
    mode: "Shared",
    containers: [
      one("db", { template: { ...IMAGE, name: "database", volumes: [{ volumeName: "data", mountPath: "/data" }] } }),
      one("web", { dependsOn: [{ name: "db", condition: "Ready" }] }),
      one("log", { dependsOn: [{ name: "db" }, { name: "web", condition: "Running" }] }),
    ],
    volumes: [{ name: "data" }],
    suspend: true,
    deletion: { policy: "Remove", deleteVolumes: true, graceSeconds: 0 },
  },
  "a cycle, which is found in code": {
    containers: [one("a", { dependsOn: [{ name: "b" }] }), one("b", { dependsOn: [{ name: "a" }] })],
  },
  "as many containers as may be": { containers: longList(32, (index) => one(`c${index}`)) },
  "a container that only observes": {
    containers: [{ name: "seen", template: { managementPolicy: "Observe" } }],
  },
  ...Object.fromEntries(
    Object.entries(CONTAINERS).map(([name, changes]) => [
      `a template with ${name}`,
      { containers: [{ name: "c", template: templateOf(changes) }] },
    ]),
  ),
};

/** Changes that are refused, with texts that the answer must hold: the field and what to do. */
export const BAD: BadSpecs = {
  "no deviceRef": [{ deviceRef: undefined }, "spec.deviceRef: Required value"],
  "no container": [{ containers: [] }, "spec.containers"],
  "too many containers": [{ containers: longList(33, (index) => one(`c${index}`)) }, "spec.containers", "32"],
  "a device in a template": [
    { containers: [one("a", { template: { ...IMAGE, deviceRef: { name: "other" } } })] },
    "deviceRef",
  ],
  "a template without image": [{ containers: [one("a", { template: {} })] }, "spec.containers[0].template", "image"],
  "a template with a short image": [
    { containers: [one("a", { template: { image: "nginx" } })] },
    "spec.containers[0].template.image",
    "docker.io/library/nginx",
  ],
  "two containers of one name": [{ containers: [one("a"), one("a")] }, "two containers have the same name"],
  "a name that is none": [{ containers: [one("A_b")] }, "spec.containers[0].name", "lower-case letters"],
  "a dependency that is not there": [
    { containers: [one("a", { dependsOn: [{ name: "b" }] })] },
    "dependsOn names a container that is not in this stack",
  ],
  "a container that depends on itself": [
    { containers: [one("a", { dependsOn: [{ name: "a" }] })] },
    "a container cannot depend on itself",
  ],
  "an unknown condition": [
    { containers: [one("a"), one("b", { dependsOn: [{ name: "a", condition: "Healthy" }] })] },
    "spec.containers[1].dependsOn[0].condition",
    '"Running"',
  ],
  "two volumes of one name": [{ volumes: [{ name: "v" }, { name: "v" }] }, "two volumes have the same name"],
  "a volume name with a slash": [{ volumes: [{ name: "a/b" }] }, "spec.volumes[0].name", "begin with a letter"],
  "an unknown mode": [{ mode: "Mine" }, "spec.mode", '"Own"'],
  "volumes destroyed by a stop": [
    { deletion: { policy: "Stop", deleteVolumes: true } },
    "deleteVolumes counts only with policy Remove",
  ],
};
