/** Specs of EdgeBackend that are accepted and refused, on every backend alike. */
import type { BadSpecs, GoodSpecs } from "../objects.ts";

/** Changes of the small good spec that stay good. */
export const GOOD: GoodSpecs = {
  "the least": {},
  "kanto in full": {
    kanto: {
      url: "mqtts://[::1]:8883",
      transport: "Local",
      tenant: "t1",
      mqttVersion: "5",
      answerIdentity: true,
      clientIdPrefix: "drayage-a",
    },
    credentialsSecretRef: { name: "s" },
    tls: {
      caRef: { kind: "ConfigMap", name: "ca", key: "ca.crt" },
      clientCertSecretRef: { name: "client" },
      serverName: "broker",
    },
    rateLimit: { requestsPerSecond: 1, burst: 1, concurrency: 1 },
    observeIntervalSeconds: 1,
    commandTimeoutSeconds: 1,
    createTimeoutSeconds: 1,
    suspend: true,
    deletion: { graceSeconds: 600 },
  },
  connector: {
    kanto: {
      url: "wss://b/mqtt",
      transport: "Connector",
      tenant: "t",
      connector: { eventPrefix: "x/", responsePrefix: "y", statusTopic: "sites/{tenant}/{deviceId}/status" },
    },
  },
  ditto: { kanto: { url: "https://ditto.example.org", transport: "Ditto", tenant: "t" } },
  "alpon with a dialect": {
    kanto: undefined,
    credentialsSecretRef: { name: "s" },
    alpon: { dialect: { portHost: "host_port", authHeader: "x-api-key" } },
  },
  hiveon: {
    kanto: undefined,
    credentialsSecretRef: { name: "s" },
    hiveon: { url: "https://api.example.org", externalIdPath: "/by-external/{id}" },
  },
  mittwald: { kanto: undefined, credentialsSecretRef: { name: "s" }, mittwald: {} },
  "namespaces by label": {
    allowedNamespaces: {
      from: "Selector",
      selector: {
        matchLabels: { team: "a" },
        matchExpressions: [
          { key: "env", operator: "In", values: ["prod", ""] },
          { key: "x", operator: "Exists" },
        ],
      },
      targets: ["edge:device"],
    },
  },
};

/** Changes that are refused, with texts that the answer must hold: the field and what to do. The server lists allowed words in any order. */
export const BAD: BadSpecs = {
  "no vendor": [{ kanto: undefined }, "exactly one of kanto, alpon, hiveon, mittwald"],
  "two vendors": [{ mittwald: {} }, "exactly one of kanto, alpon, hiveon, mittwald"],
  "url without scheme": [{ kanto: { url: "broker:1883", tenant: "t" } }, "spec.kanto.url", "scheme://host:port"],
  "credentials in the url": [
    { kanto: { url: "mqtt://me:pw@broker", tenant: "t" } },
    "spec.kanto.url",
    "credentials go into the Secret",
  ],
  "no credentials for a vendor": [{ kanto: undefined, mittwald: {} }, "set credentialsSecretRef", "token"],
  "tls over a plain connection": [{ tls: { serverName: "b" } }, "change kanto.url, or leave tls out"],
  "no tenant": [{ kanto: { url: "mqtt://b" } }, "spec.kanto.tenant: Required value"],
  "tenant with a slash": [{ kanto: { url: "mqtt://b", tenant: "a/b" } }, "spec.kanto.tenant", "one topic level"],
  "Ditto over MQTT": [
    { kanto: { url: "mqtt://b", tenant: "t", transport: "Ditto" } },
    "spec.kanto",
    "transport Ditto needs an https:// url",
  ],
  "MQTT over https": [{ kanto: { url: "https://b", tenant: "t" } }, "spec.kanto", "every other transport mqtt://"],
  "identity through a connector": [
    { kanto: { url: "mqtt://b", tenant: "t", transport: "Connector", answerIdentity: true } },
    "spec.kanto",
    "use transport Local",
  ],
  "connector prefixes without connector": [
    { kanto: { url: "mqtt://b", tenant: "t", connector: { eventPrefix: "x" } } },
    "spec.kanto",
    "only with transport Connector",
  ],
  "status topic that does not say of which device": [
    { kanto: { url: "mqtt://b", tenant: "t", transport: "Connector", connector: { statusTopic: "status" } } },
    "spec.kanto.connector.statusTopic",
    "{deviceId}",
  ],
  "unknown MQTT version": [
    { kanto: { url: "mqtt://b", tenant: "t", mqttVersion: "4" } },
    "mqttVersion",
    '"3.1.1"',
    '"5"',
  ],
  "vendor url over another scheme": [
    { kanto: undefined, credentialsSecretRef: { name: "s" }, alpon: { url: "ftp://x" } },
    "spec.alpon.url",
    "https://host",
  ],
  "lookup path without id": [
    { kanto: undefined, credentialsSecretRef: { name: "s" }, hiveon: { externalIdPath: "/x" } },
    "externalIdPath",
    "{id}",
  ],
  "Selector without selector": [
    { allowedNamespaces: { from: "Selector" } },
    "spec.allowedNamespaces",
    "belong together",
  ],
  "selector without Selector": [{ allowedNamespaces: { selector: {} } }, "spec.allowedNamespaces", "belong together"],
  "In without values": [
    { allowedNamespaces: { from: "Selector", selector: { matchExpressions: [{ key: "a", operator: "In" }] } } },
    "matchExpressions[0]",
    "In and NotIn need values",
  ],
  "Exists with values": [
    {
      allowedNamespaces: {
        from: "Selector",
        selector: { matchExpressions: [{ key: "a", operator: "Exists", values: ["x"] }] },
      },
    },
    "matchExpressions[0]",
    "Exists and DoesNotExist take none",
  ],
  "no requests at all": [{ rateLimit: { requestsPerSecond: 0 } }, "spec.rateLimit.requestsPerSecond"],
  "no interval": [{ observeIntervalSeconds: 0 }, "spec.observeIntervalSeconds"],
  "CA from a Pod": [{ tls: { caRef: { kind: "Pod", name: "x" } } }, "spec.tls.caRef.kind", '"Secret"', '"ConfigMap"'],
};
