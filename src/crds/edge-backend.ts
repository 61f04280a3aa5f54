/** EdgeBackend: one vendor account or broker. Its address and its credentials come from the same object. */
import type { z } from "zod";
import type { KubeObject } from "../kube/types.ts";
import { conditions, observedGeneration } from "./conditions.ts";
import { BACKEND_DEFAULTS } from "./default-values.ts";
import { ONE_VENDOR, VENDOR_IMMUTABLE } from "./edge-device.ts";
import { graceSeconds } from "./lifecycle.ts";
import { dataKey, localRef, objectName } from "./references.ts";
import { choice, flag, int, list, object, ruled, seconds, stringMap, text } from "./schema.ts";

const DAY = 86_400;
const WEB_URL = /^https?:\/\/[^\t\n\f\r /?#@]+(\/[^\t\n\f\r ?#]*)?$/;

const WEB_URL_FIX = "write https://host or https://host/path, or the same with http://; credentials go into the Secret";
const API_URL = "Address of the API. With http:// the key is sent in plain text, which event PlainHttp warns of.";

const kanto = ruled(
  object(
    "An MQTT broker (or Ditto) in front of Eclipse Kanto devices. Secret keys: username, password; for transport Ditto these, or token, or preAuthenticated.",
    {
      url: text(
        "Address: mqtt://, mqtts://, ws:// or wss:// host:port. For transport Ditto https://, with the path before /api/2 if there is one; http:// sends the credentials in plain text. Never with credentials in it.",
        {
          max: 2048,
          pattern: /^(mqtts?|wss?|https?):\/\/[^\t\n\f\r /?#@]+(\/[^\t\n\f\r ?#]*)?$/,
          fix: "write scheme://host:port with mqtt, mqtts, ws, wss or https; credentials go into the Secret",
        },
      ),
      transport: choice(
        "Local: the devices' own topics. Connector: a plain broker behind Kanto's suite connector. Ditto: the HTTP API of Eclipse Ditto.",
        ["Local", "Connector", "Ditto"],
        { default: BACKEND_DEFAULTS.kanto.transport },
      ).exactOptional(),
      tenant: text("Hono tenant of the devices; they publish on e/<tenant>/<thing id>.", {
        max: 256,
        pattern: /^[!"$-*,-.0-~]+$/,
        fix: "write one topic level in printable ASCII: no /, +, # or space",
      }),
      mqttVersion: choice(
        `MQTT version to begin with; 5 falls back to 3.1.1 where the broker refuses it. With transport Connector the default is ${BACKEND_DEFAULTS.kantoConnectorMqttVersion}.`,
        ["3.1.1", "5"],
        {
          default: BACKEND_DEFAULTS.kanto.mqttVersion,
        },
      ).exactOptional(),
      answerIdentity: flag(
        "Whether Drayage answers edge/thing/request, which a device asks after each connect; it leaves that to a connector as soon as one was seen. The request does not say who asks: each device needs a broker, or a topicPrefix, of its own. Transport Local only.",
        { default: BACKEND_DEFAULTS.kanto.answerIdentity },
      ).exactOptional(),
      clientIdPrefix: text("Begin of the MQTT client ids; each process adds its own end.", {
        max: 64,
        pattern: /^[0-9A-Za-z_-]+$/,
        fix: "write letters, digits, _ and -",
        default: BACKEND_DEFAULTS.kanto.clientIdPrefix,
      }).exactOptional(),
      connector: object("How the suite connector was set up. Transport Connector only.", {
        responsePrefix: text("COMMAND_RESPONSE_TOPIC_PREFIX of the connector.", {
          max: 256,
          pattern: /^[^\t\n\f\r +#]+$/,
          fix: "write a topic without +, # or space",
        }).exactOptional(),
        eventPrefix: text("EVENTS_TOPIC_PREFIX of the connector.", {
          max: 256,
          pattern: /^[^\t\n\f\r +#]+$/,
          fix: "write a topic without +, # or space",
        }).exactOptional(),
        statusTopic: text(
          "Where a connector's edge/connection/remote/status can be read on this broker, if a bridge or a rule of yours brings it there; {deviceId} stands for the gateway's id, {tenant} for its tenant. Unset: presence comes from messages and probes alone.",
          {
            max: 256,
            pattern: /^[^\t\n\f\r +#]*\{deviceId\}[^\t\n\f\r +#]*$/,
            fix: "write a topic with {deviceId} in it, without +, # or space",
          },
        ).exactOptional(),
      }).exactOptional(),
    },
  ),
  [
    {
      rule: `(has(self.transport) && self.transport == "Ditto") == self.url.startsWith("http")`,
      message: "transport Ditto needs an https:// url, every other transport mqtt://, mqtts://, ws:// or wss://",
      holds: (value) => (value.transport === "Ditto") === value.url.startsWith("http"),
    },
    {
      rule: `!has(self.answerIdentity) || !self.answerIdentity || !has(self.transport) || self.transport == "Local"`,
      message: "answerIdentity works on the device's own broker only: use transport Local, or leave it out",
      holds: (value) => value.answerIdentity !== true || (value.transport ?? "Local") === "Local",
    },
    {
      rule: `!has(self.connector) || (has(self.transport) && self.transport == "Connector")`,
      message: "connector counts only with transport Connector: set transport too, or leave it out",
      holds: (value) => value.connector === undefined || value.transport === "Connector",
    },
  ],
);

const jsonKey = (what: string) =>
  text(`JSON key of ${what}. Unset: the built-in one.`, {
    max: 64,
    pattern: /^[A-Za-z_][A-Za-z0-9_]*$/,
    fix: "write a JSON key of letters, digits and _",
  }).exactOptional();

const alpon = object("A Sixfab Connect account. Secret key: apiKey.", {
  url: text(API_URL, {
    max: 2048,
    pattern: WEB_URL,
    fix: WEB_URL_FIX,
    default: BACKEND_DEFAULTS.alpon.url,
  }).exactOptional(),
  dialect: object("Names that the vendor does not document, where the built-in ones turn out wrong.", {
    authHeader: text("HTTP header of the API key. Unset: the built-in one.", {
      max: 64,
      pattern: /^[A-Za-z0-9-]+$/,
      fix: "write the name of a header, e.g. x-api-key",
    }).exactOptional(),
    portHost: jsonKey("a port's number on the device"),
    portContainer: jsonKey("a port's number in the container"),
    volumeHost: jsonKey("a volume's path on the device"),
    volumeContainer: jsonKey("a volume's path in the container"),
    hostNetwork: jsonKey("the switch for host network"),
    privileged: jsonKey("the switch for privileged"),
  }).exactOptional(),
});

const hiveon = object(
  "A Hiveon vendor account. Secret keys: apiKey, and webhookSecret where webhooks are taken. Needs the operator's --owner-id.",
  {
    url: text(API_URL, {
      max: 2048,
      pattern: WEB_URL,
      fix: WEB_URL_FIX,
      default: BACKEND_DEFAULTS.hiveon.url,
    }).exactOptional(),
    externalIdPath: text(
      "Path of the lookup by our own id, with {id} for it, where it differs from the lookup by the vendor's id.",
      { max: 256, pattern: /^\/[^\t\n\f\r ?#]*\{id\}[^\t\n\f\r ?#]*$/, fix: "write an absolute path with {id} in it" },
    ).exactOptional(),
  },
);

const mittwald = object("A mittwald mStudio account. Secret key: token.", {
  url: text(API_URL, {
    max: 2048,
    pattern: WEB_URL,
    fix: WEB_URL_FIX,
    default: BACKEND_DEFAULTS.mittwald.url,
  }).exactOptional(),
});

const tls = object("TLS of the connection.", {
  caRef: object("Certificates that are trusted, instead of the system's.", {
    kind: choice("Kind of the object.", ["Secret", "ConfigMap"], { default: "Secret" }).exactOptional(),
    name: objectName("Name of the object."),
    key: dataKey("Key in its data.").meta({ "drayage-default": "ca.crt" }).exactOptional(),
  }).exactOptional(),
  clientCertSecretRef: localRef(
    "Secret of type kubernetes.io/tls with our own certificate (tls.crt, tls.key).",
  ).exactOptional(),
  serverName: text("Name that the server's certificate must be for. Unset: the host of the url.").exactOptional(),
});

const labelValue = () =>
  text("Value.", {
    min: 0,
    max: 63,
    pattern: /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
    fix: "write a label value: letters, digits, -, _ and .",
  });

const selectorRequirement = ruled(
  object("One requirement.", {
    key: text("Label key.", { max: 317 }),
    operator: choice("How the label compares with values.", ["In", "NotIn", "Exists", "DoesNotExist"]),
    values: list("Values, for In and NotIn.", labelValue(), 64).exactOptional(),
  }),
  [
    {
      rule: `self.operator.endsWith("In") == (has(self.values) && self.values.size() > 0)`,
      message: "operators In and NotIn need values, Exists and DoesNotExist take none",
      holds: (value) => value.operator.endsWith("In") === (value.values ?? []).length > 0,
    },
  ],
);

const allowedNamespaces = ruled(
  object("Namespaces whose EdgeDevices may use this backend.", {
    from: choice(
      "Same: only its own. All: every one. Selector: its own and those with matching labels.",
      ["Same", "All", "Selector"],
      { default: BACKEND_DEFAULTS.allowedNamespaces.from },
    ).exactOptional(),
    selector: object("Labels of namespaces, for from Selector.", {
      matchLabels: stringMap("Labels that must be equal.", 32, 63).exactOptional(),
      matchExpressions: list("Requirements that must all hold.", selectorRequirement, 32).exactOptional(),
    }).exactOptional(),
    targets: list(
      "Targets (thing id, asset id, machine id, project id) that other namespaces may use. Unset: any.",
      text("Id of a target.", { max: 256 }),
      1000,
      1,
    ).exactOptional(),
  }),
  [
    {
      rule: `(has(self.from) && self.from == "Selector") == has(self.selector)`,
      message: "from Selector and selector belong together: set both or neither",
      holds: (value) => (value.from === "Selector") === (value.selector !== undefined),
    },
  ],
);

const { rateLimit: RATE } = BACKEND_DEFAULTS;

const spec = object("Which account or broker, and how to use it.", {
  kanto: kanto.exactOptional(),
  alpon: alpon.exactOptional(),
  hiveon: hiveon.exactOptional(),
  mittwald: mittwald.exactOptional(),
  credentialsSecretRef: localRef("Secret with the credentials; its keys stand at each vendor block.").exactOptional(),
  tls: tls.exactOptional(),
  rateLimit: object(
    "Limits on HTTP requests to the vendor, for the whole account. Over MQTT there are none: each device is sent one command at a time.",
    {
      requestsPerSecond: int("Requests per second on average.", 1, 1000, {
        default: RATE.requestsPerSecond,
      }).exactOptional(),
      burst: int("Requests that may be made at once after a rest.", 1, 10_000, { default: RATE.burst }).exactOptional(),
      concurrency: int("Requests under way at the same time.", 1, 1000, { default: RATE.concurrency }).exactOptional(),
    },
  ).exactOptional(),
  observeIntervalSeconds: seconds(
    `How often state is polled, or, where it is pushed, after how much silence presence is probed. For kanto the default is ${BACKEND_DEFAULTS.kantoObserveIntervalSeconds}.`,
    1,
    DAY,
    { default: BACKEND_DEFAULTS.observeIntervalSeconds },
  ).exactOptional(),
  commandTimeoutSeconds: seconds(
    "After this a command counts as late, beside the stop timeout where one applies.",
    1,
    DAY,
    {
      default: BACKEND_DEFAULTS.commandTimeoutSeconds,
    },
  ).exactOptional(),
  createTimeoutSeconds: seconds("After this a creation, image pull included, counts as late.", 1, DAY, {
    default: BACKEND_DEFAULTS.createTimeoutSeconds,
  }).exactOptional(),
  allowedNamespaces: allowedNamespaces.exactOptional(),
  suspend: flag("While true nothing is changed on any device of this backend; state is still observed.", {
    default: BACKEND_DEFAULTS.suspend,
  }).exactOptional(),
  deletion: object("What deleting the object waits for.", {
    graceSeconds: graceSeconds(BACKEND_DEFAULTS.deletion.graceSeconds).exactOptional(),
  }).exactOptional(),
});

export const edgeBackendSpec = ruled(spec, [
  ONE_VENDOR,
  VENDOR_IMMUTABLE,
  {
    rule: "has(self.kanto) || has(self.credentialsSecretRef)",
    message: "set credentialsSecretRef to a Secret with the key apiKey (mittwald: token)",
    holds: (value) => value.kanto !== undefined || value.credentialsSecretRef !== undefined,
  },
  {
    rule: `!has(self.tls) || !has(self.kanto) || ["mqtts:", "wss:", "https:"].exists(scheme, self.kanto.url.startsWith(scheme))`,
    message: "tls counts only with an mqtts://, wss:// or https:// url: change kanto.url, or leave tls out",
    holds: (value) =>
      value.tls === undefined ||
      value.kanto === undefined ||
      ["mqtts:", "wss:", "https:"].some((scheme) => value.kanto?.url.startsWith(scheme)),
  },
]);

const capability = object("How one setting of EdgeContainer.spec is honoured.", {
  path: text("Path in EdgeContainer.spec; path=Value for a single value.", { max: 512 }),
  level: choice("By the vendor itself, by Drayage, or not at all.", ["Native", "Emulated", "Unsupported"]),
  note: text("What to know about it.", { min: 0, max: 1024 }).exactOptional(),
});

export const edgeBackendStatus = object("What was observed; written by the operator only.", {
  observedGeneration: observedGeneration.exactOptional(),
  type: choice("The vendor, for the column TYPE.", ["Kanto", "Alpon", "Hiveon", "Mittwald"]).exactOptional(),
  capabilities: list("What the backend can do.", capability, 256).exactOptional(),
  devices: object("EdgeDevices on this backend.", {
    total: int("How many there are."),
    connected: int("How many of them are connected."),
  }).exactOptional(),
  conditions: conditions.exactOptional(),
});

export type EdgeBackendSpec = z.infer<typeof spec>;
export type EdgeBackendStatus = z.infer<typeof edgeBackendStatus>;

/** An EdgeBackend as read from the API server. */
export interface EdgeBackend extends KubeObject {
  spec: EdgeBackendSpec;
  status?: EdgeBackendStatus;
}
