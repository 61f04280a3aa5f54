/** Settings of an EdgeContainer that mean something on one backend only. */
import type { z } from "zod";
import { CONTAINER_DEFAULTS } from "./default-values.ts";
import { secretKeyRef } from "./references.ts";
import { choice, int, list, object, stringMap, text } from "./schema.ts";

const kanto = object("Eclipse Kanto.", {
  decryption: object("How the device decrypts an encrypted image. Needs a new container when it changes.", {
    keys: list(
      "Private keys: GPG key ring, JWE or PKCS7. Each Secret holds one line, <path on the device>[:<password>]; the device shows it on its broker, so prefer :file=<path of a password file on the device>.",
      secretKeyRef("Key of a Secret."),
      16,
    ).exactOptional(),
    recipients: list(
      "Recipients, for PKCS7 only. Each Secret holds one line, pkcs7:<path on the device of an x509 certificate>.",
      secretKeyRef("Key of a Secret."),
      16,
    ).exactOptional(),
  }).exactOptional(),
});

const hiveon = object("Hiveon, where a container is a rental that costs money.", {
  reRent: choice(
    "When a rental may be ended and another one begun: Never; OnSpecChange; OnFailure; Always: for both.",
    ["Never", "OnSpecChange", "OnFailure", "Always"],
    { default: CONTAINER_DEFAULTS.reRent },
  ).exactOptional(),
  metadata: stringMap("Passed on with the rental, beside Drayage's own marker.", 32, 1024).exactOptional(),
});

const ingress = object("One public address.", {
  hostname: text("Host name that is published.", {
    max: 253,
    pattern: /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/,
    fix: "write a host name, e.g. app.example.org",
  }),
  path: text("Path below which requests go to the container.", {
    max: 1024,
    pattern: /^\//,
    fix: "begin with /",
    default: "/",
  }).exactOptional(),
  containerPort: int("Port of the container, one of spec.ports.", 1, 65_535),
});

const mittwald = object("mittwald.", {
  ingresses: list(
    "Host names under which the container is reached from outside; only HTTP and HTTPS.",
    ingress,
    32,
  ).exactOptional(),
});

export const backendOptions = object(
  "Settings for one backend each. Those of other backends than the device's are refused.",
  {
    kanto: kanto.exactOptional(),
    hiveon: hiveon.exactOptional(),
    mittwald: mittwald.exactOptional(),
  },
);

export type BackendOptions = z.infer<typeof backendOptions>;
